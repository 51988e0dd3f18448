"""Scenes about sessions in a store that is slow, fails, does things without saying so, or crashes with its server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import json
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import frame, post, upgrade
from posthouse.adapters.store.memory import NO_FAULT, Fault
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.store.requests import AddSession, EndSession, Request, UpdateSession, Write
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity

from .disk import Disk, SimulatedStore

DRAWN: Final = ("id", "session", "secret", "connection_id")
"""What a server has drawn: scenes hide it."""


class Caller:
    """A client over a WebSocket, of which the scene notes the calls with their answers."""

    def __init__(self, stage: Stage, name: str, *headers: str) -> None:
        self._last = 0
        self._stage: Final = stage
        self._name: Final = name
        self._client: Final = stage.client(name)
        self._data = b""
        self._client.link.down.deliver = self._receive
        self._client.send(upgrade(*headers))
        self._data = self._data.partition(b"\r\n\r\n")[2]

    def _receive(self, data: bytes) -> None:
        self._data += data

    def call(self, name: str, /, *, wait: float = 0.05, **params: Any) -> Any:
        """Make a call. Its result, or its error; None if there is no answer within so many seconds."""
        self._last += 1
        text = json.encode({"jsonrpc": "2.0", "method": name, "params": params, "id": self._last})
        self._client.send(frame(text), wait)
        answer = None
        for message in self._messages():
            if message.get("id") == self._last:
                answer = message.get("result", message.get("error"))
            else:
                self._stage.note(f"{self._name} is told {_shown(message)}")
        self._stage.note(f"{self._name} {name} {_shown(params)}: {_shown(answer)}")
        return answer

    def _messages(self) -> list[Any]:
        """The messages that came, and the codes with which the connection is closed."""
        found, data = [], self._data
        while data:
            opcode, size, start = data[0] & 0x0F, data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4]), 4
            payload, data = data[start : start + size], data[start + size :]
            if opcode == 1:
                found.append(json.decode(payload))
            else:
                self._stage.note(f"{self._name} gets a frame {opcode}: {int.from_bytes(payload[:2])}")
        self._data = b""
        return found

    def resume(self, session: Any, **more: Any) -> Any:
        """Resume a session with the secret that it had."""
        return self.call("session.resume", session=session.get("id"), secret=session.get("secret"), **more)

    def leave(self) -> None:
        """Close the connection."""
        self._client.end()


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "…" if name in DRAWN else _shown(item) for name, item in value.items()}
    return value


def _serve(stage: Stage, disk: Disk, fault: Callable[[Request], Fault] = lambda _: NO_FAULT, **limits: Any) -> None:
    service = Service("stored", public=True, sessions="on")

    @service.authenticator("bearer")
    def by_token(credentials: Bearer) -> Identity:
        return Identity(credentials.token)

    stage.serve(service, store=SimulatedStore(disk, fault), config=Config(**limits))


def _rows(stage: Stage, disk: Disk) -> None:
    """Note what the disk has, when time has passed for everything that was on its way."""
    stage.wait(1.0)
    stage.note(f"rows: {[(row.data.decode(), row.version, len(row.retired)) for row in disk.rows.sessions.values()]}")


@scene("a session is resumed with its newest secret, and ends when an old one is used")
def _theft(stage: Stage) -> None:
    disk = Disk()
    _serve(stage, disk)
    first = Caller(stage, "a").call("session.create", data={"n": 1})
    second = Caller(stage, "b").resume(first)
    again = Caller(stage, "c").resume(first)  # the answer to b may be lost
    third = Caller(stage, "d").resume(again)
    Caller(stage, "e").call("session.resume", session=third.get("id"), secret="x" * 43)
    _rows(stage, disk)
    Caller(stage, "f").resume(first)
    Caller(stage, "g").resume(third)
    secrets = {each.get("secret") for each in (first, second, again, third)}
    stage.note(f"{len(secrets)} secrets were told")
    _rows(stage, disk)


@scene("of two changes of one version one is made")
def _versions(stage: Stage) -> None:
    disk = Disk()
    _serve(stage, disk)
    caller = Caller(stage, "a")
    caller.call("session.create", data={"n": 1})
    caller.call("session.update", set={"n": 2}, version=1)
    caller.call("session.update", set={"n": 3}, version=1)
    caller.call("session.update", set={"n": 4, "m": []}, unset=["x"], version=2)
    caller.call("session.update", unset=["n"])
    caller.call("session.get")
    _rows(stage, disk)


@scene("sessions expire when they are unused, and when they are old")
def _expiry(stage: Stage) -> None:
    disk = Disk()
    _serve(stage, disk, session_idle=20.0, session_lifetime=50.0, heartbeat_interval=None)
    one, two = Caller(stage, "a"), Caller(stage, "b")
    idle, used = one.call("session.create", data={"n": 1}), two.call("session.create", data={"n": 2})
    left = Caller(stage, "e")
    alone = left.call("session.create", data={"n": 3})
    left.leave()
    for _ in range(4):
        stage.wait(9.0)
        two.call("session.update", set={"used": True})
    Caller(stage, "c").resume(idle)
    Caller(stage, "f").resume(alone)
    stage.wait(15.0)
    Caller(stage, "d").resume(used)
    stage.wait(100.0)
    _rows(stage, disk)


@scene("a full store refuses a session, and the least recently used one of a user makes room")
def _room(stage: Stage) -> None:
    disk = Disk()
    _serve(stage, disk, max_sessions=3, max_sessions_per_user=2, heartbeat_interval=None)
    ada = "Authorization: Bearer ada"
    sessions = []
    for name in "abc":
        sessions.append(Caller(stage, name, ada).call("session.create", data={"n": name}))
        stage.wait(70.0)
    Caller(stage, "d", ada).resume(sessions[0])
    bob = "Authorization: Bearer bob"
    for name in "ef":
        Caller(stage, name, bob).call("session.create", data={"n": name})
    Caller(stage, "g", bob).resume(sessions[1])
    Caller(stage, "h", ada).resume(sessions[1])
    _rows(stage, disk)


@scene("a store that fails is told, and works again")
def _failing(stage: Stage) -> None:
    disk, fails = Disk(), [False]
    _serve(stage, disk, lambda request: Fault(applied=not (fails[0] and isinstance(request, Write))))
    caller = Caller(stage, "a")
    session = caller.call("session.create", data={"n": 1})
    fails[0] = True
    caller.call("session.update", set={"n": 2})
    caller.call("session.get")
    Caller(stage, "b").call("session.create", data={})
    Caller(stage, "c").resume(session)
    fails[0] = False
    caller.call("session.update", set={"n": 3})
    Caller(stage, "d").resume(session)
    _rows(stage, disk)


@scene("a store that does not say what it has done is waited for, and told to undo it")
def _silent(stage: Stage) -> None:
    disk = Disk()
    silent: list[type] = [AddSession]
    _serve(stage, disk, lambda request: Fault(told=type(request) not in silent), storage_timeout=2.0)
    caller = Caller(stage, "a")
    caller.call("session.create", data={"n": 1}, wait=1.9)
    caller.call("connection.ping")
    stage.wait(0.2)
    caller.call("connection.ping")
    _rows(stage, disk)
    silent.clear()
    session = caller.call("session.create", data={"n": 2})
    silent.append(UpdateSession)
    caller.call("session.update", set={"n": 3}, wait=2.1)
    silent.clear()
    caller.call("session.get")
    Caller(stage, "b").resume(session)
    _rows(stage, disk)


@scene("a slow store answers in time, and what comes too late does not count")
def _slow(stage: Stage) -> None:
    disk, delay = Disk(), [0.5]
    _serve(stage, disk, lambda request: Fault(delay=delay[0]), storage_timeout=1.0)
    caller = Caller(stage, "a")
    caller.call("session.create", data={"n": 1}, wait=0.4)
    stage.wait(0.2)
    caller.call("connection.ping")
    delay[0] = 1.5
    caller.call("session.update", set={"n": 2}, wait=1.1)
    stage.wait(1.0)
    delay[0] = 0.0
    caller.call("session.get")
    _rows(stage, disk)


@scene("a server that crashes keeps every change that it has acknowledged")
def _crash(stage: Stage) -> None:
    disk, delay = Disk(), [0.0]
    _serve(stage, disk, lambda request: Fault(delay=delay[0]))
    caller = Caller(stage, "a")
    session = caller.call("session.create", data={"n": 1})
    caller.call("session.update", set={"n": 2})
    delay[0] = 1.0
    caller.call("session.update", set={"n": 3}, wait=0.5)
    stage.cancel()
    disk.crash()
    _rows(stage, disk)
    _serve(stage, disk)
    Caller(stage, "b").resume(session)
    _rows(stage, disk)


@scene("a log-in that renews a session, in a store that is slow, and fails")
def _renewed(stage: Stage) -> None:
    disk, delay, fails = Disk(), [0.0], list[type]()
    _serve(stage, disk, lambda request: Fault(delay=delay[0], applied=type(request) not in fails))
    ada, phone = Caller(stage, "a"), Caller(stage, "b")
    session = ada.call("session.create", data={"n": 1})
    session = phone.resume(session)
    delay[0] = 0.5
    ada.call("auth.login", method="bearer", token="ada", wait=0.1)
    phone.call("session.update", set={"n": 2})
    ada.call("rpc.cancel", id=2)
    _rows(stage, disk)
    delay[0] = 0.0
    phone.call("session.update", set={"n": 3})
    fails.append(EndSession)
    ada.call("auth.login", method="bearer", token="ada")
    Caller(stage, "c").resume(session)
    _rows(stage, disk)
    fails.clear()
    _rows(stage, disk)
    ada.call("session.get")


@scene("a thief who leaves before the store has answered")
def _gone(stage: Stage) -> None:
    disk, delay = Disk(), [0.0]
    _serve(stage, disk, lambda request: Fault(delay=delay[0]), half_close_timeout=0.2)
    owner = Caller(stage, "a")
    stolen = owner.call("session.create", data={"n": 1})
    owner.resume(owner.resume(stolen))
    delay[0] = 0.5
    thief = stage.client("t")
    thief.send(post(b"{}", f"Posthouse-Session: {stolen['id']}.{stolen['secret']}"))
    thief.end()
    stage.wait(1.0)
    delay[0] = 0.0
    owner.call("session.get")
    _rows(stage, disk)
