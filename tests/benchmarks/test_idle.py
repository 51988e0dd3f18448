"""The bytes of an idle WebSocket: each object is counted once, and at its place."""

from __future__ import annotations

import pytest

from benchmarks import idle


@pytest.mark.parametrize("used", [False, True])
def test_the_bytes_of_an_idle_websocket_are_told_by_their_place(used: bool) -> None:
    rows, growth = idle.measure(2, used=used)
    assert ("Connections: Connection", 1.0) in [(place, count) for place, count, _ in rows]
    assert isinstance(growth, float)


def test_an_object_is_counted_once_and_where_it_is_found_first() -> None:
    class Holder:
        __slots__ = ("first", "second")

        def __init__(self, first: list[object]) -> None:
            self.first = self.second = first

    counted = idle.census(Holder([b"a", b"b", b"a" * 1000]))
    assert {place: count for place, (count, _) in counted.items()} == {
        ": Holder": 1,
        "Holder.first: list": 1,
        "Holder.first: bytes": 3,
    }
    assert counted["Holder.first: bytes"][1] >= 1000
