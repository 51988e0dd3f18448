"""One call whose handler has not ended, and the work of a thread for it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import anyio
import pytest
from posthouse.adapters.handlers.firewall import InThread
from posthouse.adapters.handlers.run import CANCELLED, Run, in_thread, job, steps_of
from posthouse.core.service.method import Outcome, Raised, Returned
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError

from tests.adapters.handlers.seen_context import SeenContext, invoked

WORD: ContextVar[str] = ContextVar("word", default="outside")


def context() -> Any:
    service = Service("front", public=True)

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    return SeenContext(service.methods["add"])


def test_a_call_begins_with_nothing_to_wait_for() -> None:
    ours = context()
    run = Run(invoked(ours._invoke.method), ours, copy_context(), None)
    assert (run.task, run.job, run.cleanup, run.steps) == (None, None, None, None)
    assert (run.queued, run.named) == (False, False)


def test_a_call_in_a_thread_keeps_its_arguments_together() -> None:
    assert in_thread(max, 1, 2, key=abs) == InThread(max, (1, 2), {"key": abs})


def test_the_outcome_of_a_thread_is_told_in_the_loop() -> None:
    calls: list[Callable[[], None]] = []
    outcomes: list[Outcome] = []
    variables = copy_context()
    variables.run(WORD.set, "inside")

    def work(a: int, *, b: int) -> tuple[int, str]:
        return a + b, WORD.get()

    job(calls.append, variables, InThread(work, (1,), {"b": 2}), outcomes.append)()
    assert outcomes == []
    calls.pop()()
    assert outcomes == [Returned((3, "inside"))]
    error = SystemExit(1)

    def fail() -> None:
        raise error

    job(calls.append, variables, InThread(fail, (), {}), outcomes.append)()
    calls.pop()()
    assert outcomes[1] == Raised(error)


def test_a_stopped_handler_has_the_outcome_of_a_cancellation() -> None:
    assert isinstance(CANCELLED.error, RpcError) and CANCELLED.error.code == -32800


def ended(error: BaseException, *, call_ended: bool) -> Outcome:
    """The outcome of a function that raises this."""
    ours = context()

    def fail(*args: Any) -> None:
        ours.ended = call_ended
        raise error

    invoke = invoked(ours._invoke.method)
    with pytest.raises(StopIteration) as end:
        next(steps_of(invoke, ours, fail))
    outcome: Outcome = end.value.value
    return outcome


def test_the_arguments_of_a_call_are_given_to_its_function() -> None:
    ours = context()
    invoke = invoked(ours._invoke.method)
    with pytest.raises(StopIteration) as end:
        next(steps_of(invoke, ours, lambda *args, **kwargs: (args, kwargs)))
    assert end.value.value == Returned(((), {}))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancellation_of_the_call_is_told_from_one_that_the_handler_raises_by_itself(backend: str) -> None:
    async def main() -> None:
        cancelled: list[BaseException] = []
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                cancelled.append(error)
        assert ended(cancelled[0], call_ended=True) is CANCELLED
        assert ended(cancelled[0], call_ended=False) == Raised(cancelled[0])
        another = ValueError()
        assert ended(another, call_ended=True) == Raised(another)

    anyio.run(main, backend=backend)


def test_the_steps_of_a_call_that_were_dropped_are_cancelled_also_where_no_loop_runs() -> None:
    assert ended(GeneratorExit(), call_ended=True) is CANCELLED
    with pytest.raises(anyio.NoEventLoopError):
        ended(ValueError(), call_ended=True)
    error = GeneratorExit()
    assert ended(error, call_ended=False) == Raised(error)
    assert partial(ended, error)(call_ended=False) == Raised(error)
