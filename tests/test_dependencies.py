"""What the project depends on, and that each says why."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = {
    "At run time": ("dependencies",),
    "Optional": ("trio", "fast", "jwt", "passwords", "reload", "simulation"),
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


def pinned(lock: str) -> dict[str, str]:
    """The packages of a lock that this Python needs, and their versions."""
    lines = map(Requirement, (ROOT / lock).read_text(encoding="utf-8").splitlines())
    return {one.name: str(one.specifier) for one in lines if one.marker is None or one.marker.evaluate()}


def needed(names: list[str]) -> list[str]:
    """These packages, and all that they need here."""
    found: list[str] = []
    for name in names:
        if name in found:
            continue
        requirements = map(Requirement, requires(name) or ())
        wanted = [
            one.name.replace("_", "-")
            for one in requirements
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
        found += [name, *(more for more in needed(wanted) if more not in found)]
    return list(dict.fromkeys(found))


def test_to_serve_takes_what_the_project_imports_and_its_build_backend() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [Requirement(text).name for text in (*project["project"]["dependencies"], "hatchling")]
    assert sorted(pinned("requirements.lock")) == sorted(needed(wanted))


def test_serving_and_tests_use_the_same_versions() -> None:
    assert pinned("requirements.lock").items() <= pinned("requirements-dev.lock").items()


NODE = {
    "From npm, for `make bench` alone": "benchmarks/servers/node",
    "From npm, for `make interop` alone": "tests/interop",
}


@pytest.mark.parametrize("section", NODE)
def test_every_package_from_npm_says_what_it_is_for(section: str) -> None:
    package = json.loads((ROOT / NODE[section] / "package.json").read_text(encoding="utf-8"))
    assert explained(section) == list(package["dependencies"])


@pytest.mark.parametrize("folder", NODE.values())
def test_nothing_from_npm_is_pinned_to_where_it_was_fetched(folder: str) -> None:
    assert '"resolved"' not in (ROOT / folder / "package-lock.json").read_text(encoding="utf-8")
