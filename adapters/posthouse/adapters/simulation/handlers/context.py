"""What simulated handlers send: notifications, progress, and requests to their callers."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from posthouse.adapters.handlers.invoked_context import InvokedContext
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core.values.effects import Invoke, Resolve
from posthouse.core.values.errors import ErrorObject, RpcError, UsageError
from posthouse.core.values.peers import ConnectionId, OutgoingId
from posthouse.transports.switchboard.switchboard import Switchboard

P = ParamSpec("P")
T = TypeVar("T")


class Sender:
    """Sends for the handlers of one process. `failed` is an exception of the switchboard that a handler ran into."""

    def __init__(self, board: Switchboard, clock: ProcessClock, loop: AbstractEventLoop) -> None:
        self.failed: Exception | None = None
        self.board: Final = board
        self.clock: Final = clock
        self._loop: Final = loop
        self._requests: Final[dict[OutgoingId, Any]] = {}

    def call(self, input: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call the switchboard from within a handler.

        An exception other than misuse is a defect of the core. The firewall would take it for the handler's own, so it
        is kept in `failed`.
        """
        try:
            return input(*arguments, **named)
        except UsageError:
            raise
        except Exception as error:
            self.failed = self.failed or error
            raise

    def notify(self, to: ConnectionId, method: str, params: object) -> bool:
        """Send a notification. Returns False if the connection is gone or cannot be pushed to."""
        return self.call(self.board.notify, to, method, params, self.clock.now)

    async def request(self, to: ConnectionId, method: str, params: object, timeout: float) -> bytes:
        """Send a request and wait for its result as JSON. Raises RpcError."""
        request = self.call(self.board.request, to, method, params, self.clock.now, timeout=timeout)
        future = self._requests[request] = self._loop.create_future()
        try:
            outcome = await future
        finally:
            if self._requests.pop(request, None) is not None:
                self.call(self.board.abandon, request, self.clock.now)
        if isinstance(outcome, ErrorObject):
            raise RpcError.of(outcome)
        return bytes(outcome)

    def resolve(self, action: Resolve) -> None:
        """A request has its outcome."""
        future = self._requests.pop(action.request, None)
        if future is not None and not future.done():
            future.set_result(action.outcome)

    def close(self) -> None:
        """The process has ended: no request gets an outcome."""
        self._requests.clear()


class SimulatedContext(InvokedContext):
    """The context of a simulated call."""

    __slots__ = ("_sender",)

    def __init__(self, invoke: Invoke, sender: Sender, states: States) -> None:
        super().__init__(invoke, states)
        self._sender: Final = sender

    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        """Notify the caller. Returns False if it is not sent."""
        sender = self._sender
        if after_reply and not self.may_follow:
            return False
        after = self.call_id if after_reply else None
        return sender.call(sender.board.notify, self.connection, method, params, sender.clock.now, after=after)

    def send_progress(self, value: object) -> bool:
        """Send progress of this call. Returns False if it was not sent."""
        sender = self._sender
        return sender.call(sender.board.progress, self.call_id, value, sender.clock.now)

    async def ask(self, method: str, params: object, timeout: float) -> bytes:
        """Send a request to the caller and wait for its result as JSON. Raises RpcError."""
        return await self._sender.request(self.connection, method, params, timeout)
