"""The simulated server as its application sees it: calls in process, pushes, and the lifespans of the service.

Lifespans run on the virtual clock. This object is their server: it has the methods of `posthouse.adapters.Server` that
make sense without sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

import anyio
from msgspec import UNSET
from posthouse.adapters.handlers.lifespans import Lifespans
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.handlers.handlers import Handlers
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.adapters.simulation.served.application import LocalCall
from posthouse.core.service.results import answers
from posthouse.core.service.service import Service
from posthouse.core.values.errors import DRAINING, ErrorObject, RpcError, refusal
from posthouse.core.values.peers import ConnectionId, Identity, Kind
from posthouse.core.values.stats import Health
from posthouse.transports.switchboard.actions import Reply
from posthouse.transports.switchboard.switchboard import Switchboard


class Application:
    """The application of one process. `started`: clients may come. `calls` are those in process without an outcome."""

    bound: Final = ()

    def __init__(self, board: Switchboard, service: Service, clock: ProcessClock, handlers: Handlers) -> None:
        self.started = not service.lifespans
        self.ended = True
        self.error: Exception | None = None
        self.calls: Final[dict[ConnectionId, LocalCall]] = {}
        self._board: Final = board
        self._service: Final = service
        self._clock: Final = clock
        self._handlers: Final = handlers
        self._lifespans: Lifespans | None = None

    # Calls in process

    def begin(
        self, method: str, params: object = None, *, identity: Identity | None = None, timeout: float | None = None
    ) -> LocalCall:
        """Begin a call. Raises UsageError for invalid arguments."""
        input = partial(self._board.call, method, params, self._clock.now, identity=identity, timeout=timeout)
        call = LocalCall(self._handlers.sender.call(input))
        self.calls[call.connection] = call
        return call

    def reply(self, action: Reply) -> None:
        """A call has its outcome."""
        call = self.calls.pop(action.connection, None)
        if call is None:
            raise Violation("answering: a reply to no local call", action)
        call.outcome = action.outcome
        if call.ended is not None:
            call.ended(action.outcome)

    def hang_up(self, call: LocalCall) -> None:
        """Do not wait for this call any more."""
        self.calls.pop(call.connection, None)
        self._handlers.sender.call(self._board.hang_up, call.connection, self._clock.now)

    async def call(
        self,
        method: str,
        params: object = None,
        *,
        identity: Identity | None = None,
        timeout: float | None = None,
        result_type: Any = Any,
    ) -> Any:
        """As `Server.call`."""
        if self._lifespans is not None and not await self._lifespans.started():
            raise RpcError.of(refusal(DRAINING))
        call, done = self.begin(method, params, identity=identity, timeout=timeout), anyio.Event()
        call.ended = lambda outcome: done.set()
        try:
            await done.wait()
        finally:
            if call.outcome is None:
                self.hang_up(call)
        if isinstance(call.outcome, ErrorObject):
            raise RpcError.of(call.outcome)
        return answers(result_type, "the")(method, call.outcome or b"")

    # Pushes, and the end

    def notify(self, to: ConnectionId, method: str, params: object = None) -> bool:
        """As `Server.notify`."""
        return self._handlers.sender.notify(to, method, params)

    def broadcast(
        self,
        method: str,
        params: object = None,
        *,
        kinds: Iterable[Kind] | None = None,
        users: Iterable[str] | None = None,
    ) -> int:
        """As `Server.broadcast`."""
        input = partial(self._board.broadcast, method, params, self._clock.now, kinds=kinds, users=users)
        return self._handlers.sender.call(input)

    def shut_down(self, grace: float | None = None) -> None:
        """As `Server.shut_down`."""
        if self._lifespans is None or not self._lifespans.abort():
            self._clock.after(0.0, lambda: self._board.shut_down(self._clock.now, grace=grace))

    def health(self) -> Health:
        """As `Server.health`."""
        return self._board.health(self._clock.now)

    def stats(self) -> dict[str, int]:
        """As `Server.stats`."""
        return self._board.stats()

    # Lifespans

    def start(self, state: Any = UNSET) -> None:
        """Start the lifespans. With a `state`, it stands for that of the service's own lifespan, which does not run."""
        lifespans = self._service.lifespans
        own = self._service.own_lifespan
        if state is not UNSET and own is not None:
            self._handlers.states[own] = state
            lifespans = lifespans[:-1]
        if lifespans:
            self.started = self.ended = False
            self._handlers.start(partial(self._start, lifespans))
        else:
            self.started = True

    async def _start(self, lifespans: tuple[Any, ...]) -> None:
        broke = partial(self.shut_down, 0.0)
        self._lifespans = Lifespans(lifespans, self, self._handlers.states, self._begin_task, broke)
        if await self._lifespans.start():
            self.started = True
        else:
            await self._stop(self._lifespans)

    def _begin_task(self, begin: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._handlers.start(begin)

    def stop(self) -> None:
        """End the lifespans. `ended` says when that is done, and `error` what went wrong."""
        if self._lifespans is not None and not self.ended:
            self._handlers.start(partial(self._stop, self._lifespans))

    async def _stop(self, lifespans: Lifespans) -> None:
        await lifespans.stop(self._board.config.drain_timeout)
        self.error = next(lifespans.errors(), None)
        self.ended = True

    def close(self) -> None:
        """The process has ended."""
        self.calls.clear()
        if self._lifespans is not None:
            self._lifespans.drop()
