"""What a hunt found, for people: a table of scores by ring and folder, and a list of what was missed, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .drawing import EXPLAINED, Passed
from .hunting import Hunted
from .rings import RINGS, TARGETS, UNREACHED
from .rules import RULES

HEADINGS: Final = ("| {} | mutants | found | score |", "|---|---:|---:|---:|")


def score(of: Sequence[Hunted]) -> str:
    """The part of these that was found."""
    return f"{100 * sum(each.found is not None for each in of) / len(of):.0f} %" if of else "–"


def scores(outcomes: Sequence[Hunted], passed: Sequence[Passed]) -> list[str]:
    """A row for each folder, and one for each ring. The column behind the mutants has those that nobody can observe,
    which were passed over."""
    rows = ["| folder | mutants | not observable | found | score |", "|---|---:|---:|---:|---:|"]
    for ring in RINGS:
        of_ring = [each for each in outcomes if each.ring == ring]
        over = [each for each in passed if each.ring == ring]
        for folder in sorted({each.folder for each in of_ring} | {each.folder for each in over}):
            of_folder = [each for each in of_ring if each.folder == folder]
            rows.append(_row(f"`{folder}`", of_folder, sum(each.folder == folder for each in over)))
        rows.append(_row(f"**{ring}** (at least {TARGETS[ring]} %)", of_ring, len(over)))
    return rows


def rules(passed: Sequence[Passed]) -> list[str]:
    """A row for each rule by which mutants were passed over."""
    why = {rule.name: rule.why for rule in RULES}
    rows = ["| not observable | mutants | why |", "|---|---:|---|"]
    for name in (*why, EXPLAINED):
        number = sum(each.rule == name for each in passed)
        rows.append(f"| {name} | {number} | {why.get(name, 'each has its reason there')} |")
    return rows


def kinds(outcomes: Sequence[Hunted]) -> list[str]:
    """A row for each kind of mistake."""
    return [HEADINGS[0].format("kind"), HEADINGS[1], *_grouped(outcomes, lambda each: each.kind)]


def _grouped(outcomes: Sequence[Hunted], of: Callable[[Hunted], str]) -> list[str]:
    return [_row(name, [each for each in outcomes if of(each) == name]) for name in sorted(set(map(of, outcomes)))]


def _row(name: str, of: Sequence[Hunted], passed: int | None = None) -> str:
    over = "" if passed is None else f" {passed} |"
    return f"| {name} | {len(of)} |{over} {sum(each.found is not None for each in of)} | {score(of)} |"


def missed(outcomes: Sequence[Hunted]) -> list[str]:
    """What was not found, by ring and kind."""
    left = [each for each in outcomes if each.found is None]
    left.sort(key=lambda each: (list(RINGS).index(each.ring), each.kind, each.place))
    return [f"{each.kind}: {each.place}: {each.change}" for each in left]


def unreached(counts: Mapping[str, int]) -> list[str]:
    """A row for each module or function that is not hunted, with the number of its mutants."""
    rows = [f"| `{name}` | {counts[name]} | {why} |" for name, why in UNREACHED.items()]
    return ["| not hunted | mutants | why |", "|---|---:|---|", *rows]


def section(outcomes: Sequence[Hunted], passed: Sequence[Passed], counts: Mapping[str, int], about: str) -> str:
    """The section of the document."""
    tables = (scores(outcomes, passed), kinds(outcomes), rules(passed), unreached(counts))
    return "\n".join([about, *(line for table in tables for line in ("", *table))])
