"""Calls that this process makes itself: each is one text on a connection of its own, which has no socket.

The gateway treats them like HTTP exchanges. This module may not know codecs.
"""

from __future__ import annotations

from math import ceil, isfinite
from typing import Final

from posthouse.core.gateway import Gateway
from posthouse.core.jsonrpc.messages import LOCAL, encode_request, read_reply
from posthouse.core.values.effects import Answer, Disconnect
from posthouse.core.values.errors import ErrorObject, UsageError, refusal
from posthouse.core.values.peers import NO_META, ConnectionId, Identity, Meta, Peer

from .actions import Action, Reply


class LocalCalls:
    """The table of these calls. `open` has the connections whose calls have no outcome yet."""

    def __init__(self, gateway: Gateway, outbox: list[Action]) -> None:
        self._gateway: Final = gateway
        self._outbox: Final = outbox
        self._last = 0
        self.open: Final[dict[ConnectionId, None]] = {}

    def begin(
        self, method: str, params: object, now: float, *, identity: Identity, timeout: float | None
    ) -> ConnectionId:
        """Open a connection for one call. Raises UsageError, before any change, for invalid arguments."""
        if timeout is not None and not (isfinite(timeout * 1000) and timeout > 0):
            raise UsageError(f"timeout is {timeout}: it must be a finite number of seconds above 0")
        if not isinstance(identity, Identity):
            raise UsageError(f"identity is {identity!r}: give an Identity, such as Identity('ada')")
        text = encode_request(LOCAL, method, params)
        meta = NO_META if timeout is None else Meta(timeout_ms=ceil(timeout * 1000))
        connection = self._gateway.connect(Peer("local", identity=identity, meta=meta), now)
        self._last = connection
        self.open[connection] = None
        self._gateway.receive(connection, text, now)  # it changes nothing if the connection was refused
        return connection

    def answered(self, effect: Answer, now: float) -> None:
        """The call has its outcome."""
        assert effect.data is not None  # a request is always answered
        self._end(effect.connection, read_reply(effect.data), now)

    def refused(self, effect: Disconnect, now: float) -> None:
        """The gateway refuses or closes the connection. At the end of a shut-down it may have answered the call just
        before: that answer ended the connection."""
        if effect.connection in self.open:
            self._end(effect.connection, refusal(effect.reason.error, reason=effect.reason.text), now)

    def _end(self, connection: ConnectionId, outcome: ErrorObject | bytes, now: float) -> None:
        del self.open[connection]
        self._outbox.append(Reply(connection, outcome))
        self._gateway.disconnected(connection, None, now)

    def hang_up(self, connection: ConnectionId, now: float) -> None:
        """Nobody waits for this call any more. After its outcome it changes nothing. Raises UsageError if there never
        was such a call."""
        if connection in self.open:
            del self.open[connection]
            self._gateway.disconnected(connection, None, now)
        elif not 0 < connection <= self._last:
            raise UsageError(f"there never was a local call on connection {connection}")
