"""A gateway that is checked by the reference model: after each input, the model gets the input and its effects.

Nothing is decided or changed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Address, CallId, ConnectionId, OutgoingId, Peer, SocketId

from .model import Model


class CheckedGateway(Gateway):
    """A Gateway with its `model`. Its inputs also raise Violation, when their effects differ from the model.

    `head_read` and `set_wall` are not checked: they have no effects but a later deadline.
    """

    def __init__(
        self, service: Service, config: Config = Config(), *, wall: float, entropy: Callable[[int], bytes]
    ) -> None:
        super().__init__(service, config, wall=wall, entropy=entropy)
        self.model = Model(service, config)

    def _check(self, before: int, now: float, input: Callable[[], None]) -> None:
        """Check an input, which appended the effects from place `before` on."""
        self.model.check_input(input, self.outbox[before:], now)

    def accepted(self, address: Address, now: float) -> SocketId | None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        socket = super().accepted(address, now)
        self._check(before, now, partial(self.model.accepted, socket))
        return socket

    def released(self, socket: SocketId, now: float) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().released(socket, now)
        self._check(before, now, partial(self.model.released, socket))

    def connect(self, peer: Peer, now: float) -> ConnectionId:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        connection = super().connect(peer, now)
        self._check(before, now, partial(self.model.connect, peer, connection))
        return connection

    def receive(self, connection: ConnectionId, data: bytes, now: float) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().receive(connection, data, now)
        self._check(before, now, partial(self.model.receive, connection, data))

    def heard(self, connection: ConnectionId, now: float) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().heard(connection, now)
        self._check(before, now, partial(self.model.heard, connection))

    def disconnected(
        self, connection: ConnectionId, code: int | None, now: float, *, reason: str | None = None
    ) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().disconnected(connection, code, now, reason=reason)
        self._check(before, now, partial(self.model.disconnected, connection))

    def report_held(self, connection: ConnectionId, size: int, now: float) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().report_held(connection, size, now)
        self._check(before, now, partial(self.model.report_held, connection, size))

    def report_sent(self, connection: ConnectionId, size: int, now: float) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().report_sent(connection, size, now)
        self._check(before, now, partial(self.model.report_sent, connection, size))

    def report_buffered(self, size: int, now: float) -> None:
        """As in Gateway, and checked if it has effects."""
        before = len(self.outbox)
        super().report_buffered(size, now)
        if len(self.outbox) > before:
            self._check(before, now, self.model.report_buffered)

    def complete(self, call: CallId, result: object, now: float) -> bool:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        accepted = super().complete(call, result, now)
        self._check(before, now, partial(self.model.complete, call, accepted))
        return accepted

    def fail(self, call: CallId, error: RpcError, now: float) -> bool:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        accepted = super().fail(call, error, now)
        self._check(before, now, partial(self.model.fail, call, error, accepted))
        return accepted

    def progress(self, call: CallId, value: object, now: float) -> bool:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        sent = super().progress(call, value, now)
        self._check(before, now, partial(self.model.progress, call, sent))
        return sent

    def notify(self, to: ConnectionId, method: str, params: object, now: float) -> bool:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        sent = super().notify(to, method, params, now)
        self._check(before, now, partial(self.model.notify, to, method, sent))
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
        """As in Gateway, and checked."""
        before = len(self.outbox)
        kinds, users = reusable(kinds), reusable(users)
        reached = super().broadcast(method, params, now, kinds=kinds, users=users)
        self._check(before, now, partial(self.model.broadcast, method, kinds, users, reached))
        return reached

    def request(self, to: ConnectionId, method: str, params: object, now: float, *, timeout: float) -> OutgoingId:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        request = super().request(to, method, params, now, timeout=timeout)
        self._check(before, now, partial(self.model.request, to, method, timeout, request))
        return request

    def abandon(self, request: OutgoingId, now: float) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().abandon(request, now)
        self._check(before, now, partial(self.model.abandon, request))

    def shut_down(self, now: float, *, grace: float | None = None) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().shut_down(now, grace=grace)
        self._check(before, now, partial(self.model.shut_down, grace))

    def handle_timeout(self, now: float) -> None:
        """As in Gateway, and checked."""
        before = len(self.outbox)
        super().handle_timeout(now)
        self._check(before, now, self.model.handle_timeout)


def reusable(names: Iterable[str] | None) -> tuple[str, ...] | str | None:
    """The same names, which can be read twice. A plain text is kept: the gateway refuses it."""
    return names if names is None or isinstance(names, str) else tuple(names)
