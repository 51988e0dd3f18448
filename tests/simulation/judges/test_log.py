"""The judge of the log and of exit statuses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from logging import DEBUG, ERROR, INFO, WARNING, LogRecord
from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.report import report
from posthouse.adapters.simulation.judges.log import LEVELS, LogJudge, watch_log
from posthouse.core import Config

from .links import violates

DOCUMENT = Path(__file__).parents[3] / "docs" / "log.md"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def new_judge(clock: Clock | None = None) -> LogJudge:
    return LogJudge(Config(log_lines=2, log_interval=5.0), clock or Clock())


def line(event: str | None, level: int, text: str = "a fact", exc_info: Any = None, **fields: object) -> LogRecord:
    record = LogRecord("posthouse", level, "", 0, "%s", (text,), exc_info)
    record.__dict__.update({} if event is None else {"event": event}, fields=fields)
    return record


@pytest.fixture
def logged() -> Iterator[None]:
    """The log has lines from INFO on."""
    logger = logging.getLogger("posthouse")
    level = logger.level
    logger.setLevel(INFO)
    yield
    logger.setLevel(level)


def test_the_levels_are_those_of_the_document() -> None:
    rows = [row.split("|")[1:3] for row in DOCUMENT.read_text(encoding="utf-8").splitlines() if row.startswith("| `")]
    documented = {name.strip(" `"): cells for names, cells in rows for name in names.split(",")}
    assert sorted(documented) == sorted(LEVELS)
    for event, cells in documented.items():
        assert any(logging.getLevelName(level) in cells for level in LEVELS[event]), event


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (line("call.lost", INFO), "log: a line has an event that is not documented"),
        (line(None, INFO), "log: a line has an event that is not documented"),
        (line("call.failed", WARNING), "log: a line has another level than documented"),
        (line("call.timed_out", ERROR), "log: a line has another level than documented"),
        (line("tls.failed", INFO, "two\nlines"), "log: a line is not one line"),
        (line("tls.failed", INFO, "\x1b[2J"), "log: a line is not one line"),
        (line("tls.failed", INFO, ""), "log: a line is not one line"),
        (line("tls.failed", INFO, reason="x" * 257), "log: a value is too long"),
        (line("tls.failed", INFO, exc_info=(None, None, None)), "log: a line has a traceback that it must not have"),
    ],
)
def test_a_line_that_breaks_a_rule_is_kept_as_a_violation(record: LogRecord, sentence: str) -> None:
    judge = new_judge()
    judge.see(line("call.failed", ERROR, method="a", exc_info=(None, None, None)))
    assert judge.failed is None
    judge.see(record)
    judge.see(line(None, INFO, "the first violation is kept"))
    assert judge.failed is not None and judge.failed.sentence == sentence


def test_lines_of_one_kind_are_bounded() -> None:
    clock = Clock()
    judge = new_judge(clock)
    for second in (0.0, 0.0, 4.9, 4.9, 5.0, 5.0):
        clock.now = second
        judge.see(line("call.timed_out", WARNING, method="a"))
        judge.see(line("call.timed_out", WARNING, method="b"))
    assert judge.failed is None
    judge.see(line("call.timed_out", WARNING, method="a"))
    assert judge.failed is not None and judge.failed.sentence == "log: there are too many lines of one kind"


@pytest.mark.parametrize(("second", "fails"), [(9.9, True), (10.0, False)])
def test_a_limit_is_warned_of_once_in_ten_seconds(second: float, fails: bool) -> None:
    clock = Clock()
    judge = new_judge(clock)
    for level, limit in ((WARNING, "a"), (DEBUG, "a"), (WARNING, "b")):
        judge.see(line("limit.breached", level, limit=limit))
    clock.now = second
    judge.see(line("limit.breached", WARNING, limit="a"))
    assert (judge.failed is not None) is fails


def test_what_happened_while_the_process_slept_is_logged_at_once() -> None:
    clock = Clock()
    judge = new_judge(clock)
    judge.see(line("limit.breached", WARNING, limit="a"))
    clock.now = 5.0
    judge.woke()
    for _ in range(3):
        judge.see(line("limit.breached", WARNING, limit="a"))
    clock.now = 6.0
    judge.see(line("limit.breached", WARNING, limit="a"))
    assert judge.failed is None
    judge.see(line("limit.breached", WARNING, limit="a"))
    assert judge.failed is not None


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        (["gateway.draining", "gateway.draining"], "log: a shut-down begins twice"),
        (["server.stopped", "server.stopped"], "log: a line follows the last one"),
        (["gateway.draining", "server.stopped", "connection.closed"], "log: a line follows the last one"),
    ],
)
def test_the_lines_of_a_life_have_an_order(events: list[str], sentence: str) -> None:
    judge = new_judge()
    for event in events:
        assert judge.failed is None
        judge.see(line(event, INFO))
    assert judge.failed is not None and judge.failed.sentence == sentence


@pytest.mark.usefixtures("logged")
def test_the_exit_status_is_told_by_the_log() -> None:
    judge = new_judge()
    with violates("log: a server has ended with status 0 and did not say so"):
        judge.ended(0)
    judge.see(line("server.stopped", INFO))
    judge.ended(0)
    with violates("log: a server has ended with status 1, and no line says why"):
        judge.ended(1)
    resisted = new_judge()
    resisted.see(line("handler.resists", WARNING, method="a"))
    resisted.ended(1)
    assert (judge.status, resisted.status) == (1, 1)


@pytest.mark.usefixtures("logged")
def test_the_status_is_not_judged_if_the_log_is_off() -> None:
    logging.getLogger("posthouse").setLevel(WARNING)
    judge = new_judge()
    judge.ended(0)
    assert judge.status == 0


@pytest.mark.usefixtures("logged")
def test_the_judge_of_the_process_that_runs_sees_each_line_once() -> None:
    watch_log()
    watch_log()
    judge = new_judge()
    report(INFO, "unknown", "no process runs")
    LogJudge.current = judge
    try:
        report(INFO, "server.stopped", "stopped")
        assert judge.failed is None
        report(INFO, "unknown", "escaped", name="a\nb")
    finally:
        LogJudge.current = None
    assert judge.failed is not None and judge.failed.sentence == "log: a line has an event that is not documented"
