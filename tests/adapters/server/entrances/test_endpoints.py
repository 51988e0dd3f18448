"""Open endpoints, and the actions that concern them. test_actions.py has a table of all actions."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.actions import CloseSocket, EndWriting, StartReading, StopReading, Write

HERE, GONE = SocketId(1), SocketId(2)


class Note:
    """An endpoint that notes what it is asked for, and removes itself when it closes."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.asked: list[object] = []
        self._endpoints = endpoints

    def write(self, data: bytes, report: bool) -> None:
        self.asked.append((data, report))

    def end_writing(self) -> None:
        self.asked.append("end writing")

    def close_when_sent(self) -> None:
        self.asked.append("close when sent")

    def close(self, *, abort: bool = False) -> None:
        self.asked.append("abort" if abort else "close")
        self._endpoints.forget(HERE)

    def stop_reading(self) -> None:
        self.asked.append("stop reading")

    def start_reading(self) -> None:
        self.asked.append("start reading")


@pytest.mark.parametrize(
    ("perform", "action", "asked"),
    [
        ("write", lambda id: Write(id, b"x", report=True), (b"x", True)),
        ("write", lambda id: Write(id, b"y", report=False), (b"y", False)),
        ("end_writing", EndWriting, "end writing"),
        ("stop_reading", StopReading, "stop reading"),
        ("start_reading", StartReading, "start reading"),
        ("close", CloseSocket, "close when sent"),
        ("close", lambda id: CloseSocket(id, flush=False), "abort"),
    ],
)
def test_an_action_is_performed_by_its_endpoint_and_ignored_when_that_has_closed(
    perform: str, action: Any, asked: object
) -> None:
    endpoints = Endpoints()
    note = endpoints.by_id[HERE] = Note(endpoints)
    getattr(endpoints, perform)(action(GONE))
    assert note.asked == []
    getattr(endpoints, perform)(action(HERE))
    assert note.asked == [asked]


def test_all_that_are_open_are_aborted() -> None:
    endpoints = Endpoints()
    note = endpoints.by_id[HERE] = Note(endpoints)
    endpoints.abort()
    assert (note.asked, endpoints.by_id) == (["abort"], {})
