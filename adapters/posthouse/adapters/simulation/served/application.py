"""The methods of the real server, for a world: it calls them outside of the event loop, and awaits nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial, wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from msgspec import Struct
from posthouse.adapters.server.server import Server
from posthouse.adapters.simulation.machine.loops.loop import Loop
from posthouse.adapters.simulation.machine.signals import SimulatedSignals
from posthouse.core.values.errors import ErrorObject
from posthouse.core.values.peers import ConnectionId, Identity

P = ParamSpec("P")
T = TypeVar("T")


class LocalCall(Struct, eq=False):
    """A call in process. `outcome`: its result as JSON, or its error; None until it ends. `ended` is called with the
    outcome."""

    connection: ConnectionId
    outcome: bytes | ErrorObject | None = None
    ended: Callable[[bytes | ErrorObject], None] | None = None


def _of_server(method: Callable[Concatenate[Server, P], T]) -> Callable[Concatenate[ServedApplication, P], T]:
    """A method of the running server. If it is called outside of the event loop, the server performs the actions that
    follow when the loop runs the next time."""

    @wraps(method)
    def called(self: ServedApplication, /, *args: P.args, **kwargs: P.kwargs) -> T:
        server = self.server
        runner = server._runner
        if self._loop.is_running() or not runner.in_loop_thread:
            return method(server, *args, **kwargs)
        runner._in_turn = True  # `flush_outbox` needs a running loop: let it do nothing
        try:
            return method(server, *args, **kwargs)
        finally:
            runner._in_turn = False

    return called


class ServedApplication:
    """The application of one process.

    `started`: clients may come. `ended`: `serve` has returned. `error` is the exception that it, or the end of a call,
    has raised. `calls` holds the calls in process that have no outcome yet.
    """

    bound: Final = ()

    def __init__(self, signals: SimulatedSignals, loop: Loop) -> None:
        self._signals: Final = signals
        self._loop: Final = loop
        self.started = False
        self.ended = False
        self.error: Exception | None = None
        self.calls: Final[dict[ConnectionId, LocalCall]] = {}
        self._server: Server | None = None

    def accepts(self, server: Server) -> None:
        """Keep the server: `serve` calls this when clients may come."""
        self._server = server
        self.started = True

    @property
    def server(self) -> Server:
        """The running server."""
        assert self._server is not None, "the server has not started"
        return self._server

    def begin(
        self, method: str, params: object = None, *, identity: Identity | None = None, timeout: float | None = None
    ) -> LocalCall:
        """Begin a call. Raises UsageError for invalid arguments."""
        server = self.server
        now = server._runner.now()
        outcome: Future[bytes | ErrorObject] = Future()
        input = partial(server._board.call, method, params, now, identity=identity, timeout=timeout)
        call = LocalCall(server._calls._begin(outcome, input))
        self.calls[call.connection] = call
        outcome.add_done_callback(partial(self._replied, call))
        return call

    def _replied(self, call: LocalCall, outcome: Future[bytes | ErrorObject]) -> None:
        self.calls.pop(call.connection, None)
        call.outcome = outcome.result()
        try:
            if call.ended is not None:
                call.ended(call.outcome)
        except Exception as error:  # a future would only log it
            self.error = error

    def hang_up(self, call: LocalCall) -> None:
        """Cancel a call. Does nothing if it has its outcome."""
        if self.calls.pop(call.connection, None) is not None:
            server = self.server
            server._calls._waiting.pop(call.connection, None)
            server._board.hang_up(call.connection, server._runner.now())

    notify = _of_server(Server.notify)
    broadcast = _of_server(Server.broadcast)
    revoke = _of_server(Server.revoke)
    shut_down = _of_server(Server.shut_down)
    health = _of_server(Server.health)
    stats = _of_server(Server.stats)

    def stop(self) -> None:
        """Begin to end the server, by a signal. `ended` tells when it has ended, and `error` why it failed."""
        if not self.ended and not self._signals.signalled:
            self._signals.send(signal.SIGTERM)

    def close(self) -> None:
        """Forget all calls: the process has ended."""
        self.calls.clear()
