"""Accept clients from listening sockets. No error ends the accept loop.

If descriptors run out, the loop closes the client that waits, pauses, and goes on by itself; open connections are not
affected. This module does not know what clients send.
"""

from __future__ import annotations

import errno
import math
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import WARNING, report
from posthouse.adapters.system.system import READ, Socket
from posthouse.core.values.peers import Address, SocketId

from .certificates import Certificates
from .channel import Channel
from .endpoints import Endpoints
from .listeners import Listener
from .tls_channel import TLS_EXPIRES, TlsChannel

EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""The errors of `accept` when this process, or this machine, has run out of descriptors or memory."""

ACCEPT_AGAIN: Final = "accept"
"""The reason of the deadlines that are armed here; the key is the place of the listener."""

MAX_ACCEPTS: Final = 16
"""The number of clients that are accepted in one turn."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds to pause when descriptors have run out: the first time, twice as long each further time, and at most."""

QUIET: Final = 10.0
"""Seconds for which one line in the log stands for all of its kind."""


class Door:
    """One listening socket of an acceptor, as the poller knows it."""

    __slots__ = ("_accept", "_place")

    def __init__(self, accept: Callable[[int], None], place: int) -> None:
        self._accept: Final = accept
        self._place: Final = place

    def ready(self, events: int) -> None:
        """Clients wait."""
        self._accept(self._place)


class Acceptor:
    """Accepts on `listeners`, from `start` until it is closed. With `tls`, every client speaks TLS, except on unix
    sockets."""

    def __init__(
        self, listeners: Sequence[Listener], runner: Runner, endpoints: Endpoints, tls: Certificates | None = None
    ) -> None:
        self._listeners: Final = listeners
        self._runner: Final = runner
        self._endpoints: Final = endpoints
        self._tls: Final = tls
        self._descriptors: Final = runner.system.descriptors
        self._doors: Final = [Door(self._accept, place) for place in range(len(listeners))]
        self._forget: Final = endpoints.forget  # one for all channels
        self._watched = [0] * len(listeners)
        self._reserve: int | None = self._descriptors.null()
        self._pause = FIRST_PAUSE
        self._logged_at = -math.inf
        self._open = True
        runner.on_due[ACCEPT_AGAIN] = self._resume
        runner.on_due[TLS_EXPIRES] = self._tls_expires

    def start(self) -> None:
        """Accept clients from now on."""
        for place in range(len(self._listeners)):
            self._watch(place, READ)

    def close(self) -> None:
        """Stop accepting and listening. Calling it twice is harmless."""
        if not self._open:
            return
        self._open = False
        for place, listener in enumerate(self._listeners):
            self._watch(place, 0)
            listener.close()
        if self._reserve is not None:
            self._descriptors.close(self._reserve)

    def _watch(self, place: int, events: int) -> None:
        listening = self._listeners[place].socket
        self._runner.poller.watch(listening, self._watched[place], events, self._doors[place])
        self._watched[place] = events

    def _accept(self, place: int) -> None:
        listening = self._listeners[place].socket
        for _ in range(MAX_ACCEPTS):
            try:
                accepted, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._shed(listening)
                    self._stand_back(place)
                    return
                continue  # the client has gone already
            if accepted.fileno() >= self._ceiling():
                accepted.close()
                self._stand_back(place)
                return
            self._pause = FIRST_PAUSE
            self._admit(accepted, peer, self._listeners[place])

    def _admit(self, accepted: Socket, peer: object, listener: Listener) -> None:
        runner = self._runner
        over_ip = accepted.family != socket.AF_UNIX
        tls = self._tls if over_ip and not listener.probes else None
        address = Address(secure=tls is not None)
        if over_ip and isinstance(peer, tuple):
            address = Address(sys.intern(peer[0]), peer[1], secure=tls is not None)
        if listener.probes:
            id = runner.board.opened(address, runner.now(), identity=listener.identity, probes=True)
        else:
            id = runner.board.opened(address, runner.now())
        if id is None:
            accepted.close()
            return
        accepted.setblocking(False)
        try:
            if over_ip:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is None:
                channel = Channel(id, accepted, runner, self._forget)
            else:
                channel = TlsChannel(id, accepted, tls.current(), runner, self._forget)
        except OSError:  # the client has reset it already
            accepted.close()
            runner.board.closed(id, runner.now())
            return
        self._endpoints.by_id[id] = channel
        channel.start()

    def _shed(self, listening: Socket) -> None:
        """Use the reserved descriptor to accept one client and close it, so that this client learns of it at once."""
        if self._reserve is None:
            return
        self._descriptors.close(self._reserve)
        self._reserve = None
        try:
            listening.accept()[0].close()
            self._reserve = self._descriptors.null()
        except OSError:
            pass  # another thread or process took the descriptor

    def _stand_back(self, place: int) -> None:
        self._watch(place, 0)
        self._runner.arm(self._pause, ACCEPT_AGAIN, place)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        now = self._runner.now()
        if now - self._logged_at >= QUIET:
            self._logged_at = now
            text = "no file descriptors left, new connections are closed: to allow more, raise `ulimit -n`"
            report(WARNING, "accept.exhausted", text)

    def _resume(self, place: int) -> None:
        if not self._open:
            return
        if self._reserve is None:
            try:
                self._reserve = self._descriptors.null()
            except OSError:
                pass  # there is still none
        self._watch(place, READ)

    def _tls_expires(self, key: int) -> None:
        channel = self._endpoints.by_id.get(SocketId(key))
        if isinstance(channel, TlsChannel):
            channel.expire()

    def _ceiling(self) -> float:
        """The first descriptor that clients may not use: the service's own files and sockets need some too."""
        limit = self._descriptors.limit()
        return limit - min(self._runner.board.config.descriptor_reserve, limit // 4)
