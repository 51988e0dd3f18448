"""Compression with a cap: what a message may inflate to, and in how much memory."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posthouse.core.values.config import KIB, MIB, Config
from posthouse.transports.assembly import Assembly
from posthouse.transports.websocket.deflate import TAIL, Inflater, deflate, wire_limit
from wsproto.frame_protocol import CloseReason, FrameDecoder, Opcode, RsvBits

PLAIN = RsvBits(False, False, False)
COMPRESSED = RsvBits(True, False, False)
NOBODY = FrameDecoder(client=False)


def inflater(**limits: int) -> tuple[Inflater, Assembly]:
    message = Assembly()
    return Inflater(Config.from_mapping(limits), message), message


def inflate(pieces: Iterable[bytes], opcode: Opcode = Opcode.BINARY, **limits: int) -> bytes | CloseReason:
    """One whole message in one frame, its payload in these pieces."""
    machine, message = inflater(**limits)
    assert machine.frame_inbound_header(NOBODY, opcode, COMPRESSED, 0) == COMPRESSED
    for piece in pieces:
        result = machine.frame_inbound_payload_data(NOBODY, piece)
        if isinstance(result, CloseReason):
            return result
        assert result == b""
    failure = machine.frame_inbound_complete(NOBODY, True)
    if isinstance(failure, CloseReason):
        return failure
    assert failure is None
    return message.take()


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def bomb(size: int) -> bytes:
    return deflate(bytes(size))


def test_it_is_there_because_it_was_agreed() -> None:
    machine, _ = inflater()
    assert machine.name == "permessage-deflate"
    assert machine.enabled()
    assert machine.offer() is True


@pytest.mark.parametrize(
    "payload",
    [
        "f248cdc9c90700",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f24805000000ffff cac9c90700",
    ],
)
def test_the_examples_of_rfc_7692_section_7_2_3_say_hello(payload: str) -> None:
    data = bytes.fromhex(payload)
    assert inflate([data], Opcode.TEXT) == b"Hello"
    assert inflate(split(data, 1), Opcode.TEXT) == b"Hello"


def test_an_empty_message_is_empty() -> None:
    assert inflate([b"\x00"]) == inflate([b"\x02\x00"]) == inflate([b""]) == b""


@given(st.binary(max_size=300), st.integers(1, 9))
def test_what_is_deflated_inflates_to_itself(payload: bytes, size: int) -> None:
    assert inflate(split(deflate(payload), size)) == payload


@pytest.mark.parametrize("level, strategy, memory", [(0, 0, 8), (1, zlib.Z_FIXED, 1), (9, zlib.Z_HUFFMAN_ONLY, 1)])
def test_no_compressor_needs_more_than_the_wire_limit(level: int, strategy: int, memory: int) -> None:
    payload = bytes((index * index * 7919 + index // 3) % 256 for index in range(5000))
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) <= wire_limit(len(payload))
    assert inflate([data[:-4]]) == payload


def test_the_wire_limit_is_an_eighth_and_64_bytes_above_the_size() -> None:
    assert [wire_limit(size) for size in (0, 8, 8000)] == [64, 73, 9064]


def test_what_was_deflated_with_the_largest_window_is_inflated() -> None:
    payload = Random(1).randbytes(20 * KIB) * 2
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) < 30 * KIB
    assert inflate([data[:-4]]) == payload


def test_a_text_may_be_split_within_its_characters() -> None:
    text = "aé€😀".encode()
    compressor = zlib.compressobj(0, wbits=-15)
    stored = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert inflate(split(stored[:-4], 1), Opcode.TEXT) == text


def test_a_message_without_rsv1_passes_through() -> None:
    machine, message = inflater()
    machine.frame_inbound_header(NOBODY, Opcode.TEXT, PLAIN, 3)
    assert machine.frame_inbound_payload_data(NOBODY, b"abc") == b"abc"
    assert machine.frame_inbound_complete(NOBODY, True) is None
    assert message.size == 0


def test_control_frames_between_fragments_leave_the_message_alone() -> None:
    machine, message = inflater()
    data = deflate(b"Hello")
    machine.frame_inbound_header(NOBODY, Opcode.TEXT, COMPRESSED, 3)
    machine.frame_inbound_payload_data(NOBODY, data[:3])
    assert machine.frame_inbound_complete(NOBODY, False) is None
    assert machine.frame_inbound_header(NOBODY, Opcode.PING, PLAIN, 4) == PLAIN
    assert machine.frame_inbound_payload_data(NOBODY, b"ping") == b"ping"
    assert machine.frame_inbound_complete(NOBODY, True) is None
    assert machine.frame_inbound_header(NOBODY, Opcode.CONTINUATION, PLAIN, 4) == PLAIN
    machine.frame_inbound_payload_data(NOBODY, data[3:])
    assert machine.frame_inbound_complete(NOBODY, True) is None
    assert message.take() == b"Hello"


def test_no_state_outlives_a_message() -> None:
    machine, message = inflater()
    for _ in range(2):
        machine.frame_inbound_header(NOBODY, Opcode.TEXT, COMPRESSED, 7)
        machine.frame_inbound_payload_data(NOBODY, deflate(b"Hello"))
        machine.frame_inbound_complete(NOBODY, True)
        assert message.take() == b"Hello"
    machine.frame_inbound_header(NOBODY, Opcode.TEXT, COMPRESSED, 5)
    # "He" and a reference to the three bytes before it, which context takeover would have
    back = bytes.fromhex("f200110000")
    assert machine.frame_inbound_payload_data(NOBODY, back) is CloseReason.INVALID_FRAME_PAYLOAD_DATA


def test_each_message_has_the_limits_to_itself() -> None:
    machine, message = inflater(max_message_bytes=1000, max_fragments=2)
    for _ in range(3):
        machine.frame_inbound_header(NOBODY, Opcode.BINARY, COMPRESSED, 0)
        assert machine.frame_inbound_payload_data(NOBODY, b"\x03\x00" + bomb(1000)) == b""
        assert machine.frame_inbound_complete(NOBODY, True) is None
        assert message.take() == bytes(1000)


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_the_limit_holds_after_inflation(size: int, step: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    result = inflate(split(deflate(payload), step), max_message_bytes=1000)
    assert result == (payload if size <= 1000 else CloseReason.MESSAGE_TOO_BIG)


def test_a_piece_that_fills_its_room_to_the_byte_is_whole() -> None:
    assert inflate([bomb(16 * KIB)]) == bytes(16 * KIB)
    assert inflate([bomb(48 * KIB)]) == bytes(48 * KIB)


def test_up_to_64_kib_any_ratio_is_allowed() -> None:
    assert inflate([bomb(64 * KIB)], max_inflate_ratio=1) == bytes(64 * KIB)
    assert inflate([bomb(64 * KIB + 1)], max_inflate_ratio=1) is CloseReason.MESSAGE_TOO_BIG


def test_past_64_kib_the_ratio_is_exact() -> None:
    size = 70_000
    data = bomb(size)
    least = -(-size // len(data))
    assert inflate([data], max_inflate_ratio=least) == bytes(size)
    assert inflate([data], max_inflate_ratio=least - 1) is CloseReason.MESSAGE_TOO_BIG


def test_the_ratio_is_looked_at_while_a_message_inflates() -> None:
    machine, message = inflater(max_message_bytes=8 * MIB)
    machine.frame_inbound_header(NOBODY, Opcode.BINARY, COMPRESSED, 0)
    assert machine.frame_inbound_payload_data(NOBODY, bomb(4 * MIB)) is CloseReason.MESSAGE_TOO_BIG
    assert message.size == 64 * KIB


def test_the_ratio_is_looked_at_in_the_same_places_wherever_a_read_ends() -> None:
    machine, message = inflater(max_message_bytes=8 * MIB)
    data = deflate(Random(1).randbytes(500) + bytes(4 * MIB))
    machine.frame_inbound_header(NOBODY, Opcode.BINARY, COMPRESSED, 0)
    assert machine.frame_inbound_payload_data(NOBODY, data[:600]) == b""
    assert message.size % (16 * KIB) != 0
    assert machine.frame_inbound_payload_data(NOBODY, data[600:]) is CloseReason.MESSAGE_TOO_BIG
    assert message.size == 64 * KIB


@pytest.mark.parametrize("factor", [10, 100, 1000])
@pytest.mark.parametrize("step", [100, 16 * KIB])
def test_row_13_bombs_are_refused_in_little_memory(factor: int, step: int) -> None:
    data = deflate(Random(1).randbytes(8 * MIB // factor) + bytes(8 * MIB - 8 * MIB // factor))
    pieces = split(data, step)
    tracemalloc.start()
    try:
        result = inflate(pieces)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result is CloseReason.MESSAGE_TOO_BIG
    assert peak <= 4 * MIB + 256 * KIB


def test_a_message_at_the_limit_costs_twice_its_size() -> None:
    payload = Random(1).randbytes(MIB // 2).hex().encode()
    pieces = split(deflate(payload), 16 * KIB)
    tracemalloc.start()
    try:
        result = inflate(pieces)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result == payload
    assert peak <= 2 * MIB + 64 * KIB


@pytest.mark.parametrize("count", [3, 4, 5])
def test_final_blocks_are_bounded(count: int) -> None:
    # each `03 00` is a whole stream; the empty block behind them is one more
    result = inflate([b"\x03\x00" * (count - 1) + b"\x00"], max_fragments=4)
    assert result == (b"" if count <= 4 else CloseReason.POLICY_VIOLATION)


@pytest.mark.parametrize(
    "garbage", [b"\xff", b"\x07", b"\x00\x01\x02\x03\x04", deflate(b"Hello" * 9)[:-3] + b"\xff" * 9]
)
def test_garbage_is_invalid_data(garbage: bytes) -> None:
    assert inflate([garbage]) is CloseReason.INVALID_FRAME_PAYLOAD_DATA
    assert inflate(split(garbage, 1)) is CloseReason.INVALID_FRAME_PAYLOAD_DATA


def test_garbage_behind_a_final_block_is_invalid_data() -> None:
    assert inflate([bytes.fromhex("f348cdc9c90700") + b"\xff"]) is CloseReason.INVALID_FRAME_PAYLOAD_DATA


@pytest.mark.parametrize("text", [b"a\xff", b"\xed\xa0\x80", b"\xc3", b"\xf4\x90\x80\x80"])
def test_a_compressed_text_must_be_utf_8(text: bytes) -> None:
    assert inflate([deflate(text)], Opcode.TEXT) is CloseReason.INVALID_FRAME_PAYLOAD_DATA
    assert inflate(split(deflate(text), 1), Opcode.TEXT) is CloseReason.INVALID_FRAME_PAYLOAD_DATA
    assert inflate([deflate(text)]) == text


FRAGMENTS = st.sampled_from([b"\x03\x00", TAIL, b"\x00", bomb(3000), deflate(b"Hello"), b"\xff\xff"])


@settings(max_examples=60)
@given(st.lists(FRAGMENTS | st.binary(max_size=12), max_size=8), st.integers(1, 40), st.integers(1, 20))
def test_any_bytes_give_the_same_verdict_at_every_split(parts: list[bytes], step: int, limit: int) -> None:
    data = b"".join(parts)
    for opcode in (Opcode.TEXT, Opcode.BINARY):
        whole = inflate([data], opcode, max_message_bytes=limit * 500, max_fragments=3)
        assert inflate(split(data, step), opcode, max_message_bytes=limit * 500, max_fragments=3) == whole
        assert isinstance(whole, CloseReason) or len(whole) <= limit * 500


@settings(max_examples=20)
@given(st.integers(60, 140), st.integers(1, 3000), st.integers(1, 200), st.binary(max_size=500))
def test_the_ratio_gives_the_same_verdict_at_every_split(zeros: int, step: int, ratio: int, noise: bytes) -> None:
    data = deflate(noise + bytes(zeros * KIB) + noise[::-1])
    whole = inflate([data], max_inflate_ratio=ratio)
    assert inflate(split(data, step), max_inflate_ratio=ratio) == whole
