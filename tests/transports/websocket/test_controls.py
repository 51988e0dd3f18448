"""The allowance of control frames, on a clock that the test holds."""

from __future__ import annotations

import pytest
from posthouse.core.values.config import Config
from posthouse.transports.websocket.controls import Controls


def controls(**limits: float) -> Controls:
    return Controls(Config.from_mapping({"control_burst": 2, "control_rate": 10.0} | limits), 0.0)


def ping(machine: Controls, payload: bytes, now: float, *, paused: bool = False) -> bytes | None:
    assert machine.charge(now)
    return machine.answer(payload, paused=paused)


def test_pings_within_the_burst_are_answered_in_order() -> None:
    machine = controls()
    assert [ping(machine, b"a", 0.0), ping(machine, b"b", 0.0)] == [b"a", b"b"]
    assert machine.due() is None


def test_beyond_the_burst_only_the_latest_is_answered_when_the_bucket_has_recovered() -> None:
    machine = controls()
    answers = [ping(machine, payload, 0.0) for payload in (b"a", b"b", b"c", b"d")]
    assert answers == [b"a", b"b", None, None]
    assert machine.due() == pytest.approx(0.2)
    assert machine.release(0.19) is None
    assert machine.release(0.2) == b"d"
    assert machine.release(0.3) is None


def test_pongs_do_not_put_off_an_answer_that_waits() -> None:
    machine = controls()
    assert [ping(machine, payload, 0.0) for payload in (b"a", b"b", b"c")] == [b"a", b"b", None]
    due = machine.due()
    assert machine.charge(0.05)
    assert machine.due() == due == pytest.approx(0.1)
    assert machine.release(0.1) == b"c"


def test_a_bucket_that_is_full_again_and_owes_no_answer_is_as_good_as_a_new_one() -> None:
    machine = controls()
    assert machine.full(0.0)
    assert ping(machine, b"a", 1.0) == b"a"
    assert [machine.full(1.05), machine.full(1.1)] == [False, True]
    assert ping(machine, b"b", 2.0, paused=True) is None
    assert not machine.full(9.0)
    assert machine.release(9.0) == b"b"
    assert machine.full(9.0)


def test_twice_the_burst_is_one_too_many() -> None:
    machine = controls()
    assert [machine.charge(0.0) for _ in range(5)] == [True, True, True, True, False]


def test_the_bucket_refills_at_its_rate_and_no_further_than_the_burst() -> None:
    machine = controls()
    assert [machine.charge(now / 10) for now in range(100)] == [True] * 100
    assert [machine.charge(100.0) for _ in range(5)] == [True, True, True, True, False]


def test_while_output_is_paused_only_the_latest_is_remembered() -> None:
    machine = controls()
    assert ping(machine, b"a", 0.0, paused=True) is None
    assert ping(machine, b"b", 0.0, paused=True) is None
    assert machine.due() == 0.0
    assert machine.release(0.0) == b"b"


def test_an_answer_that_waits_only_for_output_does_not_wait_for_the_bucket() -> None:
    machine = controls()
    assert machine.due() is None
    ping(machine, b"a", 5.0, paused=True)
    assert machine.due() == 5.0


def test_an_answer_that_is_given_at_once_takes_the_place_of_one_that_waits() -> None:
    machine = controls()
    for payload in (b"a", b"b", b"c"):
        ping(machine, payload, 0.0)
    assert ping(machine, b"d", 1.0) == b"d"
    assert machine.due() is None
