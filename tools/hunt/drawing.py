"""Draws the mutants of a hunt: the same number from each ring, each mutant of a ring as likely as any other.

Beside the mutants that `tools.mutate` never makes, these are left out: code that no storm can reach (`rings.py`); texts
for people (of a log line, or of an exception that is not sent to a peer); and the mutants that
docs/internals/mutation.md explains, because they change nothing that can be seen.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct

from tools.mutate.mutants import Mutant, Source
from tools.mutate.report import explained

from .rings import RINGS, UNREACHED, Module, find_modules

SENT: Final = "RpcError"
"""The exception whose text is sent to peers."""

LOGS: Final = "report"
"""The function that logs: its third argument is the text of the line."""


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


def draw(root: Path, sample: int, seed: int) -> list[Drawn]:
    """Draw `sample` mutants of this project, or all of a ring that has less than its part. They are in a random order,
    so that a hunt which is interrupted has drawn fairly, too."""
    random = Random(seed)
    drawn: list[Drawn] = []
    known = explained(root)
    modules = find_modules(root)
    for place, ring in enumerate(RINGS):
        part = (sample * (place + 1)) // len(RINGS) - (sample * place) // len(RINGS)
        sources = {module: Source((root / module.file).read_text()) for module in modules if module.ring == ring}
        changes = [(module, number) for module, source in sources.items() for number in range(len(source.changes))]
        random.shuffle(changes)
        drawn += islice(_huntable(sources, changes, known), part)
    random.shuffle(drawn)
    return drawn


def _huntable(
    sources: Mapping[Module, Source], changes: Iterable[tuple[Module, int]], known: Container[tuple[str, str]]
) -> Iterator[Drawn]:
    """The mutants of these changes that a storm might find."""
    seen: dict[str, None] = {}
    for module, number in changes:
        mutant = sources[module].mutant(number)
        if mutant is None or is_for_people(mutant) or is_unreached(module, mutant):
            continue
        drawn = Drawn(module, mutant)
        if (module.name, mutant.change) not in known and drawn.key not in seen:
            seen[drawn.key] = None
            yield drawn


def is_unreached(module: Module, mutant: Mutant) -> bool:
    """Is it in a function that no storm can reach?"""
    return any(f"{module.name}:{function}" in UNREACHED for function in _functions(mutant))


def _functions(mutant: Mutant) -> Iterator[str]:
    for place in mutant.path:
        if isinstance(place.parent, ast.FunctionDef | ast.AsyncFunctionDef):
            yield place.parent.name


def is_for_people(mutant: Mutant) -> bool:
    """Does it only change a text that people read: of a log line, or of an exception that is not sent?"""
    before = mutant.path[-1].node
    if not isinstance(before, ast.Constant) or not isinstance(before.value, str):
        return False
    for place in mutant.path:
        node = place.parent
        if isinstance(node, ast.Raise) and not (isinstance(node.exc, ast.Call) and _called(node.exc) == SENT):
            return True
        if isinstance(node, ast.Call) and _called(node) == LOGS and (place.field, place.index) == ("args", 2):
            return True
    return False


def _called(call: ast.Call) -> str:
    """The name of the function, without its module or object."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


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
