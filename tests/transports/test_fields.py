"""What a header field is made of, against the rules of RFC 9110 in another form."""

from __future__ import annotations

import re
import string

from posthouse.transports.fields import BARE_LF, TCHAR, TOKEN, VALUE


def matched(pattern: bytes) -> bytes:
    """The bytes that this pattern matches alone."""
    return bytes(octet for octet in range(256) if re.fullmatch(pattern, bytes((octet,))))


def test_a_token_is_made_of_what_rfc_9110_section_5_6_2_lists() -> None:
    listed = bytes(sorted(("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters).encode()))
    assert matched(TCHAR) == matched(TOKEN) == listed
    assert re.fullmatch(TOKEN, listed)
    assert not re.fullmatch(TOKEN, b"")


def test_a_value_has_no_control_characters_but_tabs_and_may_be_empty() -> None:
    assert matched(VALUE) == b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
    assert re.fullmatch(VALUE, b"")


def test_both_patterns_are_possessive() -> None:
    assert not re.fullmatch(TOKEN + b"a", b"aa")
    assert not re.fullmatch(VALUE + b"a", b"aa")


def test_a_line_feed_is_bare_without_a_carriage_return_before_it() -> None:
    assert [match.start() for match in BARE_LF.finditer(b"\na\r\nb\n\r\n\n")] == [0, 5, 8]
