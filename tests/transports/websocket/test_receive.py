"""Frames into messages, and each way in which a peer can break the rules: bytes in, events out."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posthouse.core.values.config import KIB, MIB, Config
from posthouse.transports.assembly import PIECE
from posthouse.transports.codec import Binary, Text
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.failures import (
    BINARY_REFUSED,
    INFLATES_TOO_MUCH,
    INVALID_DATA,
    PROTOCOL_ERROR,
    TOO_LARGE,
    TOO_LARGE_UNAUTHENTICATED,
    TOO_MANY_FRAGMENTS,
    Failed,
)
from posthouse.transports.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    frame,
    masked_frame,
)
from posthouse.transports.websocket.receive import FRAGMENT_CHARGE, Event, PeerClosed, Receiver
from wsproto.events import Ping, Pong

from tests.values import changeable

KEY = b"\x11\x22\x33\x44"


def receiver(*, deflate: bool = False, binary: bool = True, **limits: int) -> Receiver:
    return Receiver(Config.from_mapping(limits), deflate=deflate, binary=binary)


def sent(first: int, payload: bytes = b"") -> bytes:
    return masked_frame(first, payload, KEY)


def has_parser(machine: Receiver) -> bool:
    parts = (machine._connection, machine._inflater, machine._message)
    return parts != (None, None, None)


def announced(first: int, length: int) -> bytes:
    """A header that announces so much, and no payload."""
    return bytes((first, 0x80 | 127)) + length.to_bytes(8, "big") + KEY


def run(machine: Receiver, data: bytes, step: int | None = None) -> list[Event]:
    """Everything that follows from `data`, in reads of `step` bytes, turn after turn."""
    events: list[Event] = []
    for start in range(0, len(data), step or max(1, len(data))):
        events += machine.turn(data[start : start + (step or len(data))])
        while machine.backlog:
            events += machine.turn()
    return events


def test_a_text_in_one_frame() -> None:
    machine = receiver()
    assert machine.turn(sent(FIN | TEXT, "héllo".encode())) == [Text("héllo".encode())]
    assert (machine.buffered, machine.in_progress) == (0, False)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 3 * PIECE])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_length_at_many_splits(size: int, compressed: bool) -> None:
    payload = (b"abcdefghij" * (size // 10 + 1))[:size]
    body = deflate(payload) if compressed else payload
    data = sent(FIN | TEXT | (RSV1 if compressed else 0), body)
    for step in (None, 1, 2, 3, 5, 1000) if size < 200 else (None, 1000, PIECE):
        assert run(receiver(deflate=compressed), data, step) == [Text(payload)]


def test_the_clients_side_takes_frames_without_a_mask() -> None:
    machine = Receiver(Config(), client=True, deflate=False, binary=True)
    assert machine.turn(frame(FIN | TEXT, b"Hello")) == [Text(b"Hello")]
    assert machine.turn(sent(FIN | TEXT, b"Hello")) == [PROTOCOL_ERROR]


def test_pings_and_pongs_are_read_with_their_payloads_between_fragments_too() -> None:
    machine = receiver()
    pongs = sent(FIN | PONG, b"one") + sent(FIN | PING, b"two")
    assert run(machine, pongs) == run(receiver(), pongs, 1) == [Pong(b"one"), Ping(b"two")]
    assert not has_parser(machine)
    whole = sent(TEXT, b"Hel") + pongs + sent(FIN | CONTINUATION, b"lo")
    assert run(machine, whole) == [Pong(b"one"), Ping(b"two"), Text(b"Hello")]


@pytest.mark.parametrize("first", [FIN | PING, FIN | PONG])
def test_a_control_frame_without_a_mask_is_refused(first: int) -> None:
    assert receiver().turn(frame(first, b"")) == [PROTOCOL_ERROR]


@pytest.mark.parametrize("compressed", [False, True])
def test_at_rest_the_parser_is_forgotten_and_built_again(compressed: bool) -> None:
    machine = receiver(deflate=compressed)
    cut = deflate(b"Hello") if compressed else b"Hello"
    pieces = sent(TEXT | (RSV1 if compressed else 0), cut[:2]), sent(FIN | CONTINUATION, cut[2:])
    for _ in range(2):
        assert machine.turn(pieces[0]) == []
        machine.rest()  # a message is in progress
        assert machine.turn(pieces[1]) == [Text(b"Hello")]
        assert has_parser(machine)
        machine.rest()
        assert not has_parser(machine)


def test_a_backlog_keeps_its_parser() -> None:
    machine = receiver(frames_per_turn=1)
    assert machine.turn(sent(TEXT, b"Hel") + sent(FIN | CONTINUATION, b"lo") + sent(FIN | TEXT, b"")) == []
    assert machine.backlog
    machine.rest()
    assert has_parser(machine)
    assert run(machine, b"") == []
    assert machine.turn() == [Text(b"Hello")]


def test_fragments_are_put_together() -> None:
    machine = receiver()
    assert (machine.backlog, machine.in_progress, machine.buffered) == (False, False, 0)
    assert machine.turn(sent(TEXT, b"Hel")) == []
    assert machine.in_progress
    assert machine.buffered == 3 + 128
    assert machine.turn(sent(CONTINUATION)) == []
    (text,) = machine.turn(sent(FIN | CONTINUATION, b"lo"))
    assert isinstance(text, Text)
    assert (text.data, type(text.data)) == (b"Hello", bytes)
    assert not machine.in_progress


def test_restarted_says_that_the_message_in_progress_began_in_the_last_turn() -> None:
    machine = receiver()
    ping = sent(FIN | PING)
    whole = sent(FIN | TEXT, b"x")
    for data, restarted in [
        (ping[:1], False),
        (ping[1:] + ping[:1], True),
        (ping[1:] + whole[:-1], True),
        (whole[-1:] + sent(TEXT, b"Hel") + ping[:1], True),
        (ping[1:] + ping[:1], False),
        (ping[1:] + sent(CONTINUATION), False),
        (sent(FIN | CONTINUATION, b"lo") + whole[:1], True),
    ]:
        machine.turn(data)
        assert (machine.in_progress, machine.restarted) == (True, restarted)


@pytest.mark.parametrize("size", [124, 125])
def test_a_control_frame_may_be_as_long_as_the_standard_lets_it(size: int) -> None:
    data = sent(FIN | PING, b"x" * size) + sent(FIN | TEXT, b"Hello")
    for step in (None, 1, 7, 64, size + 5):
        assert run(receiver(), data, step) == [Ping(b"x" * size), Text(b"Hello")]


def test_a_failure_drops_all_held_bytes() -> None:
    machine = receiver()
    machine.turn(sent(TEXT, b"Hel"))
    assert machine.turn(sent(FIN | TEXT, b"lo")) == [PROTOCOL_ERROR]
    assert (machine.buffered, machine.in_progress, machine.backlog) == (0, False, False)


def test_each_message_has_the_limit_to_itself() -> None:
    machine = receiver(max_message_bytes=10)
    data = sent(TEXT, b"x" * 5) + sent(FIN | CONTINUATION, b"x" * 5)
    assert run(machine, data * 3) == [Text(b"x" * 10)] * 3


def test_a_plain_message_keeps_its_limit_when_compression_was_agreed() -> None:
    for size, failed in ((10, False), (11, True)):
        events = run(receiver(deflate=True, max_message_bytes=10), sent(TEXT, b"x" * size))
        assert events == ([TOO_LARGE] if failed else [])


@pytest.mark.parametrize(("last", "goes_on"), [(b"", True), (b"y", False)])
def test_a_turn_ends_with_the_first_byte_above_a_messages_limit(last: bytes, goes_on: bool) -> None:
    machine = receiver(max_message_bytes=10)

    def fragmented(payload: bytes) -> bytes:
        return sent(TEXT, payload) + sent(FIN | CONTINUATION)

    data = fragmented(b"x" * 10) + (fragmented(last) if last else b"") + sent(FIN | PING)
    events = machine.turn(data)
    assert machine.backlog is not goes_on
    assert (events[-1] == Ping(b"")) is goes_on


def test_binary_messages_are_marked() -> None:
    data = sent(BINARY, b"\xff") + sent(FIN | CONTINUATION, b"\x00") + sent(FIN | BINARY, b"\xfe")
    events = run(receiver(), data)
    assert events == [Text(b"\xff\x00"), Text(b"\xfe")]
    assert all(isinstance(event, Text) and type(event.data) is Binary for event in events)


def test_control_frames_pass_between_fragments() -> None:
    data = sent(TEXT, b"Hel") + sent(FIN | PING, b"1") + sent(FIN | PONG, b"2") + sent(FIN | CONTINUATION, b"lo")
    for step in (None, 1):
        assert run(receiver(), data, step) == [Ping(b"1"), Pong(b"2"), Text(b"Hello")]


def test_row_14_pings_pass_between_the_fragments_of_a_compressed_message() -> None:
    body = deflate(b"Hello, Hello, Hello")
    data = (
        sent(RSV1 | TEXT, body[:4])
        + sent(FIN | PING, b"between")
        + sent(CONTINUATION, body[4:6])
        + sent(FIN | PONG)
        + sent(FIN | CONTINUATION, body[6:])
    )
    for step in (None, 1, 3):
        assert run(receiver(deflate=True), data, step) == [Ping(b"between"), Pong(b""), Text(b"Hello, Hello, Hello")]


def test_compressed_and_plain_messages_may_alternate() -> None:
    data = (
        sent(FIN | RSV1 | TEXT, deflate(b"one"))
        + sent(FIN | TEXT, b"two")
        + sent(FIN | RSV1 | BINARY, deflate(b"\xff"))
    )
    assert run(receiver(deflate=True), data) == [Text(b"one"), Text(b"two"), Text(b"\xff")]


@pytest.mark.parametrize(
    "payload, code", [(b"", 1005), (b"\x03\xe8", 1000), (b"\x03\xe8bye", 1000), (b"\x10\x04", 4100)]
)
def test_a_close_frame_ends_it(payload: bytes, code: int) -> None:
    machine = receiver()
    assert machine.turn(sent(FIN | CLOSE, payload) + sent(FIN | TEXT, b"after")) == [PeerClosed(code)]
    assert machine.over
    assert machine.turn(sent(FIN | TEXT, b"after")) == []
    assert machine.buffered == 0


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
)
def test_codes_that_may_be_sent_are_taken(code: int) -> None:
    assert receiver().turn(sent(FIN | CLOSE, code.to_bytes(2, "big"))) == [PeerClosed(code)]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_may_not_be_sent_are_a_protocol_error(code: int) -> None:
    assert receiver().turn(sent(FIN | CLOSE, code.to_bytes(2, "big"))) == [PROTOCOL_ERROR]


PROTOCOL_ERRORS = {
    "no mask": frame(FIN | TEXT, b"Hello"),
    "no mask on a control frame": frame(FIN | PING, b""),
    "RSV1 where no compression was agreed": sent(FIN | RSV1 | TEXT, b"Hello"),
    "RSV2": sent(FIN | 0x20 | TEXT, b"Hello"),
    "RSV3": sent(FIN | 0x10 | PING, b"Hello"),
    "opcode 3": sent(FIN | 0x3, b"Hello"),
    "opcode 7, empty": sent(FIN | 0x7),
    "opcode 11": sent(FIN | 0xB, b"Hello"),
    "opcode 15, empty": sent(FIN | 0xF),
    "a control frame in fragments": sent(PING, b"Hello"),
    "a close frame in fragments": sent(CLOSE),
    "a long ping": sent(FIN | PING, bytes(126)),
    "a very long close": sent(FIN | CLOSE, bytes(65536)),
    "a length in two bytes where one was enough": bytes((FIN | TEXT, 0x80 | 126, 0, 125)) + KEY + bytes(125),
    "a length in eight bytes where two were enough": announced(FIN | TEXT, 65535),
    "a length with its first bit set": announced(FIN | TEXT, 1 << 63),
    "a continuation of nothing": sent(FIN | CONTINUATION, b"Hello"),
    "an unfinished continuation of nothing": sent(CONTINUATION, b"Hello"),
    "a text inside a text": sent(TEXT, b"Hel") + sent(FIN | TEXT, b"lo"),
    "a binary inside a text": sent(TEXT, b"Hel") + sent(FIN | BINARY, b"lo"),
    "a close of one byte": sent(FIN | CLOSE, b"\x03"),
}


@pytest.mark.parametrize("data", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS)
@pytest.mark.parametrize("binary", [True, False])
def test_row_17_wrong_mask_rsv_opcode_length_and_continuation(data: bytes, binary: bool) -> None:
    for step in (None, 1):
        machine = receiver(binary=binary)
        assert run(machine, data, step) == [PROTOCOL_ERROR]
        assert machine.over


def test_row_17_a_compressed_text_inside_a_text_is_refused() -> None:
    for step in (None, 1):
        assert run(receiver(deflate=True), sent(TEXT) + sent(FIN | RSV1 | TEXT, b"\xff\xff"), step) == [PROTOCOL_ERROR]
        assert run(receiver(deflate=True), sent(FIN | CONTINUATION, b"\xff"), step) == [PROTOCOL_ERROR]


@pytest.mark.parametrize("first", [FIN | RSV1 | TEXT, RSV1 | TEXT])
def test_row_17_an_empty_text_inside_a_compressed_text_is_refused(first: int) -> None:
    begun = sent(RSV1 | TEXT, b"\x00\x00\x00")
    assert receiver(deflate=True).turn(begun + sent(first)) == [PROTOCOL_ERROR]


def test_one_frame_too_many_fails_even_if_it_is_the_last() -> None:
    begun = sent(RSV1 | TEXT, b"\x00\x00\x00")
    assert receiver(deflate=True, max_fragments=1).turn(begun + sent(FIN | CONTINUATION)) == [TOO_MANY_FRAGMENTS]


def test_row_17_rsv1_where_only_a_first_data_frame_may_have_it() -> None:
    assert run(receiver(deflate=True), sent(FIN | RSV1 | PING)) == [PROTOCOL_ERROR]
    data = sent(RSV1 | TEXT, deflate(b"Hello")) + sent(FIN | RSV1 | CONTINUATION, b"")
    assert run(receiver(deflate=True), data) == [PROTOCOL_ERROR]


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"a\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90",
    ],
)
def test_row_15_bad_utf_8(text: bytes) -> None:
    for step in (None, 1):
        assert run(receiver(), sent(FIN | TEXT, text), step) == [INVALID_DATA]
        assert run(receiver(deflate=True), sent(FIN | RSV1 | TEXT, deflate(text)), step) == [INVALID_DATA]
    assert run(receiver(), sent(FIN | CLOSE, b"\x03\xe8" + text)) == [INVALID_DATA]


def test_row_15_a_text_that_ends_inside_a_character() -> None:
    assert run(receiver(), sent(TEXT, b"a") + sent(FIN | CONTINUATION, b"\xc3")) == [INVALID_DATA]
    assert run(receiver(), sent(TEXT, b"\xc3") + sent(FIN | CONTINUATION, b"\xa9")) == [Text(b"\xc3\xa9")]


def test_bad_utf_8_is_refused_before_its_frame_is_whole() -> None:
    machine = receiver()
    data = sent(FIN | TEXT, b"fine\xf4\x90\x80\x80 and more")
    assert machine.turn(data[: 6 + 4]) == []
    assert machine.turn(data[6 + 4 : 6 + 6]) == [INVALID_DATA]


def test_row_16_binary_where_texts_are_spoken() -> None:
    for data in (sent(FIN | BINARY, b"x"), sent(BINARY), sent(FIN | BINARY), announced(FIN | BINARY, MIB)):
        assert run(receiver(binary=False), data) == [BINARY_REFUSED]
        assert run(receiver(binary=False), data, 1) == [BINARY_REFUSED]
    assert run(receiver(binary=False), frame(FIN | BINARY, b"x") + bytes(4)) == [PROTOCOL_ERROR]


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("step", [None, 1, 700])
def test_the_limit_of_a_message(size: int, step: int | None) -> None:
    expected = [Text(bytes(size))] if size <= 1000 else [TOO_LARGE]
    whole = sent(FIN | TEXT, bytes(size))
    halves = sent(TEXT, bytes(500)) + sent(FIN | CONTINUATION, bytes(size - 500))
    for data in (whole, halves):
        assert run(receiver(max_message_bytes=1000), data, step) == expected
    inflating = sent(FIN | RSV1 | TEXT, deflate(bytes(size)))
    assert run(receiver(max_message_bytes=1000, deflate=True), inflating, step) == expected


def test_row_12_too_much_announced_is_refused_before_any_payload_is_taken_in() -> None:
    assert receiver().turn(announced(FIN | TEXT, 4 * MIB + 1)) == [TOO_LARGE]
    assert receiver(deflate=True).turn(announced(FIN | RSV1 | TEXT, 8 * MIB)) == [TOO_LARGE]
    machine = receiver()
    assert machine.turn(announced(FIN | TEXT, 4 * MIB)) == []
    assert machine.buffered == FRAGMENT_CHARGE


def test_a_compressed_frame_may_be_a_little_longer_than_its_message() -> None:
    assert receiver(deflate=True).turn(announced(FIN | RSV1 | TEXT, 4 * MIB + 1)) == []


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_row_11_endless_fragments(payload: bytes) -> None:
    machine = receiver()
    data = sent(TEXT, payload) + sent(CONTINUATION, payload) * 1_023
    assert run(machine, data) == []
    assert machine.buffered == 1_024 * (len(payload) + FRAGMENT_CHARGE)
    assert run(machine, sent(FIN | CONTINUATION, payload)) == [TOO_MANY_FRAGMENTS]
    assert run(receiver(), data[: -len(sent(0, payload))] + sent(FIN | CONTINUATION, payload)) == [
        Text(payload * 1_024)
    ]


def test_row_13_a_bomb_on_the_wire() -> None:
    data = sent(FIN | RSV1 | TEXT, deflate(bytes(20 * MIB)))
    tracemalloc.start()
    try:
        events = run(receiver(deflate=True), data, 64 * KIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert events == [INFLATES_TOO_MUCH]
    assert peak < MIB


@pytest.mark.parametrize("compressed", [False, True])
def test_a_message_at_its_limit_costs_twice_its_size(compressed: bool) -> None:
    payload = (b"0123456789abcdef" * 7 + b"\n") * (MIB // 113)
    body, first = (deflate(payload), RSV1 | FIN | TEXT) if compressed else (payload, FIN | TEXT)
    reads = [sent(first, body)[start : start + 64 * KIB] for start in range(0, len(body) + 14, 64 * KIB)]
    machine = receiver(deflate=compressed, max_inflate_ratio=10_000)
    tracemalloc.start()
    try:
        events = [event for data in reads for event in machine.turn(data)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert events == [Text(payload)]
    assert peak <= 2 * MIB + 64 * KIB


def test_a_turn_ends_after_so_many_frames() -> None:
    machine = receiver(frames_per_turn=3)
    data = sent(FIN | TEXT, b"x") * 7
    assert machine.turn(data) == [Text(b"x")] * 3
    assert (machine.backlog, machine.buffered) == (True, len(data) // 7 * 4)
    machine.keep(sent(FIN | TEXT, b"y"))
    assert machine.turn() == [Text(b"x")] * 3
    assert machine.turn() == [Text(b"x"), Text(b"y")]
    assert not machine.backlog


def test_a_turn_ends_after_about_a_messages_limit_of_inflated_bytes() -> None:
    machine = receiver(deflate=True, max_message_bytes=1000)
    data = sent(FIN | RSV1 | TEXT, deflate(bytes(600))) * 5
    assert len(machine.turn(data)) == 2
    assert machine.backlog
    assert len(machine.turn()) == 2
    assert len(machine.turn()) == 1
    assert not machine.backlog


def test_an_unfinished_frame_is_no_backlog() -> None:
    machine = receiver(frames_per_turn=1)
    assert machine.turn(sent(FIN | PING, b"abc")[:-1]) == []
    assert not machine.backlog
    assert machine.turn(sent(FIN | PING, b"abc")[-1:]) == [Ping(b"abc")]


def test_abandoned_it_holds_nothing_and_parses_nothing() -> None:
    machine = receiver(frames_per_turn=1)
    machine.turn(sent(TEXT, b"abc") + sent(FIN | CONTINUATION, b"def"))
    machine.abandon()
    assert (machine.buffered, machine.backlog, machine.in_progress) == (0, False, False)
    assert machine.turn(sent(FIN | TEXT, b"x")) == []


@pytest.mark.parametrize("size", [0, 1, 125, 126, 300, 65_535, 65_536])
def test_a_whole_plain_text_is_taken_without_a_turn(size: int) -> None:
    machine = receiver()
    assert machine.whole_texts(sent(FIN | TEXT, b"x" * size)) == [Text(b"x" * size)]
    assert (machine.buffered, machine.in_progress, machine.backlog) == (0, False, False)
    client = Receiver(Config(), deflate=False, binary=False, client=True)
    assert client.whole_texts(frame(FIN | TEXT, b"x" * size)) == [Text(b"x" * size)]
    assert client.whole_texts(sent(FIN | TEXT, b"x" * size)) == []


def test_the_plain_texts_of_one_read_are_taken_in_order_and_no_more_than_one_turn_has() -> None:
    machine = receiver(frames_per_turn=3)
    texts = [b"", b"x" * 126, "ü".encode()]
    data = b"".join(sent(FIN | TEXT, text) for text in texts)
    assert machine.whole_texts(data) == [Text(text) for text in texts]
    assert machine.whole_texts(data + sent(FIN | TEXT, b"4")) == []
    assert machine.turn(data + sent(FIN | TEXT, b"4")) == [Text(text) for text in texts]


@pytest.mark.parametrize(
    "data",
    [
        b"\x81",
        sent(FIN | TEXT, b"Hello")[:-1],
        sent(FIN | TEXT, b"Hello") + b"\x81",
        sent(FIN | TEXT, b"Hello") + sent(FIN | TEXT, b"world")[:-1],
        sent(FIN | TEXT, b"Hello") + sent(FIN | PING, b""),
        sent(FIN | TEXT, b"Hello") * 4,
        sent(TEXT, b"Hello"),
        sent(FIN | RSV1 | TEXT, deflate(b"Hello")),
        sent(FIN | BINARY, b"Hello"),
        sent(FIN | PING, b"Hello"),
        sent(FIN | CLOSE, b"\x03\xe8"),
        sent(FIN | TEXT, b"\xff"),
        sent(FIN | TEXT, b"x" * 301),
        frame(FIN | TEXT, b"Hello"),
        frame(FIN | TEXT, b"Hello") + b"abcd",
        frame(FIN | TEXT, bytes(4) + b"Hello") + bytes(4),
        b"\x81\xfe\x00\x05" + sent(FIN | TEXT, b"Hello")[2:],
        sent(FIN | TEXT, b"\xff" * 126),
        sent(FIN | TEXT, b"Hello") + sent(FIN | TEXT, b"\xff"),
        b"\x81\xfe" + bytes(130),
        b"\x81\xff" + bytes(131),
        b"\x81\x85abcdHell",
    ],
)
def test_any_other_bytes_are_left_to_a_turn(data: bytes) -> None:
    machine, other = (receiver(deflate=True, max_message_bytes=300, frames_per_turn=3) for _ in range(2))
    assert machine.whole_texts(data) == []
    assert machine.turn(data) == other.turn(data)


def test_no_text_is_whole_while_another_message_has_begun_or_waits() -> None:
    machine = receiver(frames_per_turn=1)
    machine.turn(sent(TEXT, b"He"))
    assert machine.whole_texts(sent(FIN | TEXT, b"llo")) == []
    assert machine.turn(sent(FIN | CONTINUATION, b"llo")) == [Text(b"Hello")]
    assert machine.turn(sent(FIN | TEXT, b"1") + sent(FIN | TEXT, b"2")) == [Text(b"1")]
    assert machine.whole_texts(sent(FIN | TEXT, b"3")) == []
    assert machine.turn(sent(FIN | TEXT, b"3")) == [Text(b"2")]


PARTS = st.one_of(
    st.builds(
        sent,
        st.sampled_from(
            [FIN | TEXT, TEXT, FIN | CONTINUATION, CONTINUATION, FIN | PING, FIN | BINARY, FIN | RSV1 | TEXT]
        ),
        st.binary(max_size=140)
        | st.text(max_size=30).map(str.encode)
        | st.text(max_size=40).map(str.encode).map(deflate),
    ),
    st.sampled_from([sent(FIN | CLOSE, b"\x03\xe8"), announced(FIN | TEXT, 70_000), b"\x81", b"\x89\xff"]),
    st.binary(max_size=20),
)


@settings(max_examples=150)
@given(st.lists(PARTS, max_size=12), st.integers(1, 60), st.booleans(), st.booleans())
def test_any_bytes_raise_nothing_and_mean_the_same_at_every_split(
    parts: list[bytes], step: int, compressed: bool, binary: bool
) -> None:
    limits = {"max_message_bytes": 300, "max_fragments": 4, "frames_per_turn": 3}
    data = b"".join(parts)
    whole = run(receiver(deflate=compressed, binary=binary, **limits), data)
    machine = receiver(deflate=compressed, binary=binary, **limits)
    events: list[Event] = []
    for start in range(0, len(data), step):
        events += machine.turn(data[start : start + step])
        assert machine.buffered <= 300 + 4 * FRAGMENT_CHARGE + 140 + step
        while machine.backlog:
            events += machine.turn()
    assert events == whole
    assert not any(type(event) in (Failed, PeerClosed) for event in whole[:-1])


@given(st.lists(PARTS, max_size=8))
def test_texts_that_are_whole_are_the_texts_of_their_turn(reads: list[bytes]) -> None:
    direct, general = (
        receiver(deflate=True, max_message_bytes=300, max_fragments=4, frames_per_turn=3) for _ in range(2)
    )
    for data in reads:
        if not general.backlog and not general.over:
            assert (direct.whole_texts(data) or direct.turn(data)) == general.turn(data)
            assert (direct.buffered, direct.in_progress) == (general.buffered, general.in_progress)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.websocket.receive") == []


def restricted(*, deflate: bool = False, **limits: int) -> Receiver:
    """That of a caller who is not authenticated, where he must be: its messages have at most 10 bytes, later 20."""
    config = Config.from_mapping(
        {"max_message_bytes": 20, "max_message_bytes_unauthenticated": 10, "require_authentication": True, **limits}
    )
    return Receiver(config, deflate=deflate, binary=True)


FORMS = {
    "plain": lambda payload: sent(FIN | TEXT, payload),
    "fragments": lambda payload: sent(TEXT, payload[:5]) + sent(FIN | CONTINUATION, payload[5:]),
    "compressed": lambda payload: sent(FIN | RSV1 | TEXT, deflate(payload)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_caller_who_is_not_authenticated_has_a_smaller_limit(form: str, step: int) -> None:
    for size in (9, 10, 11):
        machine = restricted(deflate=True)
        large = size > 10
        expected = [TOO_LARGE_UNAUTHENTICATED] if large else [Text(b"x" * size)]
        assert run(machine, FORMS[form](b"x" * size), step) == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [1, 1000])
def test_the_limit_is_larger_after_a_log_in_and_smaller_after_a_log_out(form: str, step: int) -> None:
    for size in (19, 20, 21):
        machine = restricted(deflate=True)
        assert run(machine, FORMS[form](b"x" * 10), step) == [Text(b"x" * 10)]
        machine.limit_messages(authenticated=True)
        expected = [TOO_LARGE] if size > 20 else [Text(b"x" * size)]
        assert run(machine, FORMS[form](b"x" * size), step) == expected
        machine.limit_messages(authenticated=False)
        assert run(machine, FORMS[form](b"x" * 11), step) == ([] if size > 20 else [TOO_LARGE_UNAUTHENTICATED])


@pytest.mark.parametrize("first", [TEXT, RSV1 | TEXT])
def test_a_message_that_has_begun_keeps_its_limit(first: int) -> None:
    payload = deflate(b"x" * 20) if first & RSV1 else b"x" * 20
    machine = restricted(deflate=True)
    machine.limit_messages(authenticated=True)
    assert run(machine, sent(first, payload[:-1])) == []
    machine.limit_messages(authenticated=False)
    assert run(machine, sent(FIN | CONTINUATION, payload[-1:])) == [Text(b"x" * 20)]


def test_whole_texts_have_the_smaller_limit_too() -> None:
    machine = restricted()
    assert machine.whole_texts(sent(FIN | TEXT, b"x" * 10)) == [Text(b"x" * 10)]
    assert machine.whole_texts(sent(FIN | TEXT, b"x" * 11)) == []
    assert machine.whole_texts(sent(FIN | TEXT, b"x") * 2) == [Text(b"x"), Text(b"x")]
    machine.limit_messages(authenticated=True)
    assert machine.whole_texts(sent(FIN | TEXT, b"x" * 20)) == [Text(b"x" * 20)]
    assert machine.whole_texts(sent(FIN | TEXT, b"x" * 21)) == []


def test_the_smaller_limit_is_never_the_larger_one() -> None:
    machine = restricted(max_message_bytes=5)
    assert run(machine, sent(FIN | TEXT, b"x" * 6)) == [TOO_LARGE]


def test_messages_of_a_server_are_never_those_of_a_caller() -> None:
    config = Config(require_authentication=True, max_message_bytes_unauthenticated=1)
    machine = Receiver(config, client=True, deflate=False, binary=True)
    assert machine.turn(frame(FIN | TEXT, b"xx")) == [Text(b"xx")]
