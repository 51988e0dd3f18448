"""The context of a call that this server runs, and the session of its caller.

The event loop's thread calls the gateway directly; any other thread calls it in the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

import anyio
from msgspec import json
from posthouse.adapters.loop.runner import Runner
from posthouse.core.dispatch.session_results import SessionVersion
from posthouse.core.service.context import CallerSession
from posthouse.core.service.topics.position import Position
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.effects import Invoke
from posthouse.core.values.errors import REQUEST_CANCELLED, UNKNOWN_SESSION, ErrorObject, RpcError, refusal
from posthouse.core.values.peers import CallId, ConnectionId, OutgoingId

from .invoked_context import InvokedContext
from .state.states import States

Id = TypeVar("Id", OutgoingId, ConnectionId)

Result = bytes | ErrorObject


class Awaited(Generic[Id]):
    """Outcomes that are awaited, by a task or by a thread: of requests to clients, or of calls by this process.

    `gone` is the error of those that are still awaited when the server ends.
    """

    def __init__(self, runner: Runner, abandon: Callable[[Id, float], None], gone: ErrorObject) -> None:
        self._runner: Final = runner
        self._abandon: Final[Callable[[Id, float], None]] = abandon
        self._gone: Final = gone
        self._waiting: Final[dict[Id, Future[Result]]] = {}
        self._closed = False

    def resolve(self, id: Id, outcome: Result) -> None:
        waiting = self._waiting.pop(id, None)
        if waiting is not None:
            waiting.set_result(outcome)

    async def outcome(self, begin: Callable[[], Id]) -> bytes:
        """Call `begin` in the loop, and wait for the outcome of what it began: the result as JSON. Raises RpcError.

        Cancelling the task abandons it. In another thread it blocks the thread.
        """
        if self._closed:
            raise RpcError.of(self._gone)
        outcome: Future[Result] = self._runner.system.threads.future()
        if not self._runner.in_loop_thread:
            if not self._runner.run_in_loop(lambda: self._begin(outcome, begin), None):
                raise RpcError.of(self._gone)
            return _result(outcome)
        resolved = anyio.Event()
        id = self._begin(outcome, begin)
        outcome.add_done_callback(lambda _: resolved.set())
        self._runner.flush_outbox()
        try:
            await resolved.wait()
        finally:
            if self._waiting.pop(id, None) is not None:
                self._abandon(id, self._runner.now())
                self._runner.flush_outbox()
        return _result(outcome)

    def _begin(self, outcome: Future[Result], begin: Callable[[], Id]) -> Id:
        id = begin()
        self._waiting[id] = outcome
        return id

    def close(self) -> None:
        """The server has ended: release the tasks and threads that wait, with an error."""
        self._closed = True
        for waiting in self._waiting.values():
            waiting.set_result(self._gone)
        self._waiting.clear()


class AwaitedRequests(Awaited[OutgoingId]):
    """Requests to clients whose outcomes are awaited."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner, self._abandon_request, refusal(REQUEST_CANCELLED, reason="disconnected"))

    def _abandon_request(self, request: OutgoingId, now: float) -> None:
        self._runner.board.abandon(request, now)

    async def ask(self, to: ConnectionId, method: str, params: object, timeout: float) -> bytes:
        """Send a request and wait for its result as JSON. Raises RpcError. Cancelling the task cancels the request."""
        runner = self._runner
        return await self.outcome(lambda: runner.board.request(to, method, params, runner.now(), timeout=timeout))

    async def publish(self, topic: str, data: object) -> Position:
        """Publish to a topic of the service, and wait until it is accepted. Raises RpcError."""
        runner = self._runner
        return json.decode(await self.outcome(lambda: runner.board.publish(topic, data, runner.now())), type=Position)


def _result(outcome: Future[Result]) -> bytes:
    result = outcome.result()
    if isinstance(result, ErrorObject):
        raise RpcError.of(result)
    return result


class ServedSession(CallerSession):
    """The session of the caller of a call, in the event loop or in a thread. `row` is the last one that was seen."""

    __slots__ = ("_call", "_requests", "_row", "_runner")

    def __init__(self, call: CallId, row: SessionRow, runner: Runner, requests: AwaitedRequests) -> None:
        self._call: Final = call
        self._row = row
        self._runner: Final = runner
        self._requests: Final = requests

    def _seen(self) -> SessionRow:
        """The session as it is now; if the caller has left it, as it was when it was last seen."""
        row = row_of(self._call, self._runner)
        if row is not None and row.id == self._row.id:
            self._row = row
        return self._row

    @property
    def id(self) -> str:
        return self._row.id

    @property
    def data(self) -> dict[str, Any]:
        return json.decode(self._seen().data, type=dict[str, Any])

    @property
    def version(self) -> int:
        return self._seen().version

    async def update(
        self, set: Mapping[str, Any] | None = None, *, unset: Iterable[str] = (), version: int | None = None
    ) -> int:
        changes = {"set": dict(set or {}), "unset": list(unset), "version": version}
        result = await self._ask("update", changes)
        return json.decode(result, type=SessionVersion).version

    async def end(self) -> None:
        await self._ask("end", None)

    async def _ask(self, method: str, params: object) -> bytes:
        runner = self._runner
        row = row_of(self._call, runner)
        if row is None or row.id != self._row.id:
            raise RpcError(UNKNOWN_SESSION)
        return await self._requests.outcome(lambda: runner.board.ask_session(self._call, method, params, runner.now()))


def row_of(call: CallId, runner: Runner) -> SessionRow | None:
    """The session of the caller of this call."""
    return runner.run_in_loop(lambda: runner.board.gateway.session_of(call), None)


class ServedContext(InvokedContext):
    """The context of a call that this server runs, in the event loop or in a thread."""

    __slots__ = ("_requests", "_runner")

    def __init__(self, invoke: Invoke, runner: Runner, requests: AwaitedRequests, states: States) -> None:
        super().__init__(invoke, states)
        self._runner: Final = runner
        self._requests: Final = requests

    @property
    def session(self) -> CallerSession | None:
        row = row_of(self.call_id, self._runner)
        return None if row is None else ServedSession(self.call_id, row, self._runner, self._requests)

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

    async def publish(self, topic: str, data: Any) -> Position:
        return await self._requests.publish(topic, data)

    async def ask(self, method: str, params: object, timeout: float) -> bytes:
        # In a worker thread it blocks the thread and awaits nothing: run it with `asyncio.run` or `anyio.run` there.
        return await self._requests.ask(self.connection, method, params, timeout)
