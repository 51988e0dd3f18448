"""A cancelled handler: its clean-up may await, one that resists is named once, and neither holds up anything."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from itertools import product

import anyio
import pytest
from posthouse.adapters.handlers.cancellation import Cancellation
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import ConnectionOpened

from tests.adapters.loopback import PATIENCE, serving, text, websocket

pytestmark = pytest.mark.anyio


async def wait_here() -> None:
    await anyio.sleep_forever()


async def wait_in_a_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        await anyio.sleep_forever()


async def wait_for_others() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)


async def wait_with_a_deadline() -> None:
    with anyio.fail_after(PATIENCE):
        await anyio.sleep_forever()


WAITS = [wait_here, wait_in_a_group, wait_with_a_deadline]

WAYS = [*product(["asyncio", "trio"], WAITS), ("asyncio", wait_for_others)]
"""On trio, a nursery that waits for its tasks takes the cancellation itself: the first await after it raises, too."""


@pytest.mark.parametrize(("anyio_backend", "wait"), WAYS)
async def test_the_clean_up_may_await_again_and_again(wait: Callable[[], Awaitable[None]]) -> None:
    service = Service("cleanup", public=True)
    begun, cleaning, release, cleaned = (anyio.Event() for _ in range(4))

    @service.method
    async def work() -> None:
        begun.set()
        try:
            await wait()
        finally:
            await anyio.lowlevel.checkpoint()
            cleaning.set()
            with anyio.move_on_after(PATIENCE):
                await release.wait()
            cleaned.set()

    async with serving(service) as server:
        async with websocket(server) as client:
            await client.say(text("work"))
            await begun.wait()
        await cleaning.wait()
        release.set()
        await cleaned.wait()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_coroutine_that_never_waits_for_anything_is_cancelled(turns: int) -> None:
    cancellation, seen = Cancellation(), list[str]()

    async def spin() -> None:
        try:
            for _ in range(100):
                await anyio.sleep(0)
            seen.append("not cancelled")
        finally:
            for _ in range(3):
                await anyio.sleep(0)
                await anyio.lowlevel.checkpoint_if_cancelled()
            seen.append("cleaned up")

    async with anyio.create_task_group() as group:
        group.start_soon(cancellation.guard, spin())
        for _ in range(turns):
            await anyio.sleep(0)
        cancellation.cancel()
    assert seen == ["cleaned up"]


async def test_a_checkpoint_that_is_shielded_is_not_cancelled_and_the_next_one_is() -> None:
    cancellation, seen = Cancellation(), list[str]()

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            for _ in range(5):
                await anyio.sleep(0)
            seen.append("shielded")
        await anyio.sleep(0)
        seen.append("not cancelled")

    async with anyio.create_task_group() as group:
        group.start_soon(cancellation.guard, shielded())
        await anyio.sleep(0)
        await anyio.sleep(0)
        cancellation.cancel()
    assert seen == ["shielded"]


async def test_what_a_handler_shields_is_not_cancelled() -> None:
    service = Service("shielded", public=True)
    begun, release, passed = anyio.Event(), anyio.Event(), anyio.Event()

    @service.method
    async def work() -> None:
        with anyio.CancelScope(shield=True):
            begun.set()
            await release.wait()
            passed.set()
        await anyio.sleep_forever()

    async with serving(service) as server, websocket(server) as client:
        await client.say(text("work", id=1))
        await begun.wait()
        await client.say(text("$/cancelRequest", {"id": 1}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        release.set()
        await passed.wait()


class Named(logging.Handler):
    """Waits for the line in the log about a handler that resists."""

    def __init__(self) -> None:
        super().__init__()
        self.happened = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if vars(record)["event"] == "handler.resists":
            self.happened.set()


@pytest.fixture
def named() -> Iterator[Named]:
    handler = Named()
    logger = logging.getLogger("posthouse")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_a_handler_that_resists_is_named_once_and_keeps_its_slot(
    named: Named, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service("stubborn", public=True)
    begun, release = anyio.Event(), anyio.Event()
    turns = [0]

    @service.method
    async def stubborn() -> None:
        while not release.is_set():
            try:
                begun.set()
                await release.wait()
            except BaseException:
                turns[0] += 1

    @service.method("named")
    async def wait_until_named() -> None:
        await named.happened.wait()

    config = Config(cleanup_grace=0.02, max_calls_per_connection=1)
    async with serving(service, config=config) as server, websocket(server) as client, websocket(server) as other:
        await client.say(text("stubborn", id=1))
        await begun.wait()
        await client.say(text("$/cancelRequest", {"id": 1}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        await client.say(text("named", id=2))  # it waits for the slot
        assert (await other.call("named"))["result"] is None
        release.set()
        assert (await client.next())["id"] == 2
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (vars(record)["event"], vars(record)["method"]) == ("handler.resists", "stubborn")
    assert turns[0] == 1, "it was cancelled again and again"


async def test_the_end_of_the_server_does_not_wait_for_handlers_and_hooks_that_resist(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("stubborn", public=True)
    begun, ended = [anyio.Event(), anyio.Event()], [anyio.Event(), anyio.Event()]
    over = anyio.Event()

    async def resist(number: int) -> None:
        while not over.is_set():
            try:
                begun[number].set()
                await over.wait()
            except BaseException:
                pass
        ended[number].set()

    @service.method
    async def stubborn() -> None:
        await resist(0)

    @service.on("connection.opened")
    async def hook(event: ConnectionOpened) -> None:
        await resist(1)

    with anyio.fail_after(PATIENCE):
        async with serving(service, config=Config(cleanup_grace=0.01)) as server, websocket(server) as client:
            await client.say(text("stubborn"))
            for event in begun:
                await event.wait()
        over.set()
        for event in ended:  # before the loop does
            await event.wait()
    assert [vars(record)["event"] for record in caplog.records] == ["handler.resists", "hook.resists"]


async def test_a_coroutine_is_cancelled_before_it_begins_and_not_by_an_exception_that_it_raises_itself() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    passed: list[str] = []

    async def work() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            await anyio.sleep(0)
            passed.append("cleaned")
        return "ended"

    assert await cancellation.guard(work()) is None
    assert passed == ["cleaned"]

    async def fails() -> None:
        raise KeyError

    other = Cancellation()
    with pytest.raises(KeyError):
        await other.guard(fails())
    assert not other.caused(KeyError())
