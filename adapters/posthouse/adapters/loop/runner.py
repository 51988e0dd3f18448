"""One switchboard in one event loop. A turn takes input, performs the actions that follow, and sets the only timer:

    wait ──> input ──> switchboard ──> outbox ──> perform ──> flush ──> rearm ──> wait
               ^                         ^           │
               │                         └───────────┤   an action may leave further actions
               └─────────────────────────────────────┘   while sockets are ready and the turn is short

- *wait*: one selector holds every socket; the event loop watches that selector, and one alarm.
- *input*: the owners of ready sockets read them, and the switchboard is told what was read. It answers in its outbox,
  and gives bytes to the owner of their socket at once if no action is queued.
- *perform*: each action of the outbox, in order, by the function that `actions` holds for its type.
- *flush*: all bytes of a turn leave at its end, and those for one socket in one write.
- *rearm*: deadlines of the switchboard and of the adapter share one alarm. They fire after all input was read.

Nothing here costs a task, a scope or a stream per message. This module does not know what an action means.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from threading import get_ident
from typing import Any, Final, Protocol, TypeVar

import anyio
from posthouse.adapters.system.system import System
from posthouse.core.values.peers import SocketId
from posthouse.core.values.timers import Timer, Timers
from posthouse.transports.switchboard.switchboard import Switchboard

from .alarm import Alarm
from .poller import Poller, Ready

MAX_ACTIONS: Final = 256
MAX_SECONDS: Final = 0.005
"""A turn ends after this many actions, or this much time in inline handlers. Then other tasks of the loop run."""

MAX_READS: Final = 64
"""So many sockets are read from, one after the other, before their bytes are looked at."""

WALL_EVERY: Final = 1.0
WALL_STEP: Final = 0.05
"""How often (seconds) the wall clock is compared with the monotonic clock, and what difference (seconds) is a step."""

T = TypeVar("T")

Perform = Callable[[Any], None]


class Flushable(Protocol):
    """Something that was written to in this turn, and is flushed once."""

    def flush(self) -> None:
        """Send the written bytes."""
        ...


class Runner:
    """Drives `board`. `actions` holds the function that performs each type of action; it must be filled before `run`.
    `on_due` holds, for each reason of a deadline in `timers`, the function that is called with the deadline's key.
    `rearm_requested`: the alarm is set when the tasks that are ready have run.

    Everything but `run_in_loop` and `poller.call_soon` belongs to the event loop's thread.
    """

    def __init__(self, board: Switchboard, system: System) -> None:
        self.board: Final = board
        self.system: Final = system
        self.now: Final = system.now
        self.poller: Final = Poller(system.sockets)
        self.actions: Final[dict[type, Perform]] = {}
        self.timers: Final = Timers()
        self.on_due: Final[dict[str, Callable[[int], None]]] = {}
        self.written: Final[dict[Flushable, None]] = {}
        # A turn
        self._in_turn = False
        self._performed = 0
        self._turn_ends = math.inf
        self._ready: deque[tuple[Ready, int]] = deque()
        self._read: deque[tuple[SocketId, bytes]] = deque()
        self.read: Final = self._read.append
        self._turn_requested = False
        self.rearm_requested = False
        # Time
        self._alarm: Final = Alarm(system.now)
        self._due = math.inf
        self._wall_at = self.now() + WALL_EVERY
        self._wall_offset = system.wall() - self.now()
        # Other threads
        self._thread: Final = get_ident()
        self._calls: Final[dict[Future[Any], None]] = {}
        self._released = False

    async def run(self) -> None:
        """Run until this is cancelled. Exceptions of user code are caught elsewhere: one that comes out is a defect."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._alarm.run, self._turn)
            try:
                await self.poller.run(self._turn)
            finally:
                group.cancel_scope.cancel()

    # The turn

    def _turn(self) -> None:
        self._turn_requested = False
        self._begin()
        try:
            self._perform()  # actions that the previous turn left
            if not self._ready and not self._read:
                self._ready.extend(self.poller.poll())
            self._take_input()
            if not (self._ready or self._read or self.board.outbox):  # all input was read: now time may pass
                self._handle_timeouts()
                self._perform()
            self._flush()
        finally:
            self._in_turn = False
        self._rearm()

    def _take_input(self) -> None:
        """Read from the sockets that are ready, and hand on what was read, as far as the turn goes."""
        board, outbox, read = self.board, self.board.outbox, self._read
        while self._performed < MAX_ACTIONS and (now := self.now()) < self._turn_ends:
            if read:
                socket, data = read.popleft()
                if data:
                    board.received(socket, data, now)
                else:
                    board.received_eof(socket, now)
            elif self._ready:
                self._read_next()
            else:
                return
            if outbox:
                self._perform()

    def _read_next(self) -> None:
        """Read from the next sockets that are ready, before any of it is looked at: the kernel and the interpreter each
        find their code in the caches of the processor."""
        ready = self._ready
        for _ in range(min(MAX_READS, len(ready))):
            is_ready, events = ready.popleft()
            if not is_ready(events):
                return

    def _begin(self) -> None:
        self._in_turn = True  # `flush_outbox` does nothing now: the turn performs the actions of its inputs, in order
        self._performed = 0
        self._turn_ends = self.now() + MAX_SECONDS

    def _perform(self) -> None:
        outbox, actions = self.board.outbox, self.actions
        while outbox and self._performed < MAX_ACTIONS:
            if len(outbox) == 1:  # the bytes that follow from it are not queued behind it
                action = outbox.pop()
                self._performed += 1
                actions[type(action)](action)
                continue
            done = 0
            for action in outbox:  # it may grow meanwhile
                if self._performed >= MAX_ACTIONS:
                    break
                done += 1
                self._performed += 1
                actions[type(action)](action)
            del outbox[:done]

    def _flush(self) -> None:
        """Send the bytes that this turn has written. A socket that takes them may be given more: send that, too."""
        while self.written:
            self.send_written()
            self._perform()

    def send_written(self) -> None:
        """Send the bytes that were written so far. The outbox may grow by reports of bytes that are held."""
        channels = list(self.written)
        self.written.clear()
        for channel in channels:
            channel.flush()

    def _rearm(self) -> None:
        """Before the loop waits: request a turn if anything is left to do, else set the alarm."""
        if self.board.outbox or self._ready or self._read:
            self._request_turn()
            return
        due, own = self.board.next_timeout(), self.timers.next()
        if due is None or (own is not None and own < due):
            due = own
        self._due = due = math.inf if due is None else due
        if due <= self.now():
            self._request_turn()
        elif due < self._alarm.due:
            self._alarm.advance(due)

    def flush_outbox(self, *, soon: bool = False) -> None:
        """Perform the actions that inputs have left. Call it after every batch of inputs; in a turn it does nothing.

        `soon`: perform them when the tasks that are ready have run, so that the bytes of all of them leave together.
        """
        if self._in_turn or self._turn_requested:
            return
        if soon:
            self._request_turn()
            return
        self._begin()
        try:
            self._perform()
            self._flush()
        finally:
            self._in_turn = False
        self._rearm()

    def flush_outbox_of_one(self) -> None:
        """As `flush_outbox`, for one of many tasks: the alarm is set once, when those that are ready have run."""
        if self._in_turn or self._turn_requested:
            return
        self._in_turn = True
        self._performed = 0
        self._turn_ends = self.now() + MAX_SECONDS
        try:
            self._perform()
            if self.written:
                self._flush()
        finally:
            self._in_turn = False
        if not self.rearm_requested:
            self.rearm_requested = True
            self.poller.soon(self._rearm_later)

    def _rearm_later(self) -> None:
        self.rearm_requested = False
        if not self._in_turn:
            self._rearm()

    def end_turn_if_slow(self, now: float) -> None:
        """Call it after inline user code. If that took long, the rest of the outbox waits for the next turn."""
        if now >= self._turn_ends:
            self._performed = MAX_ACTIONS

    def _request_turn(self) -> None:
        if not self._turn_requested:
            self._turn_requested = True
            self.poller.turn_soon()

    # Time

    def arm(self, seconds: float, reason: str, key: int) -> Timer:
        """Arm a deadline of the adapter's own, `seconds` from now."""
        return self.timers.arm(self.now() + seconds, reason, key)

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
        wall = self.system.wall()
        if abs(wall - now - self._wall_offset) > WALL_STEP:
            self._wall_offset = wall - now
            self.board.set_wall(wall, now)

    # Other threads

    @property
    def in_loop_thread(self) -> bool:
        """Is this the event loop's thread?"""
        return get_ident() == self._thread

    def run_in_loop(self, call: Callable[[], T], otherwise: T) -> T:
        """Run `call` in the event loop and return its result, from any thread. Returns `otherwise` if the loop has
        ended, or takes no more calls."""
        if self.in_loop_thread:
            try:
                return call()
            finally:
                self.flush_outbox()
        outcome: Future[T] = self.system.threads.future()

        def run() -> None:
            try:
                del self._calls[outcome]
            except KeyError:
                return  # its thread was released
            try:
                outcome.set_result(call())
            except BaseException as error:
                outcome.set_exception(error)

        self._calls[outcome] = None
        if self._released or not self.poller.call_soon(run):
            self._calls.pop(outcome, None)
            return otherwise
        try:
            return outcome.result()
        except CancelledError:
            return otherwise

    def close(self) -> None:
        """The loop has ended."""
        self.poller.close()
        self.release_threads()

    def release_threads(self) -> None:
        """No turn follows: release the threads that wait for one, and let no more of them wait."""
        self._released = True
        while self._calls:
            self._calls.popitem()[0].cancel()
