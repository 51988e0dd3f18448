"""A worker's side: what it tells, and that it ends with its supervisor."""

from __future__ import annotations

import os
import socket
from threading import Event
from typing import Any, cast

from posthouse.adapters.server.server import Server
from posthouse.adapters.workers.wire import VARIABLE, Wire
from posthouse.adapters.workers.worker import Attendance
from posthouse.core.values.stats import Health

from tests.adapters.loopback import PATIENCE


class Served:
    """A server that notes what it is told."""

    def __init__(self) -> None:
        self.members: list[dict[str, Any]] = []
        self.told = Event()
        self.ended = Event()

    def health(self) -> Health:
        return Health("healthy", 1.5, 2, 3, 4, 5, 6)

    def add_to_health(self, members: dict[str, Any]) -> None:
        self.members.append(members)
        self.told.set()

    def shut_down(self) -> None:
        self.ended.set()


def test_it_tells_its_health_hears_that_of_the_others_and_ends_with_the_supervisor() -> None:
    ours, theirs = socket.socketpair()
    served = Served()
    attendance = Attendance({VARIABLE: str(os.dup(theirs.fileno()))})
    theirs.close()
    assert attendance.is_worker
    attendance.begin(cast("Server", served))
    ours.settimeout(PATIENCE)
    line = ours.recv(1000)
    assert line.startswith(b'{"status":"healthy","timestamp":1.5,"connections":2,')
    Wire(ours).tell([{"worker": 1}])
    assert served.told.wait(PATIENCE)
    assert served.members == [{"workers": [{"worker": 1}]}]
    ours.close()
    assert served.ended.wait(PATIENCE)


def test_a_process_without_a_supervisor_tells_nothing() -> None:
    for environment in ({}, {VARIABLE: "rubbish"}):
        attendance = Attendance(environment)
        assert not attendance.is_worker
        attendance.begin(cast("Server", None))
