"""The commands that `serve --dev` suggests after it has started."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from posthouse.adapters.command.suggestions import suggestions
from posthouse.adapters.server.entrances.listeners import Bound
from posthouse.core.service.service import Service
from posthouse.transports.paths import Paths


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
    assert list(suggestions(Service("bare"), bound))[2].startswith(f"  {tmp_path}/python -m posthouse call ")
    (tmp_path / "posthouse").touch()
    assert list(suggestions(Service("bare"), bound))[2].startswith(f"  {tmp_path}/posthouse call ")


def test_other_paths_are_part_of_the_addresses() -> None:
    lines = list(suggestions(Service("bare"), Bound("127.0.0.1", 8000), Paths("/v1", "/", "/api")))
    assert lines[1].startswith("  curl -s http://127.0.0.1:8000/api/v1 ")
    assert lines[2:4] == [
        "  posthouse call http://127.0.0.1:8000/api/v1 connection.ping",
        "  posthouse call ws://127.0.0.1:8000/api/ rpc.discover",
    ]
    over_unix = list(suggestions(Service("bare"), Bound(path="/run/s"), Paths("/v1")))
    assert over_unix[1].startswith("  curl -s --unix-socket /run/s http://localhost/v1 ")
    assert over_unix[2:] == [""]
