"""The measurement of many sessions: what one of them costs does not depend on how many there are."""

from __future__ import annotations

from benchmarks.sessions import STEPS, main, report


def test_look_ups_and_disconnects_take_as_many_calls_with_many_sessions_as_with_few() -> None:
    found = main(20, 2_000)
    assert list(found) == list(STEPS)
    assert {name: many for name, (_, many, _) in found.items()} == {name: few for name, (few, _, _) in found.items()}
    assert report({"a step": (3, 3, 1.234)}, 20, 2_000).splitlines() == [
        "| step | calls with 20 | calls with 2,000 | time, as a ratio |",
        "|---|---:|---:|---:|",
        "| a step | 3 | 3 | 1.23 |",
    ]
