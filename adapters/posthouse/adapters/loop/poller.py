"""Which sockets are ready: one selector of our own, of which the event loop watches a single descriptor.

A selector can itself be selected on. So a socket costs neither a task nor a registration with the event loop, all
that is ready is seen in one call, and asyncio and trio behave alike: they differ in the few lines of `run`. It may not
know what a socket is for.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections import deque
from collections.abc import Callable
from threading import RLock
from typing import Final

import anyio

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

Ready = Callable[[int], None]


class Poller:
    """Sockets and who is told when they are ready. All but `call_soon` belongs to the event loop's thread."""

    __slots__ = ("_awake", "_calls", "_closed", "_lock", "_selector", "_waker")

    def __init__(self) -> None:
        self._selector: Final = selectors.DefaultSelector()
        self._calls: deque[Callable[[], None]] = deque()
        self._lock: Final = RLock()  # a signal may come while its own thread holds it
        self._closed = False
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._awake, READ, self._run_calls)

    def watch(self, descriptor: socket.socket, before: int, events: int, ready: Ready) -> None:
        """Say to `ready` when one of `events` has come. `before` is what was asked for until now; 0 is nothing."""
        if events == before:
            return
        if not before:
            self._selector.register(descriptor, events, ready)
        elif not events:
            self._selector.unregister(descriptor)
        else:
            self._selector.modify(descriptor, events, ready)

    def poll(self) -> list[tuple[Ready, int]]:
        """Who is ready now, and for what. Waits for nothing."""
        return [(key.data, events) for key, events in self._selector.select(0)]

    def call_soon(self, call: Callable[[], None]) -> bool:
        """Have `call` run by the event loop, after others had their turn. From any thread, or a signal's handler.

        False: the loop has ended, and it will not be run.
        """
        with self._lock:
            if self._closed:
                return False
            self._calls.append(call)
            try:
                self._waker.send(b"\0")
            except BlockingIOError:
                pass  # it is full of wakings
            return True

    def _run_calls(self, events: int) -> None:
        try:
            self._awake.recv(4096)
        except BlockingIOError:
            pass
        for _ in range(len(self._calls)):  # those that they ask for in turn come later
            self._calls.popleft()()

    async def run(self, turn: Callable[[], None]) -> None:
        """Call `turn` whenever something is ready, until it raises or this is cancelled."""
        loop = _asyncio_loop()
        while loop is None:
            await anyio.wait_readable(self._selector.fileno())
            turn()
        over: asyncio.Future[None] = loop.create_future()

        def ready() -> None:
            try:
                turn()
            except BaseException as error:
                if not over.done():
                    over.set_exception(error)

        # Not `wait_readable` here: it would register anew for every turn, at the price of a call.
        loop.add_reader(self._selector.fileno(), ready)
        try:
            await over
        finally:
            loop.remove_reader(self._selector.fileno())

    def close(self) -> None:
        """Forget all. What was asked for and not yet run is not run."""
        with self._lock:
            self._closed = True
            self._calls.clear()
            self._selector.close()
            self._awake.close()
            self._waker.close()


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None  # another kind of loop runs
