"""The tables of a gateway: which events it makes, and that an exchange leaves no fact behind in any of them."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.assembly import Assembly
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import AddUser, FindUser
from posthouse.core.store.rows import UserRow
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Answer, AskStore, Disconnect, Emit, Invoke, Transmit
from posthouse.core.values.lifecycle import ConnectionClosed, ConnectionOpened, EventNames
from posthouse.core.values.peers import Identity, Kind, OperationId, Peer

from tests.core.world import WALL, service


def told(offered: Service, kind: Kind, *, events: EventNames = (), tell_exchanges: bool = True) -> list[type]:
    """The kinds of the events of one connection that makes one call."""
    gateway = Gateway(offered, wall=WALL, entropy=bytes, events=events, tell_exchanges=tell_exchanges)
    one = gateway.connect(Peer(kind), 0.0)
    gateway.receive(one, b'{"jsonrpc":"2.0","method":"echo","params":["hello"],"id":1}', 0.0)
    (invoke,) = [effect for effect in gateway.outbox if isinstance(effect, Invoke)]
    gateway.complete(invoke.call, "hello", 0.0)
    gateway.disconnected(one, None, 0.0)
    return [type(effect.event) for effect in gateway.outbox if isinstance(effect, Emit)]


BOTH = [ConnectionOpened, ConnectionClosed]


@pytest.mark.parametrize("kind", ["http", "local"])
def test_exchanges_are_told_unless_nobody_listens(kind: Kind) -> None:
    assert told(service(), kind) == BOTH
    assert told(service(), kind, tell_exchanges=False) == []
    assert told(service(), kind, events=("call.failed",), tell_exchanges=False) == []
    assert told(service(), kind, events=("connection.opened",), tell_exchanges=False) == BOTH
    assert told(service(), kind, events=("connection.closed",), tell_exchanges=False) == BOTH


@pytest.mark.parametrize("kind", ["websocket", "cli"])
def test_lasting_connections_are_always_told(kind: Kind) -> None:
    assert told(service(), kind, tell_exchanges=False) == BOTH


@pytest.mark.parametrize("event", BOTH)
def test_a_hook_listens_to_exchanges_too(event: type) -> None:
    offered = service()

    def hook(event: Any) -> None: ...

    hook.__annotations__["event"] = event
    offered.on("connection.opened" if event is ConnectionOpened else "connection.closed")(hook)
    assert told(offered, "http", tell_exchanges=False) == BOTH


def test_an_exchange_that_the_server_ends_is_told_in_any_case() -> None:
    config = Config.from_mapping({"write_timeout": 10.0})
    gateway = Gateway(service(), config, wall=WALL, entropy=bytes, tell_exchanges=False)
    one = gateway.connect(Peer("http"), 0.0)
    gateway.receive(one, b'{"jsonrpc":"2.0","method":"connection.ping","id":1}', 0.0)
    assert [type(effect) for effect in gateway.outbox] == [Answer]
    gateway.report_held(one, 10, 0.0)
    gateway.outbox.clear()
    gateway.handle_timeout(10.0)
    assert [type(effect) for effect in gateway.outbox if not isinstance(effect, Emit)] == [Disconnect]
    gateway.outbox.clear()
    gateway.disconnected(one, None, 10.0)
    (closed,) = gateway.outbox
    assert isinstance(closed, Emit)
    assert isinstance(closed.event, ConnectionClosed)
    assert (closed.event.code, closed.event.reason) == (4100, "the peer takes none of its bytes")


@pytest.mark.parametrize(
    "text",
    [
        b'{"jsonrpc":"2.0","method":"connection.ping","id":1}',
        b'{"jsonrpc":"2.0","method":"connection.ping"}',
        b'[{"jsonrpc":"2.0","method":"connection.ping","id":1},{"jsonrpc":"2.0","method":"connection.ping"}]',
        b"nonsense",
    ],
)
@pytest.mark.parametrize("held", [0, 10])
def test_an_exchange_that_was_answered_leaves_no_fact_behind(text: bytes, held: int) -> None:
    gateway = Gateway(service(), wall=WALL, entropy=bytes)
    one = gateway.connect(Peer("http"), 0.0)
    gateway.receive(one, text, 0.0)
    if held:
        gateway.report_held(one, held, 0.0)
    gateway.disconnected(one, None, 1.0)
    tables: Assembly = gateway
    connections = tables._connections
    assert (connections.records, connections.by_public_id, connections.by_kind["http"]) == ({}, {}, {})
    assert (tables._flow.backlogs, gateway.memory, gateway.next_timeout()) == ({}, 0, None)
    assert not [effect for effect in gateway.outbox if isinstance(effect, Transmit)]


def test_a_gateway_draws_the_secrets_of_cookies_as_entropy_unless_it_is_given_their_source() -> None:
    gateway = Gateway(service(), wall=WALL, entropy=bytes)
    assert gateway._cookies.secrets(3) == bytes(3)
    gateway.draw_secrets_from(lambda size: b"\1" * size)
    assert gateway._cookies.secrets(3) == b"\1\1\1"


def test_a_gateway_has_a_store_in_memory_unless_its_store_is_outside() -> None:
    gateway = Gateway(service(), wall=WALL, entropy=bytes)
    assert isinstance(gateway.store, MemoryStore)
    assert gateway.store.perform(AddUser("w", UserRow(user="ada", created_at=0.0), 1)) == Done()
    assert gateway.memory == gateway.store.users["ada"].size
    assert gateway._storage.durability == "memory"
    gateway.use_external_store("disk")
    assert gateway.store is None
    assert gateway._storage.durability == "disk"
    assert gateway._storage.begin("test", 1, FindUser("ada"), 0.0) == 1
    assert gateway.outbox == [AskStore(OperationId(1), FindUser("ada"))]


def test_the_caller_of_a_connection_can_be_looked_up() -> None:
    gateway = Gateway(service(), wall=WALL, entropy=bytes)
    one = gateway.connect(Peer("http", identity=Identity("ada")), 0.0, ahead=True)
    assert gateway.identity(one) == Identity("ada")
