"""Requests to a store: each is concluded once, whatever the store does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import pytest
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.operations.store_requests import StoreRequests
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.tasks import Tasks
from posthouse.adapters.handlers.watchdog import Watchdog
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.system.machine import Machine
from posthouse.core.gateway import Gateway
from posthouse.core.operations.operations import Busy
from posthouse.core.service.service import Service
from posthouse.core.store.outcomes import Done, MaybeApplied, StoreOutcome
from posthouse.core.store.requests import FindUser, Request
from posthouse.core.values.effects import AskStore
from posthouse.core.values.peers import OperationId
from posthouse.transports import Switchboard

pytestmark = pytest.mark.anyio

ONE, TWO = OperationId(1), OperationId(2)
ASKS = FindUser("ada")


class Asked:
    """A store that a test answers for, and the conclusions that the gateway gets."""

    durability = "test"

    def __init__(self, perform: Callable[[Request], Awaitable[Any]]) -> None:
        self.perform = perform
        service = Service("stored")
        self.runner = runner = Runner(Switchboard(Gateway(service, wall=0.0, entropy=bytes)), Machine())
        tasks, watchdog = Tasks(runner), Watchdog(runner.now, runner.send_written, 1.0, 1.0)
        events = Events(service, runner, tasks, watchdog, States())
        self.requests = StoreRequests(runner, tasks, events, cast("Any", self))
        self.concluded: list[tuple[OperationId, object]] = []
        self.ended = anyio.Event()
        cast("Any", self.runner.board).conclude = self.conclude

    def conclude(self, operation: OperationId, outcome: object, now: float) -> None:
        self.concluded.append((operation, outcome))
        self.ended.set()

    async def ask(self) -> object:
        self.requests.ask(AskStore(ONE, ASKS))
        with anyio.fail_after(60):
            await self.ended.wait()
        ((_, outcome),) = self.concluded
        return outcome


@pytest.mark.parametrize("outcome", [Done(1), Busy(), MaybeApplied()])
async def test_the_outcome_of_a_store_is_concluded(outcome: StoreOutcome) -> None:
    async def perform(request: Request) -> StoreOutcome:
        assert request is ASKS
        await anyio.lowlevel.checkpoint()
        return outcome

    asked = Asked(perform)
    assert await asked.ask() is outcome
    assert await asked.requests.stop(0.0) == []
    asked.runner.close()


@pytest.mark.parametrize(
    ("given", "logged"),
    [
        (OSError("the disk is gone"), "the disk is gone"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        ("ada", "the store returned a str: it must return one of its outcomes"),
        (None, "the store returned a NoneType: it must return one of its outcomes"),
    ],
)
async def test_a_store_that_fails_or_gives_nonsense_leaves_it_unknown(
    given: object, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def perform(request: Request) -> Any:
        if isinstance(given, BaseException):
            raise given
        return given

    asked = Asked(perform)
    with caplog.at_level(logging.ERROR):
        assert await asked.ask() == MaybeApplied()
    assert "the store failed to perform FindUser" in caplog.text
    assert logged in caplog.text
    asked.runner.close()


async def test_requests_that_run_are_cancelled_in_the_end() -> None:
    async def perform(request: Request) -> StoreOutcome:
        await anyio.sleep_forever()
        raise AssertionError

    asked = Asked(perform)
    asked.requests.ask(AskStore(ONE, ASKS))
    asked.requests.ask(AskStore(TWO, ASKS))
    assert await asked.requests.stop(60.0) == []
    assert sorted(asked.concluded) == [(ONE, MaybeApplied()), (TWO, MaybeApplied())]
    asked.runner.close()


async def test_a_store_that_resists_its_cancellation_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    began, go_on, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def perform(request: Request) -> StoreOutcome:
        began.set()
        with anyio.CancelScope(shield=True):
            await go_on.wait()
        ended.set()
        return Done()

    asked = Asked(perform)
    asked.requests.ask(AskStore(ONE, ASKS))
    await began.wait()
    assert await asked.requests.stop(0.0) == ["store"]
    assert "the store was cancelled, but goes on" in caplog.text
    go_on.set()
    await ended.wait()
    await anyio.lowlevel.checkpoint()
    assert asked.concluded == []
    asked.runner.close()
