"""The document says what the figures say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.figures import Figures, Question, Questions, interleaved, ratio, read, save
from benchmarks.report.document import DOCUMENT, text
from benchmarks.report.tables import table
from benchmarks.report.targets import TARGETS, Target

LOAD = {"p50": [0.001, 0.001], "p99": [0.002, 0.002]}


def figures(**questions: Question) -> Figures:
    return Figures("a machine", {"CPython": "3.11.7"}, ["two cores"], 2, questions)


def test_contestants_take_turns() -> None:
    order: list[str] = []

    def contestant(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    measured = interleaved({"a": lambda: contestant("a", 2.0), "b": lambda: contestant("b", 1.0)}, 2)
    assert order == ["a", "b", "a", "b"]
    assert measured == {"a": [2.0, 2.0], "b": [1.0, 1.0]}


def test_a_ratio_is_the_median_of_the_ratios_within_each_run() -> None:
    assert ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0


def test_a_table_has_its_heads_and_rows() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---:|\n| 1 | 2 |"
    assert table(("a", "b"), []) == ""


def test_a_question_that_cannot_be_measured_is_named_and_the_others_keep_their_figures() -> None:
    questions = Questions()
    rounds: Question = {"floor": {"cpu": [1.0]}}

    def fails() -> Question:
        raise ConnectionError("9800 connections could not be opened")

    questions.ask("connections 1000", lambda: rounds)
    questions.ask("connections 10000", fails)
    questions.ask("disconnects 0", lambda: rounds)
    assert questions == {"connections 1000": rounds, "disconnects 0": rounds}
    assert questions.lost == ["connections 10000 was not measured: 9800 connections could not be opened"]


def test_without_figures_the_text_is_only_about_the_machine() -> None:
    assert (
        text(figures())
        == "## Machine and versions\n\nMedians of 2 interleaved rounds on a machine; two cores. CPython 3.11.7."
    )


def test_servers_are_ranked_by_their_cost() -> None:
    question = {
        "posthouse": {"cpu": [30e-6, 30e-6], **LOAD},
        "floor": {"cpu": [10e-6, 20e-6], **LOAD},
    }
    lines = text(figures(**{"websocket 64×1×80": question})).splitlines()
    ranked = [line for line in lines if line.endswith("| 2.00 ms |")]
    assert ranked == [
        "| the floor: hand-made framing, msgspec, uvloop | 15.0 µs | 1.00 | 1.00 ms | 2.00 ms |",
        "| **Posthouse**, asyncio | 30.0 µs | 2.25 | 1.00 ms | 2.00 ms |",
    ]


@pytest.mark.parametrize(("value", "verdict"), [(1.4, "met"), (1.7, "held"), (1.71, "**missed**")])
def test_a_target_is_met_held_or_missed(value: float, verdict: str) -> None:
    assert Target("a ratio", lambda _: value, 1.4, 1.7).verdict(value) == verdict


def test_a_target_that_rises_is_met_from_below() -> None:
    target = Target("steps", lambda _: None, 20_000, rising=True)
    assert [target.verdict(value) for value in (20_000, 19_999)] == ["met", "**missed**"]
    assert target.bound() == "≥ 20,000"


def test_targets_without_figures_are_left_out() -> None:
    assert all(target.value(figures()) is None for target in TARGETS)


def test_the_document_is_drawn_from_the_figures_beside_it() -> None:
    assert text(read()) in DOCUMENT.read_text(encoding="utf-8")


def test_figures_are_read_as_they_were_saved(tmp_path: Path) -> None:
    saved = figures(question={"contestant": {"cpu": [0.00001234567, 2.0]}})
    save(saved, tmp_path / "figures.json")
    assert read(tmp_path / "figures.json") == saved
    assert saved.questions["question"]["contestant"]["cpu"] == [1.235e-05, 2.0]
