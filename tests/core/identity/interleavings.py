"""Every order in which things can happen to connections with credentials, each checked by the model and the invariants.

A step is an input that is possible then. A walk is a sequence of steps on a new gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from msgspec.json import encode
from posthouse.adapters import invariants
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Disconnect, Invoke, Verify
from posthouse.core.values.peers import Address, CallId, ConnectionId, Identity, Kind, OperationId, Peer

from tests.core.world import WALL, request

from .credentials import FAILED, REFUSED, authenticated

TOKENS = ("first", "second")
USERS = {"first": Identity("ada"), "second": Identity("bob", expires_at=WALL + 20.0)}
"""The tokens of clients, and the users to whom they belong."""

MOST = 2
"""Connections at a time."""


class Walk:
    """One gateway, and what the outside knows: who is connected, which operations and handlers run. `anonymous`: it
    begins with a WebSocket that is open, and has no credentials."""

    def __init__(self, service: Service, *, anonymous: bool = False, **limits: Any) -> None:
        self.now = 0.0
        config = Config.from_mapping({"heartbeat_interval": None, "authentication_timeout": 7.0, **limits})
        self.gateway = CheckedGateway(service, config, wall=WALL, entropy=bytes)
        self.connected: dict[ConnectionId, tuple[Kind, bool]] = {}
        self.operations: dict[OperationId, str] = {}
        self.ended: list[OperationId] = []
        self.handlers: dict[CallId, ConnectionId] = {}
        self.said = 0
        if anonymous:
            self.connected[self.gateway.connect(Peer("websocket"), 0.0)] = ("websocket", False)
            self.check()

    def steps(self) -> Iterator[Callable[[], None]]:
        """The inputs that are possible now."""
        if len(self.connected) < MOST and not self.gateway.draining:
            for token in TOKENS:
                yield partial(self.connect, "websocket", token)
            yield partial(self.connect, "http", "first")
        for operation in self.operations:
            yield partial(self.conclude, operation, USERS[self.operations[operation]])
            yield partial(self.conclude, operation, REFUSED)
            yield partial(self.conclude, operation, FAILED)
        for operation in self.ended[-1:]:
            yield partial(self.conclude, operation, USERS["first"])
        for connection, (kind, asked) in self.connected.items():
            yield partial(self.disconnect, connection)
            if (kind == "http" and not asked) or self.gateway._connections.records[connection].state == "open":
                yield partial(self.receive, connection)
            if kind == "websocket" and self.gateway._connections.records[connection].state == "open":
                yield partial(self.say, connection, "auth.login", {"method": "bearer", "token": "second"})
                yield partial(self.say, connection, "auth.refresh", {"method": "bearer", "token": "first"})
                yield partial(self.say, connection, "auth.logout", {})
                yield partial(self.say, connection, "connection.info", {})
                if self.said:
                    yield partial(self.say, connection, "rpc.cancel", {"id": self.said})
        for call in self.handlers:
            yield partial(self.complete, call)
        yield partial(self.pass_time, 10.0)
        if not self.gateway.draining:
            yield self.shut_down

    def check(self) -> None:
        """Look at what follows, and at every invariant."""
        self.gateway.next_timeout()
        for effect in self.gateway.outbox:
            if isinstance(effect, Verify):
                assert isinstance(effect.credentials, Bearer)
                self.operations[effect.operation] = effect.credentials.token
            elif isinstance(effect, Invoke):
                self.handlers[effect.call] = effect.caller.connection
        gone = [effect.connection for effect in self.gateway.outbox if isinstance(effect, Disconnect)]
        self.gateway.outbox.clear()
        invariants.calls(self.gateway)
        invariants.identity(self.gateway)
        invariants.flow(self.gateway)
        invariants.shutdown(self.gateway)
        for connection in gone:
            if connection in self.connected:
                self.disconnect(connection)

    def connect(self, kind: Kind, token: str) -> None:
        peer = Peer(kind, Address("192.0.2.1", 5000))
        connection = self.gateway.connect(peer, self.now, credentials=Bearer(token))
        self.connected[connection] = (kind, False)
        self.check()

    def conclude(self, operation: OperationId, outcome: object) -> None:
        self.operations.pop(operation, None)
        self.ended.append(operation)
        self.gateway.conclude(operation, outcome, self.now)
        self.check()

    def disconnect(self, connection: ConnectionId) -> None:
        del self.connected[connection]
        self.gateway.disconnected(connection, None, self.now)
        self.check()

    def receive(self, connection: ConnectionId) -> None:
        kind, _ = self.connected[connection]
        self.connected[connection] = (kind, True)
        self.say(connection, "private", {})

    def say(self, connection: ConnectionId, method: str, params: dict[str, Any]) -> None:
        self.said += 1
        self.gateway.receive(connection, encode(request(method, params, self.said)), self.now)
        self.check()

    def complete(self, call: CallId) -> None:
        del self.handlers[call]
        self.gateway.complete(call, None, self.now)
        self.check()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.gateway.handle_timeout(self.now)
        self.check()

    def shut_down(self) -> None:
        self.gateway.shut_down(self.now)
        self.check()

    def rest(self) -> None:
        """Everybody leaves and every operation ends: nothing is left."""
        for connection in list(self.connected):
            if connection in self.connected:
                self.disconnect(connection)
        for operation in list(self.operations):
            self.conclude(operation, REFUSED)
        for call in list(self.handlers):
            self.complete(call)
        gateway = self.gateway
        gateway.model.check_at_rest()
        assert not gateway._operations.records
        assert not gateway._verifications.records
        assert not gateway._arrivals.records
        assert not gateway._connections.by_user
        assert not gateway._connections.records
        assert not gateway._calls.records
        assert gateway.memory == 0


def walk(service: Service, places: Sequence[int], **limits: Any) -> tuple[Walk, int]:
    """Take the steps with these places among those that are possible. Returns the number of possible next steps."""
    walked = Walk(service, **limits)
    for place in places:
        list(walked.steps())[place]()
    return walked, len(list(walked.steps()))


def enumerate_all(depth: int, **limits: Any) -> int:
    """Take every walk of this length. Returns how many there are."""
    service = authenticated()
    walks = 0
    stack: list[tuple[int, ...]] = [()]
    while stack:
        places = stack.pop()
        walked, options = walk(service, places, **limits)
        if len(places) == depth:
            walked.rest()
            walks += 1
        else:
            stack.extend((*places, place) for place in range(options))
    return walks
