"""`connection.*`: the server answers with the time, with the caller and with counts."""

from __future__ import annotations

from tests.core.dispatch.builtin.house import ADA, ADMIN, WALL, House, public_id
from tests.values import changeable


def test_ping_answers_with_the_time_and_the_caller_s_id() -> None:
    house = House()
    caller = house.connect()
    assert house.call(caller, "connection.ping", now=12.5) == {
        "pong": True,
        "timestamp": WALL + 12.5,
        "connection_id": public_id(1),
    }


def test_info_describes_the_callers_connection() -> None:
    house = House()
    caller = house.connect(ADMIN, "cli", now=3.0)
    assert house.call(caller, "connection.info", now=9.0) == {
        "connection_id": public_id(1),
        "kind": "cli",
        "user": "root",
        "scopes": ["admin", "broadcast"],
        "opened_at": WALL + 3.0,
    }


def test_stats_count_connections_by_kind_users_and_calls() -> None:
    house = House()
    caller = house.connect(ADMIN)
    other = house.connect(ADA, "cli")
    house.connect(ADA, "http")
    house.receive(other, {"method": "work", "id": 7})
    assert house.call(caller, "connection.stats") == {
        "total": 3,
        "websocket": 1,
        "http": 1,
        "cli": 1,
        "local": 0,
        "users": 2,
        "calls": 1,
        "waiting": 0,
    }


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.dispatch.builtin.connection") == []
