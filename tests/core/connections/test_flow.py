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

    __slots__ = ("shared",)

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


def test_while_the_socket_takes_everything_nothing_is_counted() -> None:
    machine, outbox, timers = flow()
    assert machine.send(ONE, b"reply") is None
    assert machine.push(ONE, b"push", 0.0) is None
    assert outbox == [Transmit(ONE, b"reply"), Transmit(ONE, b"push")]
    assert (machine.total, machine.backlogs, len(timers)) == (0, {}, 0)


def test_what_is_held_pauses_reading_once_and_queues_what_follows() -> None:
    machine, outbox, timers = flow()
    machine.hold(ONE, 10, 0.0)
    machine.hold(ONE, 5, 0.0)
    assert machine.send(ONE, b"abc") is None
    assert machine.push(ONE, b"de", 0.0) is None
    assert outbox == [PauseReading(ONE)]
    assert (machine.held(ONE), machine.held(TWO), machine.total) == (15, 0, 20)
    assert timers.next() == 10.0


def test_other_peers_do_not_notice() -> None:
    machine, outbox, _ = flow()
    machine.hold(ONE, 10, 0.0)
    outbox.clear()
    machine.push(TWO, b"push", 0.0)
    assert outbox == [Transmit(TWO, b"push")]


def test_when_all_has_gone_reading_begins_again_and_nothing_is_left() -> None:
    machine, outbox, timers = flow()
    machine.hold(ONE, 10, 0.0)
    machine.sent(ONE, 4, 1.0)
    assert machine.breached() == []
    machine.sent(ONE, 6, 2.0)
    assert machine.breached() == []
    assert outbox == [PauseReading(ONE), ResumeReading(ONE)]
    assert (machine.total, machine.backlogs, len(timers)) == (0, {}, 0)


def test_the_queue_leaves_in_order_in_portions_of_write_ahead_each_reported() -> None:
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


def test_replies_may_fill_their_limit_and_not_one_byte_more() -> None:
    machine, _, _ = flow(max_queued_replies_bytes=100)
    machine.hold(ONE, 1000, 0.0)
    assert machine.send(ONE, b"x" * 99) is None
    assert machine.send(ONE, b"x") is None
    assert machine.send(ONE, b"x") is MAX_QUEUED_REPLIES_BYTES


def test_what_has_gone_leaves_room_for_as_much_again() -> None:
    machine, _, _ = flow(max_queued_replies_bytes=100, max_queued_pushes_bytes=100, max_queued_pushes=2)
    machine.hold(ONE, 1, 0.0)
    for _ in range(3):
        assert machine.send(ONE, b"x" * 100) is None
        assert machine.push(ONE, b"x" * 50, 0.0) is None
        assert machine.push(ONE, b"x" * 50, 0.0) is None
        machine.sent(ONE, 1, 0.0)
        machine.sent(ONE, 199, 0.0)
    assert machine.send(ONE, b"x" * 101) is MAX_QUEUED_REPLIES_BYTES
    assert machine.push(ONE, b"x" * 101, 0.0) is MAX_QUEUED_PUSHES_BYTES


def test_pushes_may_fill_their_limit_of_bytes_and_not_one_more() -> None:
    machine, _, _ = flow(max_queued_pushes_bytes=100)
    machine.hold(ONE, 1000, 0.0)
    assert machine.push(ONE, b"x" * 99, 0.0) is None
    assert machine.push(ONE, b"x", 0.0) is None
    assert machine.push(ONE, b"x", 0.0) is MAX_QUEUED_PUSHES_BYTES


def test_pushes_may_fill_their_number_and_not_one_more() -> None:
    machine, _, _ = flow(max_queued_pushes=3)
    machine.hold(ONE, 1000, 0.0)
    assert [machine.push(ONE, b"x", 0.0) for _ in range(4)] == [None, None, None, MAX_QUEUED_PUSHES]


def test_a_push_may_be_as_old_as_the_limit_and_no_older() -> None:
    machine, _, _ = flow(max_push_age=10.0)
    machine.hold(ONE, 1000, 0.0)
    assert machine.push(ONE, b"x", 5.0) is None
    assert machine.push(ONE, b"x", 15.0) is None
    assert machine.push(ONE, b"x", 15.001) is MAX_PUSH_AGE


def test_the_age_of_pushes_is_seen_when_bytes_go_too() -> None:
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


def test_replies_have_no_age() -> None:
    machine, _, _ = flow(max_push_age=10.0)
    machine.hold(ONE, 2, 0.0)
    machine.send(ONE, b"x")
    machine.sent(ONE, 1, 100.0)
    assert machine.breached() == []


def test_a_peer_that_makes_no_progress_is_stalled_at_the_deadline_exactly() -> None:
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


def test_a_deadline_is_one_of_writing_and_of_its_connection() -> None:
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


def test_dropping_with_flush_hands_out_what_was_queued() -> None:
    machine, outbox, _ = flow()
    machine.hold(ONE, 10, 0.0)
    machine.send(ONE, b"reply")
    machine.push(ONE, b"push", 0.0)
    outbox.clear()
    machine.drop(closing(flush=True), 0.0)
    assert outbox == [Transmit(ONE, b"reply"), Transmit(ONE, b"push")]
    assert machine.total == 0


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
def test_every_payload_leaves_once_in_order_and_the_sums_add_up(steps: list[tuple[str, int]], ahead: int) -> None:
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
