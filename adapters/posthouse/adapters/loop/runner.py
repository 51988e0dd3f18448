"""One switchboard in one event loop: input, drain, perform; and the only timer.

Mutate, drain, wait. After each batch of inputs the outbox is performed in order while it grows, bytes for one socket
leave in one write, and only then does the loop wait. Nothing here costs a task, a scope or a stream per message. What
an action means is known by whoever registered for it in `actions`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from threading import get_ident
from typing import Any, Final, Protocol, TypeVar

import anyio
from posthouse.core.values.timers import Timer, Timers
from posthouse.transports.switchboard.switchboard import Switchboard

from .clock import Clock
from .poller import Poller, Ready

MAX_EFFECTS: Final = 64
MAX_SECONDS: Final = 0.005
"""After so many effects, or so much time in inline handlers, others have their turn."""

WALL_EVERY: Final = 1.0
WALL_STEP: Final = 0.05
"""How often (seconds) the wall clock is compared with the monotonic one, and what difference is a step."""

T = TypeVar("T")


class Written(Protocol):
    """Something that was written to in this batch, and is flushed once at its end."""

    def flush(self) -> None:
        """Let go of what was written."""
        ...


class Runner:
    """Drives `board`. `actions` says for each type of action who performs it; `on_due` for each reason of a deadline
    in `timers` who is told, with the key. All of it belongs to the event loop's thread but `poller.call_soon`."""

    def __init__(self, board: Switchboard, clock: Clock) -> None:
        self.board: Final = board
        self.clock: Final = clock
        self.now: Final = clock.now
        self.poller: Final = Poller()
        self.actions: Final[dict[type, Callable[[Any], None]]] = {}
        self.timers: Final = Timers()
        self.on_due: Final[dict[str, Callable[[int], None]]] = {}
        self.written: Final[dict[Written, None]] = {}
        self._thread: Final = get_ident()
        self._hops: Final[dict[Future[Any], None]] = {}
        self._ready: deque[tuple[Ready, int]] = deque()
        self._draining = False
        self._performed = 0
        self._hurry_after = math.inf
        self._continues = False
        self._sleep: anyio.CancelScope | None = None
        self._armed = math.inf
        self._due = math.inf
        self._wall_at = self.now() + WALL_EVERY
        self._wall_offset = clock.wall() - self.now()

    async def run(self) -> None:
        """Until it is cancelled. What user code raises is caught elsewhere: what comes out of here is a defect."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_time)
            try:
                await self.poller.run(self._turn)
            finally:
                group.cancel_scope.cancel()

    # A turn of the event loop

    def _turn(self) -> None:
        """What is left from before; what is ready, as far as a turn goes; then, when all had theirs, what is due."""
        self._continues = False
        self._begin()
        try:
            self._perform()
            if not self._ready:
                self._ready.extend(self.poller.poll())
            while self._ready and not self._tired:
                ready, events = self._ready.popleft()
                ready(events)
                self._perform()
            if not self._ready and not self.board.outbox:
                self._handle_timeouts()
                self._perform()
        finally:
            self._draining = False
        self._settle()

    @property
    def _tired(self) -> bool:
        return self._performed >= MAX_EFFECTS or self.now() >= self._hurry_after

    def _begin(self) -> None:
        self._draining = True  # inputs from within leave their consequences to whoever drains
        self._performed = 0
        self._hurry_after = self.now() + MAX_SECONDS

    def flush_outbox(self) -> None:
        """Perform what an input has left. To be called after every batch of inputs; harmless within one."""
        if self._draining or self._continues:
            return  # whoever drains sees it, in its order
        self._begin()
        try:
            self._perform()
        finally:
            self._draining = False
        self._settle()

    def _perform(self) -> None:
        outbox = self.board.outbox
        actions = self.actions
        while outbox or self.written:
            done = 0
            for action in outbox:
                if self._performed >= MAX_EFFECTS:
                    break
                done += 1
                self._performed += 1
                actions[type(action)](action)
            del outbox[:done]
            self._flush()
            if self._performed >= MAX_EFFECTS:
                return

    def _flush(self) -> None:
        """One write for each socket, however much was written."""
        written = self.written
        while written:
            channel = next(iter(written))
            del written[channel]
            channel.flush()

    @property
    def is_here(self) -> bool:
        """Is this the event loop's thread?"""
        return get_ident() == self._thread

    def run_in_loop(self, call: Callable[[], T], otherwise: T) -> T:
        """What `call` returns in the event loop, from whichever thread. `otherwise` when the loop has ended."""
        if self.is_here:
            try:
                return call()
            finally:
                self.flush_outbox()
        outcome: Future[T] = Future()

        def run() -> None:
            del self._hops[outcome]
            try:
                outcome.set_result(call())
            except BaseException as error:
                outcome.set_exception(error)

        self._hops[outcome] = None
        if not self.poller.call_soon(run):
            self._hops.pop(outcome, None)
            return otherwise
        try:
            return outcome.result()
        except CancelledError:
            return otherwise

    def close(self) -> None:
        """The loop has ended: threads that wait for it are let go."""
        self.poller.close()
        while self._hops:
            self._hops.popitem()[0].cancel()

    def end_turn_if_slow(self) -> None:
        """Inline user code has run: if it took long, the rest of the outbox waits for the next turn."""
        if self.now() >= self._hurry_after:
            self._performed = MAX_EFFECTS

    def _settle(self) -> None:
        """Before the loop waits: see that it does not wait for ever."""
        if self.board.outbox or self._ready:
            self._continue()
        else:
            self._rearm()

    def _continue(self) -> None:
        if not self._continues:
            self._continues = True
            self.poller.call_soon(_nothing)

    # Time

    def arm(self, seconds: float, reason: str, key: int) -> Timer:
        """A deadline of the adapter's own, `seconds` from now."""
        return self.timers.arm(self.now() + seconds, reason, key)

    def _rearm(self) -> None:
        """Wake the timer earlier when an earlier deadline has appeared. One that went is left to fire for nothing."""
        dues = (self.board.next_timeout(), self.timers.next())
        self._due = due = min((due for due in dues if due is not None), default=math.inf)
        if due <= self.now():
            self._continue()
        elif due < self._armed:
            self._armed = due
            if self._sleep is not None:
                self._sleep.deadline = self._loop_time(due)

    async def _keep_time(self) -> None:
        while True:
            with anyio.CancelScope(deadline=self._loop_time(self._armed)) as self._sleep:
                await anyio.sleep_forever()
            self._sleep = None
            self._armed = math.inf
            self._turn()

    def _loop_time(self, when: float) -> float:
        return anyio.current_time() + when - self.now()

    def _handle_timeouts(self) -> None:
        now = self.now()
        if now >= self._wall_at:
            self._compare_clocks(now)
        if now < self._due:
            return
        self.board.handle_timeout(now)
        while (timer := self.timers.pop(now)) is not None:
            self.on_due[timer.reason](timer.key)

    def _compare_clocks(self, now: float) -> None:
        self._wall_at = now + WALL_EVERY
        wall = self.clock.wall()
        if abs(wall - now - self._wall_offset) > WALL_STEP:
            self._wall_offset = wall - now
            self.board.set_wall(wall, now)


def _nothing() -> None:
    """Waking is all that was wanted."""
