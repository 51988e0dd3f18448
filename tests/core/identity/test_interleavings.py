"""Every order of arrivals, answers, departures and time, and long random ones: the model and the invariants hold."""

from __future__ import annotations

from random import Random

import pytest

from .credentials import authenticated
from .interleavings import Walk, enumerate_all
from .lives import Life, enumerate_below, service

pytestmark = pytest.mark.unmeasured


def test_every_interleaving_of_four_steps_keeps_the_promises() -> None:
    assert enumerate_all(4) == 2480


def test_every_interleaving_of_three_steps_of_an_open_connection_keeps_the_promises() -> None:
    assert enumerate_all(3, anonymous=True) > 100


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"max_external_operations": 1},
        {"max_connections_per_user": 1},
        {"max_calls_per_connection": 1},
        {"max_waiting_calls": 1},
    ],
)
def test_long_random_interleavings_keep_the_promises(limits: dict[str, int]) -> None:
    service = authenticated(("bearer", "one", "a"), ("bearer", "two", "a"))
    for seed in range(30):
        random, walked = Random(seed), Walk(service, anonymous=True, **limits)
        for _ in range(60):
            random.choice(list(walked.steps()))()
        walked.rest()


@pytest.mark.parametrize(("depth", "most", "lives"), [(4, 2, 2744), (5, 1, 4311)])
def test_every_life_of_connections_with_credentials_keeps_the_promises(depth: int, most: int, lives: int) -> None:
    assert enumerate_below((), depth, most) == lives


def test_long_random_lives_keep_the_promises() -> None:
    for seed in range(40):
        random, life = Random(seed), Life(service(), most=3)
        for _ in range(60):
            steps = list(life.steps())
            if not steps:
                break
            random.choice(steps)()
        life.rest()
