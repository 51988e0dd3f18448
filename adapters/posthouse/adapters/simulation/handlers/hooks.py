"""Hooks of a simulated service: plain ones run at once, those that await run one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

import anyio
from posthouse.core.service.method import is_coroutine_function
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import Event

MAX_ERRORS: Final = 1000
"""The number of exceptions of hooks that are kept."""


class Hooks:
    """Performs `Emit`. `start` begins a task. Exceptions of hooks are kept in `errors` and have no other effect."""

    def __init__(self, service: Service, start: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.errors: Final[deque[BaseException]] = deque(maxlen=MAX_ERRORS)
        self._hooks: Final = service.hooks
        self._start: Final = start
        self._waiting: Final[deque[tuple[Any, Event]]] = deque()
        self._running = False
        self._closed = False

    def emit(self, action: Emit) -> None:
        """Call the hooks of this event."""
        for hook in self._hooks.get(type(action.event), ()):
            if is_coroutine_function(hook):
                self._waiting.append((hook, action.event))
            else:
                try:
                    hook(action.event)
                except BaseException as error:
                    self.errors.append(error)
        if self._waiting and not self._running:
            self._running = True
            self._start(self._run())

    async def _run(self) -> None:
        while self._waiting:
            hook, event = self._waiting.popleft()
            with anyio.CancelScope():  # a cancellation inside a hook ends only that hook
                try:
                    await hook(event)
                except BaseException as error:
                    self.errors.append(error)
                    if self._closed or isinstance(error, GeneratorExit):
                        raise
        self._running = False

    def close(self) -> None:
        """The process has ended: the hooks that wait are not called."""
        self._closed = True
        self._waiting.clear()
