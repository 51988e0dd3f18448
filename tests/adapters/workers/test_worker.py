"""A worker's side: what it tells, and that it ends with its supervisor."""

from __future__ import annotations

import os
import socket
from threading import Event
from typing import Any, cast

from msgspec import json
from posthouse.adapters.server.server import Server
from posthouse.adapters.workers.wire import PLACE, VARIABLE, Wire
from posthouse.adapters.workers.worker import Attendance
from posthouse.core.values.stats import Durations, Health, Measurements

from tests.adapters.loopback import PATIENCE

MEASURED = Measurements(
    {"calls.made": 1}, (1.0,), [("echo", "result", Durations([1, 0], 0.5))], [], {"max_calls": 1}, {"max_calls": 9}
)


class Served:
    """A server that notes what it is told."""

    def __init__(self) -> None:
        self.members: list[dict[str, Any]] = []
        self.workers: list[tuple[int, dict[int, Measurements]]] = []
        self.told = Event()
        self.ended = Event()

    def health(self) -> Health:
        return Health("healthy", 1.5, 2, 3, 4, 5, 6)

    def add_to_health(self, members: dict[str, Any]) -> None:
        self.members.append(members)

    def measurements(self) -> Measurements:
        return MEASURED

    def add_workers(self, place: int, others: dict[int, Measurements]) -> None:
        self.workers.append((place, others))
        self.told.set()

    def shut_down(self) -> None:
        self.ended.set()


def test_it_tells_its_health_hears_that_of_the_others_and_ends_with_the_supervisor() -> None:
    ours, theirs = socket.socketpair()
    served = Served()
    attendance = Attendance({VARIABLE: str(os.dup(theirs.fileno())), PLACE: "1"})
    theirs.close()
    assert attendance.is_worker
    attendance.begin(cast("Server", served))
    ours.settimeout(PATIENCE)
    line = ours.recv(1000)
    assert line.startswith(b'{"status":"healthy","timestamp":1.5,"connections":2,')
    measured = json.decode(line)["measured"]
    rows = [{"worker": 2, "place": 0, "measured": measured}, {"worker": 1, "place": 1, "measured": measured}]
    Wire(ours).tell([*rows, {"worker": 3, "place": 2}])
    assert served.told.wait(PATIENCE)
    told = [{"worker": 2, "place": 0}, {"worker": 1, "place": 1}, {"worker": 3, "place": 2}]
    assert served.members == [{"workers": told}]
    assert served.workers == [(1, {0: MEASURED})]
    ours.close()
    assert served.ended.wait(PATIENCE)


def test_a_process_without_a_supervisor_tells_nothing() -> None:
    for environment in ({}, {VARIABLE: "rubbish"}):
        attendance = Attendance(environment)
        assert not attendance.is_worker
        attendance.begin(cast("Server", None))
