"""What a handler sees of its call, with the gateway behind it, and the requests that handlers wait for.

From the event loop's thread the gateway is asked at once; from any other, by way of the loop.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final

import anyio
from posthouse.adapters.loop.runner import Runner
from posthouse.core.values.effects import Invoke, Resolve
from posthouse.core.values.errors import REQUEST_CANCELLED, RpcError
from posthouse.core.values.peers import ConnectionId, OutgoingId

from .invoked_context import InvokedContext

Result = bytes | RpcError


class Asking:
    """Requests to clients for whose outcome somebody waits: a task, or a thread. Performs `Resolve`."""

    def __init__(self, runner: Runner) -> None:
        self._runner: Final = runner
        self._waiting: Final[dict[OutgoingId, Future[Result]]] = {}
        runner.actions[Resolve] = self._resolve

    def _resolve(self, action: Resolve) -> None:
        waiting = self._waiting.pop(action.request, None)
        if waiting is not None:
            waiting.set_result(action.outcome)

    async def ask(self, to: ConnectionId, method: str, params: object, timeout: float) -> bytes:
        """The result as JSON. Raises RpcError. A task that is cancelled meanwhile lets the client know."""
        outcome: Future[Result] = Future()
        if not self._runner.is_here:
            if not self._runner.run_in_loop(lambda: self._begin(outcome, to, method, params, timeout), None):
                raise RpcError(REQUEST_CANCELLED, data={"reason": "disconnected"})
            return _result(outcome)
        resolved = anyio.Event()
        request = self._begin(outcome, to, method, params, timeout)
        outcome.add_done_callback(lambda _: resolved.set())
        self._runner.flush_outbox()
        try:
            await resolved.wait()
        finally:
            if self._waiting.pop(request, None) is not None:
                self._runner.board.abandon(request, self._runner.now())
                self._runner.flush_outbox()
        return _result(outcome)

    def _begin(
        self, outcome: Future[Result], to: ConnectionId, method: str, params: object, timeout: float
    ) -> OutgoingId:
        request = self._runner.board.request(to, method, params, self._runner.now(), timeout=timeout)
        self._waiting[request] = outcome
        return request

    def close(self) -> None:
        """Nothing is answered any more: threads that wait are let go."""
        for waiting in self._waiting.values():
            waiting.set_result(RpcError(REQUEST_CANCELLED, data={"reason": "disconnected"}))
        self._waiting.clear()


def _result(outcome: Future[Result]) -> bytes:
    result = outcome.result()
    if isinstance(result, RpcError):
        raise result
    return result


class CallContext(InvokedContext):
    """The context of a call that this server runs, in the event loop or in a thread."""

    __slots__ = ("_asking", "_runner")

    def __init__(self, invoke: Invoke, runner: Runner, asking: Asking) -> None:
        super().__init__(invoke)
        self._runner: Final = runner
        self._asking: Final = asking

    def notify(self, method: str, params: Any = None) -> bool:
        """Send a notification to the caller. False: it is gone, or cannot be pushed to."""
        runner = self._runner
        return runner.run_in_loop(lambda: runner.board.notify(self.connection, method, params, runner.now()), False)

    def send_progress(self, value: object) -> bool:
        """Send this value of progress. False: it was not sent."""
        runner = self._runner
        return runner.run_in_loop(lambda: runner.board.progress(self.call_id, value, runner.now()), False)

    async def ask(self, method: str, params: object, timeout: float) -> bytes:
        """Ask the caller, and wait for the result as JSON. Raises RpcError.

        In a worker thread nothing is awaited, the thread waits: run it with `asyncio.run` or `anyio.run` there.
        """
        return await self._asking.ask(self.connection, method, params, timeout)
