"""A worker's side: it tells its supervisor how it is, and ends when the supervisor is gone."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from threading import Thread
from typing import Any, Final

from msgspec import convert
from msgspec.structs import asdict
from posthouse.adapters.server.server import Server
from posthouse.core.values.stats import Measurements

from .wire import EVERY, MEASURED, PLACE, VARIABLE, Wire


class Attendance:
    """Whether this process is a worker. If it is, `begin` tells the supervisor so until the server ends."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        descriptor = environment.get(VARIABLE, "")
        self._wire: Final = Wire(socket.socket(fileno=int(descriptor))) if descriptor.isdigit() else None
        self._place: Final = int(environment.get(PLACE, "0"))

    @property
    def is_worker(self) -> bool:
        """Has a supervisor started this process?"""
        return self._wire is not None

    def begin(self, server: Server) -> None:
        """The server accepts."""
        if self._wire is not None:
            arguments = (self._wire, self._place, server)
            Thread(target=_attend, args=arguments, name="posthouse-worker", daemon=True).start()


def _attend(wire: Wire, place: int, server: Server) -> None:
    """Tell the server's health and measurements, and what the supervisor tells of the others, until the supervisor is
    gone."""
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            wire.tell({**asdict(server.health()), MEASURED: server.measurements()})
            due = now + EVERY
        select.select([wire.socket], [], [], max(0.0, due - time.monotonic()))
        heard = wire.hear()
        if heard is None:
            wire.close()
            server.shut_down()
            return
        for workers in heard[-1:]:
            _take(workers, place, server)


def _take(workers: list[dict[str, Any]], place: int, server: Server) -> None:
    """The supervisor has told of all workers, each as a row for `/health` with its measurements."""
    others = {row["place"]: row.pop(MEASURED, None) for row in workers}
    server.add_to_health({"workers": workers})
    server.add_workers(
        place,
        {
            other: convert(measured, Measurements)
            for other, measured in others.items()
            if other != place and measured is not None
        },
    )
