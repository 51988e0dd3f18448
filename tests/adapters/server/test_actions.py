"""Every action of a switchboard is performed, and by the part of the server that it concerns."""

from __future__ import annotations

from typing import get_args

import anyio
import pytest
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.operations.hashes import Hashes
from posthouse.adapters.handlers.operations.store_requests import StoreRequests
from posthouse.adapters.handlers.operations.verifications import Verifications
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.handlers.served_context import Awaited, AwaitedRequests
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.tasks import Tasks
from posthouse.adapters.handlers.watchdog import Watchdog
from posthouse.adapters.handlers.workers import Workers
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.server.actions import performers
from posthouse.adapters.server.entrances.accepting import Acceptor
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.adapters.system.machine import Machine
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Drained, StopAccepting
from posthouse.core.values.errors import DRAINING, refusal
from posthouse.core.values.peers import ConnectionId, SocketId
from posthouse.transports import Action, CloseSocket, EndWriting, Reply, StartReading, StopReading, Switchboard, Write


class Note:
    """An endpoint that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def write(self, data: bytes, report: bool) -> None:
        self.asked.append((data, report))

    def end_writing(self) -> None:
        self.asked.append("end writing")

    def close_when_sent(self) -> None:
        self.asked.append("close when sent")

    def close(self, *, abort: bool = False) -> None:
        self.asked.append("abort" if abort else "close")

    def stop_reading(self) -> None:
        self.asked.append("stop reading")

    def start_reading(self) -> None:
        self.asked.append("start reading")


@pytest.mark.anyio
async def test_every_action_has_a_row_and_nothing_else_has() -> None:
    service = Service("actions")
    runner = Runner(Switchboard(Gateway(service, wall=0.0, entropy=bytes)), Machine())
    watchdog, workers, endpoints, note = (
        Watchdog(runner.now, runner.send_written, 1.0, 1.0),
        Workers(runner.system.threads, 1, 1),
        Endpoints(),
        Note(),
    )
    tasks, requests, drained = Tasks(runner), AwaitedRequests(runner), anyio.Event()
    events = Events(service, runner, tasks, watchdog, States())
    runs = Runs(runner, tasks, events, requests, watchdog, workers)
    calls = Awaited[ConnectionId](runner, runner.board.hang_up, refusal(DRAINING))
    acceptor = Acceptor((), runner, endpoints, None)
    verifications = Verifications(runner, tasks, events, watchdog, workers, workers)
    stored = StoreRequests(runner, tasks, events, None)
    hashes = Hashes(runner, tasks, workers)
    actions = performers(endpoints, runs, verifications, stored, hashes, requests, calls, events, acceptor, drained.set)
    assert actions.keys() == {*get_args(Action)}

    here, gone = SocketId(1), SocketId(2)
    endpoints.by_id[here] = note
    for socket in (here, gone):
        for action in (
            Write(socket, b"x", report=True),
            EndWriting(socket),
            StopReading(socket),
            StartReading(socket),
            CloseSocket(socket),
            CloseSocket(socket, flush=False),
        ):
            actions[type(action)](action)
    assert note.asked == [(b"x", True), "end writing", "stop reading", "start reading", "close when sent", "abort"]
    actions[Reply](Reply(ConnectionId(1), b"nobody waits for it"))
    actions[StopAccepting](StopAccepting())
    actions[Drained](Drained())
    assert drained.is_set()
    assert await events.stop() == []
    runner.close()
