"""Figures: medians of interleaved runs, ratios within one run, their table, and the section of the document for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN: Final = "<!-- figures:begin -->"
END: Final = "<!-- figures:end -->"


class Row(Struct, frozen=True):
    """One line of the table: what was measured, ours, theirs, their ratio, and what the ratio (or ours) is to be."""

    what: str
    ours: str
    theirs: str = ""
    ratio: str = ""
    target: str = ""


def interleaved(contestants: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Measure each in turn, and all of it so many times: what disturbs the machine then disturbs them alike."""
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, measure in contestants.items():
            measured[name].append(measure())
    return measured


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median of the ratios, each within one run."""
    return median(above / below for above, below in zip(numerators, denominators, strict=True))


def microseconds(seconds: list[float]) -> str:
    """The median, for reading."""
    return f"{median(seconds) * 1e6:.2f} µs" if median(seconds) < 1e-5 else f"{median(seconds) * 1e6:.0f} µs"


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = ["| measured | Posthouse | compared with | ratio | target |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {row.what} | {row.ours} | {row.theirs} | {row.ratio} | {row.target} |" for row in rows]
    return "\n".join(lines)


def rewrite(section: str) -> None:
    """Put the section between the document's markers."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{section}\n\n{END}{after}")
