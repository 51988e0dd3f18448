"""Hooks of a simulated service: plain ones are told at once, those that await one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

import anyio
from posthouse.core.service.method import is_coroutine_function
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import Event

REMEMBERED: Final = 1000
"""So many exceptions of hooks are remembered."""


class Hooks:
    """Performs `Emit`. `start` begins a task. What hooks raise harms nobody, and is kept in `errors`."""

    def __init__(self, service: Service, start: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.errors: Final[deque[BaseException]] = deque(maxlen=REMEMBERED)
        self._hooks: Final = service.hooks
        self._start: Final = start
        self._waiting: Final[deque[tuple[Any, Event]]] = deque()
        self._telling = False
        self._closed = False

    def emit(self, action: Emit) -> None:
        """Tell them what has happened."""
        for hook in self._hooks.get(type(action.event), ()):
            if is_coroutine_function(hook):
                self._waiting.append((hook, action.event))
            else:
                try:
                    hook(action.event)
                except BaseException as error:
                    self.errors.append(error)
        if self._waiting and not self._telling:
            self._telling = True
            self._start(self._tell())

    async def _tell(self) -> None:
        while self._waiting:
            hook, event = self._waiting.popleft()
            with anyio.CancelScope():  # a hook that meets somebody else's cancellation ends alone
                try:
                    await hook(event)
                except BaseException as error:
                    self.errors.append(error)
                    if self._closed or isinstance(error, GeneratorExit):
                        raise
        self._telling = False

    def close(self) -> None:
        """The process is gone: nobody is told what waits."""
        self._closed = True
        self._waiting.clear()
