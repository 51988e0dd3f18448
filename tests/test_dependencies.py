"""What the project depends on, and that each says why."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = {
    "At run time": ("dependencies",),
    "Optional": ("trio", "simulation"),
    "To develop": ("dev",),
    "To measure": ("bench",),
}


def explained(title: str) -> list[str]:
    """The packages in the table of one section."""
    document = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    section = document.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("|")]
    place = rows[0].index("package")
    return [row[place] for row in rows[2:] if row[place + 1]]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_dependency_says_what_it_is_for(section: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
    wanted = [requirement for group in SECTIONS[section] for requirement in groups[group]]
    names = [re.split(r"[^A-Za-z0-9_-]", requirement)[0] for requirement in wanted]
    assert explained(section) == names


def test_nothing_from_npm_is_pinned_to_where_it_was_fetched() -> None:
    assert '"resolved"' not in (ROOT / "tests" / "interop" / "package-lock.json").read_text(encoding="utf-8")
