"""A judge: the observer of one link. And the facts that it must know beside the bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from posthouse.adapters.invariants import Violation
from posthouse.core.values.config import Config


class Facts(Struct, frozen=True):
    """The limits of the server, and the `name` of the client for messages. `draining`: does the server shut down?
    `shuts_out`: has a user been revoked, or an identity expired, for which it closes connections? `origins`: those of
    the pages that the server names as allowed."""

    config: Config
    name: str
    draining: Callable[[], bool] = lambda: False
    origins: tuple[bytes, ...] = ()
    shuts_out: Callable[[], bool] = lambda: False


class ServerEnd(Struct, frozen=True):
    """The moment at which the server ended its output.

    `at`: its time. `delivered`: how many bytes of the client had reached the server's machine. `input_ended`: when the
    end of the client's output had reached it, None if it had not. `full`: the client is slow, and has not
    received much.
    """

    at: float
    delivered: int
    input_ended: float | None
    full: bool = False


class Judge(ABC):
    """The judge of one link. `sent` gets the client's bytes, `received` those of the server, in order, cut anywhere.

    When the server ends its output, `server_ended` is called at once, and `received_end` behind the last byte. A link
    that was cut has no end.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts: Final = facts
        self._end: ServerEnd | None = None
        self._draining = False
        self._shuts_out = False

    @abstractmethod
    def sent(self, data: bytes) -> None:
        """The client sent bytes."""

    def sent_end(self) -> None:
        """The client has ended its output. Most judges do not need to know."""
        return

    @abstractmethod
    def received(self, data: bytes) -> None:
        """The client received bytes."""

    def server_ended(self, end: ServerEnd) -> None:
        """The server has ended its output. The client may still have to receive some of it."""
        self._end = end
        self._draining = self._facts.draining()
        self._shuts_out = self._facts.shuts_out()

    @abstractmethod
    def received_end(self) -> None:
        """The client has received everything."""

    def _must(self, holds: object, sentence: str, *seen: object) -> None:
        """Raise Violation with this sentence, unless it holds."""
        if not holds:
            raise Violation(sentence, self._facts.name, *map(repr, seen))
