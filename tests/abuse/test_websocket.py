"""Frames that flood, lie, inflate or break the protocol: the close code that says which, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from posthouse.core import Config, Gateway, Transmit
from posthouse.core.values.timers import Timers
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT

from tests.transports.board import Board, call

from .attacker import Attacker, close_codes, compressed, cuts, frame, peak

KIB = 1024
MIB = 1024 * KIB

PONGED = FIN | PONG
ADD = call("add", b"[1,2]")
SUM = b'{"jsonrpc":"2.0","result":3,"id":1}'


class Echo(Gateway):
    """Says back what it is told, so that a test sees what arrived."""

    def receive(self, connection: Any, data: bytes, now: float) -> None:
        self.outbox.append(Transmit(connection, data))


def fails(attacker: Attacker, data: bytes, code: int) -> None:
    """It is failed with this code, and nothing behind that is parsed."""
    made = attacker.board.board.stats()["calls.made"]
    assert close_codes(attacker.send(data)) == [code]
    assert attacker.board.half_closed[-1] == attacker.socket
    assert attacker.say(ADD) == []
    assert attacker.board.board.stats()["calls.made"] == made
    assert attacker.board.board.health(attacker.board.now).connections == 0


# Floods


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every deadline that is armed."""
    deadlines: list[float] = []
    arm = Timers.arm

    def counting(self: Timers, when: float, reason: str, key: int) -> Any:
        deadlines.append(when)
        return arm(self, when, reason, key)

    monkeypatch.setattr(Timers, "arm", counting)
    return deadlines


def test_row_09_pings_are_answered_in_order_within_the_burst_and_beyond_it_end_with_1008(armed: list[float]) -> None:
    attacker = Attacker(Board())
    armed.clear()
    pings = [b"%d" % number for number in range(32)]
    answered = attacker.send(b"".join(frame(payload, FIN | PING) for payload in pings))
    assert answered == [(PONGED, payload) for payload in pings]
    assert attacker.send(b"".join(frame(b"more", FIN | PING) for _ in range(32))) == []
    assert len(armed) <= 2
    fails(attacker, frame(b"", FIN | PING), 1008)


def test_row_09_pings_at_their_rate_are_all_answered_for_ever() -> None:
    board = Board(Config(heartbeat_interval=None))
    attacker = Attacker(board)
    for number in range(1_000):
        board.pass_time(0.1)
        assert attacker.say(b"%d" % number, FIN | PING) == [(PONGED, b"%d" % number)]


def test_row_09_beyond_the_burst_and_while_nothing_is_taken_only_the_latest_ping_is_answered() -> None:
    board = Board(Config(heartbeat_interval=None))
    attacker = Attacker(board)
    for number in range(40):
        attacker.say(b"%d" % number, FIN | PING)
    board.pass_time(10.0)
    assert attacker.frames() == [(PONGED, b"39")]
    board.stuck[attacker.socket] = 0
    attacker.say(ADD)
    for number in range(20):
        attacker.board.feed(attacker.socket, frame(b"%d" % number, FIN | PING))
    board.release(attacker.socket)
    assert [payload for first, payload in attacker.frames() if first == PONGED] == [b"19"]


def test_row_10_pongs_that_nobody_asked_for_end_with_1008(armed: list[float]) -> None:
    attacker = Attacker(Board())
    armed.clear()
    assert attacker.send(b"".join(frame(b"", FIN | PONG) for _ in range(64))) == []
    assert armed == []
    fails(attacker, frame(b"", FIN | PONG), 1008)


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_row_11_fragments_end_with_1008_at_the_1_025th(piece: bytes) -> None:
    attacker = Attacker(Board())
    assert attacker.say(piece, TEXT) == []
    for _ in range(1_023):
        assert attacker.say(piece, CONTINUATION) == []
    fails(attacker, frame(piece, CONTINUATION), 1008)


def test_row_11_a_message_of_1_024_fragments_arrives() -> None:
    attacker = Attacker(Board())
    attacker.say(ADD, TEXT)
    for _ in range(1_022):
        attacker.say(b" ", CONTINUATION)
    assert attacker.say(b" ", FIN | CONTINUATION) == [(FIN | TEXT, SUM)]


@pytest.mark.parametrize("begun", [frame(b'"', TEXT), frame(b"", TEXT), frame(ADD)[:1], frame(ADD)[:-1]])
def test_row_11_a_message_that_does_not_end_ends_with_1008_after_ten_seconds(begun: bytes) -> None:
    board = Board()
    attacker = Attacker(board)
    attacker.send(begun)
    board.pass_time(9.999)
    assert attacker.frames() == []
    board.pass_time(0.001)
    assert close_codes(attacker.frames()) == [1008]


@pytest.mark.parametrize("piece", [b"x", b"x" * 8 * KIB])
def test_row_11_fragments_cost_at_most_twice_the_limit_of_a_message(piece: bytes) -> None:
    config = Config(max_fragments=4_000)
    limit = config.max_message_bytes if len(piece) > 1 else config.max_fragments * 128
    attacker = Attacker(Board(config))
    fragment = frame(piece, CONTINUATION)
    attacker.say(b'"', TEXT)

    def flood() -> None:
        for _ in range(min(3_998, config.max_message_bytes // len(piece) - 1)):
            attacker.board.board.received(attacker.socket, fragment, 0.0)

    assert peak(flood) <= 2 * limit
    assert attacker.board.board.health(0.0).memory <= limit + config.read_bytes
    assert not attacker.over


# Too big


@pytest.mark.parametrize(
    ("size", "code"), [(4 * MIB - 1, None), (4 * MIB, None), (4 * MIB + 1, 1009), (2**40, 1009), (2**63 - 1, 1009)]
)
def test_row_12_a_header_that_announces_too_much_ends_with_1009_before_any_payload(size: int, code: int | None) -> None:
    header = bytes([FIN | TEXT, 0x80 | 127]) + size.to_bytes(8, "big") + bytes(4)
    for pieces in cuts(header):
        attacker = Attacker(Board())
        headers = attacker.board.board.health(0.0).memory
        found = [found for piece in pieces for found in attacker.send(piece)]
        assert close_codes(found) == ([] if code is None else [code])
        frame_that_began = 128
        assert attacker.board.board.health(0.0).memory == (0 if code else headers + frame_that_began)


def test_row_12_fragments_that_announce_too_much_together_end_with_1009() -> None:
    attacker = Attacker(Board())
    for first in (TEXT, CONTINUATION):
        assert attacker.say(b"x" * (2 * MIB), first) == []
    fails(attacker, frame(b"x", CONTINUATION), 1009)


def bomb(ratio: int, size: int) -> bytes:
    """A text of so many bytes, compressed about so many times."""
    plain = Random(ratio).randbytes(size // ratio).hex().encode()
    return deflate(b'"' + plain + b" " * (size - len(plain) - 2) + b'"')


@pytest.mark.parametrize("ratio", [10, 30, 100, 300, 1000])
def test_row_13_what_inflates_beyond_the_limit_ends_with_1009_in_bounded_memory(ratio: int) -> None:
    config = Config()
    attacker = Attacker(Board(config), deflate=True)
    data = compressed(bomb(ratio, 16 * MIB))
    assert len(data) < config.max_message_bytes
    found: list[tuple[int, bytes]] = []

    def explode() -> None:
        for at in range(0, len(data), config.read_bytes):
            found.extend(attacker.send(data[at : at + config.read_bytes]))

    assert peak(explode) <= 2 * config.max_message_bytes
    assert close_codes(found) == [1009]


@pytest.mark.parametrize("size", [70_000, 500_000, 4 * MIB])
def test_row_13_what_inflates_more_than_a_hundredfold_ends_with_1009_although_it_would_fit(size: int) -> None:
    fails(Attacker(Board(), deflate=True), compressed(deflate(b" " * size)), 1009)


def test_row_13_a_small_message_may_inflate_as_it_likes() -> None:
    attacker = Attacker(Board(), deflate=True)
    assert attacker.send(compressed(deflate(ADD + b" " * (64 * KIB - len(ADD))))) == [(FIN | TEXT, SUM)]


FINAL = zlib.compressobj(wbits=-15)
FINAL_BLOCK = FINAL.compress(b'"') + FINAL.flush(zlib.Z_FINISH)


def test_row_13_a_final_block_within_a_message_is_legal_and_says_hello() -> None:
    attacker = Attacker(Board(gateway=Echo), deflate=True)
    assert attacker.send(compressed(bytes.fromhex("f348cdc9c9070000"))) == [(FIN | TEXT, b"Hello")]


def test_row_13_what_follows_a_final_block_is_inflated_under_the_same_cap() -> None:
    attacker = Attacker(Board(), deflate=True)
    data = compressed(FINAL_BLOCK + deflate(b" " * 4 * MIB))
    assert peak(lambda: fails(attacker, data, 1009)) <= 2 * MIB


def test_row_13_a_message_of_nothing_but_final_blocks_ends_with_1008() -> None:
    fails(Attacker(Board(), deflate=True), compressed(FINAL_BLOCK * 1_025), 1008)


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", FINAL_BLOCK + b"\xff" * 9, deflate(ADD)[:9] + b"\xff" * 9])
def test_row_13_garbage_in_place_of_deflate_ends_with_1007(garbage: bytes) -> None:
    fails(Attacker(Board(), deflate=True), compressed(garbage), 1007)


def test_row_14_a_ping_between_the_fragments_of_a_compressed_message_does_it_no_harm() -> None:
    text = call("blob", b'{"size":%d}' % 20)
    data = deflate(text)
    whole = frame(data[:5], RSV1 | TEXT) + frame(b"p", FIN | PING) + frame(data[5:], FIN | CONTINUATION)
    for pieces in cuts(whole):
        attacker = Attacker(Board(gateway=Echo), deflate=True)
        found = [found for piece in pieces for found in attacker.send(piece)]
        assert found == [(PONGED, b"p"), (FIN | TEXT, text)]


# Against the protocol


def long_header(first: int, size: int, length: int) -> bytes:
    """A frame that says its size in more bytes than it needs."""
    marker = {2: 126, 8: 127}[length]
    return bytes([first, 0x80 | marker]) + size.to_bytes(length, "big") + bytes(4) + b"x" * min(size, 200)


BREACHES = {
    "bad UTF-8": (frame(b'"\xff"'), 1007),
    "a surrogate": (frame(b'"\xed\xa0\x80"'), 1007),
    "UTF-8 that ends too early": (frame(b'"\xe2\x82'), 1007),
    "bad UTF-8 in the second fragment": (frame(b'"\xe2', TEXT) + frame(b"x", FIN | CONTINUATION), 1007),
    "a reason that is no UTF-8": (frame(b"\x03\xe8\xff", FIN | CLOSE), 1007),
    "binary": (frame(b"x", FIN | BINARY), 1003),
    "binary in fragments": (frame(b"x", BINARY), 1003),
    "no mask": (b"\x81\x02{}", 1002),
    "RSV1 without compression": (frame(b"{}", FIN | RSV1 | TEXT), 1002),
    "RSV2": (frame(b"{}", FIN | 0x20 | TEXT), 1002),
    "RSV3": (frame(b"{}", FIN | 0x10 | TEXT), 1002),
    "RSV1 on a ping": (frame(b"", FIN | RSV1 | PING), 1002),
    "opcode 3": (frame(b"{}", FIN | 3), 1002),
    "opcode 15": (frame(b"{}", FIN | 15), 1002),
    "a length of 64 bits": (long_header(FIN | TEXT, 2**63, 8), 1002),
    "a length that is too long": (long_header(FIN | TEXT, 5, 2), 1002),
    "a length that is far too long": (long_header(FIN | TEXT, 200, 8), 1002),
    "a long ping": (frame(b"x" * 126, FIN | PING), 1002),
    "a ping in fragments": (frame(b"", PING), 1002),
    "a close of one byte": (frame(b"\x03", FIN | CLOSE), 1002),
    "a close with a code that is never sent": (frame(b"\x03\xed", FIN | CLOSE), 1002),
    "a continuation of nothing": (frame(b"{}", FIN | CONTINUATION), 1002),
    "a text within a message": (frame(b"{", TEXT) + frame(b"}"), 1002),
}


@pytest.mark.parametrize("name", BREACHES)
def test_rows_15_and_16_and_17_a_breach_of_the_protocol_has_its_code_however_it_comes(name: str) -> None:
    data, code = BREACHES[name]
    for pieces in cuts(data + frame(ADD)):
        attacker = Attacker(Board())
        found = [found for piece in pieces for found in attacker.send(piece)]
        assert close_codes(found) == [code]
        assert len(found) == 1
        fails_silently(attacker)


def fails_silently(attacker: Attacker) -> None:
    """It was failed: what comes is not parsed."""
    assert attacker.board.board.stats()["calls.made"] == 0
    assert attacker.say(ADD) == []
    assert attacker.board.board.health(0.0).memory == 0


def test_row_15_bad_utf8_that_was_compressed_ends_with_1007() -> None:
    fails(Attacker(Board(), deflate=True), compressed(deflate(b'"\xff"')), 1007)


def flood(attacker: Attacker) -> None:
    attacker.send(b"x" * 64 * KIB)
    assert not attacker.over
    attacker.send(b"x")


def wait(attacker: Attacker) -> None:
    attacker.board.pass_time(1.999)
    assert not attacker.over
    attacker.board.pass_time(0.001)


@pytest.mark.parametrize("end", [flood, wait])
def test_row_17_after_a_breach_64_kib_or_two_seconds_are_discarded_and_then_it_is_closed(
    end: Callable[[Attacker], None],
) -> None:
    attacker = Attacker(Board())
    attacker.send(b"\x81\x00")
    assert not attacker.over
    end(attacker)
    assert attacker.over
    assert attacker.board.written[attacker.socket] == b""
