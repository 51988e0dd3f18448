"""A gateway that is watched: after every input its model is told what was asked and what followed.

Nothing is decided here and nothing is changed: what an input appended to the outbox is shown to `model.py`, which
knows by the rules what it must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from posthouse.adapters.model.model import Model
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Address, CallId, ConnectionId, OutgoingId, Peer, SocketId


class Watched(Gateway):
    """A Gateway beside its `model`. Inputs raise Violation where the two differ.

    Inputs of which nothing may follow but a later deadline (`head_read`, `set_wall`) are not watched.
    """

    def __init__(
        self, service: Service, config: Config = Config(), *, wall: float, entropy: Callable[[int], bytes]
    ) -> None:
        super().__init__(service, config, wall=wall, entropy=entropy)
        self.model = Model(service, config)

    def accepted(self, address: Address, now: float) -> SocketId | None:
        """As the gateway's."""
        before = len(self.outbox)
        socket = super().accepted(address, now)
        self.model.saw("accepted", (), now, self.outbox[before:], socket)
        return socket

    def released(self, socket: SocketId, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().released(socket, now)
        self.model.saw("released", (socket,), now, self.outbox[before:], None)

    def connect(self, peer: Peer, now: float) -> ConnectionId:
        """As the gateway's."""
        before = len(self.outbox)
        connection = super().connect(peer, now)
        self.model.saw("connect", (peer,), now, self.outbox[before:], connection)
        return connection

    def receive(self, connection: ConnectionId, data: bytes, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().receive(connection, data, now)
        self.model.saw("receive", (connection, data), now, self.outbox[before:], None)

    def heard(self, connection: ConnectionId, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().heard(connection, now)
        self.model.saw("heard", (connection,), now, self.outbox[before:], None)

    def disconnected(self, connection: ConnectionId, code: int | None, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().disconnected(connection, code, now)
        self.model.saw("disconnected", (connection,), now, self.outbox[before:], None)

    def report_held(self, connection: ConnectionId, size: int, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().report_held(connection, size, now)
        self.model.saw("report_held", (connection, size), now, self.outbox[before:], None)

    def report_sent(self, connection: ConnectionId, size: int, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().report_sent(connection, size, now)
        self.model.saw("report_sent", (connection, size), now, self.outbox[before:], None)

    def report_buffered(self, size: int, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().report_buffered(size, now)
        if len(self.outbox) > before:
            self.model.saw("report_buffered", (), now, self.outbox[before:], None)

    def complete(self, call: CallId, result: object, now: float) -> bool:
        """As the gateway's."""
        before = len(self.outbox)
        first = super().complete(call, result, now)
        self.model.saw("complete", (call,), now, self.outbox[before:], first)
        return first

    def fail(self, call: CallId, error: RpcError, now: float) -> bool:
        """As the gateway's."""
        before = len(self.outbox)
        first = super().fail(call, error, now)
        self.model.saw("fail", (call, error), now, self.outbox[before:], first)
        return first

    def progress(self, call: CallId, value: object, now: float) -> bool:
        """As the gateway's."""
        before = len(self.outbox)
        told = super().progress(call, value, now)
        self.model.saw("progress", (call,), now, self.outbox[before:], told)
        return told

    def notify(self, to: ConnectionId, method: str, params: object, now: float) -> bool:
        """As the gateway's."""
        before = len(self.outbox)
        sent = super().notify(to, method, params, now)
        self.model.saw("notify", (to, method), now, self.outbox[before:], sent)
        return sent

    def broadcast(
        self,
        method: str,
        params: object,
        now: float,
        *,
        kinds: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
    ) -> int:
        """As the gateway's."""
        before = len(self.outbox)
        kinds, users = several(kinds), several(users)
        delivered = super().broadcast(method, params, now, kinds=kinds, users=users)
        self.model.saw("broadcast", (method, kinds, users), now, self.outbox[before:], delivered)
        return delivered

    def request(self, to: ConnectionId, method: str, params: object, now: float, *, timeout: float) -> OutgoingId:
        """As the gateway's."""
        before = len(self.outbox)
        request = super().request(to, method, params, now, timeout=timeout)
        self.model.saw("request", (to, method, timeout), now, self.outbox[before:], request)
        return request

    def abandon(self, request: OutgoingId, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().abandon(request, now)
        self.model.saw("abandon", (request,), now, self.outbox[before:], None)

    def shut_down(self, now: float, *, grace: float | None = None) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().shut_down(now, grace=grace)
        self.model.saw("shut_down", (grace,), now, self.outbox[before:], None)

    def handle_timeout(self, now: float) -> None:
        """As the gateway's."""
        before = len(self.outbox)
        super().handle_timeout(now)
        self.model.saw("handle_timeout", (), now, self.outbox[before:], None)


def several(names: Iterable[str] | None) -> Iterable[str] | None:
    """The same names, to be read twice. A text is left to be refused."""
    return names if names is None or isinstance(names, str) else tuple(names)
