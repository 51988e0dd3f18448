"""Listening on several addresses with one port that nobody has chosen."""

from __future__ import annotations

import errno
import socket

import pytest
from posthouse.adapters.server.entrances import listeners
from posthouse.adapters.server.entrances.listeners import listen_tcp
from posthouse.adapters.system.machine import MachineSockets


class Taken(socket.socket):
    """A socket whose address is in use."""

    def bind(self, address: object, /) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")


class SomeTaken(MachineSockets):
    """A machine whose sockets find their address in use, in these places."""

    def __init__(self, *places: int) -> None:
        self.places = places
        self.opened: list[socket.socket] = []

    def open(self, family: int) -> socket.socket:
        taken = len(self.opened) in self.places
        self.opened.append(Taken(family) if taken else super().open(family))
        return self.opened[-1]


HOSTS = ("127.0.0.1", "127.0.0.2")


def test_a_free_port_is_picked_again_if_it_is_in_use_on_another_address() -> None:
    sockets = SomeTaken(1, 3)
    bound = listen_tcp(sockets, HOSTS, 0)
    assert [listener.bound.host for listener in bound] == ["127.0.0.1", "127.0.0.2"]
    assert len({listener.bound.port for listener in bound}) == 1
    assert [opened.fileno() >= 0 for opened in sockets.opened] == [False, False, False, False, True, True]
    for listener in bound:
        listener.close()


def test_a_port_is_picked_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "PICKS", 3)
    sockets = SomeTaken(1, 3, 5)
    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.2 port \d+: Address already in use"):
        listen_tcp(sockets, HOSTS, 0)
    assert len(sockets.opened) == 6


def test_a_port_that_was_chosen_is_not_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sockets = SomeTaken()
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1 port {port}: "):
            listen_tcp(sockets, HOSTS, port)
    assert len(sockets.opened) == 1


def test_another_error_is_not_tried_again() -> None:
    sockets = SomeTaken()
    with pytest.raises(OSError, match="cannot resolve"):
        listen_tcp(sockets, ("127.0.0.1", "no..name"), 0)
    assert len(sockets.opened) == 1
