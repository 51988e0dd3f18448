"""What is told to people: one record of the `posthouse` logger for each thing that happened.

A record has a fixed text and its facts as attributes: `record.event` names what happened (`connection.closed`),
`record.fields` has the facts by name, and each is an attribute too. What a peer said is escaped and cut before it is
logged, and never brings a traceback with it.
"""

from __future__ import annotations

import logging
from logging import DEBUG, ERROR, INFO, WARNING
from types import TracebackType
from typing import Final

__all__ = ["DEBUG", "ERROR", "INFO", "WARNING", "clean", "logger", "report"]

logger: Final = logging.getLogger("posthouse")

MAX_VALUE: Final = 256
"""Characters of a value that are logged at most."""

RESERVED: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
"""Attributes of a record that have a meaning of their own: a field of such a name is in `fields` alone."""

Raised = tuple[type[BaseException], BaseException, TracebackType | None]


def clean(value: object) -> object:
    """A value as it may be logged: numbers as they are, text with everything unprintable escaped, and not too long."""
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: MAX_VALUE + 1])
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
    """Log that `event` happened. `raised` is what our own code, or a service's, threw, and `stack` where it stands:
    never a peer's doing."""
    if not logger.isEnabledFor(level):
        return
    facts = {name: clean(value) for name, value in fields.items() if value is not None}
    said = ", ".join([text, *(f"{name}={fact}" for name, fact in facts.items())])
    info: Raised | None = None if raised is None else (type(raised), raised, raised.__traceback__)
    extra = {name: fact for name, fact in facts.items() if name not in RESERVED}
    extra |= {"event": event, "fields": facts}
    record = logger.makeRecord(logger.name, level, __file__, 0, "%s", (said,), info, event, extra, stack)
    logger.handle(record)
