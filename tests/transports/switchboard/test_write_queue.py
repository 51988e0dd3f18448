"""The way out of one socket: what is handed over, what waits, and in which order."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.actions import Action, CloseSocket, EndWriting, Write
from posthouse.transports.switchboard.write_queue import WriteQueue

SOCKET = SocketId(7)


def wire(ahead: int = 4) -> tuple[WriteQueue, list[Action]]:
    outbox: list[Action] = []
    return WriteQueue(SOCKET, outbox, ahead), outbox


def test_small_frames_are_handed_over_and_not_counted() -> None:
    out, outbox = wire()
    assert out.write(b"abcd") == 0
    assert outbox == [Write(SOCKET, b"abcd")]
    assert (out.clear, out.outstanding, out.reported) == (True, 0, 0)


def test_reported_bytes_that_still_wait_have_not_gone() -> None:
    out, _ = wire()
    assert out.write(b"abcdefghij") == 10
    out.reported = 10
    assert [out.sent(size) for size in (1, 3, 4, 2)] == [1, 3, 4, 2]
    assert (out.reported, out.clear) == (0, True)


def test_a_frame_that_is_counted_already_is_owed() -> None:
    out, outbox = wire()
    assert out.write(b"abc", report=True) == 0
    assert outbox == [Write(SOCKET, b"abc", report=True)]
    assert (out.clear, out.owed) == (False, 3)
    out.sent(3)
    assert out.clear


def test_a_frame_that_waits_for_one_socket_does_not_wait_for_another() -> None:
    (stuck, _), (other, outbox) = wire(), wire()
    stuck.write(b"large frame")
    assert (stuck.clear, other.clear) == (False, True)
    other.then(CloseSocket(SOCKET))
    assert outbox == [CloseSocket(SOCKET)]


def test_bytes_of_no_connection_go_before_reported_bytes() -> None:
    out, _ = wire()
    out.owed += 5
    out.owed += 3
    out.reported = 3
    assert [out.sent(size) for size in (4, 2, 1, 1)] == [0, 1, 1, 1]
    assert (out.reported, out.clear) == (0, True)


def test_a_large_frame_leaves_in_slices_as_they_go() -> None:
    out, outbox = wire()
    assert out.write(b"abcdefghij") == 10
    assert outbox == [Write(SOCKET, b"abcd", report=True)]
    assert (out.owed, out.waiting_bytes, out.outstanding) == (4, 6, 10)
    out.sent(2)
    assert len(outbox) == 1
    out.sent(2)
    assert outbox[1:] == [Write(SOCKET, b"efgh", report=True)]
    out.sent(4)
    assert outbox[2:] == [Write(SOCKET, b"ij", report=True)]
    out.sent(2)
    assert out.clear


def test_a_frame_behind_a_large_one_waits_and_is_counted() -> None:
    out, outbox = wire()
    out.write(b"abcdef")
    assert out.write(b"g") == 1
    assert out.write(b"h", report=True) == 0
    out.sent(4)
    assert outbox[1:] == [
        Write(SOCKET, b"ef", report=True),
        Write(SOCKET, b"g", report=True),
        Write(SOCKET, b"h", report=True),
    ]


def test_bytes_that_the_socket_did_not_take_are_owed() -> None:
    out, _ = wire()
    out.write(b"ab")
    out.owed += 1
    assert (out.clear, out.owed) == (False, 1)


def test_closing_waits_its_turn() -> None:
    out, outbox = wire()
    out.then(EndWriting(SOCKET))
    assert outbox == [EndWriting(SOCKET)]
    out.write(b"abcdef")
    out.then(CloseSocket(SOCKET))
    assert not out.clear
    out.sent(4)
    assert outbox[2:] == [Write(SOCKET, b"ef", report=True), CloseSocket(SOCKET)]


def test_a_frame_that_has_begun_is_finished_and_the_others_are_dropped() -> None:
    out, outbox = wire()
    out.write(b"abcdef")
    out.write(b"gh")
    out.then(CloseSocket(SOCKET))
    assert out.drop_unbegun() == 2
    out.sent(4)
    assert outbox[1:] == [Write(SOCKET, b"ef", report=True), CloseSocket(SOCKET)]
    out.sent(2)
    assert out.clear


def test_a_large_frame_that_waits_is_not_kept_twice() -> None:
    out, outbox = wire(64 * 1024)
    frame = bytes(8 * 1024 * 1024)
    tracemalloc.start()
    try:
        out.write(frame)
        while out.owed:
            outbox.clear()
            out.sent(out.owed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024


def test_nothing_is_dropped_where_nothing_waits() -> None:
    out, _ = wire()
    out.write(b"ab", report=True)
    assert out.drop_unbegun() == 0
    assert out.owed == 2


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans())), st.integers(1, 8))
def test_every_byte_leaves_once_in_order_and_the_sums_add_up(frames: list[tuple[int, bool]], ahead: int) -> None:
    out, outbox = wire(ahead)
    written = b""
    for number, (size, report) in enumerate(frames):
        frame = bytes([number % 256]) * size
        written += frame
        out.write(frame, report=report)
        assert out.outstanding <= len(written)
    while out.owed:
        assert out.owed <= max(ahead, *(size for size, _ in frames)) + sum(size for size, _ in frames)
        out.sent(1)
    assert out.clear
    assert b"".join(action.data for action in outbox if isinstance(action, Write)) == written


class Notes:
    """The adapter's end of a socket, which notes what it gets."""

    def __init__(self) -> None:
        self.given: list[tuple[bytes, bool]] = []

    def write(self, data: bytes, report: bool) -> None:
        self.given.append((data, report))


def test_a_writer_gets_what_is_handed_over_at_once_while_no_action_is_queued() -> None:
    out, outbox = wire()
    out.writer = notes = Notes()
    assert (out.write(b"ab"), out.write(b"c", report=True)) == (0, 0)
    assert (notes.given, outbox) == ([(b"ab", False), (b"c", True)], [])
    assert out.owed == 1
    out.then(EndWriting(SOCKET))
    out.write(b"d")
    assert (notes.given[2:], outbox) == ([], [EndWriting(SOCKET), Write(SOCKET, b"d")])


def test_a_frame_that_does_not_leave_at_once_does_not_overtake_by_a_writer() -> None:
    out, outbox = wire()
    out.writer = notes = Notes()
    assert out.write(b"abcdef") == 6
    assert (notes.given, outbox) == ([], [Write(SOCKET, b"abcd", report=True)])
    outbox.clear()
    assert out.write(b"g") == 1
    out.sent(4)
    assert (notes.given, outbox) == ([], [Write(SOCKET, b"ef", report=True), Write(SOCKET, b"g", report=True)])
