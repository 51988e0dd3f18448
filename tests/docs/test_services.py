"""`docs/services.md` names what a service can use: each member of the context, each event, each option of a method."""

from __future__ import annotations

import inspect
import re
from typing import Final

from posthouse.core import EVENTS, Context, Service
from posthouse.core.service.accounts import DeclaredAccounts
from posthouse.core.service.method import Method

from .pages import ROOT

PAGE: Final = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> list[str]:
    """The words in the first cells of the first table behind a heading."""
    section = f"\n{PAGE}".split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table
    cells = [row.split("|")[1] for row in table[0].splitlines()[2:]]
    return [word for cell in cells for word in re.findall(r"`(?:await )?([\w.]+)", cell)]


def test_every_member_of_the_context_is_there() -> None:
    members = [name for name in dir(Context) if not name.startswith("_")]
    assert sorted(first_cells("## Context")) == members


def test_every_event_is_there() -> None:
    assert sorted(first_cells("## Hooks")) == sorted(EVENTS)


def test_every_option_of_a_method_is_there() -> None:
    options = inspect.signature(Method.of).parameters
    assert sorted([*first_cells("## Methods"), "name", "reserved"]) == sorted(set(options) - {"function"})


def test_every_argument_of_a_service_is_there() -> None:
    arguments = [*inspect.signature(Service.__init__).parameters][1:-1]
    assert first_cells("# Services") == [*arguments, *DeclaredAccounts.__annotations__]
