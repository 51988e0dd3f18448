"""How log records look: one line of text for people, or one JSON object a line for machines.

What is logged is decided where it happens (`report.py`); this file formats. Everything that does not print is
escaped, so that no value can forge a line or speak to a terminal.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from msgspec import json
from posthouse.adapters.report import clean
from posthouse.adapters.terminal import Colour, paint, printable

LogFormat = Literal["text", "json"]

LEVELS: Final = ("debug", "info", "warning", "error")

COLOURS: Final[dict[int, Colour]] = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "red"}


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO connection closed: code=1000 ...`; a traceback of our own code, indented below."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream: Final = stream

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback's where there is one."""
        level = record.levelname
        if record.levelno in COLOURS:
            level = paint(level, COLOURS[record.levelno], self._stream)
        origin = "" if record.name == "posthouse" else f"{printable(record.name)}: "
        line = f"{timestamp(record)} {level} {origin}{printable(record.getMessage())}"
        return "\n".join((line, *(f"    {shown}" for shown in trace(record))))


class JsonFormatter(logging.Formatter):
    """`{"time": ..., "level": ..., "event": ..., "message": ..., ...}`, with each fact of the event as a member.

    Records of other loggers have `logger` in place of `event`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {"time": timestamp(record), "level": record.levelname.lower()}
        if record.name == "posthouse":
            line["event"] = getattr(record, "event", None)
        else:
            line["logger"] = record.name
        line["message"] = printable(record.getMessage())
        for name, fact in getattr(record, "fields", {}).items():
            line.setdefault(name, fact)
        shown = list(trace(record))
        if shown:
            line["traceback"] = shown
        return json.encode(line).decode()


def timestamp(record: logging.LogRecord) -> str:
    """When it was logged: UTC, RFC 3339, with milliseconds."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trace(record: logging.LogRecord) -> Iterator[str]:
    """The lines of the record's traceback and stack, each escaped and cut: an exception's text may be a peer's."""
    chunks: list[str] = []
    if record.exc_info is not None and record.exc_info[1] is not None:
        chunks += traceback.format_exception(record.exc_info[1])
    if record.stack_info is not None:
        chunks.append(record.stack_info)
    for chunk in chunks:
        for line in chunk.rstrip("\n").split("\n"):
            yield str(clean(line))


def configure(level: str, format: LogFormat) -> None:
    """Log to stderr from here on: ours, and what the service's own loggers say, in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(sys.stderr))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
