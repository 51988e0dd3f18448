"""Core and transports must import, and run, with the outside world taken away; nothing may depend on hashing.

The banned modules are named three times, for the editor, for the import graph and here: the lists are held equal.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PURE = ("core", "transports")
BANNED = frozenset(
    "anyio asyncio trio socket ssl select selectors signal threading subprocess multiprocessing "
    "concurrent queue time datetime random secrets uuid os io pathlib logging importlib".split()
)
SOURCES = sorted(path for ring in PURE for path in (ROOT / ring).rglob("*.py"))


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run(probe: str, *arguments: str) -> None:
    command = [sys.executable, "-I", str(ROOT / "tests" / "purity" / probe), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_core_and_transports_import_and_run_with_the_outside_world_taken_away() -> None:
    run("guarded.py", str(ROOT), *sorted(BANNED))


def test_the_three_lists_of_banned_modules_are_one() -> None:
    tools = project()["tool"]
    in_the_editor = tools["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    contracts = {contract["name"]: contract for contract in tools["importlinter"]["contracts"]}
    in_the_graph = contracts["core and transports are sans-IO"]["forbidden_modules"]
    assert sorted(in_the_editor) == sorted(in_the_graph) == sorted(BANNED)


@pytest.mark.parametrize("ring", ["core", "transports", "adapters"])
def test_posthouse_is_a_namespace_with_typed_subpackages(ring: str) -> None:
    assert not (ROOT / ring / "posthouse" / "__init__.py").exists()
    assert (ROOT / ring / "posthouse" / ring / "__init__.py").exists()
    assert (ROOT / ring / "posthouse" / ring / "py.typed").exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_source_of_them_waits_reads_a_clock_or_depends_on_hashing(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    abstract = path.name == "context.py"
    for node in ast.walk(tree):
        # The one coroutine is `Context.call`, which the adapter supplies.
        coroutines = (ast.Await, ast.AsyncFor, ast.AsyncWith) if abstract else (ast.AsyncFunctionDef, ast.Await)
        assert not isinstance(node, coroutines), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            banned = {"open", "print", "input", "id", "hash", "set", "__import__"}
            assert node.func.id not in banned, f"line {node.lineno}: {node.func.id}()"
        assert not isinstance(node, ast.Set | ast.SetComp), f"line {node.lineno}: a set"
        assert not (isinstance(node, ast.Attribute) and node.attr == "__hash__"), f"line {node.lineno}"
