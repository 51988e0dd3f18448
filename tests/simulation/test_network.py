"""Links: they delay, merge, fragment and lose bytes, but never reorder or change them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from posthouse.adapters.simulation import LinkConditions, Seeded
from posthouse.adapters.simulation.network import Direction, Link
from posthouse.adapters.simulation.schedule import Schedule


class Pipe:
    """One direction of a link, and the bytes that arrived with their times."""

    def __init__(self, conditions: LinkConditions = LinkConditions(), seed: int = 0) -> None:
        self.schedule = Schedule()
        self.direction = Direction(self.schedule, Seeded(seed).stream("link"), conditions)
        self.arrived: list[tuple[float, bytes]] = []
        self.ended = 0
        self.direction.deliver = lambda data: self.arrived.append((self.schedule.now, data))
        self.direction.deliver_eof = self.end

    def end(self) -> None:
        self.ended += 1

    def run(self) -> bytes:
        while self.schedule.next() is not None:
            self.schedule.pop()()
        return b"".join(data for _, data in self.arrived)


all_conditions = st.builds(
    LinkConditions,
    latency=st.sampled_from([0.0, 0.5]),
    jitter=st.sampled_from([0.0, 2.0]),
    capacity=st.sampled_from([10, 1000]),
    fragment=st.sampled_from([0, 500, 1000]),
)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=10), all_conditions, st.integers())
def test_bytes_arrive_in_order_and_then_the_end(pieces: list[bytes], conditions: LinkConditions, seed: int) -> None:
    pipe = Pipe(conditions, seed)
    waiting = b"".join(pieces)

    def more() -> None:
        nonlocal waiting
        waiting = waiting[pipe.direction.write(waiting) :]

    pipe.direction.on_room = more
    more()
    taken = len(b"".join(pieces)) - len(waiting)
    assert taken <= conditions.capacity
    assert pipe.run() == b"".join(pieces)
    assert waiting == b""
    pipe.direction.end()
    pipe.direction.end()
    pipe.run()
    assert pipe.ended == 1
    assert [when for when, _ in pipe.arrived] == sorted(when for when, _ in pipe.arrived)


def test_bytes_arrive_after_their_latency_and_are_merged() -> None:
    pipe = Pipe(LinkConditions(latency=0.25))
    pipe.direction.write(b"one")
    pipe.direction.write(b"two")
    pipe.run()
    assert pipe.arrived == [(0.25, b"onetwo")]


def test_a_read_delivers_at_most_its_size() -> None:
    pipe = Pipe()
    pipe.direction.read_size = 4
    pipe.direction.write(b"0123456789")
    pipe.run()
    assert [data for _, data in pipe.arrived] == [b"0123", b"4567", b"89"]


def test_nothing_is_delivered_while_blocked_or_not_read() -> None:
    pipe = Pipe()
    link = Link(pipe.direction, Direction(pipe.schedule, Seeded(0).stream("x"), LinkConditions()))
    pipe.direction.write(b"x")
    link.block()
    assert pipe.run() == b""
    link.unblock()
    pipe.direction.reading = False
    assert pipe.run() == b""
    pipe.direction.reading = True
    pipe.direction.plan_delivery()
    assert pipe.run() == b"x"


def test_a_cut_loses_the_bytes_in_the_pipes() -> None:
    pipe = Pipe()
    link = Link(pipe.direction, Direction(pipe.schedule, Seeded(0).stream("x"), LinkConditions()))
    pipe.direction.write(b"x")
    link.cut()
    assert (link.up.closed, link.down.closed) == (True, True)
    assert pipe.direction.write(b"nobody reads it") == 15
    assert (pipe.run(), pipe.ended) == (b"", 0)
