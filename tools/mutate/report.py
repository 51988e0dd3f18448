"""The score, the survivors, and what docs/internals/mutation.md says of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .mutants import Mutant
from .results import Module, Outcome

DOCUMENT: Final = Path("docs/internals/mutation.md")
EXPLAINED: Final = re.compile(r"^- `([\w/]+)` `` ?(.+?) ?``$", re.MULTILINE)
"""A survivor in the document: the module, and the change as it is printed."""

SCORES: Final = ("<!-- scores:begin -->", "<!-- scores:end -->")

Survivor = tuple[Module, Mutant]


def percent(killed: int, made: int) -> str:
    """A score in words."""
    return f"{100 * killed / made:.1f} %" if made else "–"


def line(module: Module) -> str:
    """What is printed of a module when all its mutants were tried."""
    made = len(module.outcomes)
    return f"{module!s:40} {module.killed:4} of {made:4}  {percent(module.killed, made):>8}"


def survivor(module: Module, mutant: Mutant) -> str:
    """What is printed of a survivor."""
    return f"{module.file.relative_to(module.root)}:{mutant.line}: {mutant.change}"


def explained(root: Path) -> set[tuple[str, str]]:
    """The survivors that the document explains: their module and their change."""
    document = root / DOCUMENT
    return set(EXPLAINED.findall(document.read_text())) if document.exists() else set()


def entry(module: Module, mutant: Mutant) -> str:
    """A survivor's line in the document."""
    return f"- `{module}` `` {mutant.change} ``"


def table(modules: list[Module]) -> str:
    """Every module's score, and that of all."""
    rows = ["| module | mutants | killed | by other tests alone | endless | survived | score |"]
    rows.append("|---|---:|---:|---:|---:|---:|---:|")

    def row(name: str, of: list[Module]) -> str:
        outcomes = [outcome for module in of for outcome in module.outcomes.values()]
        killed = sum(not outcome.alive for outcome in outcomes)
        special = [sum(outcome is kind for outcome in outcomes) for kind in (Outcome.ELSEWHERE, Outcome.LATE)]
        cells = [len(outcomes), killed, *special, len(outcomes) - killed, percent(killed, len(outcomes))]
        return f"| {name} | {' | '.join(map(str, cells))} |"

    rows += [row(f"`{module}`", [module]) for module in modules if module.outcomes]
    rows.append(row("**all**", modules))
    return "\n".join(rows)


def write_table(root: Path, modules: list[Module]) -> None:
    """Put the table where the document has it."""
    document = root / DOCUMENT
    before, rest = document.read_text().split(SCORES[0])
    after = rest.split(SCORES[1])[1]
    document.write_text(f"{before}{SCORES[0]}\n\n{table(modules)}\n\n{SCORES[1]}{after}")
