"""`context.session`: a handler reads, changes and ends the session of its caller, in a task and in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import json
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError

from tests.adapters.simulated import SimulatedServer

BOTH = pytest.mark.parametrize("method", ["task", "thread"])


class World(SimulatedServer):
    """A server whose method does what the test says, for a client that has a session."""

    def __init__(self) -> None:
        self.acts: Callable[[Context], Any] = lambda context: None
        service = Service("world", public=True, sessions="on")

        @service.on_call
        def other(context: Context, method: Any, arguments: Any) -> None:
            assert context.session is None or context.session.version >= 1

        @service.method
        async def task(context: Context) -> Any:
            return await self.acts(context)

        @service.method(blocking=True)
        def thread(context: Context) -> Any:
            return asyncio.run(self.acts(context))

        super().__init__(service, port=8000, config=Config(drain_notice=0.0, drain_spread=0.0))
        self.ws = self.websocket()

    def say(self, method: str, **params: Any) -> Any:
        """Call a method: its result, or the code of its error."""
        self.ws.say(json.encode({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}))
        self.pass_time(0.02)
        (reply,) = self.ws.messages()
        return reply.get("result", reply.get("error", {}).get("code"))


@BOTH
def test_a_handler_reads_and_changes_the_session(method: str) -> None:
    world = World()
    made = world.say("session.create", data={"n": 1, "old": 0})

    async def do(context: Context) -> list[Any]:
        session = context.session
        assert session is not None
        seen = [session.id, session.data, session.version]
        version = await session.update({"n": 2}, unset=["old"], version=1)
        return [*seen, version, session.data, session.version]

    world.acts = do
    assert world.say(method) == [made["id"], {"n": 1, "old": 0}, 1, 2, {"n": 2}, 2]
    assert world.say("session.get")["data"] == {"n": 2}


@BOTH
def test_a_handler_ends_the_session(method: str) -> None:
    world = World()
    world.say("session.create", data={"n": 1})

    async def do(context: Context) -> list[Any]:
        session = context.session
        assert session is not None
        await session.end()
        codes = []
        for again in (session.end, session.update):
            try:
                await again()
            except RpcError as error:
                codes.append(error.code)
        return [codes, context.session, session.data, session.version]

    world.acts = do
    assert world.say(method) == [[-32040, -32040], None, {"n": 1}, 1]
    assert world.say("session.get") == -32040


@BOTH
def test_an_error_of_the_store_or_its_rows_is_raised(method: str) -> None:
    world = World()
    world.say("session.create")

    async def do(context: Context) -> None:
        assert context.session is not None
        await context.session.update({"n": 2}, version=9)

    world.acts = do
    assert world.say(method) == -32602


def test_a_caller_without_a_session_has_none() -> None:
    world = World()

    async def do(context: Context) -> bool:
        return context.session is None

    world.acts = do
    assert world.say("task") is True
