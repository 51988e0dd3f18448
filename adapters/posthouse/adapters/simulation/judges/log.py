"""The judge of a process by what its operator sees: the lines of its log (docs/log.md), and its exit status
(docs/deploy.md)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from logging import DEBUG, ERROR, INFO, WARNING, LogRecord
from typing import Final

from posthouse.adapters.invariants import Violation
from posthouse.adapters.invariants.canary import keeps_secrets
from posthouse.core.values.config import Config

LEVELS: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(("dev", "methods.uncallable", "call.timed_out", "error.data_lost"), (WARNING,)),
    **dict.fromkeys(("forwarding.ignored", "proxies.everyone"), (WARNING,)),
    **dict.fromkeys(("worker.died", "worker.overdue", "store.resists"), (WARNING,)),
    **dict.fromkeys(("worker.not_started", "workers.failed", "workers.not_replaced"), (ERROR,)),
    **dict.fromkeys(("worker.started", "workers.replaced", "service.changed"), (INFO,)),
    **dict.fromkeys(("store.unavailable", "store.failed", "tls.unreadable"), (ERROR,)),
    **dict.fromkeys(("store.recovered", "store.migrated", "tls.read"), (INFO,)),
    "authenticator.failed": (ERROR,),
    "authenticator.resists": (WARNING,),
    "auth.expired": (INFO,),
    "auth.revoked": (INFO,),
    "user.registered": (INFO,),
    "user.changed": (INFO,),
    "user.removed": (INFO,),
    "password.failed": (ERROR,),
    **dict.fromkeys(("credentials.read", "credentials.unreadable"), (INFO, ERROR)),
    **dict.fromkeys(("keys.read", "keys.unreadable"), (INFO, WARNING)),
    "password.outdated": (WARNING,),
    "auth.failed": (WARNING, DEBUG),
    **dict.fromkeys(("handler.resists", "hook.resists", "lifespan.resists", "lifespan.overrun"), (WARNING,)),
    **dict.fromkeys(("loop.blocked", "loop.stuck", "accept.exhausted", "journal.ended", "log.left_out"), (WARNING,)),
    **dict.fromkeys(("server.listening", "gateway.draining", "call.ended", "tls.failed"), (INFO,)),
    **dict.fromkeys(("shutdown.overrun", "call.failed", "hook.failed", "hook.overrun"), (ERROR,)),
    **dict.fromkeys(("lifespan.failed", "lifespan.ended", "uncaught", "log.failed", "command.failed"), (ERROR,)),
    "server.stopped": (INFO, WARNING),
    "connection.closed": (INFO, DEBUG),
    "session.ended": (WARNING, DEBUG),
    "limit.breached": (WARNING, DEBUG),
    "request.refused": (WARNING, DEBUG),
}
"""The levels of each event."""

WITH_TRACEBACK: Final = ("call.failed", "hook.failed", "lifespan.failed", "authenticator.failed", "uncaught")
RESISTS: Final = ("handler.resists", "hook.resists", "lifespan.resists", "authenticator.resists")
REPEATED: Final = ("call.failed", "call.timed_out", "handler.resists", "error.data_lost", "hook.failed")

ONE_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
LONGEST_VALUE: Final = 256
QUIET: Final = 10.0
"""Seconds in which there is one warning about a limit, or about refusals of one kind."""

LOGGERS: Final = (logging.getLogger("posthouse"), logging.getLogger("posthouse.access"))


class LogJudge:
    """The judge of one process. `failed` is the first violation: it is kept, because the log catches exceptions.
    `status` is the exit status of the process, None until it ends by itself."""

    current: LogJudge | None = None
    """The judge of the process that runs."""

    def __init__(self, config: Config, now: Callable[[], float]) -> None:
        self.failed: Violation | None = None
        self.status: int | None = None
        self._config: Final = config
        self._now: Final = now
        self._counts: Final[dict[str, int]] = {}
        self._times: Final[dict[tuple[str, object], list[float]]] = {}
        self._woke_at = -1.0

    def see(self, record: LogRecord) -> None:
        """A line was logged."""
        try:
            self._judge(record)
        except Violation as error:
            self.failed = self.failed or error

    def _judge(self, record: LogRecord) -> None:
        event, text = getattr(record, "event", None), record.getMessage()
        if event not in LEVELS:
            raise Violation("log: a line has an event that is not documented", event, text)
        if record.levelno not in LEVELS[event]:
            raise Violation("log: a line has another level than documented", event, record.levelname)
        if not ONE_LINE.fullmatch(text):
            raise Violation("log: a line is not one line", repr(text))
        fields = getattr(record, "fields", {})
        keeps_secrets("the log", text, *fields.values())
        if any(isinstance(value, str) and len(value) > LONGEST_VALUE for value in fields.values()):
            raise Violation("log: a value is too long", text)
        if record.exc_info is not None and event not in WITH_TRACEBACK:
            raise Violation("log: a line has a traceback that it must not have", event)
        self._judge_order(event)
        if event in REPEATED:
            kind = fields.get("method", fields.get("hook"))
            self._judge_rate(event, kind, 2 * self._config.log_lines, self._config.log_interval)
        elif event in ("limit.breached", "request.refused") and record.levelno == WARNING:
            self._judge_rate(event, fields.get("limit", fields.get("status")), 1, QUIET)

    def _judge_order(self, event: str) -> None:
        counts = self._counts
        if "server.stopped" in counts and event != "lifespan.failed":
            raise Violation("log: a line follows the last one", event)
        counts[event] = counts.get(event, 0) + 1
        if counts[event] > 1 and event == "gateway.draining":
            raise Violation("log: a shut-down begins twice")

    def _judge_rate(self, event: str, kind: object, most: int, seconds: float) -> None:
        """At most so many lines within so many seconds."""
        now = self._now()
        if now == self._woke_at:
            return
        times = self._times.setdefault((event, kind), [])
        times.append(now)
        del times[: -most - 1]
        if len(times) > most and now - times[0] < seconds:
            raise Violation("log: there are too many lines of one kind", event, kind)

    def woke(self) -> None:
        """The process was asleep. Everything that happened meanwhile is logged now."""
        self._woke_at = self._now()
        self._times.clear()

    def ended(self, status: int) -> None:
        """The process has ended by itself, with this exit status. Raises Violation."""
        self.status = status
        counts = self._counts
        if not LOGGERS[0].isEnabledFor(INFO):
            return
        if status == 0 and not counts.get("server.stopped"):
            raise Violation("log: a server has ended with status 0 and did not say so")
        named = any(event in counts for event in (*RESISTS, "shutdown.overrun", "log.left_out"))
        if status == 1 and not named:
            raise Violation("log: a server has ended with status 1, and no line says why")


def _see(record: LogRecord) -> bool:
    if LogJudge.current is not None:
        LogJudge.current.see(record)
    return True


def watch_log() -> None:
    """Let the judge of the process that runs see each line of the log. A filter changes nothing else."""
    for logger in LOGGERS:
        if _see not in logger.filters:
            logger.addFilter(_see)
