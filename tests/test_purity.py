"""Core and transports must import, and run, with the outside world taken away.

The probe here only imports: let it also run one call through the real Gateway under the guard.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "core"
BANNED = frozenset(
    "anyio asyncio trio socket ssl select selectors signal threading subprocess multiprocessing "
    "concurrent queue time datetime random secrets uuid os io pathlib logging importlib".split()
)

PROBE = """
import builtins, pkgutil, sys
banned = frozenset({banned!r})
real = builtins.__import__
def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {{}}).get("__name__", "")
    if level == 0 and importer.startswith("posthouse.core") and name.partition(".")[0] in banned:
        raise ImportError(f"{{importer}} imports {{name}}")
    return real(name, globals, locals, fromlist, level)
builtins.__import__ = guarded
sys.path.insert(0, {core!r})
import posthouse.core
for module in pkgutil.walk_packages(posthouse.core.__path__, "posthouse.core."):
    guarded(module.name)
"""


def test_core_imports_nothing_impure() -> None:
    code = PROBE.format(banned=sorted(BANNED), core=str(CORE))
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda p: p.stem)
def test_core_source_has_no_impure_call(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)), node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input", "id", "hash", "set", "__import__"}, node.lineno
        assert not isinstance(node, (ast.Set, ast.SetComp)), node.lineno
        assert not (isinstance(node, ast.Attribute) and node.attr == "__hash__"), node.lineno
