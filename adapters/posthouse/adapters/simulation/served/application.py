"""The real server as its application sees it, and the calls in process that a world makes without awaiting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Final

from msgspec import Struct
from posthouse.adapters.server.server import Server
from posthouse.core.values.errors import ErrorObject
from posthouse.core.values.peers import ConnectionId, Identity, Kind
from posthouse.core.values.stats import Health


class LocalCall(Struct, eq=False):
    """A call in process. `outcome`: its result as JSON, or its error; None before that. `ended` is called with it."""

    connection: ConnectionId
    outcome: bytes | ErrorObject | None = None
    ended: Callable[[bytes | ErrorObject], None] | None = None


class ServedApplication:
    """`started`: clients may come. `ended`: `serve` has returned; `error` is what it has raised. `calls` are those in
    process without an outcome. Other methods are those of `posthouse.adapters.Server`."""

    bound: Final = ()

    def __init__(self) -> None:
        self.started = False
        self.ended = False
        self.error: Exception | None = None
        self.calls: Final[dict[ConnectionId, LocalCall]] = {}
        self._server: Server | None = None

    def accepts(self, server: Server) -> None:
        """`serve` says that clients may come."""
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
        if call.ended is not None:
            call.ended(call.outcome)

    def hang_up(self, call: LocalCall) -> None:
        """Do not wait for this call any more."""
        if self.calls.pop(call.connection, None) is not None:
            server = self.server
            server._calls._waiting.pop(call.connection, None)
            server._board.hang_up(call.connection, server._runner.now())

    def notify(self, to: ConnectionId, method: str, params: object = None) -> bool:
        """As `Server.notify`."""
        server = self.server
        return server._board.notify(to, method, params, server._runner.now())

    def broadcast(
        self,
        method: str,
        params: object = None,
        *,
        kinds: Iterable[Kind] | None = None,
        users: Iterable[str] | None = None,
    ) -> int:
        """As `Server.broadcast`."""
        server = self.server
        return server._board.broadcast(method, params, server._runner.now(), kinds=kinds, users=users)

    def shut_down(self, grace: float | None = None) -> None:
        """As `Server.shut_down`."""
        self.server.shut_down(grace)

    def health(self) -> Health:
        """As `Server.health`."""
        return self.server._board.health(self.server._runner.now())

    def stats(self) -> dict[str, int]:
        """As `Server.stats`."""
        return self.server._board.stats()

    def stop(self) -> None:
        """End the server. `ended` says when that is done, and `error` what went wrong."""
        if not self.ended:
            self.server.shut_down()

    def close(self) -> None:
        """The process has ended."""
        self.calls.clear()
