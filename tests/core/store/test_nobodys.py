"""The sessions of nobody know their size, and which of them was used the longest time ago."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from posthouse.core.store.nobodys import Nobodys
from posthouse.core.store.rows import SessionRow

from tests.core.store.rows import session


def of_nobody(id: str, **members: Any) -> SessionRow:
    return session(id, name=None, **members)


def test_the_one_that_was_used_the_longest_time_ago_is_first() -> None:
    nobodys = Nobodys()
    a, b = of_nobody("a", used_at=1.0), of_nobody("b", used_at=2.0)
    nobodys.put(b, None)
    nobodys.put(a, None)
    assert nobodys.first() == "a"
    nobodys.put(replace(a, used_at=3.0), a)
    assert nobodys.first() == "b"
    nobodys.remove(b)
    assert nobodys.first() == "a"
    nobodys.remove(replace(a, used_at=3.0))
    assert (nobodys.first(), nobodys.size) == (None, 0)


def test_of_two_that_were_used_at_one_time_the_lower_id_is_first() -> None:
    nobodys = Nobodys()
    nobodys.put(of_nobody("b"), None)
    nobodys.put(of_nobody("a"), None)
    assert nobodys.first() == "a"


def test_bytes_are_counted_as_they_change() -> None:
    nobodys = Nobodys()
    small, large = of_nobody("s"), of_nobody("s", data=b'{"a":1}')
    nobodys.put(small, None)
    nobodys.put(large, small)
    assert (nobodys.size, large.size - small.size, nobodys.first()) == (large.size, 5, "s")


def test_uses_that_were_not_the_last_are_forgotten() -> None:
    nobodys = Nobodys()
    row = of_nobody("s")
    nobodys.put(row, None)
    for number in range(100):
        was, row = row, of_nobody("s", used_at=float(number))
        nobodys.put(row, was)
        assert len(nobodys._heap) <= 18
    assert (nobodys.first(), nobodys.used_at) == ("s", {"s": 99.0})


def test_one_may_be_left_out() -> None:
    nobodys = Nobodys()
    assert nobodys.first(but="a") is None
    a, b = of_nobody("a", used_at=1.0), of_nobody("b", used_at=2.0)
    nobodys.put(a, None)
    assert nobodys.first(but="a") is None
    nobodys.put(b, None)
    assert (nobodys.first(but="a"), nobodys.first(but="b"), nobodys.first()) == ("b", "a", "a")
