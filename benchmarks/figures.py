"""Figures: every value of every round, by question, by server, by quantity. Ratios are taken within one round."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

Rounds = dict[str, list[float]]
"""The values of each quantity, one of each round."""

Question = dict[str, Rounds]
"""The rounds of each contestant, by its name."""

LIST: Final = re.compile(rb"\[[^][{}]*\]")
FILE: Final = Path(__file__).parents[1] / "docs" / "performance" / "figures.json"


class Questions(dict[str, Question]):
    """What was measured, by question. `lost` says of what could not be measured why."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[str] = []

    def ask(self, name: str, measure: Callable[[], Question]) -> None:
        """Measure one question. If that fails, those that were asked before keep their figures."""
        try:
            self[name] = measure()
        except Exception as error:
            self.lost.append(f"{name} was not measured: {error or type(error).__name__}")


class Figures(msgspec.Struct):
    """All figures of one run, and what they were measured on."""

    machine: str
    versions: dict[str, str]
    notes: list[str]
    rounds: int
    questions: dict[str, Question]

    def value(self, question: str, contestant: str, quantity: str = "cpu") -> float | None:
        """Return the median of a quantity. None: it was not measured."""
        rounds = self.questions.get(question, {}).get(contestant, {}).get(quantity)
        return median(rounds) if rounds else None

    def ratio(self, question: str, contestant: str, base: str, quantity: str = "cpu") -> float | None:
        """Return the median of the ratios of two contestants, each within one round. None: one was not measured."""
        asked = self.questions.get(question, {})
        above, below = (asked.get(name, {}).get(quantity) for name in (contestant, base))
        return ratio(above, below) if above and below else None


def interleaved(contestants: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Measure each in turn, and all of it so many times: what disturbs the machine then disturbs them alike."""
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, measure in contestants.items():
            measured[name].append(measure())
    return measured


def rounds_of(contestants: Mapping[str, Callable[[], msgspec.Struct]], runs: int, *, warm_up: bool = True) -> Question:
    """The same for measurements of several quantities. Every other round goes backwards, and `warm_up` adds a first
    one that does not count."""
    question: Question = {name: {} for name in contestants}
    names = list(contestants)
    for turn in range(-1 if warm_up else 0, runs):
        for name in names if turn % 2 else names[::-1]:
            measured: dict[str, Any] = asdict(contestants[name]())
            if turn >= 0:
                for quantity, value in measured.items():
                    question[name].setdefault(quantity, []).append(value)
    return question


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median of the ratios, each within one run."""
    return median(above / below for above, below in zip(numerators, denominators, strict=True))


def save(figures: Figures, file: Path = FILE) -> None:
    """Write the figures to a file, rounded to four digits."""
    for question in figures.questions.values():
        for rounds in question.values():
            for quantity, values in rounds.items():
                rounds[quantity] = [float(f"{value:.4g}") for value in values]
    file.parent.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(figures), indent=1)
    file.write_bytes(LIST.sub(lambda values: b" ".join(values[0].split()), text) + b"\n")


def read(file: Path = FILE) -> Figures:
    """Read the figures of a file."""
    return msgspec.json.decode(file.read_bytes(), type=Figures)
