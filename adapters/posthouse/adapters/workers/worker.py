"""A worker's side: it tells its supervisor how it is, and ends when the supervisor is gone."""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from threading import Thread
from typing import Final

from posthouse.adapters.server.server import Server

from .wire import EVERY, VARIABLE, Wire


class Attendance:
    """Whether this process is a worker. If it is, `begin` tells the supervisor so until the server ends."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        descriptor = environment.get(VARIABLE, "")
        self._wire: Final = Wire(socket.socket(fileno=int(descriptor))) if descriptor.isdigit() else None

    @property
    def is_worker(self) -> bool:
        """Has a supervisor started this process?"""
        return self._wire is not None

    def begin(self, server: Server) -> None:
        """The server accepts."""
        if self._wire is not None:
            arguments = (self._wire, server)
            Thread(target=_attend, args=arguments, name="posthouse-worker", daemon=True).start()


def _attend(wire: Wire, server: Server) -> None:
    """Tell the server's health, and what the supervisor tells of the others, until the supervisor is gone."""
    while True:
        wire.tell(server.health())
        select.select([wire.socket], [], [], EVERY)
        heard = wire.hear()
        if heard is None:
            wire.close()
            server.shut_down()
            return
        for workers in heard:
            server.add_to_health({"workers": workers})
