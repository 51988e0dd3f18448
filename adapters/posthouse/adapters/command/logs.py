"""How log records look: lines of text for people, or one JSON object per line for machines.

`report.py` makes the records. This file escapes every character that does not print, so that no value can forge a line
or control a terminal. The JSON itself, and the attributes of records, are python-json-logger's work.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, Final, Literal, TextIO

from posthouse.adapters.report import clean
from posthouse.adapters.terminal import Colour, paint, printable
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
        origin = "" if record.name == "posthouse" else f"{printable(record.name)}: "
        line = f"{timestamp(record)} {level} {origin}{printable(record.getMessage())}"
        return "\n".join((line, *(f"    {shown}" for shown in traceback_lines(self, record))))


class JsonFormatter(MsgspecFormatter):
    """`{"time": ..., "level": ..., "event": ..., "message": ..., ...}`, and each fact of the event as a member.

    Records of other loggers have `logger` in place of `event`, and their `extra` attributes as members.
    """

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Fill `log_data`: our members first, which no fact can replace."""
        extra: dict[str, Any] = {}
        super().add_fields(extra, record, {})
        log_data |= {"time": timestamp(record), "level": record.levelname.lower()}
        if record.name == "posthouse":
            log_data["event"] = extra.pop("event", None)
            extra |= extra.pop("fields", {})
        else:
            log_data["logger"] = record.name
        log_data["message"] = printable(record.message)
        for name, value in extra.items():
            log_data.setdefault(name, clean(value))
        lines = list(traceback_lines(self, record))
        if lines:
            log_data["traceback"] = lines


def timestamp(record: logging.LogRecord) -> str:
    """The time of the record: UTC, RFC 3339, with milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    """From now on, log to stderr in this format: our own records, and those of the service's loggers."""
    if format == "json" and isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8")  # whatever the locale: an escape of Python is not JSON
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(sys.stderr))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
