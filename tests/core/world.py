"""A gateway whose clock, entropy and handlers the test holds: texts in, effects out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.json import decode, encode
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Answer, Cancel, Disconnect, Effect, Emit, Invoke, Multicast, Resolve, Transmit
from posthouse.core.values.errors import RpcError
from posthouse.core.values.lifecycle import Event, EventNames, LimitBreached
from posthouse.core.values.peers import ALL_SCOPES, NO_META, Address, CallId, ConnectionId, Identity, Kind, Meta, Peer
from posthouse.core.values.shared import Shared

ADMIN = Identity(scopes=(ALL_SCOPES,))
WALL = 1_700_000_000.0


def service(**options: Any) -> Service:
    """Methods for tests. Their functions never run: a test says what they returned, and when."""
    offered = Service("world", public=True, **options)

    @offered.method
    def echo(value: Any = None) -> Any:
        raise NotImplementedError

    @offered.method
    def add(a: int, b: int) -> int:
        raise NotImplementedError

    @offered.method(timeout=2.0)
    def brief() -> Any:
        raise NotImplementedError

    @offered.method(on_disconnect="finish")
    def finish() -> Any:
        raise NotImplementedError

    @offered.method(public=False)
    def private() -> Any:
        raise NotImplementedError

    @offered.method(scopes={"write", "read"})
    def guarded() -> Any:
        raise NotImplementedError

    return offered


def shared(**limits: Any) -> Shared:
    """The shared state of a gateway with these limits."""
    return Shared(Config.from_mapping(limits), WALL, bytes)


class World:
    """One gateway and the time. Limits are those of Config but for what a test says.

    Inputs happen at `now`. The effects of each stay in the outbox until one of the methods below takes them.
    """

    def __init__(self, offered: Service | None = None, events: EventNames = (), /, **limits: Any) -> None:
        self.now = 0.0
        self.drawn = 0
        limits = {"heartbeat_interval": None, **limits}
        self.config = Config.from_mapping(limits)
        self.gateway = Gateway(offered or service(), self.config, wall=WALL, entropy=self.entropy, events=events)

    def entropy(self, size: int) -> bytes:
        """A counter: told in advance, never repeated."""
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    # Inputs

    def connect(
        self,
        kind: Kind = "websocket",
        user: str | None = None,
        scopes: tuple[str, ...] = (),
        *,
        address: Address = Address(),
        identity: Identity | None = None,
        meta: Meta = NO_META,
    ) -> ConnectionId:
        """A peer without a socket of ours connects; what this says is not kept."""
        who = Identity(user, scopes) if identity is None else identity
        connection = self.gateway.connect(Peer(kind, address, None, who, meta), self.now)
        self.gateway.outbox.clear()
        return connection

    def receive(self, connection: ConnectionId, message: Any) -> None:
        """A text, or a value that makes one."""
        data = message if isinstance(message, bytes) else encode(message)
        self.gateway.receive(connection, data, self.now)

    def call(self, connection: ConnectionId, method: str = "echo", params: Any = (), id: Any = 1, **meta: Any) -> None:
        """A request; with `id=None` a notification."""
        self.receive(connection, request(method, params, id, **meta))

    def begin(
        self, connection: ConnectionId, method: str = "echo", params: Any = (), id: Any = 1, **meta: Any
    ) -> CallId:
        """A request that is handed out at once: the id of its call."""
        self.call(connection, method, params, id, **meta)
        (invoke,) = self.invoked()
        return invoke.call

    def complete(self, call: CallId, result: Any = None) -> bool:
        """Its handler returned."""
        return self.gateway.complete(call, result, self.now)

    def fail(self, call: CallId, error: RpcError) -> bool:
        """Its handler raised."""
        return self.gateway.fail(call, error, self.now)

    def at(self, now: float) -> None:
        """Time passes until `now`, deadline by deadline: each is handled at its very time."""
        while (due := self.gateway.next_timeout()) is not None and due <= now:
            self.now = max(self.now, due)
            self.gateway.handle_timeout(self.now)
        self.now = now

    def sleep_until(self, now: float) -> None:
        """The process is suspended: time passes and nothing is handled until `now`."""
        self.gateway.next_timeout()
        self.now = now
        self.gateway.handle_timeout(now)

    # The effects

    def take(self) -> list[Effect]:
        """The effects since they were last taken, but for what is only told."""
        effects: list[Effect] = [effect for effect in self.gateway.outbox if not isinstance(effect, Emit)]
        self.gateway.outbox.clear()
        return effects

    def take_events(self) -> list[Event]:
        """The events among the effects since they were last taken."""
        events = [effect.event for effect in self.gateway.outbox if isinstance(effect, Emit)]
        self.gateway.outbox.clear()
        return events

    def invoked(self) -> list[Invoke]:
        """The calls that were handed out, of the effects since they were last taken."""
        return [effect for effect in self.take() if isinstance(effect, Invoke)]

    def said(self, connection: ConnectionId | None = None) -> list[Any]:
        """The messages sent to peers (to one, or to all in order) since the effects were last taken."""
        said: list[Any] = []
        for effect in self.take():
            if isinstance(effect, Transmit | Answer) and connection in (None, effect.connection):
                said.append(None if effect.data is None else decode(effect.data))
            elif isinstance(effect, Multicast):
                said += [decode(effect.data) for member in effect.connections if connection in (None, member)]
        return said

    def codes(self, connection: ConnectionId | None = None) -> list[int | None]:
        """The error codes of what was said, None for results."""
        return [code_of(reply) for reply in self.said(connection)]

    def closes(self) -> list[tuple[ConnectionId, int, bool]]:
        """The closed connections, with code and flush, since the effects were last taken."""
        return [
            (effect.connection, effect.code, effect.flush) for effect in self.take() if isinstance(effect, Disconnect)
        ]

    def cancelled(self) -> list[CallId]:
        """Whose handlers were to stop, of the effects since they were last taken."""
        return [effect.call for effect in self.take() if isinstance(effect, Cancel)]

    def resolved(self) -> list[Resolve]:
        """The outcomes of our own requests, of the effects since they were last taken."""
        return [effect for effect in self.take() if isinstance(effect, Resolve)]


def request(method: str = "echo", params: Any = (), id: Any = 1, **meta: Any) -> dict[str, Any]:
    """A request as a value; with `id=None` a notification."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if id is not None:
        message["id"] = id
    if meta:
        message["meta"] = meta
    return message


def result(value: Any = None, id: Any = 1) -> dict[str, Any]:
    """A response as a value."""
    return {"jsonrpc": "2.0", "result": value, "id": id}


def breached(world: World) -> list[tuple[str, ConnectionId | None, bool]]:
    """The limits that were breached, on which connection, and whether they were enforced, since last asked."""
    events = [event for event in world.take_events() if isinstance(event, LimitBreached)]
    return [(event.limit, event.connection, event.enforced) for event in events]


def code_of(reply: Any) -> int | None:
    """The error's code, None for a result."""
    code: int | None = reply.get("error", {}).get("code")
    return code


def data_of(replies: Iterable[Any]) -> list[Any]:
    """The data of errors."""
    return [reply["error"].get("data") for reply in replies]


def internal(incident: str) -> RpcError:
    """The error that the host reports for an unexpected exception of a handler."""
    return RpcError(-32603, data={"incident": incident})
