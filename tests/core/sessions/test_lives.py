"""Every order of resumptions, ends, answers of the store, departures and time, and long random ones."""

from __future__ import annotations

from random import Random

from .lives import Life, enumerate_below


def test_every_life_of_a_session_keeps_the_promises() -> None:
    assert enumerate_below((), 3) == 248


def test_long_random_lives_of_a_session_keep_the_promises() -> None:
    for seed in range(60):
        random, life = Random(seed), Life()
        for _ in range(40):
            steps = list(life.steps())
            if not steps:
                break
            random.choice(steps)()
        life.rest()
