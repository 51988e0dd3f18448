"""A gateway whose clients have sessions, with a store in it, or with one outside whose answers the test gives."""

from __future__ import annotations

from typing import Any

from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.requests import Request
from posthouse.core.values.effects import Answer, AskStore, Transmit
from posthouse.core.values.lifecycle import Event
from posthouse.core.values.peers import ConnectionId, Identity, Kind, OperationId

from tests.core.identity.credentials import AuthWorld, authenticated
from tests.core.world import World

ADA, BOB = Identity("ada", ("read",)), Identity("bob")
UNKNOWN, TAKEN_OVER = -32040, -32043
GUESSED = {"session": "A" * 21 + "Q", "secret": "A" * 43}


class SessionWorld(AuthWorld):
    """A gateway with sessions. `store` has the rows. If it is outside, `asked_store` are the requests that it has not
    answered."""

    def __init__(self, *, external: bool = False, sessions: str = "on", users: bool = False, **limits: Any) -> None:
        more = ("basic", "basic", "more") if users else ("bearer", "bearer", "")
        World.__init__(self, authenticated(more, sessions=sessions, users=users), **limits)
        self.asked_store: dict[OperationId, Request] = {}
        if external:
            self.gateway.use_external_store("outside")
        self.store = MemoryStore() if external else self.gateway.store or MemoryStore()

    def public_id(self, connection: ConnectionId) -> str:
        """The id of a connection as peers see it."""
        return self.gateway._connections.records[connection].public_id

    def ask(self, connection: ConnectionId, method: str, id: Any = 1, **params: Any) -> Any:
        """Call a method of `session.*` that is answered at once: its result, or the code of its error."""
        self.call(connection, f"session.{method}", params, id)
        (reply,) = self.said(connection)
        return reply.get("result", reply.get("error", {}).get("code"))

    def create(self, connection: ConnectionId, **data: Any) -> dict[str, Any]:
        """A new session of this connection."""
        created: dict[str, Any] = self.ask(connection, "create", data=data)
        return created

    def opened(self, identity: Identity = ADA, kind: Kind = "websocket") -> ConnectionId:
        """A connection of this caller."""
        return self.connect(kind, identity=identity)

    # A store outside

    def hear(self) -> list[Request]:
        """The requests that the store outside was asked since this was last asked, which it has not answered."""
        outbox = self.gateway.outbox
        asked = {each.operation: each.request for each in outbox if isinstance(each, AskStore)}
        outbox[:] = [each for each in outbox if not isinstance(each, AskStore)]
        self.asked_store |= asked
        return list(asked.values())

    def perform(self, place: int = 0) -> None:
        """The store outside does one of the things that it was asked, and says so."""
        self.hear()
        operation, request = list(self.asked_store.items())[place]
        self.settle(operation, self.store.perform(request))

    def settle(self, operation: OperationId, outcome: object) -> bool:
        """The store outside says this of what it was asked."""
        self.asked_store.pop(operation, None)
        return self.conclude(operation, outcome)

    def said_to(self, connection: ConnectionId) -> list[bytes | None]:
        """The payloads to one connection since the effects were last taken."""
        return [
            each.data for each in self.take() if isinstance(each, Transmit | Answer) and each.connection == connection
        ]


def told(world: World, *kinds: type[Event]) -> list[Event]:
    """The events of these kinds, since the effects were last taken."""
    return [event for event in world.take_events() if isinstance(event, kinds)]


def key(made: dict[str, Any]) -> dict[str, Any]:
    """What a client sends to resume a session."""
    return {"session": made["id"], "secret": made["secret"]}


def resume(world: SessionWorld, connection: ConnectionId, made: dict[str, Any], **given: Any) -> Any:
    return world.ask(connection, "resume", **key(made), **given)


def outside(**limits: Any) -> tuple[SessionWorld, ConnectionId, dict[str, Any]]:
    """A session with one connection, in a store outside."""
    world = SessionWorld(external=True, **limits)
    one = world.opened()
    world.call(one, "session.create", {"data": {"n": 0}}, 1)
    world.perform()
    (reply,) = world.said()
    return world, one, reply["result"]
