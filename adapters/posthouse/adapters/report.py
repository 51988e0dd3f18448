"""The one place that logs: `report` makes a record of the `posthouse` logger for each thing that happened.

`record.event` names the event (`connection.closed`), and `record.fields` has its facts by name; each fact is also an
attribute. Text from a peer is escaped and cut, and never causes a traceback in the log.

The text states what happened, then what to do about it. `{name}` in it stands for the fact of that name; facts that the
text does not use follow it.
"""

from __future__ import annotations

import logging
from logging import DEBUG, ERROR, INFO, WARNING
from types import TracebackType
from typing import Final

from posthouse.adapters.terminal import printable

__all__ = ["DEBUG", "ERROR", "INFO", "WARNING", "clean", "logger", "report"]

logger: Final = logging.getLogger("posthouse")

MAX_VALUE: Final = 256
"""The most characters of a value that are logged."""

RESERVED: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
"""Attributes that every record has. A fact with such a name is only in `fields`."""

Raised = tuple[type[BaseException], BaseException, TracebackType | None]


def clean(value: object) -> object:
    """A value for the log: numbers as they are, everything else as text, escaped and cut at `MAX_VALUE`."""
    if value is None or isinstance(value, int | float):
        return value
    text = printable(str(value)[: MAX_VALUE + 1])
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def report(
    level: int,
    event: str,
    text: str,
    *,
    raised: BaseException | None = None,
    stack: str | None = None,
    **fields: object,
) -> None:
    """Log that `event` happened. Facts that are None are left out.

    `raised` and `stack` are an exception and a stack of our own code or of the service, never the fault of a peer.
    """
    if not logger.isEnabledFor(level):
        return
    facts = {name: clean(value) for name, value in fields.items() if value is not None}
    rest = [f"{name}={fact}" for name, fact in facts.items() if f"{{{name}}}" not in text]
    message = ", ".join([text.format_map(facts), *rest])
    info: Raised | None = None if raised is None else (type(raised), raised, raised.__traceback__)
    extra = {name: fact for name, fact in facts.items() if name not in RESERVED}
    extra |= {"event": event, "fields": facts}
    record = logger.makeRecord(logger.name, level, __file__, 0, "%s", (message,), info, event, extra, stack)
    logger.handle(record)
