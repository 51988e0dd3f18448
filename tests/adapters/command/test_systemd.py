"""systemd: the sockets that it hands over, and what it hears of the server."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from posthouse.adapters.command.systemd import Notifier, descriptors
from posthouse.adapters.server.server import Server
from posthouse.adapters.terminal import Misuse

from tests.adapters.loopback import PATIENCE

HANDED = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:admin:web"}


def test_a_number_is_a_descriptor_and_systemd_stands_for_its_sockets() -> None:
    assert descriptors((), HANDED) == []
    assert descriptors(("7", "0", "7"), {}) == [7, 0]
    assert descriptors(("systemd",), HANDED) == [3, 4, 5]
    assert descriptors(("systemd:web",), HANDED) == [3, 5]
    assert descriptors(("systemd:admin", "9", "systemd"), HANDED) == [4, 9, 3, 5]


@pytest.mark.parametrize(
    ("value", "environment", "problem", "hint"),
    [
        ("x", HANDED, "--fd 'x': give the number of a descriptor, systemd, or systemd:NAME", ""),
        ("-1", HANDED, "--fd '-1': give the number of a descriptor, systemd, or systemd:NAME", ""),
        ("²", HANDED, "--fd '²': give the number of a descriptor, systemd, or systemd:NAME", ""),
        ("systemd", {}, "systemd has handed over no socket", "start the service by its .socket unit"),
        (
            "systemd",
            HANDED | {"LISTEN_PID": "1"},
            "systemd has handed over no socket",
            "start the service by its .socket unit",
        ),
        (
            "systemd",
            HANDED | {"LISTEN_FDS": "0"},
            "systemd has handed over no socket",
            "start the service by its .socket unit",
        ),
        (
            "systemd",
            HANDED | {"LISTEN_FDS": "x"},
            "systemd has handed over no socket",
            "start the service by its .socket unit",
        ),
        (
            "systemd:api",
            HANDED,
            "systemd has handed over no socket with the name api",
            "its sockets are web, admin, web: FileDescriptorName= in the .socket unit names them",
        ),
    ],
)
def test_a_value_that_stands_for_no_socket_is_a_mistake(
    value: str, environment: dict[str, str], problem: str, hint: str
) -> None:
    with pytest.raises(Misuse) as caught:
        descriptors((value,), environment)
    assert (str(caught.value), caught.value.hint) == (problem, hint)


class Alive:
    """A server that answers."""

    asked = 0

    def health(self) -> None:
        self.asked += 1


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE)
        receiver.bind(str(tmp_path / "notify"))
        yield receiver


def test_it_is_told_that_the_server_is_ready_and_then_that_it_is_alive(manager: socket.socket) -> None:
    alive = Alive()
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "2000"})
    notifier.ready(cast("Server", alive))
    told = [manager.recv(64) for _ in range(3)]
    notifier.close()
    assert told == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
    assert alive.asked >= 2


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}]
)
def test_without_a_watchdog_it_hears_of_the_start_alone(manager: socket.socket, watchdog: dict[str, str]) -> None:
    alive = Alive()
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), **watchdog})
    notifier.ready(cast("Server", alive))
    notifier.ready(cast("Server", alive))
    assert (manager.recv(64), manager.recv(64), alive.asked) == (b"READY=1", b"READY=1", 0)


def test_an_abstract_address_has_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE)
        receiver.bind("\0posthouse-test-" + str(os.getpid()))
        Notifier({"NOTIFY_SOCKET": f"@posthouse-test-{os.getpid()}"}).ready(cast("Server", Alive()))
        assert receiver.recv(64) == b"READY=1"


def test_without_systemd_and_without_its_socket_nothing_happens(tmp_path: Path) -> None:
    Notifier({"WATCHDOG_USEC": "1"}).ready(cast("Server", Alive()))
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "missing")}).ready(cast("Server", Alive()))
