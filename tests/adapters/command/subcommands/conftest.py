"""What the tests of `serve` and `stdio` share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.command import logs, running

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


@pytest.fixture
def in_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(logs, "configure", lambda *_: None)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that `run` was called with. It runs nothing."""
    options: dict[str, Any] = {}

    def run(service: object, **given: object) -> None:
        options.update(given, service=service)

    monkeypatch.setattr(running, "run", run)
    return options
