"""The table of sockets: who lives where, what is held for whom, and why a socket is not read from."""

from __future__ import annotations

import pytest
from posthouse.core import Address, Config, Gateway, PauseReading, Peer, ResumeReading, Service, UsageError
from posthouse.core.values.peers import ANONYMOUS, SocketId
from posthouse.core.values.timers import Timers
from posthouse.transports.codec import Codec, Output
from posthouse.transports.switchboard.actions import Action, CloseSocket, EndWriting, StartReading, StopReading, Write
from posthouse.transports.switchboard.socket_state import SocketEvent, SocketState
from posthouse.transports.switchboard.sockets import BACKLOG, BUFFER, CODEC_DUE, WIRE_STALLED, Sockets

from tests.values import told_apart


class Idle(Codec):
    """A codec that does nothing: what it holds and when it wants the time are the test's to say."""

    framing = "idle"
    buffered = 0

    def __init__(self) -> None:
        self.output: list[Output] = []
        self.due: float | None = None
        self.buffered = 0

    def next_timeout(self) -> float | None:
        return self.due

    def frame(self, payload: bytes) -> bytes:
        return payload

    def receive_data(self, data: bytes, now: float) -> None:
        """Every input does nothing."""

    def receive_eof(self, now: float) -> None: ...
    def close_idle(self, now: float) -> None: ...
    def close(self, code: int, now: float) -> None: ...
    def handle_timeout(self, now: float) -> None: ...


class Table:
    """One gateway, one table, one socket with one connection on it."""

    def __init__(self, config: Config = Config(write_ahead=10, write_timeout=10.0)) -> None:
        self.gateway = Gateway(Service("table"), config, wall=0.0, entropy=bytes)
        self.outbox: list[Action] = []
        self.timers = Timers()
        self.sockets = Sockets(self.gateway, self.outbox, self.timers)
        socket = self.gateway.accepted(Address(), 0.0)
        assert socket is not None
        self.codec = Idle()
        self.state: SocketState = self.sockets.add(socket, Address(), self.codec)
        self.connection = self.gateway.connect(Peer("websocket", socket=socket), 0.0)
        self.gateway.outbox.clear()

    def due(self, now: float) -> list[str]:
        reasons = []
        while (timer := self.timers.pop(now)) is not None:
            reasons.append(timer.reason)
        return reasons


def test_a_new_socket_has_no_connection_no_held_bytes_and_no_deadline() -> None:
    state = Table().state
    assert (state.identity, state.connection, state.due, state.stalled) == (ANONYMOUS, None, None, None)
    assert (state.phase, state.codec_closed) == ("idle", False)
    assert (state.wire.reported, state.buffered, state.progress_at, state.stopped) == (0, 0, 0.0, 0)


def test_ids_that_were_never_given_out_are_misuse() -> None:
    table = Table()
    empty = Sockets(table.gateway, [], Timers())
    for sockets, never in ((table.sockets, 0), (table.sockets, -1), (empty, 0), (empty, 1)):
        with pytest.raises(UsageError, match=f"unknown socket {never}"):
            sockets.find(SocketId(never))


def test_a_report_is_about_a_socket_unless_it_tells_nothing_or_is_misuse() -> None:
    table = Table()
    socket = table.state.socket
    assert table.sockets.find_for(socket, 1) is table.state
    assert table.sockets.find_for(socket, 0) is None
    with pytest.raises(UsageError, match="-1 bytes are reported of socket 1: give a number from 0 on"):
        table.sockets.find_for(socket, -1)


def test_a_socket_that_is_removed_leaves_no_deadline() -> None:
    table = Table()
    table.codec.due = 5.0
    table.sockets.schedule(table.state)
    table.sockets.write(table.state, b"x" * 25, 0.0)
    assert len(table.timers) == 2
    table.sockets.remove(table.state, 0.0)
    assert len(table.timers) == 0


def test_a_socket_is_found_by_its_id_until_it_is_removed() -> None:
    table = Table()
    socket = table.state.socket
    assert table.sockets.find(socket) is table.state
    table.sockets.remove(table.state, 0.0)
    assert table.sockets.find(socket) is None
    with pytest.raises(UsageError, match="unknown socket 2"):
        table.sockets.find(SocketId(2))


def test_bytes_held_for_a_connection_are_counted_by_the_gateway() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    table.sockets.write(table.state, b"x" * 25, 0.0)
    assert table.state.wire.reported == 25
    assert table.gateway.health(0.0).memory == 25
    assert [type(effect) for effect in table.gateway.outbox] == [PauseReading]
    for size in (10, 10, 5):
        table.sockets.sent(table.state, size, 0.0)
    assert table.state.wire.reported == 0
    assert [type(effect) for effect in table.gateway.outbox] == [PauseReading, ResumeReading]
    assert len(table.timers) == 0


def test_a_small_frame_that_is_taken_is_not_counted() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    table.sockets.write(table.state, b"x", 0.0)
    assert (table.outbox, table.state.wire.reported) == ([Write(table.state.socket, b"x")], 0)


def test_a_frame_that_is_counted_already_is_reported_when_it_goes_and_not_counted_again() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    for payload in (3, 5, 9):
        table.gateway.report_held(table.connection, payload, 0.0)
        table.sockets.write_reported(table.state, b"frame", payload, 0.0)
    assert table.outbox == [Write(table.state.socket, b"frame", report=True)] * 3
    assert (table.state.wire.reported, table.gateway.health(0.0).memory) == (15, 15)
    table.sockets.sent(table.state, 5, 0.0)
    assert (table.state.wire.reported, table.gateway.health(0.0).memory) == (10, 10)


def test_a_frame_for_an_aborted_socket_is_dropped() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    table.sockets.abort(table.state)
    table.gateway.report_held(table.connection, 5, 0.0)
    table.sockets.write_reported(table.state, b"frame", 5, 0.0)
    assert table.outbox == [CloseSocket(table.state.socket, flush=False)]


def test_bytes_from_before_a_connection_go_first_and_are_not_counted_for_it() -> None:
    table = Table()
    table.state.wire.owed += 5
    table.sockets.count(table.state, 5, 0.0)
    table.sockets.settle(table.state, table.connection)
    table.state.wire.owed += 3
    table.sockets.count(table.state, 3, 0.0)
    assert table.state.wire.reported == 3
    table.sockets.sent(table.state, 4, 1.0)
    assert table.state.wire.reported == 3
    table.sockets.sent(table.state, 2, 1.0)
    assert (table.state.wire.reported, table.gateway.health(0.0).memory) == (2, 2)


def test_more_than_is_held_cannot_be_sent() -> None:
    table = Table()
    with pytest.raises(UsageError, match="1 bytes are reported as sent: only 0 are held"):
        table.sockets.sent(table.state, 1, 0.0)


def test_bytes_held_for_no_connection_have_a_deadline_that_progress_moves() -> None:
    table = Table()
    table.state.wire.owed += 5
    table.sockets.count(table.state, 5, 0.0)
    table.sockets.watch(table.state, 1.0)
    table.sockets.sent(table.state, 1, 4.0)
    assert table.due(9.999) == []
    assert table.due(10.0) == [WIRE_STALLED]
    table.sockets.judge(table.state, 10.0)
    assert table.outbox == []
    assert table.due(14.0) == [WIRE_STALLED]
    table.sockets.judge(table.state, 14.0)
    assert table.outbox == [CloseSocket(table.state.socket, flush=False)]


def test_bytes_held_for_a_connection_are_not_judged_by_the_table() -> None:
    table = Table()
    table.sockets.judge(table.state, 0.0)
    table.sockets.settle(table.state, table.connection)
    table.state.wire.owed += 5
    table.sockets.count(table.state, 5, 0.0)
    table.sockets.judge(table.state, 100.0)
    assert table.outbox == []


def test_a_connection_that_parts_leaves_its_held_bytes_and_reading_goes_on() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    table.sockets.stop_reading(table.state, BACKLOG)
    table.sockets.write(table.state, b"x" * 25, 0.0)
    table.sockets.part(table.state, 0.0)
    assert (table.state.connection, table.state.wire.reported, table.sockets.by_connection) == (None, 0, {})
    assert table.outbox[-1] == StartReading(table.state.socket)
    assert table.due(10.0) == [WIRE_STALLED]


def test_a_connection_that_parts_leaves_nothing_to_do_if_all_was_written_and_reading_goes_on() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    table.sockets.part(table.state, 0.0)
    assert (table.state.connection, table.sockets.by_connection, table.outbox) == (None, {}, [])


def test_bytes_held_while_the_gateway_closes_belong_to_no_connection() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    table.state.advance(SocketEvent.OPEN)
    table.state.advance(SocketEvent.CLOSE)
    table.sockets.write(table.state, b"x" * 25, 0.0)
    assert table.state.wire.reported == 0
    assert table.due(10.0) == [WIRE_STALLED]


def test_half_closing_and_closing_wait_for_what_was_written() -> None:
    table = Table()
    socket = table.state.socket
    table.sockets.write(table.state, b"x" * 25, 0.0)
    table.sockets.end_writing(table.state)
    table.sockets.shut(table.state, 0.0)
    assert table.state.codec_closed
    for size in (10, 10):
        table.sockets.sent(table.state, size, 0.0)
    assert table.outbox[-2:] == [EndWriting(socket), CloseSocket(socket)]


def test_bytes_held_for_a_connection_have_a_deadline_once_the_codec_is_done() -> None:
    table = Table()
    table.sockets.settle(table.state, table.connection)
    table.sockets.write(table.state, b"x" * 25, 0.0)
    assert len(table.timers) == 0
    table.sockets.shut(table.state, 0.0)
    assert table.due(10.0) == [WIRE_STALLED]


def test_closing_at_once_forgets_the_deadline() -> None:
    table = Table()
    table.sockets.write(table.state, b"x" * 25, 0.0)
    table.sockets.watch(table.state, 0.0)
    table.sockets.abort(table.state)
    assert table.due(100.0) == []


def test_an_abort_closes_the_socket_only_once() -> None:
    table = Table()
    table.sockets.write(table.state, b"x" * 25, 0.0)
    table.sockets.watch(table.state, 0.0)
    assert table.due(10.0) == [WIRE_STALLED]
    table.sockets.abort(table.state)
    table.sockets.abort(table.state)
    table.sockets.judge(table.state, 10.0)
    table.sockets.shut(table.state, 10.0)
    table.sockets.sent(table.state, 10, 10.0)
    table.sockets.watch(table.state, 10.0)
    table.sockets.write(table.state, b"late", 10.0)
    table.sockets.end_writing(table.state)
    assert table.outbox[1:] == [CloseSocket(table.state.socket, flush=False)]
    assert len(table.timers) == 0


def test_a_deadline_that_began_anew_while_the_old_one_fell_due_is_the_only_one() -> None:
    table = Table()
    table.sockets.write(table.state, b"x" * 25, 0.0)
    table.sockets.watch(table.state, 0.0)
    assert table.due(10.0) == [WIRE_STALLED]
    table.sockets.watch(table.state, 10.0)
    table.sockets.judge(table.state, 10.0)
    assert (len(table.timers), table.timers.next()) == (1, 20.0)


def test_a_socket_is_read_from_when_no_reason_against_it_is_left() -> None:
    table = Table()
    socket = table.state.socket
    table.sockets.start_reading(table.state, BUFFER)
    table.sockets.stop_reading(table.state, BUFFER)
    assert table.outbox == [StopReading(socket)]
    table.sockets.stop_reading(table.state, BACKLOG)
    table.sockets.start_reading(table.state, BUFFER)
    assert table.outbox == [StopReading(socket)]
    table.sockets.start_reading(table.state, BACKLOG)
    assert table.outbox == [StopReading(socket), StartReading(socket)]


def test_a_socket_whose_codec_has_shut_is_not_read_from_again() -> None:
    table = Table()
    table.sockets.stop_reading(table.state, BUFFER)
    table.sockets.shut(table.state, 0.0)
    table.sockets.start_reading(table.state, BUFFER)
    assert StartReading(table.state.socket) not in table.outbox


def test_a_codecs_deadline_is_armed_moved_forward_and_left_when_it_moves_back() -> None:
    table = Table()
    table.sockets.schedule(table.state)
    assert len(table.timers) == 0
    for due, armed in ((5.0, 5.0), (7.0, 5.0), (3.0, 3.0)):
        table.codec.due = due
        table.sockets.schedule(table.state)
        assert (table.timers.next(), len(table.timers)) == (armed, 1)
    assert table.due(3.0) == [CODEC_DUE]
    table.sockets.schedule(table.state)
    assert table.timers.next() == 3.0
    table.state.codec_closed = True
    table.codec.due = 1.0
    table.sockets.schedule(table.state)
    assert table.timers.next() == 3.0


def test_the_bytes_of_all_codecs_together_can_exceed_the_budget() -> None:
    table = Table(Config(memory_budget=1000, read_bytes=100))
    table.codec.buffered = 50
    table.sockets.measure(table.state, 0.0)
    assert table.gateway.health(0.0).memory == 0
    for held, exceeds in ((1000, False), (1001, True), (50, False)):
        table.codec.buffered = held
        assert table.sockets.exceeds(table.state) is exceeds
    table.sockets.buffered = 2000
    assert not table.sockets.exceeds(table.state)


@pytest.mark.parametrize("measured", [150, 999])
def test_reported_bytes_are_not_counted_twice(measured: int) -> None:
    table = Table(Config(memory_budget=1000, read_bytes=100))
    table.codec.buffered = measured
    table.sockets.measure(table.state, 0.0)
    assert table.gateway.health(0.0).memory == measured
    table.codec.buffered = 1000
    assert not table.sockets.exceeds(table.state)
    table.codec.buffered = 1001
    assert table.sockets.exceeds(table.state)


def test_one_byte_can_be_the_one_too_many() -> None:
    table = Table(Config(memory_budget=1000))
    table.codec.buffered = 1000
    table.sockets.measure(table.state, 0.0)
    table.codec.buffered = 1001
    assert table.sockets.exceeds(table.state)


def test_the_bytes_that_codecs_hold_are_reported_when_they_changed_by_one_read() -> None:
    table = Table(Config(read_bytes=100))
    for held, reported in ((50, 0), (50, 0), (99, 0), (100, 100), (120, 100), (1, 100), (0, 0)):
        table.codec.buffered = held
        table.sockets.measure(table.state, 0.0)
        assert table.gateway.health(0.0).memory == reported
    table.codec.buffered = 200
    table.sockets.measure(table.state, 0.0)
    table.state.codec_closed = True
    table.sockets.remove(table.state, 0.0)
    assert (table.sockets.buffered, table.gateway.health(0.0).memory) == (0, 0)


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.transports.switchboard.socket_state") == ["SocketState"]


def test_the_deadline_of_the_codec_before_is_forgotten() -> None:
    table = Table()
    table.codec.due = 5.0
    table.sockets.schedule(table.state)
    table.sockets.unschedule(table.state)
    assert (table.state.due, table.due(9.0)) == (None, [])
    table.sockets.schedule(table.state)
    assert table.due(5.0) == [CODEC_DUE]


def test_a_deadline_is_forgotten_when_it_has_come_unless_another_was_armed_meanwhile() -> None:
    table = Table()
    table.codec.due = 5.0
    table.sockets.schedule(table.state)
    first = table.timers.pop(5.0)
    assert first is not None
    table.sockets.schedule(table.state)
    second = table.state.due
    assert table.sockets.rang(first) is table.state
    assert table.state.due is second
    table.timers.disarm(second)
    assert second is not None
    assert table.sockets.rang(second).due is None
