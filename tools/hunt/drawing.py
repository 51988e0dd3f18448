"""Draws the mutants of a hunt: the same number from each ring, each mutant of a ring as likely as any other.

Beside the mutants that `tools.mutate` never makes, these are passed over: code that no storm can reach (`rings.py`),
and mutants that nobody can observe, by a rule (`rules.py`) or because docs/internals/mutation.md explains them. Those
that were passed over are counted.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct

from tools.mutate.mutants import FUNCTIONS, Mutant, Source
from tools.mutate.report import explained

from .rings import RINGS, UNREACHED, Module, find_modules
from .rules import unobservable

EXPLAINED: Final = "explained in mutation.md"
"""In place of a rule: a survivor that the document explains."""


class Drawn(Struct, frozen=True, eq=False):
    """A mutant of a module."""

    module: Module
    mutant: Mutant

    @property
    def key(self) -> str:
        """Tells it from every other mutant, also when its line moves."""
        return f"{self.module.name} {self.mutant.column} {self.mutant.change}"

    @property
    def kind(self) -> str:
        """What kind of mistake it is."""
        return kind(self.mutant)


class Passed(Struct, frozen=True):
    """A mutant that was passed over, because nobody can observe it: by the rule of this name."""

    ring: str
    folder: str
    rule: str


def draw(root: Path, sample: int, seed: int) -> tuple[list[Drawn], list[Passed]]:
    """Draw `sample` mutants of this project, or all of a ring that has less than its part. They are in a random order,
    so that a hunt which is interrupted has drawn fairly, too. Those that were passed over come beside them."""
    random = Random(seed)
    drawn: list[Drawn] = []
    passed: list[Passed] = []
    known = explained(root)
    modules = find_modules(root)
    for place, ring in enumerate(RINGS):
        part = (sample * (place + 1)) // len(RINGS) - (sample * place) // len(RINGS)
        sources = {module: Source((root / module.file).read_text()) for module in modules if module.ring == ring}
        changes = [(module, number) for module, source in sources.items() for number in range(len(source.changes))]
        random.shuffle(changes)
        drawn += islice(_huntable(sources, changes, known, passed), part)
    random.shuffle(drawn)
    return drawn, passed


def _huntable(
    sources: Mapping[Module, Source],
    changes: Iterable[tuple[Module, int]],
    known: Container[tuple[str, str]],
    passed: list[Passed],
) -> Iterator[Drawn]:
    """The mutants of these changes that a storm might find. Adds those that nobody can observe to `passed`."""
    seen: dict[str, None] = {}
    for module, number in changes:
        mutant = sources[module].mutant(number)
        if mutant is None or is_unreached(module, mutant):
            continue
        drawn = Drawn(module, mutant)
        if drawn.key in seen:
            continue
        seen[drawn.key] = None
        rule = unobservable(mutant)
        name = EXPLAINED if (module.name, mutant.change) in known else None if rule is None else rule.name
        if name is None:
            yield drawn
        else:
            passed.append(Passed(module.ring, module.folder, name))


def count_unreached(root: Path) -> dict[str, int]:
    """The number of changes in each module and function that no storm can reach, by its name."""
    counts = dict.fromkeys(UNREACHED, 0)
    for name in UNREACHED:
        module, _, function = name.partition(":")
        ring, _, path = module.partition("/")
        file = root / ring / "posthouse" / ring / f"{path}.py"
        for changed, _ in Source(file.read_text()).changes if file.exists() else ():
            named = [place.parent.name for place in changed if isinstance(place.parent, FUNCTIONS)]
            counts[name] += not function or function in named
    return counts


def is_unreached(module: Module, mutant: Mutant) -> bool:
    """Is it in a function that no storm can reach?"""
    return any(f"{module.name}:{function}" in UNREACHED for function in _functions(mutant))


def _functions(mutant: Mutant) -> Iterator[str]:
    for place in mutant.path:
        if isinstance(place.parent, FUNCTIONS):
            yield place.parent.name


def kind(mutant: Mutant) -> str:
    """The kind of a mistake, as in the table of docs/internals/mutation.md."""
    place, after = mutant.path[-1], mutant.node
    match place.node:
        case ast.Constant(value=bool() | None):
            return "flags"
        case ast.Constant(value=int() | float()):
            return "numbers"
        case ast.Constant():
            return "texts"
        case ast.Break() | ast.Continue():
            return "loops"
        case ast.Return():
            return "returns"
        case ast.Compare() if isinstance(after, ast.Compare):
            return "comparisons"
        case ast.BinOp() | ast.AugAssign() if not isinstance(after, ast.Pass | ast.UnaryOp):
            return "arithmetic"
        case ast.stmt():
            return "statements"
    if after is None or place.field in ("defaults", "kw_defaults"):
        return "arguments"
    return "conditions"
