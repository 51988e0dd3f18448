"""The context of a call that this server runs, and the requests to clients that handlers await.

The event loop's thread calls the gateway directly; any other thread calls it in the loop.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final

import anyio
from posthouse.adapters.loop.runner import Runner
from posthouse.core.values.effects import Invoke, Resolve
from posthouse.core.values.errors import REQUEST_CANCELLED, ErrorObject, RpcError, refusal
from posthouse.core.values.peers import ConnectionId, OutgoingId

from .invoked_context import InvokedContext

Result = bytes | ErrorObject


class AwaitedRequests:
    """Requests to clients whose outcomes are awaited, by a task or by a thread."""

    def __init__(self, runner: Runner) -> None:
        self._runner: Final = runner
        self._waiting: Final[dict[OutgoingId, Future[Result]]] = {}

    def resolve(self, action: Resolve) -> None:
        waiting = self._waiting.pop(action.request, None)
        if waiting is not None:
            waiting.set_result(action.outcome)

    async def ask(self, to: ConnectionId, method: str, params: object, timeout: float) -> bytes:
        """Send a request and wait for its result as JSON. Raises RpcError. Cancelling the task cancels the request."""
        outcome: Future[Result] = Future()
        if not self._runner.in_loop_thread:
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
        """The server has ended: release the tasks and threads that wait, with an error."""
        for waiting in self._waiting.values():
            waiting.set_result(refusal(REQUEST_CANCELLED, reason="disconnected"))
        self._waiting.clear()


def _result(outcome: Future[Result]) -> bytes:
    result = outcome.result()
    if isinstance(result, ErrorObject):
        raise RpcError.of(result)
    return result


class ServedContext(InvokedContext):
    """The context of a call that this server runs, in the event loop or in a thread."""

    __slots__ = ("_requests", "_runner")

    def __init__(self, invoke: Invoke, runner: Runner, requests: AwaitedRequests) -> None:
        super().__init__(invoke)
        self._runner: Final = runner
        self._requests: Final = requests

    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        runner = self._runner
        after = self.call_id if after_reply else None

        def notify() -> bool:
            if after_reply and not self.may_follow:
                return False
            return runner.board.notify(self.connection, method, params, runner.now(), after=after)

        return runner.run_in_loop(notify, False)

    def send_progress(self, value: object) -> bool:
        runner = self._runner
        return runner.run_in_loop(lambda: runner.board.progress(self.call_id, value, runner.now()), False)

    async def ask(self, method: str, params: object, timeout: float) -> bytes:
        # In a worker thread it blocks the thread and awaits nothing: run it with `asyncio.run` or `anyio.run` there.
        return await self._requests.ask(self.connection, method, params, timeout)
