"""Every test of the adapters runs on asyncio and on trio, with the invariants looked at now and then."""

from __future__ import annotations

from itertools import count

import pytest
from posthouse.adapters.invariants import check
from posthouse.adapters.runner import Runner

SAMPLED = 16
"""Of so many times that a loop is about to wait, the invariants are checked once."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def invariants_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A violation comes out of the server, and of the test that runs it."""
    settle, turns = Runner._settle, count()

    def checked(self: Runner) -> None:
        if next(turns) % SAMPLED == 0:
            check(self.board)
        settle(self)

    monkeypatch.setattr(Runner, "_settle", checked)
