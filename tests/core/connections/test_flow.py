"""Backlogs of slow peers: what is held, what is queued, and when it is too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.flow import WRITE_STALLED, Flow
from posthouse.core.values.close_reasons import (
    MAX_PUSH_AGE,
    MAX_QUEUED_PUSHES,
    MAX_QUEUED_PUSHES_BYTES,
    MAX_QUEUED_REPLIES_BYTES,
    WRITE_TIMEOUT,
    CloseReason,
)
from posthouse.core.values.effects import Effect, PauseReading, ResumeReading, Transmit
from posthouse.core.values.peers import ConnectionId, Peer
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timers

from tests.core.world import shared
from tests.values import changeable

ONE = ConnectionId(1)
TWO = ConnectionId(2)


class Machine(Flow):
    """A flow with its surroundings in sight."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self.shared = shared

    @property
    def total(self) -> int:
        """The bytes that are held for peers."""
        return self.shared.held

    def breached(self) -> list[CloseReason]:
        """Why ONE is to be closed, since this was last asked."""
        reasons = [reason for _, reason in self.shared.breaches]
        assert [connection for connection, _ in self.shared.breaches] == [ONE] * len(reasons)
        self.shared.breaches.clear()
        return reasons


def flow(**limits: float) -> tuple[Machine, list[Effect], Timers]:
    around = shared(**limits)
    return Machine(around), around.outbox, around.timers


def closing(*, flush: bool) -> Connection:
    """The record of ONE, which is being closed."""
    record = Connections(shared()).add(Peer("websocket"), 0.0)
    record.flush = flush
    return record


def test_while_the_socket_takes_all_bytes_nothing_is_counted() -> None:
    machine, outbox, timers = flow()
    machine.send(ONE, b"reply")
    machine.push(ONE, b"push", 0.0)
    assert outbox == [Transmit(ONE, b"reply"), Transmit(ONE, b"push")]
    assert (machine.total, machine.backlogs, len(timers)) == (0, {}, 0)


def test_held_bytes_pause_reading_once_and_queue_later_payloads() -> None:
    machine, outbox, timers = flow()
    machine.hold(ONE, 10, 0.0)
    machine.hold(ONE, 5, 0.0)
    machine.send(ONE, b"abc")
    machine.push(ONE, b"de", 0.0)
    assert outbox == [PauseReading(ONE)]
    assert (machine.held(ONE), machine.held(TWO), machine.total) == (15, 0, 20)
    assert timers.next() == 10.0


def test_a_slow_peer_does_not_affect_others() -> None:
    machine, outbox, _ = flow()
    machine.hold(ONE, 10, 0.0)
    outbox.clear()
    machine.push(TWO, b"push", 0.0)
    assert outbox == [Transmit(TWO, b"push")]


def test_slow_peers_are_found_among_few_and_among_many() -> None:
    machine, _, _ = flow()
    assert machine.slow_among({ONE: None}) == []
    machine.hold(ONE, 10, 0.0)
    assert machine.slow_among({ONE: None, TWO: None}) == [ONE]
    assert machine.slow_among({TWO: None}) == []
    machine.hold(TWO, 10, 0.0)
    assert machine.slow_among({TWO: None}) == [TWO]


def test_when_all_bytes_are_sent_reading_resumes_and_the_backlog_is_forgotten() -> None:
    machine, outbox, timers = flow()
    machine.hold(ONE, 10, 0.0)
    machine.sent(ONE, 4, 1.0)
    assert machine.breached() == []
    machine.sent(ONE, 6, 2.0)
    assert machine.breached() == []
    assert outbox == [PauseReading(ONE), ResumeReading(ONE)]
    assert (machine.total, machine.backlogs, len(timers)) == (0, {}, 0)


def test_the_queue_is_sent_in_order_in_portions_of_write_ahead() -> None:
    machine, outbox, _ = flow(write_ahead=10)
    machine.hold(ONE, 1, 0.0)
    for payload in (b"a" * 6, b"b" * 4, b"c" * 3, b"d" * 30, b"e"):
        machine.send(ONE, payload)
    outbox.clear()
    machine.sent(ONE, 1, 1.0)
    assert outbox == [Transmit(ONE, b"a" * 6, True), Transmit(ONE, b"b" * 4, True)]
    outbox.clear()
    machine.sent(ONE, 6, 1.0)
    assert outbox == []
    machine.sent(ONE, 4, 1.0)
    assert outbox == [Transmit(ONE, b"c" * 3, True)]
    outbox.clear()
    machine.sent(ONE, 3, 1.0)
    assert outbox == [Transmit(ONE, b"d" * 30, True)]
    outbox.clear()
    machine.sent(ONE, 30, 1.0)
    machine.sent(ONE, 1, 1.0)
    assert outbox == [Transmit(ONE, b"e", True), ResumeReading(ONE)]
    assert machine.total == 0


def test_replies_may_fill_their_limit_but_not_exceed_it() -> None:
    machine, _, _ = flow(max_queued_replies_bytes=100)
    machine.hold(ONE, 1000, 0.0)
    machine.send(ONE, b"x" * 99)
    machine.send(ONE, b"x")
    assert machine.breached() == []
    machine.send(ONE, b"x")
    assert machine.breached() == [MAX_QUEUED_REPLIES_BYTES]


def test_sent_bytes_leave_room_in_the_queue() -> None:
    machine, _, _ = flow(max_queued_replies_bytes=100, max_queued_pushes_bytes=100, max_queued_pushes=2)
    machine.hold(ONE, 1, 0.0)
    for _ in range(3):
        machine.send(ONE, b"x" * 100)
        machine.push(ONE, b"x" * 50, 0.0)
        machine.push(ONE, b"x" * 50, 0.0)
        machine.sent(ONE, 1, 0.0)
        machine.sent(ONE, 199, 0.0)
    assert machine.breached() == []
    machine.send(ONE, b"x" * 101)
    assert machine.breached() == [MAX_QUEUED_REPLIES_BYTES]
    machine.push(ONE, b"x" * 101, 0.0)
    assert machine.breached() == [MAX_QUEUED_PUSHES_BYTES]


def test_pushes_may_fill_their_limit_of_bytes_but_not_exceed_it() -> None:
    machine, _, _ = flow(max_queued_pushes_bytes=100)
    machine.hold(ONE, 1000, 0.0)
    machine.push(ONE, b"x" * 99, 0.0)
    machine.push(ONE, b"x", 0.0)
    assert machine.breached() == []
    machine.push(ONE, b"x", 0.0)
    assert machine.breached() == [MAX_QUEUED_PUSHES_BYTES]


def test_pushes_may_fill_their_limit_of_number_but_not_exceed_it() -> None:
    machine, _, _ = flow(max_queued_pushes=3)
    machine.hold(ONE, 1000, 0.0)
    for _ in range(3):
        machine.push(ONE, b"x", 0.0)
    assert machine.breached() == []
    machine.push(ONE, b"x", 0.0)
    assert machine.breached() == [MAX_QUEUED_PUSHES]


def test_a_push_may_be_as_old_as_the_limit_but_not_older() -> None:
    machine, _, _ = flow(max_push_age=10.0)
    machine.hold(ONE, 1000, 0.0)
    machine.push(ONE, b"x", 5.0)
    machine.push(ONE, b"x", 15.0)
    assert machine.breached() == []
    machine.push(ONE, b"x", 15.001)
    assert machine.breached() == [MAX_PUSH_AGE]


def test_the_age_of_pushes_is_also_checked_when_bytes_are_sent() -> None:
    machine, _, _ = flow(max_push_age=10.0)
    machine.hold(ONE, 3, 0.0)
    machine.push(ONE, b"x", 0.0)
    machine.sent(ONE, 1, 10.0)
    assert machine.breached() == []
    machine.sent(ONE, 1, 10.001)
    assert machine.breached() == [MAX_PUSH_AGE]
    machine.sent(ONE, 1, 11.0)
    assert machine.breached() == [MAX_PUSH_AGE]
    machine.sent(ONE, 1, 12.0)
    assert machine.breached() == []


def test_replies_have_no_maximum_age() -> None:
    machine, _, _ = flow(max_push_age=10.0)
    machine.hold(ONE, 2, 0.0)
    machine.send(ONE, b"x")
    machine.sent(ONE, 1, 100.0)
    assert machine.breached() == []


def test_a_peer_without_progress_breaches_the_write_timeout_exactly_at_the_deadline() -> None:
    machine, _, timers = flow(write_timeout=10.0)
    machine.hold(ONE, 100, 0.0)
    machine.sent(ONE, 1, 4.0)
    timers.run(10.0)
    assert machine.breached() == []
    assert timers.next() == 14.0
    timers.run(13.999)
    assert machine.breached() == []
    timers.run(14.0)
    assert machine.breached() == [WRITE_TIMEOUT]


def test_the_deadline_of_a_backlog_has_its_reason_and_its_connection() -> None:
    machine, _, timers = flow(write_timeout=10.0)
    machine.hold(TWO, 1, 0.0)
    timer = timers.pop(10.0)
    assert timer is not None
    assert (timer.reason, timer.key) == (WRITE_STALLED, TWO)


def test_dropping_a_backlog_forgets_it() -> None:
    machine, outbox, timers = flow()
    machine.hold(ONE, 10, 0.0)
    machine.send(ONE, b"reply")
    machine.push(ONE, b"push", 0.0)
    outbox.clear()
    machine.drop(closing(flush=False), 0.0)
    machine.drop(closing(flush=False), 0.0)
    assert (outbox, machine.total, machine.backlogs, len(timers)) == ([], 0, {}, 0)
    assert machine._shared.stats.counters == {"dropped.replies": 1, "dropped.pushes": 1}
    levels = {"max_queued_replies_bytes": 5, "max_queued_pushes_bytes": 4, "max_queued_pushes": 1}
    assert machine._shared.stats.levels == levels


def test_dropping_with_flush_sends_the_queued_payloads() -> None:
    machine, outbox, _ = flow()
    machine.hold(ONE, 10, 0.0)
    machine.send(ONE, b"reply")
    machine.push(ONE, b"push", 0.0)
    outbox.clear()
    machine.drop(closing(flush=True), 0.0)
    assert outbox == [Transmit(ONE, b"reply"), Transmit(ONE, b"push")]
    assert machine.total == 0
    assert machine._shared.stats.counters == {}


def test_a_backlog_of_bytes_that_the_socket_holds_drops_no_message() -> None:
    machine, _, _ = flow()
    machine.hold(ONE, 10, 0.0)
    machine.drop(closing(flush=False), 0.0)
    assert machine._shared.stats.counters == {}


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(1, 30)),
            st.tuples(st.just("push"), st.integers(1, 30)),
            st.tuples(st.just("hold"), st.integers(1, 30)),
            st.tuples(st.just("sent"), st.integers(1, 30)),
        )
    ),
    st.integers(1, 40),
)
def test_every_payload_is_sent_once_in_order_and_the_counts_match(steps: list[tuple[str, int]], ahead: int) -> None:
    machine, outbox, timers = flow(write_ahead=ahead)
    given_out: list[bytes] = []
    offered: list[bytes] = []
    owed = 0

    def perform() -> None:
        nonlocal owed
        for effect in outbox:
            if isinstance(effect, Transmit):
                given_out.append(effect.data)
                owed += len(effect.data) if effect.report else 0
        outbox.clear()

    for number, (step, size) in enumerate(steps):
        payload = bytes([number % 256]) * size
        if step == "hold":
            machine.hold(ONE, size, 0.0)
            owed += size
        elif step == "sent":
            going = min(size, owed)
            if going:
                owed -= going
                machine.sent(ONE, going, 0.0)
        else:
            offered.append(payload)
            if step == "send":
                machine.send(ONE, payload)
            else:
                machine.push(ONE, payload, 0.0)
        perform()
        assert machine.held(ONE) == owed
        backlog = machine.backlogs.get(ONE)
        queued = [] if backlog is None else [entry.data for entry in backlog.queue]
        assert given_out + queued == offered
        assert machine.total == owed + sum(map(len, queued))
    while owed:
        going, owed = owed, 0
        machine.sent(ONE, going, 0.0)
        perform()
    assert given_out == offered
    assert (machine.total, len(timers)) == (0, 0)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.connections.flow") == ["Backlog"]


def test_a_peer_that_has_taken_everything_gets_what_waits_elsewhere_before_it_is_read() -> None:
    machine = Machine(shared(write_ahead=9))
    waiting = [[b"one", b"two"], [b"three"], []]
    asked: list[tuple[ConnectionId, int]] = []

    def refill(connection: ConnectionId, room: int) -> list[bytes]:
        asked.append((connection, room))
        return waiting.pop(0)

    machine.refill = refill
    machine.hold(ONE, 10, 0.0)
    machine.shared.outbox.clear()
    machine.sent(ONE, 10, 1.0)
    assert machine.shared.outbox == [Transmit(ONE, b"one", report=True), Transmit(ONE, b"two", report=True)]
    assert (machine.held(ONE), machine.total) == (6, 6)
    machine.shared.outbox.clear()
    machine.sent(ONE, 6, 2.0)
    machine.sent(ONE, 5, 3.0)
    assert machine.shared.outbox == [Transmit(ONE, b"three", report=True), ResumeReading(ONE)]
    assert (machine.backlogs, machine.total, asked) == ({}, 0, [(ONE, 9)] * 3)
