"""A gateway, its callers, and what its built-in methods answer them."""

from __future__ import annotations

import json
from typing import Any

from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Effect, Multicast, Transmit
from posthouse.core.values.peers import ANONYMOUS, ConnectionId, Identity, Kind, Peer

ADMIN = Identity("root", ("admin", "broadcast"))
ADA = Identity("ada")
WALL = 1_700_000_000.0


class House:
    """A gateway with its connections, and what it hands out for each."""

    def __init__(self, service: Service | None = None) -> None:
        self.drawn = 0
        service = service or Service("s", public=True)
        service.method("work")(lambda: None)
        self.gateway = Gateway(service, Config(heartbeat_interval=None), wall=WALL, entropy=self.entropy)
        self.effects: list[Effect] = []

    def entropy(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    def connect(self, identity: Identity = ANONYMOUS, kind: Kind = "websocket", now: float = 0.0) -> ConnectionId:
        connection = self.gateway.connect(Peer(kind, identity=identity), now)
        self.gateway.outbox.clear()
        return connection

    def receive(self, connection: ConnectionId, text: dict[str, Any], now: float = 0.0) -> None:
        self.gateway.receive(connection, json.dumps({"jsonrpc": "2.0", **text}).encode(), now)
        self.effects = list(self.gateway.outbox)
        self.gateway.outbox.clear()

    def call(self, connection: ConnectionId, method: str, params: Any = None, now: float = 0.0) -> Any:
        """The reply to a call: its result or its error."""
        text = {"method": method, "id": 1} if params is None else {"method": method, "id": 1, "params": params}
        self.receive(connection, text, now)
        reply = next(message for to, message in self.payloads() if to == connection and message.get("id") == 1)
        return reply["result"] if "result" in reply else reply["error"]

    def payloads(self) -> list[tuple[ConnectionId, Any]]:
        """The payloads that were sent, in order."""
        found: list[tuple[ConnectionId, Any]] = []
        for effect in self.effects:
            if isinstance(effect, Transmit):
                found.append((effect.connection, json.loads(effect.data)))
            elif isinstance(effect, Multicast):
                found.extend((connection, json.loads(effect.data)) for connection in effect.connections)
        return found

    def received(self) -> list[tuple[ConnectionId, Any]]:
        """The messages of others that were handed out."""
        return [
            (to, payload["params"]) for to, payload in self.payloads() if payload.get("method") == "message.received"
        ]


def public_id(number: int) -> str:
    return number.to_bytes(12, "big").hex()
