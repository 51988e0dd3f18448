"""Header fields as a mapping for handlers."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.headers import CREDENTIALS, readable


def test_names_are_in_lower_case_and_values_are_decoded_as_latin_1() -> None:
    headers = readable(((b"Host", b"example.org"), (b"x-name", b"Andr\xe9")))
    assert dict(headers) == {"host": "example.org", "x-name": "André"}


def test_the_values_of_a_repeated_header_are_joined_in_their_order() -> None:
    headers = readable(((b"x-tag", b"a"), (b"host", b"h"), (b"X-Tag", b"b, c"), (b"x-tag", b"")))
    assert dict(headers) == {"x-tag": "a, b, c, ", "host": "h"}


def test_credentials_are_left_out_however_they_are_written() -> None:
    assert CREDENTIALS == (
        "authorization",
        "cookie",
        "posthouse-session",
        "proxy-authorization",
        "sec-websocket-protocol",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-xsrf-token",
    )
    names = [name.encode() for name in CREDENTIALS]
    fields = tuple((written, b"secret") for name in names for written in (name, name.title(), name.upper()))
    assert dict(readable((*fields, (b"accept", b"*/*")))) == {"accept": "*/*"}


@pytest.mark.parametrize("fields", [(), ((b"host", b"h"),)])
def test_the_mapping_cannot_change(fields: Any) -> None:
    headers: Any = readable(fields)
    with pytest.raises(TypeError):
        headers["host"] = "other"
