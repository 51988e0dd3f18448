"""Scenes about lifespans: their order, their ends, and what a log says of those that fail or resist."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import call, frame, post, sample, upgrade
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

Act = Callable[[], Any]


async def nothing() -> None:
    """Do nothing."""


def lived(
    stage: Stage, name: str, before: Callable[[Any], Any] | None = None, after: Act = nothing, holds: Act = nothing
) -> Service:
    """A service with a lifespan that does this before and after it yields. `holds` runs while it is open."""
    service = Service(name, public=True)

    @service.lifespan
    async def life(server: Any) -> AsyncIterator[str]:
        stage.note(f"{name} starts")
        if before is not None:
            await before(server)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(holds)
                yield f"state of {name}"
        finally:
            stage.note(f"{name} ends")
            await after()
            stage.note(f"{name} has ended")

    @service.method
    def state(context: Context[str]) -> str:
        return context.state

    return service


def raising(error: BaseException | type[BaseException]) -> Callable[..., Any]:
    """Raise this."""

    async def act(*_: object) -> None:
        raise error

    return act


def family(stage: Stage, *services: Service) -> Service:
    """A service that includes these, in this order."""
    root = lived(stage, "root")
    for service in services:
        root.include(service, prefix=f"{service.name}.")
    return root


def show(stage: Stage, service: Service, **options: Any) -> None:
    """Serve it, call its methods, and shut it down."""
    stage.serve(service, **options)
    stage.wait(1.0)
    if stage.serving:
        client = stage.client()
        for method in service.methods:
            client.send(post(call(method)))
        stage.do(stage.server.shut_down)
        stage.wait(60.0)


@scene("lifespans start one after another, and end in the reverse order")
def _order(stage: Stage) -> None:
    show(stage, family(stage, lived(stage, "first"), lived(stage, "second")))


@scene("a lifespan that fails to start")
def _start(stage: Stage) -> None:
    broken = lived(stage, "second", before=raising(ValueError("no database")))
    show(stage, family(stage, lived(stage, "first"), broken))


@scene("a lifespan that fails at its end")
def _end(stage: Stage) -> None:
    broken = lived(stage, "first", after=raising(ValueError("the first")))
    show(stage, family(stage, broken, lived(stage, "second", after=raising(KeyError()))))


@scene("a lifespan that ends by itself")
def _itself(stage: Stage) -> None:
    async def holds() -> None:
        await anyio.sleep(3.0)
        raise RuntimeError("lost")

    stage.serve(family(stage, lived(stage, "first", holds=holds)))
    stage.client().send(upgrade())
    stage.wait(60.0)


@scene("a lifespan whose exception has no text")
def _textless(stage: Stage) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    show(stage, lived(stage, "mute", before=raising(Mute())))
    show(stage, lived(stage, "short", before=raising(Mute)))


@scene("a lifespan that takes too long to end")
def _slow(stage: Stage) -> None:
    async def after() -> None:
        await anyio.sleep(9.0)

    show(stage, family(stage, lived(stage, "slow", after=after)), config=Config(drain_timeout=2.0))


@scene("a lifespan that resists its cancellation")
def _resists(stage: Stage) -> None:
    async def after() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(30.0)

    config = Config(drain_timeout=2.0)
    show(stage, family(stage, lived(stage, "stubborn", after=after)), config=config, signals=True)


@scene("a server that is shut down while it starts")
def _aborted(stage: Stage) -> None:
    servers: list[Any] = []

    async def before(server: Any) -> None:
        servers.append(server)
        await anyio.sleep(5.0)

    stage.serve(family(stage, lived(stage, "first"), lived(stage, "slow", before=before)))
    stage.wait(1.0)
    stage.do(servers[0].shut_down)
    stage.wait(20.0)


@scene("a server that is cancelled while it starts")
def _cancelled(stage: Stage) -> None:
    async def before(server: Any) -> None:
        await anyio.sleep(5.0)

    stage.serve(family(stage, lived(stage, "first"), lived(stage, "slow", before=before)))
    stage.wait(1.0)
    stage.cancel()
    stage.wait(20.0)


@scene("a server that is cancelled while a lifespan fails at its end")
def _cancelled_failing(stage: Stage) -> None:
    stage.serve(lived(stage, "broken", after=raising(ValueError("no"))))
    stage.cancel()
    stage.wait(20.0)


@scene("a lifespan calls its service: too early, from a task, and after the end")
def _calls(stage: Stage) -> None:
    servers: list[Any] = []

    async def early(server: Any) -> None:
        servers.append(server)
        try:
            await server.call("state")
        except Exception as error:
            stage.note(f"{type(error).__name__}: {error}")

    async def holds() -> None:
        stage.note("from a task:", await servers[0].call("state"))
        stage.note("bound to:", servers[0].bound)
        await servers[0].ended()
        stage.note("the server has ended")

    async def after() -> None:
        try:
            await servers[0].call("state")
        except Exception as error:
            stage.note(f"{type(error).__name__}: {error}")

    service = lived(stage, "calling", before=early, after=after, holds=holds)
    stage.serve(service)
    stage.wait(1.0)
    stage.do(servers[0].shut_down)
    stage.wait(20.0)


@scene("interceptors see the state of their own service")
def _states(stage: Stage) -> None:
    outer = lived(stage, "outer")

    @outer.on_call
    def looks(context: Context[str], method: Method, arguments: Arguments) -> None:
        kept = context.connection_state
        kept["looked"] = kept.get("looked", 0) + 1
        meta, address = context.meta, context.address
        stage.note(context.state, context.connection, len(context.public_id), context.kind, context.path)
        stage.note(context.user, context.scopes, context.identity.user, context.call_id, context.method, kept)
        stage.note(address.host, address.port, meta.timeout_ms, meta.request_id, meta.traceparent, context.cancelled)
        stage.note(context.headers.get("user-agent"), context.notify("seen", [1]), context.progress(0.5, "half"))
        stage.note(context.notify("later", [2], after_reply=True))

    @outer.on_call
    async def asks(context: Context[str], method: Method, arguments: Arguments) -> None:
        if context.kind == "websocket":
            stage.note("answered:", await context.call("question", {"a": 1}, timeout=1.0, result_type=int))

    inner = lived(stage, "inner")
    outer.include(inner, prefix="inner.")
    stage.serve(outer)
    meta = {"timeout_ms": 900, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    client = stage.client()
    client.send(upgrade("User-Agent: test"))
    client.send(frame(call("inner.state", meta={**meta, "progress_token": 5, "request_id": "seven"})))
    client.send(frame(b'{"jsonrpc":"2.0","id":1,"result":3}'))
    client.send(frame(call("state", id=2)))
    client.send(frame(b'{"jsonrpc":"2.0","id":2,"result":"three"}'))
    client.send(frame(call("inner.state", id=3)))
    stage.wait(2.0)
    stage.client("b").send(post(call("inner.state")))


@scene("a state that nobody has")
def _no_state(stage: Stage) -> None:
    service = sample()

    @service.method
    def state(context: Context[Any]) -> Any:
        try:
            return context.state
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    stage.serve(service)
    stage.client().send(post(call("state")))
