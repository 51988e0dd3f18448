"""`docs/log.md` lists every event that the adapters log."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .pages import ROOT

PAGE: Final = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")


def logged(file: Path) -> Iterator[str]:
    """The events of the calls of `report` and `say` in a file, and those that a roster of workers reports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if file.stem == "roster" and isinstance(node, ast.Call) and ast.unparse(node.func) == "self._report":
            yield ast.literal_eval(node.args[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = [*node.args[1:2]] if node.func.id == "report" else []
            given += [keyword.value for keyword in node.keywords if keyword.arg == "event" and node.func.id == "say"]
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def test_every_event_is_in_the_table_and_no_other() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    folder = ROOT / "adapters" / "posthouse" / "adapters"
    found = {event for file in sorted(folder.rglob("*.py")) for event in logged(file)}
    assert sorted(listed) == sorted({*found, "server.listening"})  # this one is a constant there
