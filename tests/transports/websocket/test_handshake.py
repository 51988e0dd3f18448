"""The opening handshake: what a server accepts, what it answers, and what a client believes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from posthouse.transports.codec import Handshake
from posthouse.transports.refusal import Refusal
from posthouse.transports.websocket.handshake import (
    BAD_BEARER,
    BAD_REQUEST,
    OFFER,
    SUBPROTOCOL,
    UPGRADE_REQUIRED,
    Opened,
    Rejected,
    accept_for,
    check,
    judge,
    judge_protocols,
    key_from,
    opening_request,
)

from tests.values import changeable

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The example of RFC 6455 section 1.3."""

Fields = list[tuple[bytes, bytes]]


def request(*more: tuple[bytes, bytes], **replaced: bytes | None) -> Fields:
    fields = {
        "upgrade": b"websocket",
        "connection": b"keep-alive, Upgrade",
        "sec_websocket_key": KEY,
        "sec_websocket_version": b"13",
    } | replaced
    return [(name.replace("_", "-").encode(), value) for name, value in fields.items() if value is not None] + [*more]


def answer(verdict: Handshake | Refusal) -> dict[bytes, bytes]:
    assert isinstance(verdict, Handshake)
    return dict(verdict.headers)


def offering(value: bytes) -> Handshake | Refusal:
    return judge(request((b"sec-websocket-extensions", value)))


def extension(value: bytes) -> bytes | None:
    verdict = offering(value)
    assert isinstance(verdict, Handshake)
    selected = answer(verdict).get(b"Sec-WebSocket-Extensions")
    assert verdict.deflate == (selected is not None)
    return selected


# Server


def test_the_example_of_the_standard_is_accepted() -> None:
    assert judge(request()) == Handshake(
        ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", ACCEPT)), deflate=False
    )


def test_tokens_are_compared_without_case_and_may_be_spread_over_fields() -> None:
    fields = request((b"connection", b"UPGRADE"), (b"upgrade", b"h2c, WebSocket"), connection=b"close", upgrade=b"foo")
    assert isinstance(judge(fields), Handshake)


@pytest.mark.parametrize(
    "replaced",
    [
        {"upgrade": None},
        {"upgrade": b"websocket2"},
        {"connection": None},
        {"connection": b"keep-alive"},
        {"sec_websocket_version": None},
        {"sec_websocket_version": b"8"},
        {"sec_websocket_version": b"13, 8"},
        {"sec_websocket_version": b"013"},
    ],
)
def test_what_is_no_handshake_of_version_13_is_told_to_upgrade(replaced: dict[str, bytes | None]) -> None:
    verdict = judge(request(**replaced))
    assert verdict is UPGRADE_REQUIRED
    assert isinstance(verdict, Refusal)
    assert verdict.status == 426
    assert (b"Sec-WebSocket-Version", b"13") in verdict.headers


@pytest.mark.parametrize(
    "fields",
    [
        request(sec_websocket_key=None),
        request(sec_websocket_key=b""),
        request(sec_websocket_key=b"dGhlIHNhbXBsZSBub25jZQ"),
        request(sec_websocket_key=b"dGhlIHNhbXBsZSBub25j"),
        request(sec_websocket_key=b"dGhlIHNhbXBsZSBub25jZQAA"),
        request(sec_websocket_key=b"dGhlIHNhbXBsZSBub25jZ\xff=="),
        request(sec_websocket_key=KEY + b"\n"),
        request((b"sec-websocket-key", KEY)),
        request(upgrade=b"web socket"),
        request(connection=b"\xff\x00"),
        request((b"sec-websocket-protocol", b"a b")),
        request((b"sec-websocket-protocol", b"posthouse.v1.json, \xe4")),
    ],
)
def test_a_handshake_that_breaks_the_grammar_is_refused(fields: Fields) -> None:
    assert judge(fields) is BAD_REQUEST
    assert BAD_REQUEST.status == 400


def test_our_subprotocol_is_selected_when_it_was_offered() -> None:
    fields = request((b"sec-websocket-protocol", b"chat,, posthouse.v1.json"))
    assert answer(judge(fields))[b"Sec-WebSocket-Protocol"] == SUBPROTOCOL
    fields = request((b"sec-websocket-protocol", b"chat"), (b"sec-websocket-protocol", b"posthouse.v1.json"))
    assert answer(judge(fields))[b"Sec-WebSocket-Protocol"] == SUBPROTOCOL


@pytest.mark.parametrize("offered", [b"", b"chat", b"posthouse.v2.json", b"POSTHOUSE.V1.JSON", b"posthouse.v1.jsonx"])
def test_no_other_subprotocol_is_ever_selected(offered: bytes) -> None:
    assert b"Sec-WebSocket-Protocol" not in answer(judge(request((b"sec-websocket-protocol", offered))))


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (b"mcp", b"mcp"),
        (b"chat, mcp", b"mcp"),
        (b"wamp, mcp", b"wamp"),
        (b"mcp, wamp", b"mcp"),
        (b"mcp, posthouse.v1.json", SUBPROTOCOL),
        (b"mcp, posthouse.bearer.eA", b"mcp"),
        (b"posthouse.bearer.eA, mcp", b"mcp"),
        (b"MCP", None),
        (b"chat", None),
        (b"", None),
    ],
)
def test_the_first_offered_subprotocol_that_the_service_names_is_selected_behind_ours(
    offered: bytes, selected: bytes | None
) -> None:
    fields, named = request((b"sec-websocket-protocol", offered)), ("mcp", "wamp")
    assert answer(judge(fields, named)).get(b"Sec-WebSocket-Protocol") == selected
    hosted = judge_protocols(fields, named)
    assert answer(hosted).get(b"Sec-WebSocket-Protocol") == selected


def test_a_token_is_never_selected_and_needs_a_subprotocol_that_is() -> None:
    fields = request((b"sec-websocket-protocol", b"posthouse.bearer.eA, chat"))
    assert judge(fields, ("mcp",)) == judge_protocols(fields, ("mcp",)) == BAD_BEARER


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ([b"posthouse.v1.json, posthouse.bearer.eA"], False),
        ([b"posthouse.bearer.eA", b"other", b"posthouse.v1.json"], False),
        ([b"posthouse.v1.json, posthouse.bearer.!"], False),  # unreadable: the gateway refuses it with 401
        ([b"posthouse.bearer.eA"], True),
        ([b"posthouse.bearer.eA, other"], True),
        ([b"posthouse.v1.json, posthouse.bearer.eA, posthouse.bearer.eQ"], True),
        ([b"posthouse.bearer.eA", b"posthouse.v1.json", b"posthouse.bearer.eA"], True),
        ([b"posthouse.bearer."], True),
        ([b"Posthouse.bearer.eA"], False),
    ],
)
def test_a_token_is_offered_once_beside_our_subprotocol_and_never_selected(values: list[bytes], refused: bool) -> None:
    verdict = judge(request(*((b"sec-websocket-protocol", value) for value in values)))
    if refused:
        assert verdict == BAD_BEARER
        assert (BAD_BEARER.status, BAD_BEARER.keep) == (400, False)
    else:
        assert answer(verdict).get(b"Sec-WebSocket-Protocol") in (None, SUBPROTOCOL)


@pytest.mark.parametrize(
    "offer",
    [
        b"permessage-deflate",
        b"permessage-deflate; client_max_window_bits",
        b"permessage-deflate ;client_max_window_bits=8",
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        b'permessage-deflate; client_max_window_bits="1\\5"',
        b"x-webkit-deflate-frame, , permessage-deflate",
        b"foo; bar=baz; qux, permessage-deflate",
        b"permessage-deflate; server_max_window_bits=10, permessage-deflate",
        b"permessage-deflate; mystery, permessage-deflate",
    ],
)
def test_compression_is_agreed_without_context_takeover(offer: bytes) -> None:
    assert extension(offer) == OFFER


def test_an_offer_may_be_spread_over_fields() -> None:
    verdict = judge(request(*[(b"sec-websocket-extensions", offer) for offer in (b"foo", b"permessage-deflate")]))
    assert answer(verdict)[b"Sec-WebSocket-Extensions"] == OFFER


def test_who_is_told_to_upgrade_is_told_to_what_and_may_ask_again() -> None:
    assert UPGRADE_REQUIRED.status == 426
    assert dict(UPGRADE_REQUIRED.headers) == {
        b"Upgrade": b"websocket",
        b"Connection": b"Upgrade",
        b"Sec-WebSocket-Version": b"13",
    }
    assert UPGRADE_REQUIRED.keep
    assert not BAD_REQUEST.keep


@pytest.mark.parametrize(
    "offer", [b"permessage-deflate; server_max_window_bits=15", b'permessage-deflate;server_max_window_bits="15"']
)
def test_a_window_of_15_bits_is_confirmed(offer: bytes) -> None:
    assert extension(offer) == OFFER + b"; server_max_window_bits=15"


@pytest.mark.parametrize(
    "offer",
    [
        b"",
        b",",
        b"permessage-bzip2",
        b"Permessage-Deflate",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; server_max_window_bits=14",
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; server_max_window_bits=015",
        b"permessage-deflate; client_max_window_bits=7",
        b"permessage-deflate; client_max_window_bits=16",
        b"permessage-deflate; client_max_window_bits=08",
        b"permessage-deflate; client_max_window_bits; client_max_window_bits",
        b"permessage-deflate; client_max_window_bits=15; client_max_window_bits=15",
        b"permessage-deflate; server_no_context_takeover=true",
        b"permessage-deflate; mystery",
        b"permessage-deflate; mystery=1",
    ],
)
def test_an_offer_that_cannot_be_met_is_declined_and_the_handshake_goes_on(offer: bytes) -> None:
    assert extension(offer) is None


@pytest.mark.parametrize(
    "value",
    [
        b"permessage-deflate;",
        b"permessage-deflate; =15",
        b"permessage-deflate; client_max_window_bits=",
        b'permessage-deflate; client_max_window_bits="15',
        b'permessage-deflate; client_max_window_bits=""',
        b'permessage-deflate; client_max_window_bits="1 5"',
        b"permessage-deflate client_max_window_bits",
        b"; permessage-deflate",
        b"permessage-deflate; \xff",
        b"permessage\x00deflate",
    ],
)
def test_malformed_extensions_fail_the_handshake(value: bytes) -> None:
    assert offering(value) is BAD_REQUEST


NAMES = st.sampled_from(
    [
        b"upgrade",
        b"connection",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    ]
)
HOSTILE = st.lists(
    st.tuples(NAMES, st.binary(max_size=40) | st.text(' ,;="\\a1', max_size=40).map(str.encode)), max_size=8
)


@given(HOSTILE, st.booleans())
@example([(b"sec-websocket-extensions", b"a;" * 8000)], True)
@example([(b"sec-websocket-extensions", b" " * 16000 + b"\x00")], True)
def test_hostile_headers_raise_nothing_on_either_side(fields: Fields, valid: bool) -> None:
    whole = request() + fields if valid else fields
    verdict = judge(whole)
    assert isinstance(verdict, Handshake) or verdict.status in (400, 426)
    assert isinstance(check(101, whole, KEY), (Opened, Rejected))


# Client


def response(*more: tuple[bytes, bytes], **replaced: bytes | None) -> Fields:
    fields = {"upgrade": b"websocket", "connection": b"Upgrade", "sec_websocket_accept": ACCEPT} | replaced
    return [(name.replace("_", "-").encode(), value) for name, value in fields.items() if value is not None] + [*more]


def test_a_key_is_16_bytes_of_entropy() -> None:
    assert key_from(b"the sample nonce") == KEY
    assert accept_for(KEY) == ACCEPT


def test_the_opening_request_says_what_it_offers() -> None:
    assert opening_request(b"example.com:8000", b"/ws", KEY, headers=[(b"Origin", b"null")]) == (
        b"GET /ws HTTP/1.1\r\nHost: example.com:8000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: posthouse.v1.json\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        b"Origin: null\r\n\r\n"
    )
    assert b"Sec-WebSocket-Protocol: a, b\r\n" in opening_request(b"h", b"/", KEY, subprotocols=(b"a", b"b"))
    assert b"Sec-WebSocket-P" not in opening_request(b"h", b"/", KEY, subprotocols=())
    assert b"Sec-WebSocket-E" not in opening_request(b"h", b"/", KEY, deflate=False)


@pytest.mark.parametrize("deflate", [True, False])
def test_what_our_client_asks_our_server_grants(deflate: bool) -> None:
    lines = opening_request(b"h", b"/ws", KEY, deflate=deflate).split(b"\r\n")[1:-2]
    fields = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    verdict = judge(fields)
    assert isinstance(verdict, Handshake)
    granted = [(name.lower(), value) for name, value in verdict.headers]
    assert check(101, granted, KEY, deflate=deflate) == Opened(deflate, SUBPROTOCOL)


def test_a_plain_answer_opens_a_plain_websocket() -> None:
    assert check(101, response(), KEY) == Opened(deflate=False, subprotocol=None)


@pytest.mark.parametrize(
    "more", [b"", b"; client_no_context_takeover", b"; server_max_window_bits=8", b'; server_max_window_bits="15"']
)
def test_a_server_may_bound_its_own_window(more: bytes) -> None:
    selected = b"permessage-deflate; server_no_context_takeover" + more
    assert check(101, response((b"sec-websocket-extensions", selected)), KEY) == Opened(deflate=True, subprotocol=None)


@pytest.mark.parametrize(
    "status, fields",
    [
        (200, response()),
        (426, response()),
        (101, response(upgrade=None)),
        (101, response(upgrade=b"h2c")),
        (101, response(upgrade=b"web socket")),
        (101, response(connection=None)),
        (101, response(connection=b"\xff")),
        (101, response(sec_websocket_accept=None)),
        (101, response(sec_websocket_accept=b"s3pPLMBiTxaQ9kYGzzhZRbK+xOO=")),
        (101, response((b"sec-websocket-accept", ACCEPT))),
        (101, response((b"sec-websocket-protocol", b"chat"))),
        (101, response((b"sec-websocket-protocol", SUBPROTOCOL), (b"sec-websocket-protocol", SUBPROTOCOL))),
        (101, response((b"sec-websocket-extensions", b";"))),
        (101, response((b"sec-websocket-extensions", b"foo"))),
        (101, response((b"sec-websocket-extensions", b"permessage-deflate"))),
        (101, response((b"sec-websocket-extensions", OFFER + b"; client_max_window_bits=15"))),
        (101, response((b"sec-websocket-extensions", OFFER + b"; client_no_context_takeover"))),
        (101, response((b"sec-websocket-extensions", OFFER + b"; server_max_window_bits=16"))),
        (101, response((b"sec-websocket-extensions", OFFER + b", " + OFFER))),
    ],
)
def test_an_answer_that_we_did_not_ask_for_is_rejected(status: int, fields: Fields) -> None:
    verdict = check(status, fields, KEY)
    assert isinstance(verdict, Rejected)
    assert verdict.reason.startswith("the server")


def test_compression_that_was_not_offered_is_rejected() -> None:
    fields = response((b"sec-websocket-extensions", OFFER))
    assert isinstance(check(101, fields, KEY, deflate=False), Rejected)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.websocket.handshake") == []


# A handshake that a host has read

TOKEN = b"posthouse.bearer.YQ"


@pytest.mark.parametrize(
    ("offered", "judged"),
    [
        ((), Handshake((), deflate=False)),
        ((b"chat",), Handshake((), deflate=False)),
        ((b"chat, " + SUBPROTOCOL,), Handshake(((b"Sec-WebSocket-Protocol", SUBPROTOCOL),), deflate=False)),
        ((SUBPROTOCOL, TOKEN), Handshake(((b"Sec-WebSocket-Protocol", SUBPROTOCOL),), deflate=False)),
        ((TOKEN,), BAD_BEARER),
        ((SUBPROTOCOL, TOKEN, TOKEN), BAD_BEARER),
        ((b"a b",), BAD_REQUEST),
    ],
)
def test_of_a_handshake_that_a_host_has_read_only_the_subprotocols_are_judged(
    offered: tuple[bytes, ...], judged: Handshake | Refusal
) -> None:
    assert judge_protocols([(b"sec-websocket-protocol", value) for value in offered]) == judged
