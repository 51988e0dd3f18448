"""docs/architecture.md agrees with the code: its diagrams with the imports, its paths with the files, its states.

A diagram of a ring has one node for each folder and module at the ring's root. It may leave out an arrow that others
imply: A may import C where the diagram has A -> B -> C. Every arrow that it has must be an import.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools import states

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RINGS = ("core", "transports", "adapters")

Edges = set[tuple[str, str]]


def place(module: str) -> str:
    """`posthouse.core.calls.replies` is in the folder `calls`, `posthouse.core.gateway` is a place of its own."""
    return module.split(".")[2]


def imported(path: Path, package: str) -> set[str]:
    """The modules that a file imports when it runs, as absolute names."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            modules.add(".".join([*base, *([node.module] if node.module else [])]))
        elif isinstance(node, ast.Import):
            modules.update(name.name for name in node.names)
    return modules


def imports(ring: str) -> Edges:
    """Which places of a ring import which others."""
    top = ROOT / ring / "posthouse"
    edges: Edges = set()
    for path in sorted(top.rglob("*.py")):
        if path.name == "effects.py":
            continue  # it names the type of a method, for type checkers alone
        parts = path.relative_to(top.parent).with_suffix("").parts
        if len(parts) < 4 and parts[-1] in {"__init__", "__main__"}:
            continue  # a ring's own list of public names
        package = ".".join(parts[:-1])
        for module in sorted(imported(path, package)):
            if module.startswith(f"posthouse.{ring}."):
                edges.add((parts[2], place(module)))
    return {(one, other) for one, other in edges if one != other}


def diagram(ring: str) -> Edges:
    """The arrows of a ring's diagram."""
    section = PAGE.split(f"### {ring}\n", 1)[1]
    block = re.search(r"```mermaid\n(.*?)```", section, re.DOTALL)
    assert block is not None
    edges: Edges = set()
    for line in block[1].splitlines():
        one, arrow, others = line.strip().partition(" --> ")
        if arrow:
            edges |= {(one, other) for other in others.split(" & ")}
    return edges


def reachable(edges: Edges) -> Edges:
    """Every pair that a chain of arrows joins."""
    closed = set(edges)
    while more := {(a, d) for a, b in sorted(closed) for c, d in sorted(edges) if b == c} - closed:
        closed |= more
    return closed


@pytest.mark.parametrize("ring", RINGS)
def test_the_diagram_of_a_ring_is_its_imports(ring: str) -> None:
    drawn, real = diagram(ring), imports(ring)
    assert sorted(drawn - real) == []
    assert sorted(real - reachable(drawn)) == []


@pytest.mark.parametrize("ring", RINGS)
def test_every_place_of_a_ring_is_in_its_table(ring: str) -> None:
    section = PAGE.split(f"### {ring}\n", 1)[1].split("\n#", 1)[0]
    listed = re.findall(r"^\| `([a-z_]+)(?:/|\.py)` \|", section, re.MULTILINE)
    folder = ROOT / ring / "posthouse" / ring
    there = [path.stem for path in sorted(folder.iterdir()) if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert sorted(listed) == [name for name in there if name not in {"__init__", "__main__"}]


def test_every_path_on_the_page_exists() -> None:
    paths = re.findall(r"`((?:core|transports|adapters|tests|docs|examples|benchmarks|tools)/[\w/.]*)`", PAGE)
    assert len(paths) > 40
    missing = []
    for path in paths:
        ring, _, rest = path.partition("/")
        if not (ROOT / path).exists() and not (ROOT / ring / "posthouse" / ring / rest).exists():
            missing.append(path)
    assert missing == []


def test_the_states_are_drawn_from_their_tables() -> None:
    assert states.DOCUMENT.read_text(encoding="utf-8") == states.page(), "run: make states"
