"""The verdict of `make timing`: chance is no difference, and a difference is no chance."""

from __future__ import annotations

import random

import pytest

from tools import timing


def times(middle: float, seed: int) -> list[float]:
    stream = random.Random(seed)
    return [middle + stream.gauss(0.0, 0.001) for _ in range(200)]


@pytest.mark.parametrize(("difference", "within"), [(0.0, True), (0.001, False)])
def test_a_difference_of_medians_is_compared_with_the_one_that_chance_makes(difference: float, within: bool) -> None:
    random.seed(1)
    found = {"known": times(0.02, 1), "repeats": times(0.02, 2), "unknown": times(0.02 + difference, 3)}
    assert timing.report(found) is within


def test_a_right_token_is_shown_and_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    random.seed(1)
    found = {"wrong": times(0.02, 1), "repeats": times(0.02, 2), timing.TELLS: times(0.05, 3)}
    assert timing.report(found) is True
    shown = capsys.readouterr().out
    assert (timing.TELLS in shown, "above the noise" in shown) == (True, False)


def test_a_request_with_basic_credentials_is_written_as_clients_do() -> None:
    assert timing.basic("ada", "x") == "Basic YWRhOng="
