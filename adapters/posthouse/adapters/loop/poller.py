"""Which sockets are ready: one selector holds them all, and the event loop watches only the selector's descriptor.

A selector can itself be selected on. So a socket costs neither a task nor a registration with the event loop, one call
finds every ready socket, and asyncio and trio differ only in the few lines of `run`. The selector is the kernel's own
where that is epoll: the module `selectors` keeps a record of each socket that takes as much memory as all of the rest.
This module does not know what a socket is for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from threading import RLock
from typing import Final, Protocol

import anyio
from posthouse.adapters.system.system import READ, WRITE, Selector, Socket, Sockets

from .named import asyncio_loop

MAX_READY: Final = 512
"""How many sockets one `poll` returns. The others come first in the next one."""

Ready = Callable[[int], bool | None]


class Watcher(Protocol):
    """The owner of a socket that is watched."""

    def ready(self, events: int) -> bool | None:
        """Some of `events`, or an error, occurred. True: a few bytes were read, and nothing else was done."""
        ...


class Poller:
    """Sockets, and their owners to tell when each is ready. All but `call_soon` belongs to the event loop's thread."""

    __slots__ = ("_awake", "_calls", "_closed", "_lock", "_selector", "_waker", "_watchers", "soon", "turn_soon")

    def __init__(self, sockets: Sockets) -> None:
        self._selector: Final[Selector] = sockets.selector()
        self._watchers: list[Watcher | None] = []  # by descriptor
        self._calls: deque[Callable[[], None]] = deque()
        self._lock: Final = RLock()  # a signal may come while its own thread holds it
        self._closed = False
        self.turn_soon: Callable[[], object] = self._wake
        self.soon: Callable[[Callable[[], object]], object] = _at_once
        self._awake, self._waker = sockets.pair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        self.watch(self._awake, 0, READ, self)

    @property
    def waker(self) -> int:
        """A descriptor that does not block. A byte that is written to it wakes the event loop."""
        return self._waker.fileno()

    def watch(self, watched: Socket, before: int, events: int, watcher: Watcher) -> None:
        """Have `poll` return the watcher's `ready` when one of `events` occurs. `before`: the events watched until now.
        0: none."""
        if events == before:
            return
        descriptor = watched.fileno()
        if not before:
            self._selector.register(descriptor, events)
            watchers = self._watchers
            watchers.extend([None] * (descriptor + 1 - len(watchers)))
            watchers[descriptor] = watcher
        elif not events:
            self._selector.unregister(descriptor)
            self._watchers[descriptor] = None
        else:
            self._selector.modify(descriptor, events)

    def poll(self) -> list[tuple[Ready, int]]:
        """The functions whose sockets are ready now, each with the events that occurred. Does not wait."""
        watchers = self._watchers
        ready: list[tuple[Ready, int]] = []
        for descriptor, events in self._selector.poll(0, MAX_READY):
            watcher = watchers[descriptor]
            assert watcher is not None
            # An error, or a peer that hung up, is found by reading and by writing.
            ready.append((watcher.ready, events if events <= READ | WRITE else READ | WRITE))
        return ready

    def call_soon(self, call: Callable[[], None]) -> bool:
        """Have the event loop run `call` in a later turn. May be called from any thread, or from a signal's handler.

        False: the loop has ended, and `call` will not run.
        """
        with self._lock:
            if self._closed:
                return False
            self._calls.append(call)
            try:
                self._waker.send(b"\0")
            except BlockingIOError:
                pass  # the pipe is full: the loop will wake in any case
            return True

    def _wake(self) -> None:
        self.call_soon(_nothing)

    def ready(self, events: int) -> None:
        """Run the calls that came until now."""
        try:
            self._awake.recv(4096)
        except BlockingIOError:
            pass
        for _ in range(len(self._calls)):  # calls that these add run in a later turn
            self._calls.popleft()()

    async def run(self, turn: Callable[[], None]) -> None:
        """Call `turn` whenever a socket is ready, until `turn` raises or this is cancelled. Meanwhile `turn_soon`, from
        the loop's thread, has it called once when the tasks that are ready have run, and so does `soon` with another
        function; on trio, `soon` calls it at once."""
        loop = asyncio_loop()
        while loop is None:
            await anyio.wait_readable(self._selector.fileno())
            turn()
        ended: asyncio.Future[None] = loop.create_future()
        soon = False

        def run() -> None:
            nonlocal soon
            soon = False
            try:
                turn()
            except BaseException as error:
                if not ended.done():
                    ended.set_exception(error)

        def turn_soon() -> None:
            nonlocal soon
            soon = True
            loop.call_soon(run)

        def ready() -> None:
            if not soon:  # else the turn that comes finds these sockets: two in one round leave less time for tasks
                run()

        # Not `wait_readable`: it registers again for every turn, which costs as much as a call.
        loop.add_reader(self._selector.fileno(), ready)
        self.turn_soon = turn_soon
        self.soon = partial(loop.call_soon, context=copy_context())  # in which libraries know the loop
        try:
            await ended
        finally:
            self.turn_soon = self._wake
            self.soon = _at_once
            loop.remove_reader(self._selector.fileno())

    def close(self) -> None:
        """Stop watching. Calls of `call_soon` that have not run yet do not run."""
        with self._lock:
            self._closed = True
            self._calls.clear()
            self._selector.close()
            self._awake.close()
            self._waker.close()


def _at_once(call: Callable[[], object]) -> None:
    """Call it: to wake the loop would cost more."""
    call()


def _nothing() -> None:
    """A call that only wakes the loop."""
