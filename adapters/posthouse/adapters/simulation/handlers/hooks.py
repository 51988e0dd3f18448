"""Hooks of a simulated service: plain ones run at once, those that await run one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import anyio
from posthouse.adapters.handlers.firewall import drop, must_wait
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.state.views import EventContexts, Notify
from posthouse.adapters.handlers.variables import Variables
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Emit

MAX_ERRORS: Final = 1000
"""The number of exceptions of hooks that are kept."""


class Hooks:
    """Performs `Emit`. `start` begins a task. Exceptions of hooks are kept in `errors` and have no other effect."""

    def __init__(
        self,
        service: Service,
        start: Callable[[Coroutine[Any, Any, None]], None],
        states: States,
        notify: Notify,
    ) -> None:
        self.errors: Final[deque[BaseException]] = deque(maxlen=MAX_ERRORS)
        self._hooks: Final = service.hooks
        self._start: Final = start
        self._contexts: Final = EventContexts(service, states, notify)
        self._fresh: Final = Variables().fresh
        self._waiting: Final[deque[Awaitable[None]]] = deque()
        self._running = False
        self._closed = False

    def emit(self, action: Emit) -> None:
        """Call the hooks of this event."""
        if self._contexts.needed:
            self._contexts.see(action)
        for hook in self._hooks.get(type(action.event), ()):
            event = action.event
            try:
                waits = self._fresh().run(hook.function, event, *self._contexts.rest(hook, event))
            except BaseException as error:
                self.errors.append(error)
            else:
                if waits is not None and must_wait(waits):
                    self._waiting.append(waits)
        if self._waiting and not self._running:
            self._running = True
            self._start(self._run())

    async def _run(self) -> None:
        while self._waiting:
            waits = self._waiting.popleft()
            with anyio.CancelScope():  # a cancellation inside a hook ends only that hook
                try:
                    await waits
                except BaseException as error:
                    self.errors.append(error)
                    if self._closed or isinstance(error, GeneratorExit):
                        raise
        self._running = False

    def close(self) -> None:
        """The process has ended: the hooks that wait are not called."""
        self._closed = True
        while self._waiting:
            drop(self._waiting.popleft())
