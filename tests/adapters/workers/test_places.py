"""The sockets of the places: on the same addresses, and one for each place where the kernel divides the clients."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

import pytest
from posthouse.adapters.system.machine import MachineSockets
from posthouse.adapters.workers import places
from posthouse.adapters.workers.places import listen_for_places

SOCKETS = MachineSockets()


@pytest.mark.parametrize(
    "divides", [pytest.param(True, marks=pytest.mark.skipif(not places.DIVIDES, reason="not Linux")), False]
)
def test_each_place_listens_on_every_address(divides: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DIVIDES", divides)
    with ExitStack() as stack:
        opened = listen_for_places(stack, SOCKETS, 3, ["127.0.0.1"], 0, secure=True)
        bound = {listener.bound for place in opened for listener in place}
        assert len(bound) == 1
        (at,) = bound
        assert (at.host, at.secure) == ("127.0.0.1", True)
        sockets = {listener.socket.fileno() for place in opened for listener in place}
        assert len(sockets) == (3 if divides else 1)
        socket.create_connection(("127.0.0.1", at.port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", at.port))


def test_an_address_on_which_another_program_listens_is_an_error() -> None:
    with ExitStack() as stack:
        opened = listen_for_places(stack, SOCKETS, 2, ["127.0.0.1"], 0, secure=False)
        port = opened[0][0].bound.port
        with pytest.raises(OSError) as caught:
            listen_for_places(stack, SOCKETS, 2, ["127.0.0.1"], port, secure=False)
        assert caught.value.errno == errno.EADDRINUSE


def test_without_hosts_no_place_has_sockets_of_its_own() -> None:
    with ExitStack() as stack:
        assert listen_for_places(stack, SOCKETS, 2, [], 8000, secure=False) == [[], []]
