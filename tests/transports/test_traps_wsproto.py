"""What wsproto gets wrong, pinned: an upgrade that mends one of these says so here, and the code that works around it
can go. Each test names what we do about it."""

from __future__ import annotations

import os
import tracemalloc

import pytest
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    RSV1,
    TEXT,
    close_payload,
    masked_frame,
)
from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import RemoteProtocolError

KEY = b"\x01\x02\x03\x04"


def sent(first: int, payload: bytes = b"") -> bytes:
    return masked_frame(first, payload, KEY)


def server(*, compressed: bool = False) -> Connection:
    if not compressed:
        return Connection(ConnectionType.SERVER)
    extension = PerMessageDeflate(client_no_context_takeover=True)
    extension.finalize("permessage-deflate")
    return Connection(ConnectionType.SERVER, [extension])


def take(connection: Connection, data: bytes) -> list[Event]:
    connection.receive_data(data)
    return list(connection.events())


def failure(connection: Connection, data: bytes) -> str:
    """The reason with which it refuses these bytes."""
    (event,) = take(connection, data)
    assert isinstance(event, CloseConnection)
    assert connection.state is ConnectionState.OPEN
    return str(event.reason)


# Limits: each header is looked at before it is fed


def test_it_takes_any_length_that_is_announced() -> None:
    assert take(server(), bytes((FIN | TEXT, 0xFF)) + (1 << 62).to_bytes(8, "big") + KEY) == []


def test_it_takes_fragments_without_end() -> None:
    events = take(server(), sent(TEXT) + sent(CONTINUATION) * 5000)
    assert len(events) == 5001


def test_it_takes_control_frames_without_end() -> None:
    assert len(take(server(), sent(FIN | PING) * 5000)) == 5000


def test_it_delivers_a_part_of_a_frame() -> None:
    (event,) = take(server(), sent(FIN | TEXT, b"Hello")[:-2])
    assert event == TextMessage(data="Hel", frame_finished=False, message_finished=False)


# Inflation: an extension of our own


def test_it_inflates_without_bound() -> None:
    data = sent(FIN | RSV1 | BINARY, deflate(bytes(10_000_000)))
    assert len(data) < 10_000
    (event,) = take(server(compressed=True), data)
    assert isinstance(event, BytesMessage)
    assert len(event.data) == 10_000_000


def test_a_ping_between_fragments_corrupts_a_compressed_message() -> None:
    body = deflate(b"Hello, Hello")
    data = sent(RSV1 | TEXT, body[:5]) + sent(FIN | PING) + sent(FIN | CONTINUATION, body[5:])
    events = take(server(compressed=True), data)
    assert "".join(event.data for event in events if isinstance(event, TextMessage)) != "Hello, Hello"


def test_it_loses_what_follows_a_final_deflate_block() -> None:
    final = bytes.fromhex("f348cdc9c90700")
    (event,) = take(server(compressed=True), sent(FIN | RSV1 | TEXT, final + deflate(b", world")))
    assert event == TextMessage(data="Hello", frame_finished=True, message_finished=True)


# Failing: nothing is fed afterwards


def test_after_a_failure_it_stays_open_and_keeps_further_bytes() -> None:
    connection = server()
    assert failure(connection, sent(FIN | 3)) == "Invalid opcode 0x3"
    tracemalloc.start()
    try:
        for _ in range(10):
            assert take(connection, bytes(100_000)) == []
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept > 1_000_000


def test_a_failure_differs_from_a_close_frame_only_by_the_state() -> None:
    connection = server()
    assert take(connection, sent(FIN | CLOSE, close_payload(1000))) == [CloseConnection(code=1000, reason="")]
    assert connection.state is ConnectionState.REMOTE_CLOSING


def test_it_checks_opcode_then_length_then_rsv_then_mask() -> None:
    everything = bytes((FIN | 0x20 | 3, 126, 0, 1, 0))
    long_ping = bytes((FIN | 0x20 | PING, 126, 0, 1, 0))
    reserved = bytes((FIN | 0x20 | TEXT, 1, 0))
    unmasked = bytes((FIN | TEXT, 1, 0))
    assert failure(server(), everything) == "Invalid opcode 0x3"
    assert failure(server(), long_ping) == "Control frame with payload len > 125"
    assert failure(server(), reserved) == "Reserved bit set unexpectedly"
    assert failure(server(), unmasked) == "server received unexpected unmasked frame"


# Control frames and closing: ours


def test_it_answers_no_pings() -> None:
    assert take(server(), sent(FIN | PING, b"?")) == [Ping(b"?")]


def test_it_refuses_close_code_1014() -> None:
    assert failure(server(), sent(FIN | CLOSE, close_payload(1014))) == "CLOSE with unknown reserved code"


@pytest.mark.parametrize("code", [1005, 1006, 1015])
def test_it_sends_1000_for_codes_that_are_never_sent(code: int) -> None:
    assert server().send(CloseConnection(code=code)) == b"\x88\x02\x03\xe8"


# Idle connections: it is built when the first frame comes


def test_an_idle_connection_costs_two_kilobytes() -> None:
    tracemalloc.start()
    try:
        idle = [server() for _ in range(100)]
        cost = tracemalloc.get_traced_memory()[0] / len(idle)
    finally:
        tracemalloc.stop()
    assert 1_500 < cost < 4_000


# Entropy: the client's frames are built by hand


def test_as_a_client_it_draws_masks_and_nonces_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> bytes:
        raise AssertionError(f"{size} bytes of entropy")

    monkeypatch.setattr(os, "urandom", refuse)
    with pytest.raises(AssertionError, match="4 bytes"):
        Connection(ConnectionType.CLIENT).send(TextMessage(data="Hello"))
    with pytest.raises(AssertionError, match="16 bytes"):
        WSConnection(ConnectionType.CLIENT).send(Request(host="h", target="/"))


# The opening handshake: ours


def opening(key: bytes = b"dGhlIHNhbXBsZSBub25jZQ==", host: bytes = b"h", more: bytes = b"") -> bytes:
    return (
        b"GET /ws HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n%b\r\n" % (host, key, more)
    )


@pytest.mark.parametrize(
    "more",
    [
        b"Sec-WebSocket-Protocol: \xff\r\n",
        b"Sec-WebSocket-Extensions: \xff\r\n",
    ],
)
def test_its_handshake_raises_on_bytes_that_are_no_ascii(more: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        WSConnection(ConnectionType.SERVER).receive_data(opening(more=more))


def test_its_handshake_raises_on_a_host_that_is_no_idna() -> None:
    with pytest.raises(UnicodeError):
        WSConnection(ConnectionType.SERVER).receive_data(opening(host=b"xn--\x7f" + b"a" * 70))


def test_its_handshake_raises_on_window_bits_that_are_no_number() -> None:
    connection = WSConnection(ConnectionType.SERVER)
    connection.receive_data(opening(more=b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=x\r\n"))
    with pytest.raises(ValueError, match="invalid literal"):
        connection.send(AcceptConnection(extensions=[PerMessageDeflate()]))


@pytest.mark.parametrize("key", [b"short", b"!" * 24])
def test_its_handshake_does_not_check_the_key(key: bytes) -> None:
    connection = WSConnection(ConnectionType.SERVER)
    connection.receive_data(opening(key))
    (request,) = connection.events()
    assert isinstance(request, Request)


def test_its_handshake_accepts_any_origin() -> None:
    connection = WSConnection(ConnectionType.SERVER)
    connection.receive_data(opening(more=b"Origin: https://elsewhere.example\r\n"))
    assert connection.send(AcceptConnection()).startswith(b"HTTP/1.1 101")


def test_its_handshake_loses_bytes_behind_it() -> None:
    connection = WSConnection(ConnectionType.SERVER)
    connection.receive_data(opening() + sent(FIN | TEXT, b"Hello"))
    connection.send(AcceptConnection())
    connection.receive_data(sent(FIN | TEXT, b"again"))
    texts = [event.data for event in connection.events() if isinstance(event, TextMessage)]
    assert texts == ["again"]


def test_its_handshake_refuses_what_is_no_http_by_an_exception() -> None:
    with pytest.raises(RemoteProtocolError):
        WSConnection(ConnectionType.SERVER).receive_data(b"\x16\x03\x01\r\n\r\n")
