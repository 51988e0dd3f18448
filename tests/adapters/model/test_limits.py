"""The condition of each limit in the model: reached at its boundary, and not before."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.model.limits import REACHED
from posthouse.adapters.model.records import Connection
from posthouse.core import ANONYMOUS, Config, Peer
from posthouse.core.values.peers import Address, SocketId

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
