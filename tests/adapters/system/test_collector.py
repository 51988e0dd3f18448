"""The garbage collector of a serving process, and that everything is as before when it has served."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from posthouse.adapters.system.collector import SERVING, UNTOUCHED, tuned_collector


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.parametrize("thresholds", UNTOUCHED)
def test_what_exists_is_left_out_while_it_serves(thresholds: tuple[int, int, int]) -> None:
    gc.set_threshold(*thresholds)
    mine: list[object] = [[]]
    with tuned_collector():
        assert gc.get_threshold() == SERVING
        assert gc.get_freeze_count() > 1_000
        assert all(one is not mine for one in gc.get_objects())
    assert (gc.get_threshold(), gc.get_freeze_count()) == (thresholds, 0)
    assert any(one is mine for one in gc.get_objects())


@pytest.mark.parametrize("thresholds", [(1_000, 10, 10), (2_000, 10, 0), (0, 10, 10)])
def test_thresholds_that_were_chosen_stay(thresholds: tuple[int, int, int]) -> None:
    gc.set_threshold(*thresholds)
    with tuned_collector():
        assert gc.get_threshold() == thresholds


def test_what_was_frozen_before_stays_frozen() -> None:
    mine: list[object] = [[]]
    gc.freeze()
    with tuned_collector():
        pass
    assert gc.get_freeze_count() > 0
    assert all(one is not mine for one in gc.get_objects())
