"""Requests to the store outside: every `AskStore` gets exactly one `conclude`, after the store has answered or failed.

A store runs behind a firewall: an exception fails the request, is logged, and does nothing else. Nobody knows then
whether a write was done.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import anyio
from posthouse.adapters.handlers.cancellation import Cancellation
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.firewall import alone
from posthouse.adapters.handlers.tasks import Tasks
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import WARNING, report
from posthouse.adapters.store.store import Store
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.storage import OUTCOMES
from posthouse.core.values.effects import AskStore
from posthouse.core.values.peers import OperationId

NAME: Final = "store"


class StoreRequests:
    """Performs `AskStore`. `store` None: this server has none outside, and nothing asks it."""

    def __init__(self, runner: Runner, tasks: Tasks, events: Events, store: Store | None) -> None:
        self._runner: Final = runner
        self._tasks: Final = tasks
        self._log: Final = events.log
        self._store: Final = store
        self._running: Final[dict[OperationId, Cancellation]] = {}
        self._idle: anyio.Event | None = None

    def ask(self, action: AskStore) -> None:
        assert self._store is not None
        cancellation = self._running[action.operation] = Cancellation()
        self._tasks.start(self._tasks.fresh(), partial(self._run, self._store, action, cancellation), NAME)

    async def _run(self, store: Store, action: AskStore, cancellation: Cancellation) -> None:
        outcome: object = None
        try:
            outcome = await cancellation.guard(store.perform(action.request))
            if not isinstance(outcome, OUTCOMES) and not cancellation.called:
                raise TypeError(f"the store returned a {type(outcome).__name__}: it must return one of its outcomes")
        except BaseException as error:
            if not cancellation.caused(error):
                self._log.store_failed(type(action.request).__name__, alone(error))
        if not isinstance(outcome, OUTCOMES):
            outcome = MaybeApplied()
        if self._running.pop(action.operation, None) is None:
            return  # it was left behind
        self._runner.board.conclude(action.operation, outcome, self._runner.now())
        if self._idle is not None and not self._running:
            self._idle.set()
        self._runner.flush_outbox(soon=bool(self._running))

    async def stop(self, seconds: float) -> list[str]:
        """Cancel the requests that run, and wait for them, but not longer than this. Returns the name of the store if
        it resists: its requests are left behind."""
        self._idle = anyio.Event()
        for cancellation in self._running.values():
            cancellation.cancel()
        if self._running:
            with anyio.move_on_after(seconds, shield=True):
                await self._idle.wait()
        left = [NAME] if self._running else []
        self._running.clear()
        if left:
            report(WARNING, "store.resists", "the store was cancelled, but goes on: the server ends")
        return left
