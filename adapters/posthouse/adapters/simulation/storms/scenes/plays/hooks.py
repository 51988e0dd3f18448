"""Scenes about hooks: every event with its facts, and hooks that fail, wait, come late or resist."""

from __future__ import annotations

from typing import Any, Final

import anyio
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import WALL, Stage
from posthouse.adapters.simulation.storms.scenes.words import call, frame, get, line, post, sample, upgrade
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.context import AuthContext, HookContext
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import EVENTS, EventName
from posthouse.core.values.peers import Identity

USERS: Final = {
    "ada": Identity("ada", ("vault",)),
    "brief": Identity("brief", expires_at=WALL + 3.0),
    "old": Identity("old", expires_at=WALL - 1.0),
    "bob": Identity("bob", issued_at=WALL - 50.0),
}


def telling(stage: Stage, service: Service, *names: EventName) -> Service:
    """Note each event of these names (all), with its facts."""
    for name in names or tuple(EVENTS):

        def tell(event: Any, name: str = name) -> None:
            facts = {field: getattr(event, field) for field in event.__struct_fields__}
            facts["public_id"] = len(facts.get("public_id", ""))
            facts["incident"] = len(facts.get("incident", ""))
            stage.note(f"event {name} {type(event).__name__} {facts}")

        service.on(name)(tell)
    return service


def guarded(stage: Stage) -> Service:
    """A service with authenticators."""
    service = sample(secret=True)

    @service.authenticator("bearer", namespace="tokens")
    async def by_token(credentials: Bearer, context: AuthContext[Any]) -> Identity | None:
        if credentials.token == "late":
            await anyio.sleep(0.5)
        if credentials.token == "broken":
            raise ValueError
        stage.note(f"by_token {credentials.token}", context.kind, context.path, sorted(context.headers))
        return USERS.get(credentials.token)

    @service.authenticator("basic", name="passwords")
    def by_password(credentials: Basic) -> Identity | None:
        stage.note(f"by_password {credentials.user} {credentials.password!r}")
        return USERS.get(credentials.user) if credentials.password == "right" else None

    return service


@scene("the events of calls and connections")
def _calls(stage: Stage) -> None:
    stage.serve(telling(stage, sample(secret=True)), config=Config(max_bad_messages=2, max_batch=2))
    client = stage.client()
    client.send(upgrade())
    for method in ("echo", "fail", "refuse", "opaque", "nothing", "secret"):
        client.send(frame(call(method, "x", id=method, meta={"request_id": f"r-{method}"})))
    client.send(frame(call("wait", "x", 5.0)))
    client.send(frame(call("$/cancelRequest", id=None)[:-1].replace(b'"params":[]', b'"params":{"id":1}') + b"}"))
    client.send(frame(call("wait", "x", 5.0, id=2)))
    client.send(frame(call("brief", "y", id=3)), 0.5)
    client.send(frame(b"[1,2,3]"))
    for _ in range(3):
        client.send(frame(b"7"))
    stage.client("b").send(post(call("echo", "x")))
    stage.client("b").send(post(b"{", host="evil.example"))
    stage.client("b").send(get("/nowhere", "X-Forwarded-For: 192.0.2.7"))
    left = stage.client("c")
    left.send(upgrade())
    left.send(frame(call("wait", "left", 5.0)))
    left.end()
    stage.client("d").send(post(call("wait", "drained", 5.0)))
    stage.do(lambda: stage.server.shut_down(0.2))
    stage.wait(20.0)


@scene("the events of callers")
def _callers(stage: Stage) -> None:
    stage.serve(telling(stage, guarded(stage)), config=Config(max_auth_failures=2, auth_grace=1.0, auth_notice=2.0))
    for token in ("ada", "nobody", "broken", "old", "ada", "bob"):
        stage.client(token).send(post(call("connection.info"), f"Authorization: Bearer {token}"))
    for user, secret in (("YWRhOnJpZ2h0", "right"), ("YWRhOndyb25n", "wrong"), ("YWRhOndyb25n", "wrong")):
        stage.client(secret).send(post(call("echo", "x"), f"Authorization: Basic {user}"))
    stage.client("refused").send(post(call("echo", "x"), "Authorization: Basic YWRhOnJpZ2h0"))
    brief = stage.client("brief")
    brief.send(upgrade("Authorization: Bearer brief"))
    stage.wait(3.0)
    brief.send(frame(call("echo", "x")))
    stage.wait(2.0)
    socket = stage.client("socket")
    socket.send(upgrade())
    log_in = b'{"jsonrpc":"2.0","id":1,"method":"auth.login","params":{"method":"bearer","token":"%b"}}'
    for known in (b"nobody", b"bob", b"ada"):
        socket.send(frame(log_in % known))
    socket.send(frame(b'{"jsonrpc":"2.0","id":2,"method":"auth.logout"}'))
    socket.send(frame(log_in % b"ada"))
    stage.do(lambda: stage.note("revoked:", stage.server.revoke("ada", namespace="tokens", not_before=WALL)))
    stage.wait(1.0)
    stage.do(lambda: stage.note("revoked:", stage.server.revoke("ada")))
    stage.wait(1.0)


@scene("credentials that no authenticator is asked about")
def _unreadable(stage: Stage) -> None:
    stage.serve(telling(stage, guarded(stage), "auth.failed", "auth.succeeded"), config=Config(max_token_bytes=8))
    fields = (
        *("Bearer ada", "bearer ada", "BEARER ada", "Bearer  ada", "Bearer", "Bearer a,b", "Bearer 123456789"),
        *("Basic", "Basic ***", "Basic YWRh", "Basic YWRhOnJpZ2h0OmNvbG9u", "basic YWRhOnJpZ2h0", "Basic /zp4"),
        *("Digest x", "", "ada", "Basic YTpiOmM=", "Basic OnJpZ2h0", "Basic YWRhOg=="),
    )
    for field in fields:
        stage.note(f"-- {field}")
        stage.client("a").send(post(call("connection.info"), f"Authorization: {field}", "Connection: close"))
    both = ("Authorization: Bearer ada", "Authorization: Bearer ada")
    stage.client("b").send(post(call("connection.info"), *both))
    for protocols in ("posthouse.bearer.ada", "posthouse.v1, posthouse.bearer.ada", "posthouse.bearer."):
        stage.note(f"-- {protocols}")
        stage.client("c").send(upgrade(f"Sec-WebSocket-Protocol: {protocols}"))
    stage.client("d").send(get("/stats", "Authorization: Bearer ada"))
    stage.client("d").send(get("/stats", "Authorization: Bearer nobody"))


@scene("a service that requires authentication")
def _required(stage: Stage) -> None:
    config = Config(require_authentication=True, authentication_timeout=1.0)
    stage.serve(telling(stage, guarded(stage), "auth.failed", "connection.closed"), config=config)
    stage.client("a").send(post(call("echo", "x")))
    stage.client("b").send(post(call("echo", "x"), "Authorization: Bearer late"), 2.0)
    stage.client("c").send(post(call("echo", "x"), "Authorization: Bearer ada"))
    stage.client("d").send(post(b'{"jsonrpc":"2.0","id":1,"method":"auth.login","params":{}}'))
    socket = stage.client("e")
    socket.send(upgrade())
    socket.send(frame(call("echo", "x")))
    stage.wait(3.0)


@scene("hooks that fail, and those that wait")
def _failing(stage: Stage) -> None:
    service = sample()

    @service.on("connection.opened")
    def fails(event: object) -> None:
        raise ValueError("no")

    @service.on("connection.opened")
    async def waits(event: object) -> None:
        await anyio.sleep(0.3)
        stage.note("waits has waited")
        raise KeyError("late")

    stage.serve(service, config=Config(log_lines=2, log_interval=5.0))
    for _ in range(4):
        stage.client().send(post(call("echo", "x"), "Connection: close"))
    stage.wait(6.0)
    stage.client().send(post(call("echo", "x")))
    stage.do(stage.server.shut_down)
    stage.wait(20.0)


@scene("more events than a hook can await")
def _overrun(stage: Stage) -> None:
    service = sample()
    taken = 0

    @service.on("call.ended")
    async def counts(event: object) -> None:
        nonlocal taken
        await anyio.sleep(0.0001)
        taken += 1

    stage.serve(service, config=Config(max_batch=2000, max_batch_reply_bytes=1 << 20))
    client = stage.client()
    client.send(upgrade())
    client.pause()
    client.send(frame(b"[" + b",".join([call("nothing", id=number) for number in range(1030)]) + b"]"), 0.0)
    client.send(frame(b"[" + b",".join([call("nothing", id=number) for number in range(1030)]) + b"]"), 0.0)
    stage.wait(5.0)
    stage.note("taken:", taken)


@scene("a hook that resists the end of the server")
def _resists(stage: Stage) -> None:
    service = sample()

    @service.on("connection.closed")
    async def resists(event: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(90.0)

    @service.on("connection.closed")
    async def slow(event: object) -> None:
        try:
            await anyio.sleep(90.0)
        finally:
            stage.note("slow ends")

    stage.serve(service, config=Config(close_timeout=1.0), signals=True)
    stage.client().send(post(call("echo", "x"), "Connection: close"))
    stage.signal(15)
    stage.wait(20.0)


@scene("hooks that see a connection")
def _seeing(stage: Stage) -> None:
    service = sample()

    @service.on("connection.opened")
    def opens(event: object, context: HookContext[Any]) -> None:
        context.connection_state["opened"] = True
        stage.note("opens", context.connection_state, context.notify("welcome", ["you"]))

    @service.on("call.failed")
    def failed(event: object, context: HookContext[Any]) -> None:
        stage.note("failed", context.connection_state, context.notify("failed"))

    @service.on("connection.closed")
    def closes(event: object, context: HookContext[Any]) -> None:
        stage.note("closes", context.connection_state, context.notify("gone"))

    @service.on("gateway.draining")
    def drains(event: object, context: HookContext[Any]) -> None:
        stage.note("drains", context.connection_state, context.notify("gone"))

    client, pipes = stage.pipes("p")
    stage.serve(service, pipes=[pipes], host="127.0.0.1")
    client.send(line(call("fail", "x")))
    socket = stage.client()
    socket.send(upgrade())
    socket.send(frame(call("fail", "x")))
    socket.send(frame(b"\x03\xe8", 0x88))
    stage.client("b").send(post(call("fail", "x")))
    stage.do(stage.server.shut_down)
    stage.wait(20.0)
