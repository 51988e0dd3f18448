"""The faults of one process: of its handlers, and of the machine under it."""

from __future__ import annotations

from math import inf

from msgspec import Struct
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.core.values.errors import UsageError


class HandlerFaults(Struct, frozen=True):
    """How often handlers fail, in a thousand. Raises UsageError for invalid values.

    They end `late`, by up to `max_delay` seconds, or `never` before the world heals; their ends are reported `twice`.
    They fail where they would have returned a result (`raises`), or go on when they are cancelled (`ignores_cancel`).
    """

    late: int = 0
    never: int = 0
    twice: int = 0
    raises: int = 0
    ignores_cancel: int = 0
    max_delay: float = 1.0

    def __post_init__(self) -> None:
        for name in ("late", "never", "twice", "raises", "ignores_cancel"):
            if not 0 <= getattr(self, name) <= 1000:
                raise UsageError(f"{name} {getattr(self, name)} must be from 0 to 1000: it is how often in a thousand")
        if not 0 <= self.max_delay < inf:
            raise UsageError(f"max_delay {self.max_delay} must be finite seconds, 0 or more")


class InjectedError(Exception):
    """The exception that a handler raises only because of `HandlerFaults.raises`."""


class Faults(Struct, frozen=True):
    """The faults of a process, until the world heals."""

    handlers: HandlerFaults = HandlerFaults()
    machine: MachineFaults = MachineFaults()
