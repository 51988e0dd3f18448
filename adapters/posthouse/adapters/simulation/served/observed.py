"""A process as its world observes it: the parts of its server, and the invariants beside those of the switchboard."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from posthouse.adapters.invariants import FirstBytes
from posthouse.adapters.invariants.ends_of_input import EndsOfInput
from posthouse.adapters.invariants.violation import must
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.adapters.model.model import Model
from posthouse.adapters.server.entrances.channel import Channel
from posthouse.adapters.server.entrances.endpoints import Endpoint
from posthouse.adapters.server.entrances.tls_channel import TlsChannel
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.core.gateway import Gateway
from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.actions import Action
from posthouse.transports.switchboard.switchboard import Switchboard

from .application import ServedApplication
from .handlers import ServedHandlers
from .watch import Watch

SOON: Final = 0.5
"""Seconds in which a socket that is broken is closed."""


class ObservedProcess:
    """A process of the server, on its machine. `on_action` is called with each action before it is performed. `secure`:
    its sockets speak TLS, except unix sockets. `broken_since` and
    `opening_since`: when a socket was first found to be broken, or in its TLS handshake."""

    def __init__(self, system: SimulatedSystem, handlers: ServedHandlers, on_action: Callable[[Action], None]) -> None:
        self.system: Final = system
        self.handlers: Final = handlers
        self.application: Final = ServedApplication(system.signals, system.loop)
        self.secure = False
        self.broken_since: Final[dict[SocketId, float]] = {}
        self.opening_since: Final[dict[SocketId, float]] = {}
        self._on_action: Final = on_action
        self._watch: Watch | None = None

    @property
    def watch(self) -> Watch:
        """The observer of the server. If `serve` failed before it built a server, this raises the error of `serve`."""
        if self._watch is None:
            raise self.application.error or RuntimeError("serve has not built its server")
        return self._watch

    @property
    def board(self) -> Switchboard:
        return self.watch.board

    @property
    def gateway(self) -> Gateway:
        return self.board.gateway

    @property
    def model(self) -> Model | None:
        """The reference model, if it checks the gateway."""
        return self.gateway.model if isinstance(self.gateway, CheckedGateway) else None

    @property
    def sockets(self) -> dict[SocketId, Endpoint]:
        """The open sockets and pipes."""
        return self.watch.endpoints.by_id

    @property
    def touched(self) -> dict[SocketId, None]:
        return self.watch.touched

    @property
    def first_bytes(self) -> FirstBytes:
        return self.watch.first_bytes

    @property
    def ends_of_input(self) -> EndsOfInput:
        return self.watch.ends_of_input

    @property
    def drained(self) -> bool:
        return self.watch.drained

    @property
    def over(self) -> bool:
        """Has `serve` returned, and has every thread ended?"""
        return self.application.ended and not self.system.threads.alive

    def check(self) -> None:
        """Check the handlers, threads and sockets of the server. Raises Violation."""
        if not self.application.ended:
            self.handlers.check()
            self._check_sockets()
            self._check_broken()
            self._check_handshakes()

    def _check_sockets(self) -> None:
        limit = self.system.descriptors.most
        usable = limit - min(self.board.config.descriptor_reserve, limit // 4)
        for channel in self.sockets.values():
            if isinstance(channel, Channel):
                must(channel.socket.fileno() < usable, "limits: a client uses a descriptor that is reserved")
                secure = self.secure and channel.socket.family != socket.AF_UNIX
                must(
                    isinstance(channel, TlsChannel) is secure,
                    "policy: TLS is spoken where it should be, and nowhere else",
                )

    def _check_broken(self) -> None:
        """A socket or pipe that has reported an error is closed soon."""
        broken = [id for id, is_broken in self.watch.broken.items() if id in self.sockets and is_broken()]
        self._must_end(broken, self.broken_since, SOON, "closing: a broken socket or pipe was not closed")

    def _check_handshakes(self) -> None:
        """A TLS handshake ends within `tls_timeout`."""
        opening = [id for id, channel in self.sockets.items() if isinstance(channel, TlsChannel) and channel._opening]
        seconds = self.board.config.tls_timeout + SOON
        self._must_end(opening, self.opening_since, seconds, "time: a TLS handshake takes longer than tls_timeout")

    def _must_end(self, ids: list[SocketId], since: dict[SocketId, float], seconds: float, sentence: str) -> None:
        """No socket is in this state for longer than so many seconds. `since` says when each was first found in it."""
        now = self.system.now()
        for id in ids:
            must(now <= since.setdefault(id, now) + seconds, sentence)
        for id in since.keys() - ids:
            del since[id]

    def check_at_rest(self) -> None:
        """Check that the server, which has ended, has left no descriptor open, and no handler of a signal. Raises
        Violation."""
        must(not self.board.outbox, "rest: the server has ended, and an action was not performed")
        left = self.system.descriptors.open()
        must(not left, f"rest: no descriptor is left open ({', '.join(type(file).__name__ for file in left.values())})")
        must(self.system.signals.untouched, "rest: the handlers of signals and their descriptor are those from before")
