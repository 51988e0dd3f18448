"""The end of a process by signals: which exits are right, and when the process must have ended."""

from __future__ import annotations

from typing import Final

from posthouse.adapters.invariants.violation import must
from posthouse.adapters.server.signals import LAST_LINE, SPARE
from posthouse.adapters.simulation.machine.signals import SimulatedSignals
from posthouse.core.values.config import Config

SLACK: Final = 0.1
"""Seconds that threads and the event loop may need beside the time of a shut-down."""


class Exits:
    """Checks how one process ends. `late`: seconds for which it was stopped, or user code may have held it up."""

    def __init__(self, signals: SimulatedSignals, config: Config) -> None:
        self._signals: Final = signals
        self._config: Final = config
        self._signalled_at: float | None = None
        self.held_up = False

    def signalled(self, now: float, *, ended: bool) -> None:
        """A signal was sent. `ended`: the server has ended, and handles signals no more."""
        handled = self._signals.handled
        if handled and self._signalled_at is None:
            self._signalled_at = now
        again = len(handled) > 1 and self._signals.code is None and not ended
        must(not again, "shutdown: a second signal did not end the process")

    def check(self, now: float, *, ended: bool) -> None:
        """The process has done everything that it can do now. It ends in time after a signal."""
        if self._signalled_at is not None and not ended and not self.held_up:
            due = self._signalled_at + self._config.drain_timeout + SPARE + LAST_LINE + SLACK
            must(now < due, "shutdown: a process that got a signal did not end in time")

    def exited(self, *, resisted: bool) -> None:
        """The process has exited. The code tells why. `resisted`: handlers ignored their cancellation."""
        code, handled = self._signals.code, self._signals.handled
        second = len(handled) > 1 and code == 128 + handled[-1]
        must(second or (code == 1 and (self.held_up or resisted)), "shutdown: the exit code is wrong", code, handled)
