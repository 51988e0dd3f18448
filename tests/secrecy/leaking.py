"""Tests whose servers tell secrets: the suite must end each of them with an error. `test_watch.py` runs this file."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_watch import LEAKS, live


@pytest.mark.parametrize("leak", ["a token in a line of the log", "a cookie in a journal"])
def test_leak(leak: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    LEAKS[leak][0](monkeypatch)
    live(tmp_path)
