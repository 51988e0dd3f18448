"""The condition of each limit in the model: reached at its boundary, and not before."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.model.limits import REACHED, Addresses, counted_as
from posthouse.adapters.model.records import Connection
from posthouse.core import ANONYMOUS, Config, LimitBreached, Peer
from posthouse.core.values.close_reasons import MAX_CONNECTIONS_PER_ADDRESS
from posthouse.core.values.effects import Disconnect, Effect, Emit
from posthouse.core.values.peers import Address, ConnectionId, SocketId

CONFIG = Config(idle_timeout=10.0, heartbeat_timeout=3.0, write_timeout=5.0, max_bad_messages=2)
PEER = Peer("websocket", Address("127.0.0.1", 1), SocketId(1), ANONYMOUS)


def meets(limit: str, now: float, config: Config = CONFIG, **facts: Any) -> bool:
    return REACHED[limit](Connection(1, PEER, pushable=True, **facts), now, config)


@pytest.mark.parametrize(
    ("limit", "now", "facts", "met"),
    [
        ("idle_timeout", 11.9, {"active_at": 2.0}, False),
        ("idle_timeout", 12.0, {"active_at": 2.0}, True),
        ("idle_timeout", 99.0, {"calls": {1: None}}, False),
        ("heartbeat_timeout", 99.0, {}, False),
        ("heartbeat_timeout", 12.9, {"heartbeat_at": 10.0, "heard_at": 9.0}, False),
        ("heartbeat_timeout", 13.0, {"heartbeat_at": 10.0, "heard_at": 9.0}, True),
        ("heartbeat_timeout", 99.0, {"heartbeat_at": 10.0, "heard_at": 10.0}, False),
        ("heartbeat_timeout", 99.0, {"heartbeat_at": 10.0, "held": 1}, False),
        ("write_timeout", 6.9, {"held": 1, "taken_at": 2.0}, False),
        ("write_timeout", 7.0, {"held": 1, "taken_at": 2.0}, True),
        ("write_timeout", 99.0, {"held": 0}, False),
        ("max_queued_replies_bytes", 0.0, {"held": 0}, False),
        ("max_queued_replies_bytes", 0.0, {"held": 1}, True),
        ("max_queued_pushes_bytes", 0.0, {"held": 1}, True),
        ("max_queued_pushes", 0.0, {"held": 0}, False),
        ("max_bad_messages", 0.0, {"invalid_messages": 2}, False),
        ("max_bad_messages", 0.0, {"invalid_messages": 3}, True),
    ],
)
def test_a_limit_is_reached_exactly_at_its_value(limit: str, now: float, facts: dict[str, Any], met: bool) -> None:
    assert meets(limit, now, **facts) is met


def test_an_unset_limit_is_never_reached() -> None:
    config = Config(idle_timeout=None, max_bad_messages=None)
    assert not meets("idle_timeout", 1e9, config)
    assert not meets("max_bad_messages", 1e9, config, invalid_messages=1000)


HERE, THERE = Address("192.0.2.1", 5), Address("192.0.2.2", 5)
CLIENT = Address("192.0.2.1", proxy="10.0.0.1")
PER_ADDRESS = "max_connections_per_address"


def breach(limit: str, *, enforced: bool = True) -> Emit:
    return Emit(LimitBreached(limit, None, HERE, enforced, 0.0))


class Counts:
    """Addresses of which two sockets may be open, and the effects of the next input."""

    def __init__(self, *observed: str) -> None:
        self.addresses = Addresses(Config(max_connections_per_address=2, observe=observed))

    def after(self, *effects: Effect) -> Addresses:
        self.addresses.begin(effects)
        return self.addresses


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:0db8:0000:0000"),
        ("2001:db8:0:1::1%eth0", "2001:0db8:0000:0001"),
    ],
)
def test_an_address_counts_by_itself_or_by_its_network(host: str, key: str) -> None:
    assert counted_as(host) == key


def test_an_address_has_as_many_sockets_as_it_may_and_the_next_one_is_refused() -> None:
    counts = Counts()
    for socket in (1, 2):
        counts.after().accepted(socket, HERE, trusted=False)
    counts.after(breach(PER_ADDRESS)).accepted(None, HERE, trusted=False)
    counts.after().accepted(3, THERE, trusted=False)
    counts.after().accepted(None, HERE, trusted=False)  # another limit came first
    counts.after().released(1)
    counts.after().accepted(4, HERE, trusted=False)


def test_an_observed_limit_is_told_and_admits() -> None:
    counts = Counts(PER_ADDRESS)
    for socket in (1, 2):
        counts.after().accepted(socket, HERE, trusted=False)
    counts.after(breach(PER_ADDRESS, enforced=False)).accepted(3, HERE, trusted=False)


def test_a_wrong_count_of_an_address_is_seen() -> None:
    counts = Counts()
    with pytest.raises(Violation, match="an address has another number of sockets"):
        counts.after(breach(PER_ADDRESS)).accepted(None, HERE, trusted=False)
    for socket in (1, 2):
        counts.after().accepted(socket, HERE, trusted=False)
    with pytest.raises(Violation, match="an address has another number of sockets"):
        counts.after().accepted(3, HERE, trusted=False)
    with pytest.raises(Violation, match="an address has more sockets than it may"):
        counts.after(breach(PER_ADDRESS)).accepted(3, HERE, trusted=False)
    with pytest.raises(Violation, match="a trusted proxy is limited by its address"):
        counts.after(breach("accept_rate_per_address")).accepted(None, HERE, trusted=True)


def test_the_clients_of_a_proxy_count_while_their_requests_last() -> None:
    counts = Counts()
    for socket in (1, 2, 3):
        counts.after().accepted(socket, Address("10.0.0.1"), trusted=True)
    counts.after().arrived(1, CLIENT, admitted=True)
    for socket in (1, 2):
        counts.after().connected(Peer("http", CLIENT, SocketId(socket)))
    refusal = Disconnect(ConnectionId(3), MAX_CONNECTIONS_PER_ADDRESS)
    counts.after(breach(PER_ADDRESS), refusal).connected(Peer("http", CLIENT, SocketId(3)))
    with pytest.raises(Violation, match="an address has more sockets than it may"):
        counts.after(breach(PER_ADDRESS)).connected(Peer("http", CLIENT, SocketId(3)))
    counts.after().released(3)
    counts.after().released(3)
    counts.after().disconnected(Peer("http", CLIENT, SocketId(1)))
    counts.after().disconnected(Peer("http", CLIENT, SocketId(3)))
    counts.after().disconnected(Peer("http", HERE, SocketId(2)))
    counts.after().arrived(1, CLIENT, admitted=True)
    counts.after().arrived(9, CLIENT, admitted=True)  # its socket is closed
    counts.after(breach(PER_ADDRESS)).accepted(None, HERE, trusted=False)
