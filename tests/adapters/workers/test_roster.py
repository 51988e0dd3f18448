"""The roster: who runs, who is replaced, and when a dead worker is followed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from posthouse.adapters.workers.roster import Action, Finish, Kill, Patience, Report, Roster, Start, Stop

PATIENCE = Patience(start=60.0, stop=35.0, silence=30.0)


def did(roster: Roster) -> list[Action]:
    """What the roster has asked for since the last look, without its reports."""
    actions: list[Action] = [action for action in roster.outbox if not isinstance(action, Report)]
    roster.outbox.clear()
    return actions


def reports(roster: Roster) -> list[str]:
    """The events that it has reported since the last look."""
    events = [action.event for action in roster.outbox if isinstance(action, Report)]
    roster.outbox.clear()
    return events


def serving(count: int) -> Roster:
    """A roster whose workers 1 to `count` serve since the time 0."""
    roster = Roster(count, PATIENCE)
    roster.begin(0.0)
    for number in range(1, count + 1):
        roster.accepts(number, 0.0)
    roster.outbox.clear()
    return roster


def test_the_others_start_when_the_first_one_serves() -> None:
    roster = Roster(3)
    roster.begin(0.0)
    assert did(roster) == [Start(1, 0)]
    roster.accepts(1, 1.0)
    assert did(roster) == [Start(2, 1), Start(3, 2)]
    roster.accepts(2, 1.0)
    roster.accepts(2, 1.0)
    roster.accepts(99, 1.0)
    assert did(roster) == []


def test_a_service_that_cannot_be_served_is_tried_once_and_its_exit_code_is_that_of_all() -> None:
    for status, code in ((2, 2), (1, 1), (0, 1), (-9, 1)):
        roster = Roster(3)
        roster.begin(0.0)
        did(roster)
        roster.exited(1, status, 0.5)
        assert roster.outbox[0] == Report(
            "workers.failed", "the service cannot be served: no further worker starts", 1, status
        )
        assert did(roster) == [Finish(code)]
        assert roster.next_timeout() is None


def test_a_dead_worker_is_followed_after_a_pause_that_grows_until_one_lasts() -> None:
    roster = serving(2)
    now, number = 1.0, 1
    for pause in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0):
        roster.exited(number, -9, now)
        text = f"a worker died: another one starts in {pause:g} s"
        assert roster.outbox == [Report("worker.died", text, number, -9)]
        roster.lives(2, now)
        assert roster.next_timeout() == min(now + pause, now + 30.0)
        roster.handle_timeout(now + pause * 0.999)
        assert did(roster) == []
        now += pause
        roster.lives(2, now)
        roster.handle_timeout(now)
        (started,) = did(roster)
        assert isinstance(started, Start) and started.place == 0
        number = started.worker
        roster.accepts(number, now)
    roster.lives(2, now + 10.0)
    roster.exited(number, 1, now + 10.0)
    assert "in 0.1 s" in str(roster.outbox[0])


def test_workers_are_replaced_one_after_the_other_and_the_old_one_goes_when_the_new_one_serves() -> None:
    roster = serving(2)
    roster.replace(1.0)
    assert did(roster) == [Start(3, 0)]
    roster.accepts(3, 2.0)
    assert did(roster) == [Stop(1)]
    roster.exited(1, 0, 3.0)
    assert did(roster) == [Start(4, 1)]
    roster.accepts(4, 4.0)
    assert did(roster) == [Stop(2)]
    roster.exited(2, 0, 5.0)
    assert reports(roster) == ["workers.replaced"]
    assert sorted(roster.workers) == [3, 4]


def test_a_second_request_while_they_are_replaced_replaces_them_once_more() -> None:
    roster = serving(1)
    roster.replace(1.0)
    roster.replace(1.0)
    roster.replace(1.0)
    roster.accepts(2, 2.0)
    roster.exited(1, 0, 2.0)
    assert did(roster) == [Start(2, 0), Stop(1), Start(3, 0)]
    roster.accepts(3, 3.0)
    roster.exited(2, 0, 3.0)
    assert did(roster) == [Stop(2)]
    assert sorted(roster.workers) == [3]


def test_a_new_worker_that_does_not_serve_leaves_the_old_ones() -> None:
    roster = serving(2)
    roster.replace(1.0)
    roster.replace(1.0)
    did(roster)
    roster.exited(3, 2, 2.0)
    assert reports(roster) == ["workers.not_replaced"]
    assert sorted(roster.workers) == [1, 2]
    roster.replace(3.0)
    assert did(roster) == [Start(4, 0)]


def test_an_old_worker_that_dies_while_its_successor_starts_is_not_followed_by_a_third() -> None:
    roster = serving(2)
    roster.replace(1.0)
    roster.exited(1, -11, 1.0)
    roster.accepts(3, 2.0)
    assert did(roster) == [Start(3, 0), Start(4, 1)]


def test_if_both_die_the_place_gets_another_one_and_the_replacement_goes_on() -> None:
    roster = serving(2)
    roster.replace(1.0)
    roster.exited(1, -11, 1.0)
    roster.exited(3, -11, 1.0)
    assert reports(roster) == ["worker.died"]
    roster.handle_timeout(1.1)
    assert did(roster) == [Start(4, 0)]
    roster.accepts(4, 1.2)
    assert did(roster) == [Start(5, 1)]


def test_a_successor_that_dies_while_the_old_one_drains_is_followed() -> None:
    roster = serving(1)
    roster.replace(1.0)
    roster.accepts(2, 1.0)
    roster.exited(2, -9, 2.0)
    assert reports(roster) == ["worker.died"]
    roster.exited(1, 0, 2.05)
    roster.handle_timeout(2.1)
    assert did(roster) == [Start(3, 0)]
    roster.accepts(3, 2.2)
    assert reports(roster) == ["workers.replaced"]
    roster.replace(3.0)
    assert did(roster) == [Start(4, 0)]


def test_an_older_worker_that_serves_late_does_not_stop_its_successor() -> None:
    roster = serving(2)
    roster.exited(1, -9, 0.0)
    roster.handle_timeout(0.1)
    roster.replace(0.2)
    did(roster)
    roster.accepts(3, 0.3)
    assert did(roster) == []
    roster.accepts(4, 0.4)
    assert did(roster) == [Stop(3)]
    roster.exited(3, 0, 0.5)
    assert did(roster) == [Start(5, 1)]


def test_without_an_overlap_the_old_one_ends_before_the_new_one_starts() -> None:
    roster = Roster(1, PATIENCE, overlap=False)
    roster.begin(0.0)
    roster.accepts(1, 0.0)
    did(roster)
    roster.replace(1.0)
    roster.replace(1.0)
    assert did(roster) == [Stop(1)]
    roster.exited(1, 0, 2.0)
    assert did(roster) == [Start(2, 0)]
    roster.accepts(2, 3.0)
    assert did(roster) == [Stop(2)]
    roster.exited(2, 0, 4.0)
    assert did(roster) == [Start(3, 0)]
    roster.exited(3, 2, 4.5)  # the new code is wrong: it is tried again
    assert reports(roster) == ["worker.died"]
    roster.handle_timeout(5.0)
    assert did(roster) == [Start(4, 0)]
    roster.accepts(4, 5.0)
    assert reports(roster) == ["workers.replaced"]
    roster.exited(4, 1, 6.0)
    roster.replace(6.0)
    assert did(roster) == [Start(5, 0)]


def test_a_place_without_a_worker_gets_a_new_one_at_once_when_its_turn_comes() -> None:
    roster = serving(2)
    roster.exited(2, 1, 1.0)
    roster.replace(1.0)
    roster.accepts(3, 1.0)
    roster.exited(1, 0, 1.0)
    assert did(roster) == [Start(3, 0), Stop(1), Start(4, 1)]
    roster.handle_timeout(2.0)
    assert did(roster) == []
    roster.accepts(4, 2.0)
    assert reports(roster) == ["workers.replaced"]


def test_a_worker_that_keeps_silent_is_killed_and_followed() -> None:
    roster = serving(1)
    roster.lives(1, 10.0)
    roster.handle_timeout(39.999)
    assert did(roster) == []
    roster.handle_timeout(40.0)
    assert [type(action) for action in roster.outbox] == [Report, Kill]
    roster.outbox.clear()
    roster.handle_timeout(74.999)
    assert did(roster) == []
    roster.exited(1, -9, 75.0)
    assert reports(roster) == ["worker.died"]


def test_a_worker_that_neither_starts_nor_ends_is_killed() -> None:
    roster = Roster(1, PATIENCE)
    roster.begin(0.0)
    roster.lives(1, 59.0)
    roster.handle_timeout(60.0)
    assert did(roster) == [Start(1, 0), Kill(1)]
    roster = serving(1)
    roster.shut_down(1.0)
    roster.handle_timeout(35.999)
    assert did(roster) == [Stop(1)]
    roster.handle_timeout(36.0)
    assert did(roster) == [Kill(1)]


def test_a_shut_down_ends_all_and_a_second_one_at_once() -> None:
    roster = serving(2)
    roster.replace(0.5)
    roster.exited(2, 1, 0.5)
    did(roster)
    roster.shut_down(1.0)
    assert did(roster) == [Stop(1), Stop(3)]
    roster.replace(1.0)
    roster.accepts(3, 1.0)
    roster.exited(1, 0, 2.0)
    roster.shut_down(2.0)
    assert did(roster) == [Kill(3)]
    roster.exited(3, -9, 2.0)
    assert did(roster) == [Finish(1)]
    assert roster.next_timeout() is None
    roster = serving(1)
    roster.shut_down(1.0)
    roster.exited(1, 0, 1.0)
    assert did(roster) == [Stop(1), Finish(0)]


def test_a_shut_down_while_no_worker_runs_ends_at_once() -> None:
    roster = serving(1)
    roster.exited(1, 1, 1.0)
    did(roster)
    roster.shut_down(1.0)
    assert did(roster) == [Finish(0)]


def test_nothing_is_replaced_before_the_first_one_serves() -> None:
    roster = Roster(2)
    roster.begin(0.0)
    did(roster)
    roster.replace(0.0)
    roster.accepts(1, 0.0)
    assert did(roster) == [Start(2, 1)]


STEPS = st.lists(
    st.tuples(st.sampled_from(["accepts", "lives", "exits", "replace", "time"]), st.integers(0, 7)), max_size=60
)


@settings(max_examples=500)
@given(count=st.integers(1, 3), steps=STEPS, overlap=st.booleans())
def test_whatever_happens_each_place_has_at_most_two_workers_and_in_the_end_one(
    count: int, steps: list[tuple[str, int]], overlap: bool
) -> None:
    roster, now = Roster(count, PATIENCE, overlap=overlap), 0.0
    roster.begin(now)
    roster.accepts(1, now)
    for step, chosen in steps:
        numbers = sorted(roster.workers)
        if step == "time":
            now += (0.05, 0.1, 1.0, 9.0, 11.0, 29.0, 31.0, 61.0)[chosen]
            roster.handle_timeout(now)
        elif step == "replace":
            roster.replace(now)
        elif numbers:
            number = numbers[chosen % len(numbers)]
            if step == "exits":
                roster.exited(number, (0, 1, -9)[chosen % 3], now)
            elif step == "accepts":
                roster.accepts(number, now)
            else:
                roster.lives(number, now)
        places = [worker.place for worker in roster.workers.values()]
        assert all(places.count(place) <= 1 + overlap for place in range(count))
        assert not any(isinstance(action, Finish) for action in roster.outbox)
    for _ in range(12 * count + 12):  # from now on, every worker does what it is asked for
        now = max(now, roster.next_timeout() or now)
        for worker in list(roster.workers.values()):
            if worker.state == "starting":
                roster.accepts(worker.number, now)
            elif worker.state == "stopping":
                roster.exited(worker.number, 0, now)
            else:
                roster.lives(worker.number, now)
        roster.handle_timeout(now)
    assert sorted(worker.place for worker in roster.workers.values()) == list(range(count))
    roster.outbox.clear()
    roster.replace(now)
    first = roster.outbox[0]  # no replacement is stuck
    assert isinstance(first, Start if overlap else Stop)
    roster.exited(first.worker, 1, now)
    roster.outbox.clear()
    roster.shut_down(now)
    for action in list(roster.outbox):
        assert isinstance(action, Stop)
        roster.exited(action.worker, 0, now)
    assert roster.outbox[-1] == Finish(0)
    assert roster.workers == {}
