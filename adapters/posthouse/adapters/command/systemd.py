"""systemd: sockets that it hands over (sd_listen_fds(3)), and what it is told of the server (sd_notify(3)).

Both are a few environment variables and a datagram. Without the variables nothing happens.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from threading import Event, Thread
from typing import Final

from posthouse.adapters.server.server import Server
from posthouse.adapters.terminal import Misuse

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START."""

ALL: Final = "systemd"
NAMED: Final = "systemd:"
"""The values of --fd that stand for the sockets of systemd: all of them, or those of a name."""


def descriptors(values: tuple[str, ...], environment: Mapping[str, str]) -> list[int]:
    """The descriptors that these values of --fd stand for. Raises Misuse for a value that stands for none."""
    found: list[int] = []
    for value in values:
        if value == ALL or value.startswith(NAMED):
            found += _handed_over(value.removeprefix(NAMED) if value != ALL else None, environment)
        elif value.isascii() and value.isdigit():
            found.append(int(value))
        else:
            raise Misuse(f"--fd {value!r}: give the number of a descriptor, systemd, or systemd:NAME")
    return list(dict.fromkeys(found))


def _handed_over(name: str | None, environment: Mapping[str, str]) -> list[int]:
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit() or int(count) == 0:
        raise Misuse("systemd has handed over no socket", hint="start the service by its .socket unit")
    handed = list(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)))
    if name is None:
        return handed
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found = [descriptor for descriptor, given in zip(handed, names, strict=False) if given == name]
    if not found:
        hint = f"its sockets are {', '.join(names)}: FileDescriptorName= in the .socket unit names them"
        raise Misuse(f"systemd has handed over no socket with the name {name}", hint=hint)
    return found


class Notifier:
    """Tells systemd when the server is ready, and then, if there is a watchdog, that its event loop is alive."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path: Final = environment.get("NOTIFY_SOCKET", "")
        self._every: Final = _watchdog_seconds(environment) / 2
        self._stopped: Final = Event()

    def ready(self, server: Server) -> None:
        """The server accepts."""
        self.tell_ready()
        if self._path and self._every:
            Thread(target=self._watch, args=(server,), name="posthouse-systemd", daemon=True).start()

    def tell_ready(self) -> None:
        """Clients are accepted."""
        self._send("READY=1")

    def close(self) -> None:
        """The server has ended."""
        self._stopped.set()

    def _watch(self, server: Server) -> None:
        while not self._stopped.wait(self._every):
            server.health()  # the loop answers
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._path:
            return
        address = f"\0{self._path[1:]}" if self._path.startswith("@") else self._path
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sender, suppress(OSError):
            sender.sendto(state.encode(), address)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """After how many seconds of silence systemd takes this process for dead. 0: never."""
    given = environment.get("WATCHDOG_USEC", "")
    if not given.isdigit() or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(given) / 1e6
