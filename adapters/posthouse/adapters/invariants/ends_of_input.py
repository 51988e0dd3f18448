"""Clients that ended their input: an HTTP call outlives the end of its client's input by `half_close_timeout`.

It sees what an observer outside of the machine sees: when inputs end, and which events are emitted.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.lifecycle import ConnectionClosed, Event
from posthouse.core.values.peers import SocketId
from posthouse.transports.http.server import CLIENT_GONE
from posthouse.transports.switchboard.socket_state import SocketPhase
from posthouse.transports.switchboard.switchboard import Switchboard

from .violation import must


class EndsOfInput:
    """When the input of each open socket ended."""

    def __init__(self) -> None:
        self._ended: Final[dict[SocketId, float]] = {}

    def ended(self, socket: SocketId, now: float) -> None:
        """The input of a socket has ended."""
        self._ended[socket] = now

    def closed(self, socket: SocketId) -> None:
        """A socket was closed."""
        self._ended.pop(socket, None)

    def see(self, event: Event, board: Switchboard) -> None:
        """The next event. No client is taken for gone too early."""
        if isinstance(event, ConnectionClosed) and event.reason == CLIENT_GONE:
            due = any(ended + board.config.half_close_timeout <= event.now for ended in self._ended.values())
            must(due, "time: a client is taken for gone before half_close_timeout")

    def check(self, board: Switchboard, now: float) -> None:
        """Deadlines were handled at this time: no client was waited for too long."""
        for socket, ended in self._ended.items():
            state = board._sockets.find(socket)
            if state is not None and state.phase is SocketPhase.ASKED:
                gone = ended + board.config.half_close_timeout
                must(now < gone, "time: a client that ended its input is waited for too long")
