"""What is logged, as people and as machines see it."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from msgspec import json
from posthouse.adapters.command.logs import JsonFormatter, TextFormatter, configure
from posthouse.adapters.report import ERROR, INFO, WARNING, logger, report


class Kept(logging.Handler):
    """Keeps the records of one test."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.created = 1_700_000_000.1234
        self.records.append(record)


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    handler = Kept()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    yield handler
    logger.manager._clear_cache()  # type: ignore[attr-defined]


def raised() -> Exception:
    try:
        raise ValueError("bad\x1b[31m\nINFO forged " + "x" * 300)
    except ValueError as error:
        return error


def test_text_is_one_line_with_the_time_the_level_and_the_facts(kept: Kept) -> None:
    report(INFO, "connection.closed", "connection closed", kind="http", code=1000, user=None)
    line = TextFormatter(io.StringIO()).format(kept.records[0])
    assert line == "2023-11-14T22:13:20.123Z INFO connection closed, kind=http, code=1000"


def test_json_is_one_line_with_each_fact_as_a_member(kept: Kept) -> None:
    report(WARNING, "limit.breached", "limit met", limit="max_batch", timestamp="a peer's", name="its own")
    line = json.decode(JsonFormatter().format(kept.records[0]))
    assert line == {
        "timestamp": "2023-11-14T22:13:20.123Z",
        "level": "warning",
        "logger": "posthouse",
        "event": "limit.breached",
        "message": "limit met, limit=max_batch, timestamp=a peer's, name=its own",
        "limit": "max_batch",
        "name": "its own",
    }


def test_a_fact_inside_the_text_is_not_repeated_after_it(kept: Kept) -> None:
    report(
        WARNING, "request.refused", "refused origin {origin}: use --allow-origin", origin="https://{x}\n", status=403
    )
    line = TextFormatter(io.StringIO()).format(kept.records[0])
    assert line.endswith("WARNING refused origin https://{x}\\n: use --allow-origin, status=403")
    assert json.decode(JsonFormatter().format(kept.records[0]))["origin"] == "https://{x}\\n"


def test_a_value_cannot_control_a_terminal_or_forge_a_line(kept: Kept) -> None:
    report(INFO, "call.failed", "call failed", method="\x1b[2J\r\nINFO forged\u202e")
    text = TextFormatter(io.StringIO()).format(kept.records[0])
    assert text.endswith("INFO call failed, method=\\x1b[2J\\r\\nINFO forged\\u202e")
    assert "\\\\r\\\\n" in JsonFormatter().format(kept.records[0])


def test_a_value_is_cut_at_256_characters(kept: Kept) -> None:
    report(INFO, "call.failed", "call failed", method="m" * 257)
    line = json.decode(JsonFormatter().format(kept.records[0]))
    assert line["method"] == "m" * 255 + "…"


def test_other_loggers_are_named_and_escaped_too(kept: Kept) -> None:
    logging.getLogger("shop\n").warning("sold %s", "a\nb")
    assert TextFormatter(io.StringIO()).format(kept.records[0]).endswith("WARNING shop\\n: sold a\\nb")
    line = json.decode(JsonFormatter().format(kept.records[0]))
    assert (line["logger"], line["event"], line["message"]) == ("shop\n", "log", "sold a\\nb")


def test_the_extra_attributes_of_other_loggers_are_members_of_the_json_and_replace_none_of_ours(kept: Kept) -> None:
    extra = {
        "user": "a\x1b\ud800",
        "count": 2,
        "timestamp": "forged",
        "level": "forged",
        "fields": {"a": 1},
        "event": "sold",
    }
    logging.getLogger("shop").warning("sold", extra=extra)
    assert json.decode(JsonFormatter().format(kept.records[0])) == {
        "timestamp": "2023-11-14T22:13:20.123Z",
        "level": "warning",
        "logger": "shop",
        "message": "sold",
        "user": "a\\x1b\\ud800",
        "count": 2,
        "fields": "{'a': 1}",
        "event": "sold",
    }


def test_a_traceback_is_indented_and_each_of_its_lines_escaped_and_cut(kept: Kept) -> None:
    report(ERROR, "call.failed", "handler raised", raised=raised())
    first, *rest = TextFormatter(io.StringIO()).format(kept.records[0]).split("\n")
    assert first.endswith("ERROR handler raised")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-2] == "    ValueError: bad\\x1b[31m"
    assert rest[-1] == "    INFO forged " + "x" * 243 + "…"
    assert json.decode(JsonFormatter().format(kept.records[0]))["traceback"][-2] == "ValueError: bad\\x1b[31m"


def test_a_stack_is_shown_like_a_traceback(kept: Kept) -> None:
    report(ERROR, "handler.blocks", "handler blocks", stack='  File "a.py", line 1\n    sleep()')
    assert TextFormatter(io.StringIO()).format(kept.records[0]).endswith('\n      File "a.py", line 1\n        sleep()')


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("level", "shown"), [(ERROR, "\x1b[31mERROR\x1b[0m"), (INFO, "INFO")])
def test_a_terminal_gets_colours(kept: Kept, level: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    report(level, "e", "said")
    assert TextFormatter(Terminal()).format(kept.records[0]) == f"2023-11-14T22:13:20.123Z {shown} said"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_turns_colours_off(kept: Kept, variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    report(ERROR, "e", "said")
    assert "\x1b" not in TextFormatter(Terminal()).format(kept.records[0])


@pytest.mark.parametrize("format", ["text", "json"])
def test_the_command_logs_everything_from_a_level_on_to_stderr(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure("warning", "json" if format == "json" else "text")
    report(INFO, "e", "hidden")
    report(WARNING, "e", "shown")
    logging.getLogger("service").error("shown too")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("{") == (format == "json") for line in lines)
