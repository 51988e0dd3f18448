"""A gateway whose store has users. Hashes of passwords are made at once, or when a test says so."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace
from posthouse.core.operations.operations import Hashed, Matched, Refused
from posthouse.core.service.service import Service
from posthouse.core.store.memory import MemoryStore
from posthouse.core.values.effects import Answer, AskStore, ComparePassword, Effect, Emit, HashPassword, Transmit
from posthouse.core.values.lifecycle import Event
from posthouse.core.values.peers import Address, ConnectionId, Kind, Peer

from tests.core.world import World

HERE, THERE = Address("192.0.2.1", 5000), Address("192.0.2.2", 5000)


class Profile(Struct):
    """What users of these tests say of themselves."""

    email: str
    age: int = 0


def accounted(*, registration: Any = "open", **options: Any) -> Service:
    """A service with users."""
    offered = Service("world", public=True, users=True, registration=registration, **options)

    @offered.method
    def echo(value: Any = None) -> Any:
        raise NotImplementedError

    @offered.method(scopes={"write"})
    def write() -> Any:
        raise NotImplementedError

    return offered


class AccountWorld(World):
    """A gateway with users. `hashes`: passwords are hashed at once. With `outside`, its store is outside: it answers at
    once, unless `asks` collects what it is asked."""

    def __init__(self, offered: Service | None = None, *, outside: bool = False, **limits: Any) -> None:
        super().__init__(offered or accounted(), ("user.changed",), **limits)
        self.hashes = True
        self.answers = True
        self.calls = 0
        self.asks: list[AskStore] = []
        self.outside = MemoryStore() if outside else None
        if outside:
            self.gateway.use_external_store("outside")
        self.told: list[Event] = []
        self.effects: list[Effect] = []

    @property
    def store(self) -> MemoryStore:
        store = self.outside or self.gateway.store
        assert store is not None
        return store

    def run(self) -> list[Effect]:
        """Perform the effects, and those that follow. Returns all of them."""
        outbox, done = self.gateway.outbox, 0
        while done < len(outbox):
            effect = outbox[done]
            done += 1
            if isinstance(effect, HashPassword) and self.hashes:
                self.gateway.conclude(effect.operation, Hashed(f"hash of {effect.password}"), self.now)
            elif isinstance(effect, ComparePassword) and self.hashes:
                right = effect.hash == f"hash of {effect.password}"
                self.gateway.conclude(effect.operation, Matched() if right else Refused(), self.now)
            elif isinstance(effect, AskStore) and self.answers:
                assert self.outside is not None
                self.gateway.conclude(effect.operation, self.outside.perform(effect.request), self.now)
            elif isinstance(effect, AskStore):
                self.asks.append(effect)
            elif isinstance(effect, Emit):
                self.told.append(effect.event)
        self.effects = list(outbox)
        outbox.clear()
        return self.effects

    def join(self, credentials: object = None, address: Address = HERE, kind: Kind = "websocket") -> ConnectionId:
        """A client, perhaps with credentials."""
        connection = self.gateway.connect(Peer(kind, address), self.now, credentials=credentials)
        self.run()
        return connection

    def ask(self, connection: ConnectionId, name: str, /, **params: Any) -> Any:
        """The result or the error of a call, or None if it has none yet."""
        self.calls += 1
        text = {"jsonrpc": "2.0", "method": name, "params": params, "id": self.calls}
        self.gateway.receive(connection, json.encode(text), self.now)
        self.run()
        return self.reply(connection)

    def reply(self, connection: ConnectionId) -> Any:
        """What was sent last to this connection: a result or an error."""
        for effect in reversed(self.effects):
            if isinstance(effect, Transmit | Answer) and effect.connection == connection and effect.data is not None:
                message = json.decode(effect.data)
                return message["result"] if "result" in message else message["error"]
        return None

    def user(self, name: str = "ada", password: str = "pw", *, scopes: tuple[str, ...] = ()) -> ConnectionId:
        """A new user, who is logged in."""
        connection = self.join()
        assert self.ask(connection, "user.register", user=name, password=password)["user"] == name
        if scopes:
            self.store.users[name] = replace(self.store.users[name], scopes=scopes)
        self.log_in(connection, name, password)
        return connection

    def log_in(self, connection: ConnectionId, name: str = "ada", password: str = "pw") -> Any:
        """Log in with a password."""
        return self.ask(connection, "auth.login", method="password", user=name, password=password)

    def events(self, kind: type) -> list[Any]:
        """The events of this type that were told so far."""
        return [event for event in self.told if isinstance(event, kind)]
