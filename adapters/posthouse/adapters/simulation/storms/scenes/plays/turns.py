"""Scenes about turns and time: how long a turn of the loop is, clocks that are set, and processes that were stopped."""

from __future__ import annotations

import anyio
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import WALL, Stage
from posthouse.adapters.simulation.storms.scenes.words import call, frame, line, plain, post, sample, upgrade
from posthouse.core.service.authenticators import Bearer
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity


@scene("a turn of many calls leaves time for tasks")
def _long_turn(stage: Stage) -> None:
    service = sample()
    seen = [0]

    @service.method
    def counted(token: str) -> str:
        if token == "slow":
            stage.hold_up(0.002)
        seen[-1] += 1
        return token

    async def ticks() -> str:
        for _ in range(120):
            seen.append(0)
            await anyio.sleep(0)
        return f"calls between ticks: {[number for number in seen if number]}"

    stage.serve(service, config=Config(frames_per_turn=1000, max_calls_per_connection=1000, max_waiting_calls=1000))
    for token, times in (("fast", 700), ("slow", 20)):
        client = stage.client(token)
        client.send(upgrade())
        client.pause()
        seen[:] = [0]
        client.link.up.write(frame(call("counted", token, id=None)) * times)
        stage.schedule.at(stage.schedule.now + 0.001, lambda: stage.run(ticks))
        stage.wait(1.0)
    for number in range(20):
        other = stage.client(f"{number}")
        other.pause()
        other.link.up.write(post(call("counted", "slow")))
    seen[:] = [0]
    stage.schedule.at(stage.schedule.now + 0.001, lambda: stage.run(ticks))
    stage.wait(2.0)


@scene("pipes and sockets take their turns")
def _turns(stage: Stage) -> None:
    client, pipes = stage.pipes("p")
    stage.serve(plain(), pipes=[pipes], host="127.0.0.1", config=Config(read_bytes=100))
    other = stage.client()
    client.link.up.write(line(call("echo", "pipe")) * 5)
    other.send(post(call("echo", "socket")) * 5)
    stage.wait(1.0)


def brief(stage: Stage) -> None:
    """A server for a caller whose identity lasts for 10 seconds, and a WebSocket of it."""
    service = sample()

    @service.authenticator("bearer")
    def by_token(credentials: Bearer) -> Identity:
        stage.note(f"by_token {credentials.token}")
        return Identity(credentials.token, expires_at=WALL + 10.0)

    stage.serve(service, config=Config(auth_notice=0.0, auth_grace=1.0))
    stage.client().send(upgrade("Authorization: Bearer ada"))


@scene("a wall clock that is set forward expires an identity")
def _forward(stage: Stage) -> None:
    brief(stage)
    stage.wait(2.5)
    stage.system.wall_offset += 9.0
    stage.wait(4.0)


@scene("a wall clock that is set back keeps an identity")
def _back(stage: Stage) -> None:
    brief(stage)
    stage.wait(2.5)
    stage.system.wall_offset -= 9.0
    stage.wait(30.0)


@scene("a wall clock that goes a little wrong changes nothing")
def _drift(stage: Stage) -> None:
    brief(stage)
    for seconds in (0.04, 0.02, -0.1):
        stage.wait(1.1)
        stage.system.wall_offset += seconds
        stage.note(f"the clock is {seconds} s further")
    stage.wait(20.0)


@scene("a process that was stopped reads its input before deadlines pass")
def _stopped(stage: Stage) -> None:
    stage.serve(plain(), config=Config(heartbeat_interval=3.0, heartbeat_timeout=1.0, call_timeout=2.0))
    client = stage.client()
    client.send(upgrade())
    client.send(frame(call("ask", "x", 1.5)))
    client.link.up.write(frame(b'{"jsonrpc":"2.0","id":1,"result":7}'))
    stage.stop(1.8)
    stage.wait(1.0)
    client.link.up.write(frame(call("echo", "in time")))
    stage.stop(20.0)
    stage.wait(10.0)


@scene("a head that is complete in time counts, however late it is read")
def _late_head(stage: Stage) -> None:
    stage.serve(plain(), config=Config(head_timeout=1.0))
    client = stage.client()
    client.send(b"GET /nowhere HT")
    client.link.up.write(b"TP/1.1\r\nHost: localhost\r\n\r\n")
    stage.stop(5.0)
    stage.wait(10.0)
