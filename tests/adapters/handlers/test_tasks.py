"""Tasks of user code, each with context variables of its own, on both event loops."""

from __future__ import annotations

import gc
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from posthouse.adapters.handlers.tasks import Tasks

WORD: ContextVar[str] = ContextVar("word", default="outside")

pytestmark = pytest.mark.anyio


class Runner:
    """A runner, whose poller keeps the calls."""

    def __init__(self) -> None:
        self.poller = self
        self.calls: list[Any] = []
        self.called = anyio.Event()

    def call_soon(self, call: Any) -> bool:
        self.calls.append(call)
        self.called.set()
        return True


def made() -> tuple[Runner, Tasks]:
    runner: Any = Runner()
    return runner, Tasks(runner)


async def test_a_task_has_its_variables_and_its_name_and_none_is_forgotten() -> None:
    runner, tasks = made()
    seen: list[tuple[str, str]] = []
    ended = anyio.Event()
    variables = tasks.fresh()
    variables.run(WORD.set, "inside")

    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        gc.collect()
        seen.append((WORD.get(), str(anyio.get_current_task().name)))
        WORD.set("changed")
        ended.set()

    tasks.start(variables, work, "the work")
    assert seen == [], "it begins later"
    gc.collect()
    await ended.wait()
    assert seen == [("inside", "the work")]
    assert WORD.get() == "outside"
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    assert (runner.calls, tasks._tasks) == ([], {})


async def test_an_exception_of_a_task_ends_the_runner() -> None:
    runner, tasks = made()
    error = ArithmeticError()

    async def work() -> None:
        raise error

    tasks.start(tasks.fresh(), work, "the work")
    await runner.called.wait()
    (call,) = runner.calls
    with pytest.raises(ArithmeticError) as caught:
        call()
    assert caught.value is error


async def test_each_call_starts_with_the_variables_of_the_server() -> None:
    WORD.set("of the server")
    _, tasks = made()
    WORD.set("later")
    first, second = tasks.fresh(), tasks.fresh()
    first.run(WORD.set, "of a call")
    assert (first[WORD], second[WORD]) == ("of a call", "of the server")
