"""`docs/api.md` is the public list: equal to every `__all__`, and every name in it says what it is for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import posthouse.adapters
import posthouse.adapters.asgi
import posthouse.adapters.authenticators
import posthouse.adapters.fastapi
import posthouse.adapters.invariants
import posthouse.adapters.journal
import posthouse.adapters.simulation
import posthouse.adapters.store
import posthouse.adapters.testing
import posthouse.core
import posthouse.transports
import pytest

PAGE: Final = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
PACKAGES: Final = (
    posthouse.core,
    posthouse.transports,
    posthouse.adapters,
    posthouse.adapters.asgi,
    posthouse.adapters.fastapi,
    posthouse.adapters.testing,
    posthouse.adapters.authenticators,
    posthouse.adapters.invariants,
    posthouse.adapters.journal,
    posthouse.adapters.simulation,
    posthouse.adapters.store,
)

every_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)


def documented(package: ModuleType) -> list[str]:
    """The names in the first cells of the tables under a package's heading."""
    section = PAGE.split(f"\n## `{package.__name__}`\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    assert all(len(row) == 4 and row[2].strip() for row in rows)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row[1])]


def described(package: ModuleType) -> Iterator[tuple[str, object]]:
    """Each public class and function, and each public method and property of the classes, with where it is."""
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            yield name, value
        if inspect.isclass(value):
            for attribute, member in inspect.getmembers(value, callable_or_property):
                if not attribute.startswith("_") and attribute in vars(value):
                    yield f"{name}.{attribute}", member


def callable_or_property(member: object) -> bool:
    return inspect.isroutine(member) or isinstance(member, property)


@every_package
def test_the_page_lists_what_the_package_offers(package: ModuleType) -> None:
    assert sorted(documented(package)) == sorted(package.__all__)


@every_package
def test_every_public_name_says_what_it_is_for(package: ModuleType) -> None:
    assert [where for where, value in described(package) if not (getattr(value, "__doc__", "") or "").strip()] == []


@every_package
def test_every_package_says_who_needs_what(package: ModuleType) -> None:
    assert package.__doc__
