"""What a hunt found, for people: a table of scores by ring and folder, and a list of what was missed, by kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .hunting import Hunted
from .rings import RINGS, TARGETS, UNREACHED

HEADINGS: Final = ("| {} | mutants | found | score |", "|---|---:|---:|---:|")


def score(of: Sequence[Hunted]) -> str:
    """The part of these that was found."""
    return f"{100 * sum(each.found is not None for each in of) / len(of):.0f} %" if of else "–"


def scores(outcomes: Sequence[Hunted]) -> list[str]:
    """A row for each folder, and one for each ring."""
    rows = [HEADINGS[0].format("folder"), HEADINGS[1]]
    for ring in RINGS:
        of_ring = [each for each in outcomes if each.ring == ring]
        rows += _grouped(of_ring, lambda each: f"`{each.folder}`")
        rows.append(_row(f"**{ring}** (at least {TARGETS[ring]} %)", of_ring))
    return rows


def kinds(outcomes: Sequence[Hunted]) -> list[str]:
    """A row for each kind of mistake."""
    return [HEADINGS[0].format("kind"), HEADINGS[1], *_grouped(outcomes, lambda each: each.kind)]


def _grouped(outcomes: Sequence[Hunted], of: Callable[[Hunted], str]) -> list[str]:
    return [_row(name, [each for each in outcomes if of(each) == name]) for name in sorted(set(map(of, outcomes)))]


def _row(name: str, of: Sequence[Hunted]) -> str:
    return f"| {name} | {len(of)} | {sum(each.found is not None for each in of)} | {score(of)} |"


def missed(outcomes: Sequence[Hunted]) -> list[str]:
    """What was not found, by ring and kind."""
    left = [each for each in outcomes if each.found is None]
    left.sort(key=lambda each: (list(RINGS).index(each.ring), each.kind, each.place))
    return [f"{each.kind}: {each.place}: {each.change}" for each in left]


def unreached() -> list[str]:
    """A row for each module or function that is not hunted."""
    return ["| not hunted | why |", "|---|---|", *(f"| `{name}` | {why} |" for name, why in UNREACHED.items())]


def section(outcomes: Sequence[Hunted], about: str) -> str:
    """The section of the document."""
    return "\n".join([about, "", *scores(outcomes), "", *kinds(outcomes), "", *unreached()])
