"""The methods of a running server, for its application. Any thread may call them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from posthouse.adapters.loop.runner import Runner
from posthouse.core.values.peers import ConnectionId, Kind
from posthouse.core.values.stats import Health

from .listeners import Bound


class Server:
    """A running server, as `started` receives it. Its methods may be called from any thread.

    `bound` holds the addresses it listens on, in the order in which they were requested.
    """

    def __init__(self, runner: Runner, bound: tuple[Bound, ...]) -> None:
        self.bound: Final = bound
        self._runner: Final = runner
        self._board: Final = runner.board

    def shut_down(self, grace: float | None = None) -> None:
        """Begin to shut down: refuse new calls, tell peers, let calls end within `grace` seconds (None: `drain_grace`),
        close. `serve` then returns. It may be called from a signal's handler."""
        runner = self._runner
        runner.poller.call_soon(lambda: self._board.shut_down(runner.now(), grace=grace))

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
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). Returns their number."""
        runner, board = self._runner, self._board
        return runner.run_in_loop(lambda: board.broadcast(method, params, runner.now(), kinds=kinds, users=users), 0)

    def health(self) -> Health:
        """The state that `/health` reports."""
        board, runner = self._board, self._runner
        return runner.run_in_loop(lambda: board.health(runner.now()), None) or board.health(runner.now())

    def stats(self) -> dict[str, int]:
        """The counters, by name."""
        return self._runner.run_in_loop(self._board.stats, None) or self._board.stats()
