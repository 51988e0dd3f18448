"""How log records look: lines of text for people, or one JSON object per line for machines.

In JSON, everything else that this process writes to stderr is a JSON object, too: what the command says, its failures,
Python's warnings, exceptions that nobody catches, and what is wrong with a record. Only what the service itself prints
is left as it is.

`report.py` makes the records. This file escapes every character that does not print, so that no value can forge a line
or control a terminal. The JSON itself, and the attributes of records, are python-json-logger's work.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import TextIOWrapper
from types import TracebackType
from typing import Any, Final, Literal, TextIO

from msgspec import json
from posthouse.adapters.report import ERROR, LISTENING, clean, report
from posthouse.adapters.terminal import Colour, output, paint, printable, say
from pythonjsonlogger.msgspec import MsgspecFormatter

LogFormat = Literal["text", "json"]

LEVELS: Final = ("debug", "info", "warning", "error")

COLOURS: Final[dict[int, Colour]] = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "red"}


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO connection closed, code=1000, ...`; below it, indented, a traceback."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream: Final = stream

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of the traceback if there is one."""
        level = record.levelname
        if record.levelno in COLOURS:
            level = paint(level, COLOURS[record.levelno], self._stream)
        origin = "" if is_ours(record) else f"{printable(record.name)}: "
        line = f"{timestamp(record)} {level} {origin}{printable(record.getMessage())}"
        return "\n".join((line, *(f"    {shown}" for shown in traceback_lines(self, record))))


class JsonFormatter(MsgspecFormatter):
    """`{"timestamp": ..., "level": ..., "logger": ..., "event": ..., "message": ..., ...}`, and each fact of the event
    as a member.

    Records of other loggers have their `extra` attributes as members. Their event is "log", if no attribute is `event`.
    """

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Fill `log_data`: our members first, which no fact can replace."""
        extra: dict[str, Any] = {}
        super().add_fields(extra, record, {})
        log_data |= {"timestamp": timestamp(record), "level": record.levelname.lower(), "logger": record.name}
        log_data["event"] = clean(extra.pop("event", "log"))
        if is_ours(record):
            extra |= extra.pop("fields", {})
        log_data["message"] = printable(record.message)
        for name, value in extra.items():
            log_data.setdefault(name, clean(value))
        lines = list(traceback_lines(self, record))
        if lines:
            log_data["traceback"] = lines


def is_ours(record: logging.LogRecord) -> bool:
    """Does the record come from `report`?"""
    return record.name == "posthouse" or record.name.startswith("posthouse.")


def timestamp(record: logging.LogRecord) -> str:
    """The time of the record: UTC, RFC 3339, with milliseconds."""
    return written(datetime.fromtimestamp(record.created, UTC))


def written(time: datetime) -> str:
    """A time in UTC (RFC 3339), with milliseconds."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def traceback_lines(formatter: logging.Formatter, record: logging.LogRecord) -> Iterator[str]:
    """The lines of the record's traceback and stack, escaped and cut: the text of an exception may come from a peer."""
    chunks: list[str] = []
    if record.exc_info is not None and record.exc_info[1] is not None:
        chunks.append(str(formatter.formatException(record.exc_info)))
    if record.stack_info is not None:
        chunks.append(record.stack_info)
    for chunk in chunks:
        for line in chunk.rstrip("\n").split("\n"):
            yield str(clean(line))


def configure(level: str, format: LogFormat) -> None:
    """From now on, log to stderr in this format: our own records, and those of the service's loggers. For the whole
    process, and until it ends."""
    if format == "json" and isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8")  # whatever the locale: an escape of Python is not JSON
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(sys.stderr))
    handler.addFilter(_is_news)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if format == "json":
        output.shape = _in_json
        handler.__dict__["handleError"] = _not_written
        logging.captureWarnings(True)
        sys.excepthook = _uncaught
        sys.unraisablehook = lambda seen: _log_uncaught(seen.exc_value, seen.err_msg or "exception ignored")
        threading.excepthook = _uncaught_in_thread


def _is_news(record: logging.LogRecord) -> bool:
    """Is it more than what the command says at any log level?"""
    return getattr(record, "event", None) != LISTENING


def _in_json(level: str, event: str, text: str, facts: Mapping[str, object]) -> str:
    """A line of the command itself, which looks like that of a record."""
    line = {"timestamp": written(datetime.now(UTC)), "level": level, "logger": "posthouse", "event": event}
    line["message"] = text
    line |= {name: str(fact) for name, fact in facts.items() if fact is not None}
    # An argument that is not UTF-8 is a text that JSON cannot carry.
    return json.encode({name: fact.encode(errors="backslashreplace").decode() for name, fact in line.items()}).decode()


def _not_written(record: logging.LogRecord) -> None:
    """A record cannot be written, because its arguments do not fit its text, or because stderr is closed."""
    error = sys.exc_info()[1]
    say("a log record could not be written", level="error", event="log.failed", logger=record.name, reason=error)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log_uncaught(error, "the process ends")


def _uncaught_in_thread(seen: threading.ExceptHookArgs) -> None:
    if seen.exc_type is not SystemExit:
        _log_uncaught(seen.exc_value, "a thread ends")


def _log_uncaught(error: BaseException | None, consequence: str) -> None:
    kind = type(error).__name__
    report(ERROR, "uncaught", "{kind}: {consequence}", raised=error, kind=kind, consequence=consequence)
