"""The address of a connection, read in another way than the product reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from posthouse.adapters.invariants import Violation, check, client_of
from posthouse.adapters.invariants.forwarding import is_trusted, named
from posthouse.adapters.simulation.chance import Seeded
from posthouse.adapters.simulation.clients.protocols.proxies import draw_forwarding
from posthouse.core import Address, Config
from posthouse.transports.fields import Fields
from posthouse.transports.forwarding import Client, Networks, Proxy

from tests.transports.board import UPGRADE, Board

TRUST = ("10.0.0.0/8", "fd00::/8", "unix")
PEER = Address("10.0.0.1", 7)


@pytest.mark.parametrize(
    ("host", "trusted"),
    [("10.9.9.9", True), ("::ffff:10.0.0.1", True), ("fd00::1", True), ("", True), ("11.0.0.1", False)],
)
def test_a_peer_in_a_network_or_of_a_unix_socket_is_trusted(host: str, trusted: bool) -> None:
    assert is_trusted(Config(trust_proxies=TRUST), host) is trusted
    assert not is_trusted(Config(), host)


@given(st.integers(0, 10_000), st.sampled_from(["x-forwarded", "forwarded"]), st.sampled_from([PEER, Address()]))
def test_it_agrees_with_the_product_about_every_request_of_a_storm(seed: int, family: str, peer: Address) -> None:
    config = Config(trust_proxies=TRUST, proxy_headers=family)
    proxy = Proxy(config, Networks(TRUST), peer)
    for drawn in draw_forwarding(Seeded(seed).stream("x"), family, origin=None):
        headers: Fields = tuple((name.lower(), value) for name, value in drawn)
        found = proxy.client_of(headers)
        assert isinstance(found, Client)
        assert found.address == named(config, peer, headers)


def scene(*, trusted: bool) -> Board:
    board = Board(Config(trust_proxies=TRUST if trusted else (), max_connections_per_address=5))
    handshake = UPGRADE.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n")
    board.feed(board.open(PEER), handshake)
    board.open(PEER)
    check(board.board)
    return board


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("change", [{"host": "192.0.2.9"}, {"port": 9}, {"proxy": "10.0.0.9"}])
def test_another_address_is_seen(trusted: bool, change: dict[str, object]) -> None:
    board = scene(trusted=trusted)
    (record,) = board.board.gateway._connections.records.values()
    record.peer = replace(record.peer, address=replace(record.peer.address, **change))
    for state in board.board._sockets.records.values():
        if state.connection is None:
            client_of(board.board, state)
            continue
        with pytest.raises(Violation, match="proxies: a connection has another address"):
            client_of(board.board, state)
        record.peer = replace(record.peer, headers=())
        client_of(board.board, state)


def test_a_socket_that_is_counted_for_another_client_is_seen() -> None:
    board = scene(trusted=True)
    table = board.board.gateway._connections
    for socket, record in table.sockets.items():
        before = record.counted
        table.count(socket, "192.0.2.77")
        with pytest.raises(Violation, match="tables: a socket is counted for its peer, or for the client"):
            check(board.board)
        table.count(socket, before)
    check(board.board)
