"""Every test of the adapters runs on asyncio and on trio; actions are witnessed, and invariants sampled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from posthouse.adapters.invariants import Witness, check
from posthouse.adapters.loop.runner import Runner
from posthouse.transports.switchboard.actions import Action

SAMPLED = 16
"""The invariants are checked once in so many turns of a loop."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Seen(dict[type[Action], Callable[[Any], None]]):
    """The table of a loop's actions, with a witness that sees each action first."""

    def __init__(self, *, exchanges_told: bool) -> None:
        super().__init__()
        self._witness = Witness(exchanges_told=exchanges_told)

    def __getitem__(self, kind: type[Action]) -> Callable[[Any], None]:
        perform = super().__getitem__(kind)

        def seen(action: Any) -> None:
            self._witness.see(action)
            perform(action)

        return seen


@pytest.fixture(autouse=True)
def invariants_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A violation comes out of the server, and of the test that runs it."""
    begin, rearm, turns = Runner.__init__, Runner._rearm, count()

    def begun(self: Runner, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.actions = Seen(exchanges_told=self.board.gateway._shared.exchanges_told)  # type: ignore[misc]

    def checked(self: Runner) -> None:
        if next(turns) % SAMPLED == 0:
            check(self.board)
        rearm(self)

    monkeypatch.setattr(Runner, "__init__", begun)
    monkeypatch.setattr(Runner, "_rearm", checked)
