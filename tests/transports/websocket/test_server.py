"""The server's side of a WebSocket: bytes in, outputs out, on a clock that the test holds."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posthouse.core.values.config import KIB, MIB, Config
from posthouse.transports.codec import (
    ABNORMAL,
    Binary,
    Codec,
    Ended,
    Finish,
    Heard,
    Output,
    Pause,
    Resume,
    Send,
    Shut,
    Text,
)
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.failures import (
    BINARY_REFUSED,
    BY_CODE,
    INFLATES_TOO_MUCH,
    INVALID_DATA,
    PROTOCOL_ERROR,
    TOO_LARGE,
    TOO_MANY_CONTROLS,
    TOO_MANY_FRAGMENTS,
    TOO_SLOW,
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
    close_payload,
    masked_frame,
)
from posthouse.transports.websocket.server import WebSocket

KEY = b"\x11\x22\x33\x44"
HELLO = masked_frame(FIN | TEXT, b"Hello", KEY)
BYE = masked_frame(FIN | CLOSE, b"\x03\xe8", KEY)


def codec(*, deflate: bool = False, binary: bool = False, **limits: float) -> WebSocket:
    return WebSocket(Config.from_mapping(limits), deflate=deflate, binary=binary, now=0.0)


def sent(first: int, payload: bytes = b"") -> bytes:
    return masked_frame(first, payload, KEY)


def pong(payload: bytes = b"") -> Send:
    return Send(b"\x8a%c%b" % (len(payload), payload))


def closing(code: int) -> Send:
    return Send(b"\x88\x02%b" % code.to_bytes(2, "big"))


def drain(machine: WebSocket) -> list[Output]:
    outputs = list(machine.output)
    machine.output.clear()
    return outputs


def take(machine: WebSocket, data: bytes, now: float = 0.0) -> list[Output]:
    machine.receive_data(data, now)
    return drain(machine)


def run(machine: WebSocket, data: bytes, step: int | None = None, now: float = 0.0) -> list[Output]:
    """All that follows from `data` at one time, in reads of `step` bytes, without what only says that one waited."""
    for start in range(0, len(data), step or max(1, len(data))):
        machine.receive_data(data[start : start + (step or len(data))], now)
        while (due := machine.next_timeout()) is not None and due <= now:
            machine.handle_timeout(now)
    return [output for output in drain(machine) if type(output) not in (Heard, Pause, Resume)]


def failed(failure: Failed) -> list[Output]:
    return [closing(failure.code), Ended(failure.code, failure.reason), Finish()]


# Texts


def test_it_is_a_codec() -> None:
    machine: Codec = codec()
    assert machine.output == []
    assert (machine.buffered, machine.next_timeout()) == (0, None)


def test_a_text_is_the_only_output() -> None:
    machine = codec()
    assert take(machine, HELLO) == [Text(b"Hello")]
    assert take(machine, HELLO + HELLO) == [Text(b"Hello"), Text(b"Hello")]
    assert (machine.buffered, machine.next_timeout()) == (0, None)


def test_bytes_without_a_text_are_heard_once_per_read() -> None:
    machine = codec()
    assert take(machine, sent(FIN | PONG)) == [Heard()]
    assert take(machine, sent(FIN | PONG) + sent(FIN | PONG)) == [Heard()]
    assert take(machine, sent(TEXT, b"Hel")) == [Heard()]
    assert take(machine, sent(FIN | CONTINUATION, b"lo")) == [Text(b"Hello")]


def test_an_idle_connection_costs_half_a_kilobyte() -> None:
    config = Config()
    tracemalloc.start()
    try:
        idle = [WebSocket(config, deflate=True, now=0.0) for _ in range(100)]
        cost = tracemalloc.get_traced_memory()[0] / len(idle)
        for machine in idle:
            take(machine, sent(FIN | RSV1 | TEXT, deflate(bytes(100))))
        used = tracemalloc.get_traced_memory()[0] / len(idle)
    finally:
        tracemalloc.stop()
    assert cost < KIB
    assert used < 4 * KIB


# Frames


def test_frames_are_texts_unless_the_payload_is_binary() -> None:
    assert codec().frame(b"Hello") == b"\x81\x05Hello"
    assert codec().frame(Binary(b"Hello")) == b"\x82\x05Hello"


def test_from_min_compress_bytes_on_frames_are_compressed() -> None:
    machine = codec(deflate=True, min_compress_bytes=100)
    assert machine.frame(b"x" * 99) == b"\x81\x63" + b"x" * 99
    assert machine.frame(b"x" * 100) == b"\xc1\x06\xaa\xa8\xa0=\x00\x00"
    assert machine.frame(b"x" * 101) == b"\xc1\x06\xaa\xa8\xa0\x03\x00\x00"
    assert codec(min_compress_bytes=100).frame(b"x" * 100) == b"\x81\x64" + b"x" * 100


def test_a_payload_that_compression_does_not_shorten_is_sent_plain() -> None:
    machine = codec(deflate=True, min_compress_bytes=0)
    assert machine.frame(b"") == b"\x81\x00"
    assert machine.frame(Binary(bytes(range(200)))) == b"\x82\x7e\x00\xc8" + bytes(range(200))
    assert machine.frame(Binary(bytes(200)))[:1] == b"\xc2"


def test_equal_framings_make_equal_frames() -> None:
    plain, other = codec(), codec(min_compress_bytes=7)
    compressed, same = codec(deflate=True), codec(deflate=True, max_message_bytes=9)
    earlier = codec(deflate=True, min_compress_bytes=7)
    assert plain.framing == other.framing
    assert compressed.framing == same.framing
    assert len({plain.framing, compressed.framing, earlier.framing}) == 3


# Control frames


def test_pings_are_answered_in_order_with_their_payload() -> None:
    machine = codec()
    data = b"".join(sent(FIN | PING, bytes([number])) for number in range(10))
    assert run(machine, data) == [pong(bytes([number])) for number in range(10)]
    assert take(machine, sent(FIN | PING, bytes(125))) == [pong(bytes(125)), Heard()]


def test_a_heartbeat_is_a_ping() -> None:
    machine = codec()
    machine.heartbeat(0.0)
    assert drain(machine) == [Send(b"\x89\x00")]
    machine.close(1000, 0.0)
    drain(machine)
    machine.heartbeat(0.0)
    assert drain(machine) == []


@pytest.mark.parametrize("count", [31, 32, 33, 64])
def test_row_9_pings_beyond_the_burst_only_the_latest_is_answered(count: int) -> None:
    machine = codec()
    data = b"".join(sent(FIN | PING, bytes([number])) for number in range(count))
    assert run(machine, data, 7) == [pong(bytes([number])) for number in range(min(count, 32))]
    if count <= 32:
        assert machine.next_timeout() is None
        return
    due = machine.next_timeout()
    assert due is not None
    assert due == pytest.approx((count - 32) / 10)
    machine.handle_timeout(due - 0.01)
    assert drain(machine) == []
    machine.handle_timeout(due)
    assert drain(machine) == [pong(bytes([count - 1]))]
    assert machine.next_timeout() is None


@pytest.mark.parametrize("step", [None, 1, 7])
def test_row_9_a_flood_of_pings(step: int | None) -> None:
    outputs = run(codec(), sent(FIN | PING, b"x") * 1000, step)
    assert outputs[:32] == [pong(b"x")] * 32
    assert outputs[32:35] == failed(TOO_MANY_CONTROLS)


@pytest.mark.parametrize("step", [None, 1, 7])
def test_row_10_a_flood_of_pongs(step: int | None) -> None:
    assert run(codec(), sent(FIN | PONG) * 64, step) == []
    assert run(codec(), sent(FIN | PONG) * 65, step) == failed(TOO_MANY_CONTROLS)


def test_rows_9_and_10_at_the_rate_there_is_no_flood() -> None:
    machine = codec()
    for number in range(200):
        assert run(machine, sent(FIN | PING, b"x"), now=number / 10) == [pong(b"x")]
        assert machine.next_timeout() is None


def test_while_output_is_paused_only_the_latest_ping_is_answered_when_it_goes_on() -> None:
    machine = codec()
    machine.pause_output()
    assert take(machine, sent(FIN | PING, b"1") + sent(FIN | PING, b"2")) == [Heard()]
    assert machine.next_timeout() is None
    machine.handle_timeout(1.0)
    assert drain(machine) == []
    machine.resume_output(1.0)
    assert drain(machine) == [pong(b"2")]
    machine.resume_output(1.0)
    assert drain(machine) == []


# Turns


def test_a_heartbeat_to_a_silent_peer_keeps_nothing_that_can_be_made_again() -> None:
    machine = codec(control_burst=2, control_rate=10.0)
    machine.receive_data(masked_frame(TEXT, b"Hel", KEY) + masked_frame(FIN | CONTINUATION, b"lo", KEY), 0.0)
    machine.receive_data(masked_frame(FIN | PONG, b"", KEY), 0.0)
    machine.heartbeat(0.05)
    assert machine._controls is not None  # the bucket is not full again
    assert machine._receiver._connection is None
    machine.heartbeat(0.1)
    assert machine._controls is None
    machine.output.clear()
    machine.receive_data(masked_frame(FIN | PING, b"here", KEY), 0.1)
    assert machine.output == [Send(b"\x8a\x04here"), Heard()]


def test_texts_in_output_count_as_held() -> None:
    machine = codec()
    machine.receive_data(HELLO * 3 + HELLO[:4], 0.0)
    assert machine.buffered == 3 * len(b"Hello") + 4
    drain(machine)
    assert machine.buffered == 4


def test_after_a_turn_it_pauses_and_goes_on_with_the_next_timeout() -> None:
    machine = codec(frames_per_turn=2)
    assert take(machine, HELLO * 5, 1.0) == [Text(b"Hello"), Text(b"Hello"), Pause()]
    assert machine.next_timeout() == 1.0
    assert machine.buffered == 3 * len(HELLO)
    assert take(machine, HELLO, 1.5) == []
    machine.handle_timeout(2.0)
    assert drain(machine) == [Text(b"Hello"), Text(b"Hello")]
    machine.handle_timeout(2.0)
    assert drain(machine) == [Text(b"Hello"), Text(b"Hello"), Resume()]
    assert (machine.buffered, machine.next_timeout()) == (0, None)


def test_while_output_is_paused_the_backlog_is_not_parsed() -> None:
    machine = codec(frames_per_turn=1)
    take(machine, HELLO * 2)
    machine.pause_output()
    assert machine.next_timeout() is None
    machine.handle_timeout(1.0)
    assert drain(machine) == []
    machine.resume_output(2.0)
    assert machine.next_timeout() == 0.0
    machine.handle_timeout(2.0)
    assert drain(machine) == [Text(b"Hello"), Resume()]


def test_an_end_of_input_waits_behind_what_came_before_it() -> None:
    machine = codec(frames_per_turn=1)
    take(machine, HELLO * 2)
    machine.receive_eof(0.0)
    assert drain(machine) == []
    machine.handle_timeout(0.0)
    assert drain(machine) == [Text(b"Hello"), Resume(), Ended(ABNORMAL), Shut()]


def test_a_failure_behind_a_backlog_reads_on_unless_the_input_has_ended() -> None:
    data = HELLO + sent(FIN | 3)
    machine = codec(frames_per_turn=1)
    take(machine, data)
    machine.handle_timeout(0.0)
    assert drain(machine) == [*failed(PROTOCOL_ERROR), Resume()]
    machine = codec(frames_per_turn=1)
    take(machine, data)
    machine.receive_eof(0.0)
    machine.handle_timeout(0.0)
    assert drain(machine) == [*failed(PROTOCOL_ERROR), Shut()]


# Messages in progress


@pytest.mark.parametrize("begun", [HELLO[:1], HELLO[:-1], sent(TEXT, b"Hel"), sent(FIN | PING)[:3]])
def test_row_11_a_message_takes_ten_seconds_at_most(begun: bytes) -> None:
    machine = codec()
    take(machine, begun, 1.0)
    assert machine.next_timeout() == 11.0
    machine.handle_timeout(10.999)
    assert drain(machine) == []
    machine.handle_timeout(11.0)
    assert drain(machine) == failed(TOO_SLOW)


def test_row_11_dripping_and_pings_do_not_extend_it() -> None:
    machine = codec()
    take(machine, sent(TEXT, b"Hel"), 1.0)
    take(machine, sent(CONTINUATION, b""), 5.0)
    take(machine, sent(FIN | PING), 9.0)
    assert machine.next_timeout() == 11.0


def test_row_11_each_message_has_its_own_time() -> None:
    machine = codec()
    take(machine, HELLO[:4], 1.0)
    take(machine, HELLO[4:] + HELLO[:4], 8.0)
    assert machine.next_timeout() == 18.0
    take(machine, HELLO[4:], 9.0)
    assert machine.next_timeout() is None


def test_row_11_of_two_deadlines_the_earlier_is_announced() -> None:
    machine = codec(control_burst=1, message_timeout=0.05)
    take(machine, sent(FIN | PING) * 2)
    assert machine.next_timeout() == pytest.approx(0.1)
    take(machine, HELLO[:4])
    assert machine.next_timeout() == 0.05


def test_row_11_its_time_stands_still_while_output_is_paused() -> None:
    machine = codec()
    take(machine, HELLO[:4], 1.0)
    machine.pause_output()
    assert machine.next_timeout() is None
    machine.handle_timeout(11.0)
    assert drain(machine) == []
    machine.resume_output(20.0)
    assert machine.next_timeout() == 30.0


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_row_11_endless_fragments(payload: bytes) -> None:
    machine = codec()
    assert run(machine, sent(TEXT, payload) + sent(CONTINUATION, payload) * 1_023, 5) == []
    assert run(machine, sent(CONTINUATION, payload)) == failed(TOO_MANY_FRAGMENTS)


# Closing


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_the_peers_close_is_answered_at_once_with_its_code(code: int) -> None:
    for step in (None, 1):
        data = HELLO + sent(FIN | CLOSE, close_payload(code) + "Tschüß".encode()) + HELLO
        machine = codec()
        assert run(machine, data, step) == [Text(b"Hello"), closing(code), Ended(code), Shut()]
        assert (machine.next_timeout(), machine.buffered) == (None, 0)


def test_an_empty_close_is_answered_by_an_empty_one() -> None:
    assert take(codec(), sent(FIN | CLOSE)) == [Send(b"\x88\x00"), Ended(1005), Shut()]


@pytest.mark.parametrize("payload, code", [(b"\x03", 1002), (b"\x03\xed", 1002), (b"\x03\xe8\xff", 1007)])
def test_an_invalid_close_is_a_failure(payload: bytes, code: int) -> None:
    assert run(codec(), sent(FIN | CLOSE, payload)) == failed(BY_CODE[code])


def test_our_close_waits_for_the_peers() -> None:
    machine = codec()
    machine.close(4100, 1.0)
    assert drain(machine) == [closing(4100)]
    assert machine.next_timeout() == 6.0
    assert take(machine, HELLO + sent(FIN | PING) + sent(TEXT, b"x"), 2.0) == []
    assert machine.next_timeout() == 6.0
    assert take(machine, sent(FIN | CLOSE, close_payload(4100)), 3.0) == [Ended(4100), Shut()]
    assert machine.next_timeout() is None


def test_our_close_waits_no_longer_than_close_timeout() -> None:
    machine = codec()
    machine.close(1012, 1.0)
    drain(machine)
    machine.handle_timeout(5.999)
    assert drain(machine) == []
    machine.handle_timeout(6.0)
    assert drain(machine) == [Ended(ABNORMAL), Shut(flush=False)]


def test_our_close_parses_the_backlog_even_if_output_was_paused() -> None:
    machine = codec(frames_per_turn=1)
    take(machine, HELLO + BYE)
    machine.pause_output()
    machine.close(4100, 0.0)
    assert drain(machine) == [closing(4100)]
    machine.resume_output(0.0)
    machine.handle_timeout(0.0)
    assert drain(machine) == [Ended(1000), Shut()]


def test_a_failure_while_closing_sends_no_second_close_frame() -> None:
    machine = codec()
    machine.close(1000, 0.0)
    drain(machine)
    assert take(machine, sent(FIN | 3)) == [Ended(1002, "a frame breaks the WebSocket protocol"), Finish()]


def test_closing_twice_is_closing_once() -> None:
    machine = codec()
    machine.close(1000, 0.0)
    machine.close(1001, 1.0)
    assert drain(machine) == [closing(1000)]
    assert machine.next_timeout() == 5.0


def test_a_half_close_without_a_close_frame_is_abnormal() -> None:
    for begin in (b"", HELLO[:3]):
        machine = codec()
        if begin:
            take(machine, begin)
        machine.receive_eof(0.0)
        assert drain(machine) == [Ended(ABNORMAL), Shut()]
    machine = codec()
    machine.close(1000, 0.0)
    drain(machine)
    machine.receive_eof(0.0)
    assert drain(machine) == [Ended(ABNORMAL), Shut()]


def test_a_websocket_is_never_idle() -> None:
    machine = codec()
    machine.close_idle(0.0)
    assert (drain(machine), machine.abnormal_code) == ([], 1006)


def test_after_shut_every_input_is_ignored() -> None:
    machine = codec()
    take(machine, BYE)
    machine.receive_data(HELLO, 1.0)
    machine.receive_eof(1.0)
    machine.close(1000, 1.0)
    machine.heartbeat(1.0)
    machine.resume_output(1.0)
    machine.handle_timeout(99.0)
    assert drain(machine) == []
    assert machine.next_timeout() is None


# Failing

FAILURES = {
    "row 12: a header that announces too much": (b"\x81\xff" + (4 * MIB + 1).to_bytes(8, "big") + KEY, TOO_LARGE),
    "row 13: a bomb": (sent(FIN | RSV1 | TEXT, deflate(bytes(9 * MIB))), INFLATES_TOO_MUCH),
    "row 13: garbage": (sent(FIN | RSV1 | TEXT, b"\xff\xff\xff"), INVALID_DATA),
    "row 15: bad UTF-8": (sent(FIN | TEXT, b"a\xff"), INVALID_DATA),
    "row 16: binary": (sent(FIN | BINARY, b"x"), BINARY_REFUSED),
    "row 17: no mask": (b"\x81\x05Hello", PROTOCOL_ERROR),
    "row 17: RSV": (sent(FIN | 0x20 | TEXT, b"Hello"), PROTOCOL_ERROR),
    "row 17: opcode": (sent(FIN | 3, b"Hello"), PROTOCOL_ERROR),
    "row 17: length": (sent(FIN | PING, bytes(126)), PROTOCOL_ERROR),
    "row 17: continuation": (sent(FIN | CONTINUATION, b"Hello"), PROTOCOL_ERROR),
}


@pytest.mark.parametrize("data, failure", FAILURES.values(), ids=FAILURES)
def test_rows_12_to_17_a_failure_says_why_and_parses_nothing_more(data: bytes, failure: Failed) -> None:
    for step in (None, 1000):
        assert run(codec(deflate=True), HELLO + data + HELLO, step) == [Text(b"Hello"), *failed(failure)]


@pytest.mark.parametrize("size, shut", [(64 * KIB - 1, False), (64 * KIB, False), (64 * KIB + 1, True)])
def test_rows_15_to_17_afterwards_at_most_64_kib_are_discarded(size: int, shut: bool) -> None:
    machine = codec()
    take(machine, sent(FIN | 3))
    assert take(machine, bytes(size - 10)) == []
    assert take(machine, bytes(10)) == ([Shut()] if shut else [])
    assert machine.buffered == 0


def test_rows_15_to_17_afterwards_for_at_most_two_seconds() -> None:
    machine = codec()
    take(machine, sent(FIN | 3), 1.0)
    assert machine.next_timeout() == 3.0
    machine.handle_timeout(2.999)
    assert drain(machine) == []
    machine.handle_timeout(3.0)
    assert drain(machine) == [Shut()]


def test_rows_15_to_17_afterwards_until_the_peer_has_closed() -> None:
    machine = codec()
    take(machine, sent(FIN | 3))
    machine.receive_eof(0.0)
    assert drain(machine) == [Shut()]


def test_row_13_bytes_behind_a_final_block_are_decoded_too() -> None:
    assert run(codec(deflate=True), sent(FIN | RSV1 | TEXT, bytes.fromhex("f348cdc9c9070000"))) == [Text(b"Hello")]


def test_row_14_a_ping_between_the_fragments_of_a_compressed_message() -> None:
    body = deflate(b"Hello, Hello")
    data = sent(RSV1 | TEXT, body[:5]) + sent(FIN | PING, b"?") + sent(FIN | CONTINUATION, body[5:])
    for step in (None, 1, 4):
        assert run(codec(deflate=True), data, step) == [pong(b"?"), Text(b"Hello, Hello")]


def test_row_16_binary_is_passed_on_where_it_is_allowed() -> None:
    (output,) = run(codec(binary=True), sent(FIN | BINARY, b"\xff"))
    assert output == Text(b"\xff")
    assert type(output) is Text
    assert type(output.data) is Binary


PARTS = st.one_of(
    st.builds(
        sent,
        st.sampled_from(
            [FIN | TEXT, TEXT, FIN | CONTINUATION, CONTINUATION, FIN | PING, FIN | PONG, FIN | RSV1 | TEXT]
        ),
        st.text(max_size=30).map(str.encode) | st.text(max_size=40).map(str.encode).map(deflate),
    ),
    st.just(HELLO * 5),
    st.sampled_from([BYE, sent(FIN | BINARY, b"x"), b"\x81", b"\x89\xff"]),
    st.binary(max_size=20),
)


@settings(max_examples=150)
@given(st.lists(PARTS, max_size=12), st.integers(1, 60), st.booleans(), st.booleans())
def test_any_bytes_raise_nothing_and_give_the_same_at_every_split(
    parts: list[bytes], step: int, compressed: bool, closes: bool
) -> None:
    config = Config(max_message_bytes=300, max_fragments=4, frames_per_turn=3, control_burst=3)

    def play(step: int | None) -> list[Output]:
        machine = WebSocket(config, deflate=compressed, now=0.0)
        if closes:
            machine.close(1001, 0.0)
        outputs = run(machine, b"".join(parts), step)
        machine.receive_eof(0.0)
        assert machine.buffered <= 300 + 4 * 128 + 140 + 60
        return outputs + drain(machine)

    def whole(outputs: list[Output]) -> list[Output]:
        # after a failure it depends on the reads how much there is left to discard: not on what was said
        return [output for output in outputs if output != Shut()]

    outputs = play(None)
    assert whole(play(step)) == whole(outputs)
    assert sum(type(output) is Ended for output in outputs) == 1
    assert type(outputs[-1]) is Shut


@settings(max_examples=80)
@given(
    st.lists(
        st.one_of(
            PARTS,
            st.sampled_from(["eof", "pause", "resume", "close", "beat"]),
            st.sampled_from([0.05, 1.0, 5.0, 20.0]),
        ),
        max_size=14,
    )
)
def test_in_any_order_of_inputs_it_ends_once_and_shuts_once(steps: list[bytes | str | float]) -> None:
    machine = codec(deflate=True, frames_per_turn=2, control_burst=2, max_message_bytes=300)
    now = 0.0
    for step in steps:
        if isinstance(step, bytes):
            if step:
                machine.receive_data(step, now)
        elif isinstance(step, float):
            now += step
            machine.handle_timeout(now)
        elif step == "eof":
            machine.receive_eof(now)
        elif step == "pause":
            machine.pause_output()
        elif step == "resume":
            machine.resume_output(now)
        elif step == "close":
            machine.close(1000, now)
        else:
            machine.heartbeat(now)
    machine.resume_output(now)
    machine.close(1000, now)
    for _ in range(200):
        if (due := machine.next_timeout()) is None:
            break
        now = max(now, due)
        machine.handle_timeout(now)
    kinds = [type(output) for output in machine.output]
    assert (kinds.count(Ended), kinds.count(Shut)) == (1, 1)
    assert kinds[-1] is Shut
    assert Text not in kinds[kinds.index(Ended) :]
    assert 0 <= kinds.count(Pause) - kinds.count(Resume) <= 1
    machine.output.clear()
    assert machine.buffered == 0


def test_a_payload_of_which_compression_saves_no_byte_is_sent_plain() -> None:
    machine = codec(deflate=True, min_compress_bytes=0)
    payload = next(
        text for text in (b"abcdefgh" + b"a" * more for more in range(20)) if len(deflate(text)) == len(text)
    )
    assert machine.frame(payload) == b"\x81%c%b" % (len(payload), payload)
    assert machine.frame(payload + b"a")[:1] == b"\xc1"


def test_binary_messages_are_refused_unless_they_are_asked_for() -> None:
    machine = WebSocket(Config(), deflate=False, now=0.0)
    assert run(machine, sent(FIN | BINARY, b"x")) == failed(BINARY_REFUSED)


def test_framing_without_compression_is_one_name_and_differs_from_other_codecs() -> None:
    assert codec().framing == codec().framing == "websocket"


def test_a_message_that_begins_behind_the_end_of_another_has_the_whole_time() -> None:
    machine = codec(message_timeout=10.0)
    take(machine, sent(TEXT, b"a"), 0.0)
    assert machine.next_timeout() == 10.0
    take(machine, sent(FIN | CONTINUATION, b"b") + sent(TEXT, b"c"), 5.0)
    assert machine.next_timeout() == 15.0


def test_a_control_frame_that_was_cut_has_its_time_like_a_message_and_none_once_it_is_whole() -> None:
    machine = codec(message_timeout=10.0)
    ping = sent(FIN | PING, b"hi")
    take(machine, ping[:-1], 0.0)
    assert machine.next_timeout() == 10.0
    take(machine, ping[-1:], 1.0)
    assert machine.next_timeout() is None


@pytest.mark.parametrize("cut", range(8))
def test_frames_that_come_slowly_have_their_time_each_wherever_reads_are_cut(cut: int) -> None:
    machine = codec(message_timeout=10.0)
    ping = sent(FIN | PING, b"hi")
    take(machine, ping[:cut])
    for time in range(1, 60):
        take(machine, ping[cut:] + ping[:cut], float(time))
        assert machine.next_timeout() == (time + 10.0 if cut else None)
        machine.handle_timeout(time + 0.5)
        assert drain(machine) == []


def test_row_11_a_fragment_has_no_more_time_for_pings_that_are_cut() -> None:
    machine = codec(message_timeout=10.0)
    ping = sent(FIN | PING, b"hi")
    take(machine, sent(TEXT, b"a") + ping[:1], 0.0)
    take(machine, ping[1:] + ping[:1], 5.0)
    assert machine.next_timeout() == 10.0
    machine.handle_timeout(10.0)
    assert drain(machine) == failed(TOO_SLOW)


def test_a_closing_side_parses_the_backlog_even_while_the_peer_takes_nothing() -> None:
    machine = codec(frames_per_turn=1)
    machine.pause_output()
    take(machine, HELLO + BYE, 1.0)
    assert machine.next_timeout() is None
    machine.close(1000, 1.0)
    assert machine.next_timeout() == 1.0
    machine.handle_timeout(1.0)
    assert Ended(1000) in machine.output


def test_whole_texts_are_handed_on_directly_while_the_connection_is_open() -> None:
    machine = codec()
    assert machine.receive_whole(HELLO * 2, 0.0) == [Text(b"Hello"), Text(b"Hello")]
    assert (machine.output, machine.next_timeout(), machine.buffered) == ([], None, 0)
    assert not machine.receive_whole(HELLO[:-1], 0.0)
    machine.close(1000, 0.0)
    assert not machine.receive_whole(HELLO, 0.0)
