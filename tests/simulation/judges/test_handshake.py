"""The judge of opening handshakes: the example of RFC 6455, and each rule broken."""

from __future__ import annotations

import pytest
from posthouse.adapters.simulation.judges.handshake import Agreed, is_opening, judge
from posthouse.adapters.simulation.judges.requests import Request, read_request
from posthouse.adapters.simulation.judges.responses import read_response

OPENING = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
)
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)
OFFERED = b"\r\nSec-WebSocket-Extensions: "
CHOSEN = b"\r\nSec-WebSocket-Extensions: "
SUBPROTOCOL = b"\r\nSec-WebSocket-Protocol: "


def request(raw: bytes) -> Request:
    read = read_request(raw)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("asked", "answered", "agreed"),
    [
        (b"", b"", Agreed(False, False)),
        (OFFERED + b"permessage-deflate", b"", Agreed(False, False)),
        (OFFERED + b"permessage-deflate", CHOSEN + b"permessage-deflate", Agreed(True, True)),
        (
            OFFERED + b"x, permessage-deflate; client_max_window_bits",
            CHOSEN + b"permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
            Agreed(True, False),
        ),
        (
            OFFERED + b"permessage-deflate; server_max_window_bits=12",
            CHOSEN + b"permessage-deflate; server_max_window_bits=9",
            Agreed(True, True),
        ),
        (SUBPROTOCOL + b"a, b", SUBPROTOCOL + b"b", Agreed(False, False)),
    ],
)
def test_a_valid_101_is_accepted(asked: bytes, answered: bytes, agreed: Agreed) -> None:
    assert judge(request(OPENING + asked), read_response(ACCEPTED + answered)) == agreed


@pytest.mark.parametrize(
    ("asked", "answered", "rule"),
    [
        (OPENING[:-2] + b"8", ACCEPTED, "no opening handshake got a 101"),
        (OPENING.replace(b"GET", b"POST"), ACCEPTED, "no opening handshake got a 101"),
        (OPENING.replace(b"==", b"=="[:1]), ACCEPTED, "no opening handshake got a 101"),
        (OPENING.replace(b"1.1", b"1.0"), ACCEPTED, "no opening handshake got a 101"),
        (OPENING, ACCEPTED.replace(b": websocket", b": h2c"), "does not upgrade to WebSocket"),
        (OPENING, ACCEPTED.replace(b"Connection: Upgrade", b"Connection: close"), "does not upgrade to WebSocket"),
        (OPENING, ACCEPTED.replace(b"s3p", b"s3q"), "the Sec-WebSocket-Accept of its key"),
        (OPENING, ACCEPTED + b"\r\nContent-Type: a", "a field that it does not need"),
        (OPENING, ACCEPTED + SUBPROTOCOL + b"a", "a subprotocol that was not offered"),
        (OPENING + SUBPROTOCOL + b"b", ACCEPTED + SUBPROTOCOL + b"a", "a subprotocol that was not offered"),
        (
            OPENING + SUBPROTOCOL + b"posthouse.bearer.eA",
            ACCEPTED + SUBPROTOCOL + b"posthouse.bearer.eA",
            "the subprotocol that carries a token",
        ),
        (OPENING + SUBPROTOCOL + b"a, posthouse.v1.json", ACCEPTED + SUBPROTOCOL + b"a", "that goes before others"),
        (OPENING + SUBPROTOCOL + b"posthouse.v1.json", ACCEPTED, "that goes before others"),
        (OPENING, ACCEPTED + CHOSEN + b"permessage-deflate", "that were not offered"),
        (OPENING + OFFERED + b"x", ACCEPTED + CHOSEN + b"x", "an unknown extension"),
    ],
)
def test_a_101_that_breaks_a_rule_is_refused(asked: bytes, answered: bytes, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        judge(request(asked), read_response(answered))


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        (b"permessage-deflate", b"permessage-deflate; client_max_window_bits=10"),
        (b"permessage-deflate; server_no_context_takeover", b"permessage-deflate"),
        (b"permessage-deflate; server_max_window_bits=10", b"permessage-deflate"),
        (b"permessage-deflate; server_max_window_bits=10", b"permessage-deflate; server_max_window_bits=11"),
        (b"permessage-deflate", b"permessage-deflate; server_max_window_bits=16"),
        (b"permessage-deflate", b"permessage-deflate; server_no_context_takeover=1"),
        (b"permessage-deflate", b"permessage-deflate; more"),
        (b"permessage-deflate", b"permessage-deflate; more=1; more=1"),
        (b"x", b"permessage-deflate"),
    ],
)
def test_parameters_that_do_not_answer_the_offer_are_refused(offer: bytes, chosen: bytes) -> None:
    with pytest.raises(ValueError, match=r"that were not offered|a parameter twice"):
        judge(request(OPENING + OFFERED + offer), read_response(ACCEPTED + CHOSEN + chosen))


def test_a_key_has_sixteen_bytes_in_base64() -> None:
    assert is_opening(request(OPENING))
    assert not is_opening(request(OPENING.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl")))
    assert not is_opening(request(OPENING.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"?")))
