"""Scenes about sessions: created, resumed, replaced, stolen, renewed and ended; and about idempotency keys."""

from __future__ import annotations

import re
from typing import Any

from msgspec.json import encode
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Client, Stage
from posthouse.adapters.simulation.storms.scenes.words import frame, post, upgrade
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity


def keeping(stage: Stage, **options: Any) -> Service:
    """A service whose clients have sessions. The user is what the token says."""
    service = Service("kept", public=True, **options)

    @service.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity:
        return Identity(credentials.token)

    @service.method
    async def add(context: Context, item: str) -> list[Any]:
        stage.note("adds", item)
        if context.session is None:
            return [context.user, None]
        items = [*context.session.data.get("items", []), item]
        version = await context.session.update({"items": items})
        return [context.user, items, version]

    return service


class Caller:
    """A client over a WebSocket that has a session, or none. `key`: the id and the secret that it was told last."""

    def __init__(self, stage: Stage, name: str, *headers: str) -> None:
        self.stage = stage
        self.key: dict[str, str] = {}
        self.client: Client = stage.client(name)
        self._received = b""
        self._deliver = self.client.link.down.deliver
        self.client.link.down.deliver = self._hear
        self.client.send(upgrade(*headers), 0.1)

    def _hear(self, data: bytes) -> None:
        self._received += data
        self._deliver(data)

    def ask(self, method: str, params: Any = (), seconds: float = 0.05, **meta: Any) -> str:
        """Call a method. Returns what has come, and remembers a session in it."""
        self._received = b""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.client.send(frame(encode({**body, "meta": meta} if meta else body)), seconds)
        seen = self._received.decode("latin-1")
        found = re.search(r'"id":"([\w-]{22})","secret":"([\w-]{43})"', seen)
        if found is not None:
            self.key = {"session": found[1], "secret": found[2]}
        return seen

    def name(self) -> str:
        """The public id of its connection."""
        found = re.search(r'"connection_id":"(\w+)"', self.ask("connection.ping"))
        return found[1] if found else ""


def header(key: dict[str, str]) -> str:
    """The header with this session."""
    return f"Posthouse-Session: {key['session']}.{key['secret']}"


@scene("a session is resumed on other connections, and stolen")
def _stolen(stage: Stage) -> None:
    stage.serve(keeping(stage, sessions="on"))
    ada = Caller(stage, "ada")
    ada.ask("auth.login", {"method": "bearer", "token": "ada", "session": True})
    first = ada.key
    ada.ask("add", ["tea"])
    phone, tablet, thief = (Caller(stage, name) for name in ("phone", "tablet", "thief"))
    phone.ask("session.resume", first)
    tablet.ask("session.resume", phone.key)
    tablet.ask("add", ["milk"])
    tablet.ask("session.get")
    thief.ask("session.resume", {**first, "secret": "A" * 43})
    thief.ask("session.resume", first)
    thief.ask("session.resume", tablet.key)
    ada.ask("session.get")
    stage.wait(1.0)


@scene("of two that replace a connection one wins")
def _replaced(stage: Stage) -> None:
    stage.serve(keeping(stage, sessions="on"))
    old = Caller(stage, "old")
    old.ask("session.create", {"data": {"n": 1}})
    name, key = old.name(), old.key
    one, two, bob = (Caller(stage, name) for name in ("one", "two", "bob"))
    one.ask("session.resume", {**key, "replaces": name})
    two.ask("session.resume", {**key, "replaces": name})
    two.ask("session.resume", {**one.key, "replaces": one.name()})
    bob.ask("auth.login", {"method": "bearer", "token": "bob"})
    bob.ask("session.resume", two.key)
    two.ask("session.update", {"set": {"m": 2}, "unset": ["n"], "version": 1})
    two.ask("session.update", {"set": {"m": 3}, "version": 1})
    two.ask("session.end", {})
    two.ask("session.get")
    stage.wait(1.0)


@scene("a session gets a new id with each identity, and ends")
def _renewed(stage: Stage) -> None:
    config = Config(session_idle=10.0, session_lifetime=20.0, max_sessions=3, max_sessions_per_user=2)
    stage.serve(keeping(stage, sessions="login"), config=config)
    ada, known, other = (Caller(stage, name) for name in ("ada", "known", "other"))
    ada.ask("session.create", {"data": {"cart": [1]}})
    before = ada.key
    known.ask("session.resume", before)
    ada.ask("auth.login", {"method": "bearer", "token": "ada"})
    other.ask("session.resume", before)
    other.ask("auth.login", {"method": "bearer", "token": "ada"})
    third = Caller(stage, "third")
    third.ask("auth.login", {"method": "bearer", "token": "ada"})
    third.ask("session.list")
    third.ask("auth.logout")
    stage.do(lambda: stage.note("revoked", stage.server.revoke("ada")))
    stage.wait(0.5)
    last = Caller(stage, "last")
    last.ask("auth.login", {"method": "bearer", "token": "bob"})
    for _ in range(3):
        stage.wait(7.0)
        last.ask("session.get")
    stage.wait(60.0)


@scene("a session over HTTP, and messages to it")
def _over_http(stage: Stage) -> None:
    stage.serve(keeping(stage, sessions="on"))
    ada = Caller(stage, "ada")
    ada.ask("auth.login", {"method": "bearer", "token": "ada", "session": True})
    for key in (ada.key, {**ada.key, "secret": "A" * 43}, {**ada.key, "session": "x"}):
        body = encode({"jsonrpc": "2.0", "id": 1, "method": "add", "params": ["tea"]})
        stage.client("page").send(post(body, header(key), "Connection: close"), 0.1)
    both = (header(ada.key), "Authorization: Bearer bob")
    stage.client("both").send(post(body, *both, "Connection: close"), 0.1)
    beside = Caller(stage, "beside", header(ada.key))
    beside.ask("message.send", {"to": {"session": ada.key["session"]}, "data": 1})
    ada.ask("session.end")
    stage.wait(1.0)


@scene("a session in a cookie")
def _in_a_cookie(stage: Stage) -> None:
    stage.serve(keeping(stage, sessions="on"), config=Config(session_lifetime=3_600.0))

    def ask(cookie: str, method: str, params: Any = (), *headers: str) -> str:
        """Call with a cookie. Returns the one that the answer sets, or this one."""
        before = len(stage.lines)
        body = encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        given = (f"Cookie: __Host-posthouse={cookie}",) if cookie else ()
        stage.client("page", peer=("127.0.0.1", 9)).send(post(body, *given, *headers, "Connection: close"), 0.1)
        found = re.search(r"__Host-posthouse=([^;]*)", "".join(stage.lines[before:]))
        return found[1] if found else cookie

    log_in = {"method": "bearer", "token": "ada"}
    first = ask("", "auth.login", {**log_in, "cookie": True})
    ask(first, "add", ["tea"])
    second = ask(first, "auth.login", log_in)
    third = ask(second, "auth.refresh", {**log_in, "session": True}, f"Posthouse-Session: {second}")
    for cookie in (first, second, third, third[:-1], "x"):
        ask(cookie, "session.get")
    socket = Caller(stage, "socket", f"Cookie: __Host-posthouse={third}")
    socket.ask("session.get")
    ask(third, "auth.logout")
    ask(third, "session.get")
    ask(third, "auth.login", log_in)
    stage.wait(1.0)


@scene("calls with one idempotency key")
def _keyed(stage: Stage) -> None:
    stage.serve(keeping(stage, sessions="on"), config=Config(idempotency_ttl=5.0))
    ada, again, bob = (Caller(stage, name) for name in ("ada", "again", "bob"))
    ada.ask("add", ["tea"], idempotency_key="k")
    for caller, token in ((ada, "ada"), (again, "ada"), (bob, "bob")):
        caller.ask("auth.login", {"method": "bearer", "token": token})
    for caller, item in ((ada, "tea"), (again, "tea"), (bob, "tea"), (again, "milk")):
        caller.ask("add", [item], idempotency_key="k")
    stage.wait(6.0)
    again.ask("add", ["milk"], idempotency_key="k")
