"""Lines that repeat: a client that makes the same thing happen again and again does not flood the log.

Hooks and counters are told of everything: only lines are left out, and their number is logged.
"""

from __future__ import annotations

from typing import Any, Final

from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import WARNING, report

LOG_INTERVAL: Final = "log_interval"
"""The reason of the deadline at which an interval ends."""

MAX_COUNTED: Final = 1024
"""The most kinds of lines that are counted apart. Those of further methods and hooks count together, for each event."""

LEFT_OUT: Final = "left out {lines} lines like those before: to see more, raise log_lines"

Kind = tuple[str, str, str]
"""An event, what it is about (`method`, `hook` or `authenticator`), and its name."""


class Repeats:
    """Allows `log_lines` lines of one kind in each `log_interval`. An interval begins with its first line."""

    def __init__(self, runner: Runner) -> None:
        self._runner: Final = runner
        self._most: Final = runner.board.config.log_lines
        self._seconds: Final = runner.board.config.log_interval
        self._counts: dict[Kind, int] = {}
        runner.on_due[LOG_INTERVAL] = self._over

    def allows(self, event: str, about: str, name: str) -> bool:
        """Count a line. False: it must be left out."""
        counts, kind = self._counts, (event, about, name)
        if not counts:
            self._runner.arm(self._seconds, LOG_INTERVAL, 0)
            self._runner.flush_outbox(soon=True)  # outside of a turn, this sets the alarm
        if kind not in counts and len(counts) >= MAX_COUNTED:
            kind = (event, about, "others")
        counts[kind] = count = counts.get(kind, 0) + 1
        return count <= self._most

    def _over(self, key: int) -> None:
        self.end_interval()

    def end_interval(self) -> None:
        """Log how many lines were left out, and begin to count anew."""
        counts, self._counts = self._counts, {}
        for (event, about, name), count in counts.items():
            if count > self._most:
                fields: dict[str, Any] = {"lines": count - self._most, "of": event, about: name}
                report(WARNING, "log.left_out", LEFT_OUT, **fields)
