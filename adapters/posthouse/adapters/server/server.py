"""The methods of a running server, for its application. Any thread may call them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import anyio
from posthouse.adapters.handlers.lifespans import Lifespans
from posthouse.adapters.handlers.served_context import Awaited, AwaitedRequests
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.metrics.exposition import Exposition
from posthouse.core.service.results import answers
from posthouse.core.service.topics.position import Position
from posthouse.core.values.errors import DRAINING, RpcError, UsageError, refusal
from posthouse.core.values.peers import ConnectionId, Identity, Kind
from posthouse.core.values.stats import Health, Measurements

from .entrances.endpoints import Endpoints
from .entrances.listeners import Bound


class Server:
    """A running server, as `started`, a lifespan and `running` receive it. Its methods may be called from any thread.

    `bound` holds the addresses it listens on, in the order in which they were requested. `metrics` is that of the port
    for probes alone, or None.
    """

    def __init__(
        self, runner: Runner, bound: tuple[Bound, ...], exposition: Exposition, metrics: Bound | None = None
    ) -> None:
        self.bound: Final = bound
        self.metrics: Final = metrics
        self._exposition: Final = exposition
        runner.board.expose(exposition)
        self._runner: Final = runner
        self._board: Final = runner.board
        self._calls: Final = Awaited[ConnectionId](runner, self._hang_up, refusal(DRAINING))
        self._requests: Final = AwaitedRequests(runner)
        self._endpoints: Final = Endpoints()
        self._lifespans: Lifespans | None = None
        self._ended: Final = anyio.Event()

    def _hang_up(self, call: ConnectionId, now: float) -> None:
        self._board.hang_up(call, now)

    def shut_down(self, grace: float | None = None) -> None:
        """Begin to shut down: refuse new calls, tell peers, let calls end within `grace` seconds (None: `drain_grace`),
        close. `serve` then returns. It may be called from a signal's handler. A start that is not over is cancelled."""
        self._runner.poller.call_soon(lambda: self._shut_down(grace))

    def _shut_down(self, grace: float | None) -> None:
        if self._lifespans is None or not self._lifespans.abort():
            self._board.shut_down(self._runner.now(), grace=grace)

    async def ended(self) -> None:
        """Wait until the server has ended. For tasks of its event loop."""
        await self._ended.wait()

    async def call(
        self,
        method: str,
        params: object = None,
        *,
        identity: Identity | None = None,
        timeout: float | None = None,
        result_type: Any = Any,
    ) -> Any:
        """Call a method of the service in this process, as a client would, and wait for its result.

        It passes through the gateway as every call does: authorization, limits, types, interceptors, deadline. The
        caller is `identity`, which is trusted (None: a client that is not authenticated); the kind of its connection is
        "local". `params` is an array, an object or None. `timeout` is in seconds and can only shorten the deadline. The
        result is decoded and checked as `result_type`. Cancelling the task cancels the call.

        Raises RpcError: the error that a client would get; -32050 during a shut-down and after it. Raises ResultError
        for a result of another type, and UsageError for params that cannot be encoded. A call from a task of a lifespan
        waits until the server has started. In another thread than that of the event loop it blocks the thread and
        awaits nothing: run it with `asyncio.run` or `anyio.run` there.
        """
        runner, board = self._runner, self._board
        read = answers(result_type, "the")
        lifespans = self._lifespans
        if lifespans is not None and runner.in_loop_thread:
            if not await lifespans.started():
                raise RpcError.of(refusal(DRAINING))
        elif lifespans is not None and not lifespans.over.is_set():
            raise UsageError("the service has not started yet: a thread may call it when the lifespan has yielded")
        result = await self._calls.outcome(
            lambda: board.call(method, params, runner.now(), identity=identity, timeout=timeout)
        )
        return read(method, result)

    def notify(self, to: ConnectionId, method: str, params: object = None) -> bool:
        """Send a notification. False: the connection has closed or cannot be pushed to."""
        return self._runner.run_in_loop(lambda: self._board.notify(to, method, params, self._runner.now()), False)

    def broadcast(
        self,
        method: str,
        params: object = None,
        *,
        kinds: Iterable[Kind] | None = None,
        users: Iterable[str] | None = None,
        namespace: str = "",
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). Returns their number.
        `namespace` is that of the users: that of the authenticator which identifies them."""
        runner, board = self._runner, self._board
        return runner.run_in_loop(
            lambda: board.broadcast(method, params, runner.now(), kinds=kinds, users=users, namespace=namespace), 0
        )

    async def publish(self, topic: str, data: object) -> Position:
        """Publish to a topic of the service, and wait until it is accepted. Returns its position.

        `data` is what the topic takes. Raises RpcError: -32036 for a topic that is not declared, -32602 for a name that
        is not one, -32009 if there are too many topics, -32800 if the server has ended. Raises UsageError for other
        data. In another thread than that of the event loop it blocks the thread, as `call` does.
        """
        return await self._requests.publish(topic, data)

    def unsubscribe(
        self, *, user: str | None = None, namespace: str = "", session: str | None = None, topic: str | None = None
    ) -> int:
        """End the subscriptions of a user, or of the connections of a session, to one topic (None: to all). Their peers
        get `topic.unsubscribed`. Returns how many there were. Raises UsageError unless exactly one of `user` and
        `session` is given."""
        runner, board = self._runner, self._board
        return runner.run_in_loop(
            lambda: board.unsubscribe(runner.now(), user=user, namespace=namespace, session=session, topic=topic), 0
        )

    def revoke(self, user: str, *, namespace: str = "", not_before: float | None = None) -> int:
        """Revoke a user: close its connections (4403), cancel its calls, also those that finish without their caller,
        and forget that its credentials were verified. Returns the number of connections. `namespace` is that of the
        user.

        Its credentials are verified anew from then on: an authenticator must refuse them before you call this. With
        `not_before` (Unix seconds) the server refuses every identity whose `issued_at` is earlier, or None, and closes
        only the connections with such an identity.
        """
        runner, board = self._runner, self._board
        return runner.run_in_loop(
            lambda: board.revoke(user, runner.now(), namespace=namespace, not_before=not_before), 0
        )

    def add_to_health(self, members: dict[str, Any]) -> None:
        """From now on, `/health` has these members, too, such as what is known of other processes."""
        self._runner.run_in_loop(lambda: self._board.add_to_health(members), None)

    def add_workers(self, place: int, others: dict[int, Measurements]) -> None:
        """This process is the worker of this place. From now on, `/metrics` tells of the `others`, too."""

        def add() -> None:
            self._exposition.place, self._exposition.others = place, others

        self._runner.run_in_loop(add, None)

    def measurements(self) -> Measurements:
        """All counters, sizes, durations and levels of limits, as `/metrics` tells them."""
        return self._runner.run_in_loop(self._board.measurements, None) or self._board.measurements()

    def health(self) -> Health:
        """The state that `/health` reports."""
        board, runner = self._board, self._runner
        return runner.run_in_loop(lambda: board.health(runner.now()), None) or board.health(runner.now())

    def stats(self) -> dict[str, int]:
        """The counters, by name."""
        return self._runner.run_in_loop(self._board.stats, None) or self._board.stats()
