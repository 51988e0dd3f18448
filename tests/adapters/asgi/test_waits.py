"""Waits that can be interrupted, and coroutines that have begun: did they wait?"""

from __future__ import annotations

import asyncio

import anyio
import pytest
from posthouse.adapters.asgi.waits import Begun, Wait, drop

pytestmark = pytest.mark.anyio


async def forever() -> int:
    await anyio.sleep_forever()
    return 0


async def five() -> int:
    await anyio.sleep(0)
    return 5


async def test_a_wait_returns_what_it_has_waited_for() -> None:
    wait = Wait()
    assert [await wait.until(five()), await wait.until(five())] == [5, 5]


async def test_an_interrupt_ends_the_wait_and_every_later_one() -> None:
    wait = Wait()
    async with anyio.create_task_group() as group:

        async def interrupt() -> None:
            await anyio.wait_all_tasks_blocked()
            wait.interrupt()
            wait.interrupt()

        group.start_soon(interrupt)
        assert await wait.until(forever()) is None
        assert await wait.until(five()) is None
        await anyio.sleep(0)  # the task itself is not cancelled


async def test_an_interrupt_while_nothing_waits_ends_the_next_wait() -> None:
    wait = Wait()
    wait.interrupt()
    assert await wait.until(forever()) is None


async def test_a_task_that_is_cancelled_from_outside_is_cancelled() -> None:
    wait = Wait()
    with anyio.move_on_after(0.01) as scope:
        await wait.until(anyio.sleep_forever())
    assert scope.cancelled_caught
    assert not wait.interrupted


async def test_a_task_that_is_interrupted_and_cancelled_is_cancelled() -> None:
    wait = Wait()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def both() -> None:
                await anyio.wait_all_tasks_blocked()
                wait.interrupt()
                scope.cancel()

            group.start_soon(both)
            await wait.until(anyio.sleep_forever())
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_an_interrupt_that_the_awaited_swallows_leaves_the_task_as_it_was() -> None:
    wait = Wait()

    async def stubborn() -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "swallowed"
        raise AssertionError

    async with anyio.create_task_group() as group:

        async def interrupt() -> None:
            await anyio.wait_all_tasks_blocked()
            wait.interrupt()

        group.start_soon(interrupt)
        assert await wait.until(stubborn()) == "swallowed"
    await anyio.sleep(0)


async def test_a_coroutine_that_does_not_wait_is_done_at_once() -> None:
    begun = Begun(three(times=0))
    assert (begun.done, begun.value) == (True, 3)


async def three(times: int) -> int:
    for _ in range(times):
        await anyio.sleep(0)
    return 3


async def test_one_that_waits_is_held_once_and_goes_on_when_it_is_awaited() -> None:
    held: list[bool] = []
    begun = Begun(three(times=2))
    begun.held = lambda: held.append(True)
    assert not begun.done
    assert await begun == 3
    assert held == [True]


async def test_an_exception_comes_out_and_a_cancellation_goes_in() -> None:
    ends: list[str] = []

    async def fail(times: int) -> None:
        await three(times)
        raise BrokenPipeError

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ends.append("cleaned up")

    with pytest.raises(BrokenPipeError):
        Begun(fail(0))
    with pytest.raises(BrokenPipeError):
        await Begun(fail(1))
    with anyio.move_on_after(0.01):
        await Begun(wait())
    assert ends == ["cleaned up"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_wait_and_a_drop_take_futures_which_stay_with_their_host() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    drop(future)
    assert not future.done()
    future.set_result(5)
    assert await Wait().until(future) == 5


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_interrupted_wait_closes_what_has_begun() -> None:
    ends: list[str] = []

    async def wait() -> None:
        try:
            await anyio.Event().wait()
        finally:
            ends.append("closed")

    waits = Wait()
    waits.interrupt()
    await waits.until(Begun(wait()))
    assert ends == ["closed"]
