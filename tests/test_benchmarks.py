"""The measurements still run, and measure what they say. No time is asserted.

Those of the servers that we compare with need libraries that the suite does not: they run with `make bench` alone.
"""

from __future__ import annotations

import pytest

from benchmarks import codecs, core_alone, report, served, simulated
from benchmarks.report import Row


def test_the_core_alone_and_bare_msgspec_answer_the_same() -> None:
    assert core_alone.posthouse(1) >= 0
    assert core_alone.bare(1) >= 0


@pytest.mark.parametrize("codec", codecs.CODECS)
def test_each_codec_alone_carries_a_request_and_a_reply(codec: str) -> None:
    assert codecs.CODECS[codec](1) >= 0


def test_a_call_over_http_costs_the_server_something() -> None:
    assert served.http("posthouse", 1) >= 0


def test_a_call_over_a_websocket_costs_the_server_something() -> None:
    assert served.websocket("posthouse", 1) >= 0


def test_idle_websockets_take_room() -> None:
    assert isinstance(served.idle_bytes("posthouse", 2), float)


@pytest.mark.parametrize("model", [False, True])
def test_a_simulated_world_goes_through_its_steps(model: bool) -> None:
    step, seconds = simulated.simulated(0.5, model=model)
    assert step >= 0
    assert seconds > 0


def test_contestants_take_turns() -> None:
    order: list[str] = []

    def contestant(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    measured = report.interleaved({"a": lambda: contestant("a", 2.0), "b": lambda: contestant("b", 1.0)}, 2)
    assert order == ["a", "b", "a", "b"]
    assert measured == {"a": [2.0, 2.0], "b": [1.0, 1.0]}


def test_a_ratio_is_the_median_of_the_ratios_within_each_run() -> None:
    assert report.ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0


def test_a_row_of_figures_is_a_row_of_the_table() -> None:
    assert report.table([Row("a call", "1 µs", "theirs 2 µs", "0.50", "< 1")]).splitlines()[-1] == (
        "| a call | 1 µs | theirs 2 µs | 0.50 | < 1 |"
    )
