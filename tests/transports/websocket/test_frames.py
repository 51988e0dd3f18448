"""Frames as we send them, against the examples of RFC 6455 and the parser of wsproto."""

from __future__ import annotations

import pytest
from posthouse.transports.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MASKED,
    MAX_CONTROL_BYTES,
    NO_STATUS,
    PING,
    PONG,
    RSV1,
    TEXT,
    can_close,
    close_payload,
    frame,
    masked_frame,
    text_frame,
)
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection


def test_the_examples_of_rfc_6455_section_5_7() -> None:
    key = bytes.fromhex("37fa213d")
    assert frame(FIN | TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert masked_frame(FIN | TEXT, b"Hello", key) == bytes.fromhex("818537fa213d7f9f4d5158")
    assert text_frame(b"Hello") == bytes.fromhex("810548656c6c6f")
    assert text_frame(bytes(126))[:4] == bytes.fromhex("817e007e")
    assert frame(TEXT, b"Hel") == bytes.fromhex("010348656c")
    assert frame(FIN | PING, b"Hello") == bytes.fromhex("890548656c6c6f")
    assert frame(FIN | BINARY, bytes(256))[:4] == bytes.fromhex("827e0100")
    assert frame(FIN | BINARY, bytes(65536))[:10] == bytes.fromhex("827f0000000000010000")


def test_numbers_are_those_of_rfc_6455() -> None:
    assert (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG) == (0, 1, 2, 8, 9, 10)
    assert (FIN, RSV1, MASKED) == (0b1000_0000, 0b0100_0000, 0b1000_0000)
    assert (MAX_CONTROL_BYTES, NO_STATUS) == (125, 1005)


def test_a_close_frame_carries_its_code_or_nothing() -> None:
    assert frame(FIN | CLOSE, close_payload(1000)) == b"\x88\x02\x03\xe8"
    assert frame(FIN | CLOSE, close_payload(NO_STATUS)) == b"\x88\x00"


def test_what_a_close_frame_may_say_another_parser_takes() -> None:
    sendable = [code for code in range(-1, 1 << 17) if can_close(code)]
    assert sendable == [*range(1000, 1004), 1005, *range(1007, 1014), *range(3000, 5000)]
    for code in sendable:
        peer = Connection(ConnectionType.CLIENT)
        peer.receive_data(frame(FIN | CLOSE, close_payload(code)))
        (event,) = peer.events()
        assert isinstance(event, CloseConnection)
        assert (event.code, peer.state) == (code, ConnectionState.REMOTE_CLOSING)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_the_frame_of_a_text_is_that_of_any_payload(size: int) -> None:
    assert text_frame(b"x" * size) == frame(FIN | TEXT, b"x" * size)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 65537])
@pytest.mark.parametrize("masked", [False, True])
def test_another_parser_reads_every_length(size: int, masked: bool) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    first = FIN | BINARY
    if masked:
        peer, data = Connection(ConnectionType.SERVER), masked_frame(first, payload, b"\x01\x02\x03\x04")
    else:
        peer, data = Connection(ConnectionType.CLIENT), frame(first, payload)
    peer.receive_data(data)
    assert list(peer.events()) == [BytesMessage(data=payload, frame_finished=True, message_finished=True)]
