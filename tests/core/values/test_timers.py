"""The heap of deadlines: order, lazy deletion, compaction."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.timers import SUSPENDED, Timer, Timers


def drain(timers: Timers, now: float) -> list[int]:
    keys = []
    while (timer := timers.pop(now)) is not None:
        keys.append(timer.key)
    return keys


def test_an_empty_heap_has_no_next_deadline() -> None:
    timers = Timers()
    assert timers.next() is None
    assert timers.pop(1e9) is None


def test_a_deadline_is_due_at_its_time_and_not_before() -> None:
    timers = Timers()
    timers.arm(5.0, "test", 1)
    assert timers.pop(4.999) is None
    timer = timers.pop(5.0)
    assert timer is not None
    assert (timer.when, timer.reason, timer.key) == (5.0, "test", 1)
    assert len(timers) == 0


def test_deadlines_of_equal_time_fire_in_the_order_in_which_they_were_armed() -> None:
    timers = Timers()
    for key in range(10):
        timers.arm(1.0, "test", key)
    assert drain(timers, 1.0) == list(range(10))


def test_a_disarmed_deadline_never_fires_and_is_never_next() -> None:
    timers = Timers()
    first = timers.arm(1.0, "test", 1)
    timers.arm(2.0, "test", 2)
    timers.arm(3.0, "test", 3)
    timers.disarm(first)
    assert timers.next() == 2.0
    assert len(timers) == 2
    assert drain(timers, 9.0) == [2, 3]


def test_disarming_nothing_a_fired_or_a_disarmed_deadline_is_harmless() -> None:
    timers = Timers()
    timer = timers.arm(1.0, "test", 1)
    timers.pop(1.0)
    timers.disarm(timer)
    timers.disarm(None)
    other = timers.arm(1.0, "test", 2)
    timers.disarm(other)
    timers.disarm(other)
    assert len(timers) == 0


def test_deadlines_that_fired_are_not_counted_as_disarmed() -> None:
    timers = Timers()
    fired, *_ = (timers.arm(float(key), "test", key) for key in range(5))
    assert timers.pop(0.0) is fired
    timers.disarm(fired)
    assert len(timers) == 4


def test_the_heap_is_rebuilt_when_disarmed_deadlines_outnumber_armed_ones() -> None:
    timers = Timers()
    armed = [timers.arm(float(key), "test", key) for key in range(10)]
    for timer in armed[:5]:
        timers.disarm(timer)
    assert len(timers._heap) == 10
    timers.disarm(armed[5])
    assert len(timers._heap) == len(timers) == 4


def test_disarmed_deadlines_never_outnumber_armed_ones() -> None:
    timers = Timers()
    armed = [timers.arm(float(key), "test", key) for key in range(1000)]
    for timer in armed[1:]:
        timers.disarm(timer)
        assert len(timers._heap) <= 2 * len(timers)
    assert drain(timers, 1e9) == [0]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans())))
def test_all_armed_deadlines_but_the_disarmed_ones_fire_in_order(plan: list[tuple[int, bool]]) -> None:
    timers = Timers()
    kept: list[tuple[float, int]] = []
    dropped: list[Timer] = []
    for key, (when, keep) in enumerate(plan):
        timer = timers.arm(float(when), "test", key)
        if keep:
            kept.append((float(when), key))
        else:
            dropped.append(timer)
    for timer in dropped:
        timers.disarm(timer)
    assert len(timers) == len(kept)
    assert drain(timers, 20.0) == [key for _, key in sorted(kept)]


def test_no_two_deadlines_of_a_heap_are_equal() -> None:
    timers = Timers()
    first, second, early = timers.arm(2.0, "b", 1), timers.arm(2.0, "a", 1), timers.arm(1.0, "c", 1)
    assert early < first < second
    assert first != second


def test_due_deadlines_are_handled_in_order_by_their_registered_functions() -> None:
    timers = Timers()
    done: list[tuple[str, int, float, bool]] = []
    timers.on("a", lambda key, now: done.append(("a", key, now, timers.suspended)))
    timers.on("b", lambda key, now: done.append(("b", key, now, timers.suspended)))
    timers.run(0.0)
    assert (done, timers.suspended) == ([], False)
    timers.arm(2.0, "a", 1)
    timers.arm(1.0, "b", 2)
    timers.arm(8.0, "a", 3)
    timers.run(6.0)
    assert done == [("b", 2, 6.0, False), ("a", 1, 6.0, False)]
    timers.run(8.0 + SUSPENDED + 0.001)
    assert done[2:] == [("a", 3, 13.001, True)]
