"""The lines of the server's log: each names a known event, at its level and with its facts."""

from __future__ import annotations

from logging import ERROR, INFO, WARNING, Handler, LogRecord
from typing import Final

from msgspec import Struct

from .violation import Violation, must


class Line(Struct, frozen=True):
    """A kind of line: its level, the facts that it always has, and those that it may have. `or_level`: it may also have
    this level."""

    level: int
    facts: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    or_level: int | None = None


LINES: Final[dict[str, Line]] = {
    "accept.exhausted": Line(WARNING),
    "auth.expired": Line(INFO, ("connection", "kind"), ("user", "namespace", "peer", "proxy")),
    "auth.failed": Line(WARNING, ("reason", "connection", "kind"), ("authenticator", "peer", "proxy")),
    "auth.revoked": Line(INFO, ("user", "connections"), ("namespace", "not_before")),
    "authenticator.failed": Line(ERROR, ("name",)),
    "authenticator.resists": Line(WARNING, ("name",)),
    "call.failed": Line(ERROR, ("method", "incident", "reason", "connection"), ("request_id",)),
    "call.timed_out": Line(WARNING, ("method", "connection"), ("request_id",)),
    "connection.closed": Line(
        INFO, ("connection", "public_id", "kind", "seconds", "calls"), ("peer", "proxy", "user", "code", "reason")
    ),
    "error.data_lost": Line(WARNING, ("method", "code")),
    "forwarding.ignored": Line(WARNING, ("header", "peer")),
    "gateway.draining": Line(INFO),
    "handler.resists": Line(WARNING, ("method", "connection"), ("request_id",)),
    "hook.failed": Line(ERROR, ("hook",)),
    "hook.overrun": Line(ERROR, ("hook",)),
    "hook.resists": Line(WARNING, ("hook",)),
    "lifespan.ended": Line(ERROR, ("service",)),
    "lifespan.failed": Line(ERROR),
    "lifespan.overrun": Line(WARNING, ("service",)),
    "lifespan.resists": Line(WARNING, ("service",)),
    "limit.breached": Line(WARNING, ("limit",), ("connection", "peer", "proxy")),
    "log.left_out": Line(WARNING, ("lines", "of"), ("method", "hook", "authenticator", "request")),
    "loop.blocked": Line(WARNING, ("method", "seconds")),
    "loop.stuck": Line(WARNING, ("method", "seconds")),
    "methods.uncallable": Line(WARNING, ("service",), ("methods",)),
    "proxies.everyone": Line(WARNING, ("network",)),
    "request.refused": Line(WARNING, ("status", "reason"), ("host", "origin", "peer", "proxy")),
    "server.listening": Line(INFO, ("url",)),
    "server.stopped": Line(INFO, (), ("connections", "seconds", "calls"), WARNING),
    "session.ended": Line(WARNING, ("session", "reason", "connections")),
    "shutdown.overrun": Line(ERROR),
    "password.failed": Line(ERROR),
    "store.failed": Line(ERROR, ("request",)),
    "store.migrated": Line(INFO, ("path", "number", "backup")),
    "store.recovered": Line(INFO),
    "store.resists": Line(WARNING),
    "store.unavailable": Line(ERROR, ("reason",)),
    "tls.failed": Line(INFO, ("socket",), ("reason",)),
    "tls.read": Line(INFO, ("file",)),
    "tls.unreadable": Line(ERROR, ("reason",)),
    "user.changed": Line(INFO, ("user", "change", "connection"), ("by",)),
    "user.registered": Line(INFO, ("user", "connection")),
    "user.removed": Line(INFO, ("user", "connection"), ("by",)),
}
"""Every line from INFO on, by its event."""


class Logbook(Handler):
    """Keeps the first line that is wrong. (An exception in a handler would only reach stderr.)"""

    def __init__(self) -> None:
        super().__init__()
        self._wrong: Violation | None = None

    def emit(self, record: LogRecord) -> None:
        try:
            check_line(record)
        except Violation as violation:
            self._wrong = self._wrong or violation

    def check(self) -> None:
        """Every line was right. Raises Violation."""
        if self._wrong is not None:
            raise self._wrong


def check_line(record: LogRecord) -> None:
    """The line of this record is right. Raises Violation."""
    event, facts = getattr(record, "event", None), getattr(record, "fields", {})
    line = LINES.get(str(event))
    if line is None:
        raise Violation("log: a line has an unknown event", event, record.getMessage())
    must(record.levelno in (line.level, line.or_level), "log: a line has another level", event, record.levelname)
    missing = [name for name in line.facts if name not in facts]
    must(not missing, "log: a line has no such fact", event, missing)
    surplus = [name for name in facts if name not in (*line.facts, *line.more)]
    must(not surplus, "log: a line has a fact that it should not have", event, surplus)
    must(bool(record.getMessage()), "log: a line has no text", event)
