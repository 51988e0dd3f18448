"""What `check` and the first lines of `serve --dev` tell about a service."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec import Struct
from posthouse.adapters.command.check import describe
from posthouse.adapters.command.suggestions import suggestions
from posthouse.adapters.server.listeners import Bound
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service


class Item(Struct):
    """A type with a module."""

    name: str


def full() -> Service:
    service = Service("shop", version="1.2", builtin_scopes={"rpc.discover": ["staff"]})

    @service.method("item.find", public=True)
    async def find(context: Context, name: str, *others: Item, kind: Literal["a.b"] | None = None, **more: Any) -> Item:
        """Find an item.

        At length.
        """
        return Item(name)

    @service.method(scopes={"sales", "admin"}, blocking=True, sequential=True, timeout=2.5, on_disconnect="finish")
    def sell(items: list[Item], *, price: float, days: tuple[int, ...] = ()) -> None:
        pass

    return service


def test_a_service_is_listed_with_types_scopes_and_rules() -> None:
    assert list(describe(full()))[:9] == [
        "shop 1.2: 2 methods",
        "",
        "item.find(name: str, *others: Item, kind: Optional[Literal['a.b']] = None, **more: Any) -> Item",
        "    Find an item.",
        "    anyone, async",
        "",
        "sell(items: list[Item], *, price: float, days: tuple[int, ...] = ()) -> None",
        "    needs admin, sales, in a worker thread, one after another, within 2.5 s, runs on after a disconnect",
        "",
    ]


def test_the_built_in_methods_are_listed_with_who_may_call_them() -> None:
    lines = list(describe(full()))
    assert "    connection.ping: anyone" in lines
    assert "    message.send: authenticated callers" in lines
    assert "    message.broadcast: needs broadcast" in lines
    assert "    rpc.discover: needs staff" in lines


def test_a_service_may_be_empty_or_have_one_method() -> None:
    service = Service("bare")
    assert next(describe(service)) == "bare 0.0.0: no methods but the built-in ones"
    service.method("one")(lambda: None)
    lines = list(describe(service))
    assert lines[0] == "bare 0.0.0: 1 method"
    assert lines[2:4] == ["one() -> Any", "    authenticated callers"]


# What to try first


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/posthouse")


def test_the_first_method_that_can_be_called_is_suggested_over_each_transport() -> None:
    service = Service("shop")
    service.method("any")(lambda thing: None)
    service.method("rest")(lambda *things: None)

    @service.method
    def sell(name: str, price: int | float, count: int, within: float, kind: str = "") -> None:
        pass

    lines = list(suggestions(service, Bound("127.0.0.1", 8000)))
    assert lines[1:4] == [
        "  curl -s http://127.0.0.1:8000/rpc -H 'Content-Type: application/json' -d "
        '\'{"jsonrpc": "2.0", "method": "sell", '
        '"params": {"name": "hello", "price": 42, "count": 23, "within": 1}, "id": 1}\'',
        "  posthouse call http://127.0.0.1:8000 sell name=hello price:=42 count:=23 within:=1",
        "  posthouse call ws://127.0.0.1:8000 rpc.discover",
    ]


def test_without_such_a_method_a_built_in_one_is_suggested() -> None:
    lines = list(suggestions(Service("bare"), Bound("::1", 443, secure=True)))
    assert lines[1].startswith("  curl -s --insecure https://[::1]:443/rpc ")
    assert lines[2:4] == [
        "  posthouse call --insecure https://[::1]:443 connection.ping",
        "  posthouse call --insecure wss://[::1]:443 rpc.discover",
    ]


def test_a_unix_socket_has_suggestions_of_its_own() -> None:
    lines = list(suggestions(Service("bare"), Bound(path="/run/a b")))
    assert lines[1].startswith("  curl -s --unix-socket '/run/a b' http://localhost/rpc ")
    assert lines[3] == "  posthouse call 'unix:/run/a b' rpc.discover"


def test_a_command_that_is_not_on_the_path_is_written_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    bound = Bound("127.0.0.1", 1)
    assert list(suggestions(Service("bare"), bound))[2].startswith(f"  {tmp_path}/python -m posthouse.adapters call ")
    (tmp_path / "posthouse").touch()
    assert list(suggestions(Service("bare"), bound))[2].startswith(f"  {tmp_path}/posthouse call ")
