"""The shape of the three rings: how many modules a folder holds, how long a file is, how much a constructor takes."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
RINGS: Final = tuple(ROOT / ring / "posthouse" / ring for ring in ("core", "transports", "adapters"))
FOLDERS: Final = sorted({file.parent for ring in RINGS for file in ring.rglob("*.py")})
FILES: Final = sorted(file for ring in RINGS for file in ring.rglob("*.py"))

MOST_MODULES: Final = 12
"""Modules of one folder, without `__init__` and `__main__`."""

SAME_PREFIX: Final = 2
"""Modules of one folder whose names begin with the same word."""

MOST_LINES: Final = 350
MOST_ARGUMENTS: Final = 6
"""Arguments of a constructor beside `self`. Records (Structs, dataclasses) are data and may have more fields."""

PUBLIC: Final = {
    *("core/posthouse/core", "transports/posthouse/transports", "adapters/posthouse/adapters"),
    *(
        f"adapters/posthouse/adapters/{name}"
        for name in ("asgi", "authenticators", "invariants", "journal", "simulation", "store", "testing")
    ),
}
"""Packages whose `__init__.py` is a public list. The others re-export nothing."""


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def modules(folder: Path) -> list[str]:
    """The names of a folder's modules, without `__init__` and `__main__`."""
    return sorted(file.stem for file in folder.glob("*.py") if file.stem not in ("__init__", "__main__"))


def crowded_folders() -> Iterator[str]:
    for folder in FOLDERS:
        if len(modules(folder)) > MOST_MODULES:
            yield f"{place(folder)}: more than {MOST_MODULES} modules"


def shared_prefixes() -> Iterator[str]:
    for folder in FOLDERS:
        for prefix, times in Counter(name.partition("_")[0] for name in modules(folder)).items():
            if times > SAME_PREFIX:
                yield f"{place(folder)}: more than {SAME_PREFIX} modules begin with {prefix}"


def long_files() -> Iterator[str]:
    for file in FILES:
        if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES:
            yield f"{place(file)}: more than {MOST_LINES} lines"


def greedy_constructors() -> Iterator[str]:
    for file in FILES:
        for owner in [node for node in ast.walk(parse(file)) if isinstance(node, ast.ClassDef)]:
            for member in owner.body:
                if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                    given = member.args
                    taken = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
                    if taken > MOST_ARGUMENTS:
                        yield f"{place(file)}: {owner.name} takes more than {MOST_ARGUMENTS} arguments"


def folders_without_an_opening() -> Iterator[str]:
    for folder in FOLDERS:
        opening = folder / "__init__.py"
        if not opening.exists() or not ast.get_docstring(parse(opening)):
            yield f"{place(folder)}: no docstring in __init__.py"


def re_exports() -> Iterator[str]:
    for folder in FOLDERS:
        opening = folder / "__init__.py"
        if place(folder) not in PUBLIC and opening.exists() and len(parse(opening).body) > 1:
            yield f"{place(opening)}: holds more than its docstring"


RULES: Final = (
    *(crowded_folders, shared_prefixes, long_files),
    *(greedy_constructors, folders_without_an_opening, re_exports),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_of_the_house_is_kept(rule: Callable[[], Iterator[str]]) -> None:
    assert list(rule()) == []


def test_the_rules_look_at_all_three_rings() -> None:
    assert {place(ring) for ring in RINGS} <= {place(folder) for folder in FOLDERS}
    assert len(FILES) > 100
