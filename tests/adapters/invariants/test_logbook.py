"""The logbook: it knows every line that the server can write, and keeps the first that is wrong."""

from __future__ import annotations

import re
from logging import ERROR, INFO, WARNING, Logger
from pathlib import Path
from typing import Any

import posthouse.adapters
import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.invariants.logbook import LINES, Logbook
from posthouse.adapters.report import report

FOLDERS = ("server", "handlers", "loop")


def written(level: int, event: str, text: str = "text", **facts: Any) -> Logbook:
    logger, logbook = Logger("test"), Logbook()
    logger.addHandler(logbook)
    report(level, event, text, to=logger, **facts)
    return logbook


def test_every_line_of_the_server_is_known() -> None:
    root = Path(posthouse.adapters.__file__).parent
    sources = [file.read_text() for folder in FOLDERS for file in sorted((root / folder).rglob("*.py"))]
    named = {name for source in sources for name in re.findall(r'report\(\s*[^"]*?,\s*"([a-z]+\.[a-z_]+)",', source)}
    assert sorted(named - {"call.ended"} - LINES.keys()) == []
    assert len(named) > 15


@pytest.mark.parametrize(
    ("level", "event", "facts"),
    [
        (INFO, "gateway.draining", {}),
        (WARNING, "server.stopped", {}),
        (INFO, "server.stopped", {"connections": 1, "seconds": 2.0, "calls": 0}),
        (WARNING, "limit.breached", {"limit": "max_batch", "connection": None}),
    ],
)
def test_a_right_line_is_no_violation(level: int, event: str, facts: dict[str, Any]) -> None:
    written(level, event, **facts).check()


@pytest.mark.parametrize(
    ("level", "event", "text", "facts", "sentence"),
    [
        (INFO, "nothing", "text", {}, "an unknown event"),
        (ERROR, "gateway.draining", "text", {}, "another level"),
        (WARNING, "limit.breached", "text", {}, "no such fact"),
        (INFO, "gateway.draining", "text", {"more": 1}, "a fact that it should not have"),
        (INFO, "gateway.draining", "", {}, "no text"),
    ],
)
def test_a_wrong_line_is_kept(level: int, event: str, text: str, facts: dict[str, Any], sentence: str) -> None:
    logbook = written(level, event, text, **facts)
    with pytest.raises(Violation, match=f"log: a line has {sentence}"):
        logbook.check()
