"""The one place that logs: `report` makes a record of the `posthouse` logger for each thing that happened. The
lines of an access log go to its child `posthouse.access`, as with other servers.

`record.event` names the event (`connection.closed`), and `record.fields` has its facts by name; each fact is also an
attribute, unless the record has one of that name. An exception in a filter, handler or record factory of the service
changes nothing: the line then goes to stderr. Text from a peer is escaped and cut, and never causes a traceback in the
log.

The text states what happened, then what to do about it. `{name}` in it stands for the fact of that name; facts that the
text does not use follow it.
"""

from __future__ import annotations

import logging
from logging import DEBUG, ERROR, INFO, WARNING
from types import TracebackType
from typing import Final

from posthouse.adapters.terminal import printable, say

__all__ = ["DEBUG", "ERROR", "INFO", "LISTENING", "WARNING", "access", "clean", "is_logged", "report"]

logger: Final = logging.getLogger("posthouse")
access: Final = logging.getLogger("posthouse.access")

LISTENING: Final = "server.listening"
"""The event for each address, when the server accepts."""

MAX_VALUE: Final = 256
"""The most characters of a value that are logged."""

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
    to: logging.Logger = logger,
    **fields: object,
) -> None:
    """Log that `event` happened. Facts that are None are left out.

    `raised` and `stack` are an exception and a stack of our own code or of the service, never the fault of a peer.
    """
    try:
        if not is_logged(level, to):
            return
        facts = {name: clean(value) for name, value in fields.items() if value is not None}
        rest = [f"{name}={quoted(fact)}" for name, fact in facts.items() if f"{{{name}}}" not in text]
        text = ", ".join([text.format_map(facts), *rest])
        info: Raised | None = None if raised is None else (type(raised), raised, raised.__traceback__)
        record = to.makeRecord(to.name, level, __file__, 0, "%s", (text,), info, event, None, stack)
        for name, fact in facts.items():
            record.__dict__.setdefault(name, fact)
        record.__dict__.update(event=event, fields=facts)
        to.handle(record)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        level_name = logging.getLevelName(level)
        failure = f"the log itself failed with {clean(repr(error))}"
        say(f"{level_name} {text}; {failure}", level=level_name.lower(), event=event)


def quoted(fact: object) -> object:
    """A fact as it stands in a line: in quotes, if it could be taken for more than one fact."""
    if isinstance(fact, str) and any(char in fact for char in ',="'):
        return '"{}"'.format(fact.replace("\\", "\\\\").replace('"', '\\"'))
    return fact


def is_logged(level: int, to: logging.Logger = logger) -> bool:
    """Is this level logged? `logging.config.dictConfig` disables each logger that it does not name: that is undone."""
    try:
        to.disabled = False
        return to.isEnabledFor(level)
    except Exception:
        return True  # a logger of the service's own class: `report` says what it raises
