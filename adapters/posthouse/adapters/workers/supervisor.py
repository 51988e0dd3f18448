"""The supervisor: the processes of a roster, their signals, and what they tell.

SIGTERM and SIGINT end all workers, SIGHUP replaces them one after the other. It opens no socket and runs no service:
it gives each place its descriptors, and stays the parent that keeps them open.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from msgspec import Struct
from posthouse.adapters.report import ERROR, INFO, WARNING, report

from .roster import Finish, Kill, Report, Roster, Start, Stop
from .wire import MEASURED, PLACE, VARIABLE, Wire

LEVELS: Final = {"workers.replaced": INFO, "workers.failed": ERROR, "workers.not_replaced": ERROR}
"""The levels of what a roster reports. Others are warnings."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Process(Struct, eq=False):
    """The process of a worker. `health` is what it has told last, empty before it serves."""

    child: subprocess.Popen[bytes]
    wire: Wire
    place: int
    health: dict[str, Any] = {}


class Supervisor:
    """Runs the workers of `roster`. `command(place)` is the command of a worker, and `descriptors(place)` what it
    inherits. `serves` is called once, when the first worker serves. `variables(place)` are more variables of its
    environment."""

    def __init__(
        self,
        roster: Roster,
        command: Callable[[int], Sequence[str]],
        descriptors: Callable[[int], Sequence[int]],
        *,
        serves: Callable[[], object] = lambda: None,
        environment: Mapping[str, str] = os.environ,
        variables: Callable[[int], Mapping[str, str]] = lambda place: {},
    ) -> None:
        self._roster: Final = roster
        self._command: Final = command
        self._descriptors: Final = descriptors
        self._serves: Final = serves
        self._variables: Final = variables
        self._environment: Final = {name: value for name, value in environment.items() if name != "NOTIFY_SOCKET"}
        self._selector: Final = selectors.DefaultSelector()
        self._processes: Final[dict[int, Process]] = {}
        self._signalled: Final[list[int]] = []
        self._served = False
        self._status: int | None = None

    def run(self) -> int:
        """Run until no worker is left. Returns the exit code. In the main thread only."""
        with self._signals():
            self._roster.begin(time.monotonic())
            self._perform()
            while self._status is None:
                due = self._roster.next_timeout()
                wait = None if due is None else max(0.0, due - time.monotonic())
                for key, _ in self._selector.select(wait):
                    key.data()
                self._roster.handle_timeout(time.monotonic())
                self._perform()
        return self._status

    # What happens

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals are noted, and wake the selector."""
        wakes, woken = socket.socketpair()
        for end in (wakes, woken):
            end.setblocking(False)
        before = {number: signal.signal(number, lambda number, _: self._signalled.append(number)) for number in SIGNALS}
        waker = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, lambda: self._woken(woken))
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            wakes.close()
            woken.close()

    def _woken(self, woken: socket.socket) -> None:
        with suppress(BlockingIOError):
            woken.recv(4096)
        now = time.monotonic()
        while self._signalled:
            number = self._signalled.pop(0)
            if number == signal.SIGCHLD:
                self._reap(now)
            elif number == signal.SIGHUP:
                self._roster.replace(now)
            else:
                self._roster.shut_down(now)

    def _reap(self, now: float) -> None:
        """Tell the roster of the children that have ended."""
        for number, process in list(self._processes.items()):
            status = process.child.poll()
            if status is not None:
                del self._processes[number]
                with suppress(KeyError):  # its end was read before
                    self._selector.unregister(process.wire.socket)
                process.wire.close()
                self._roster.exited(number, status, now)

    def _heard(self, number: int) -> None:
        process = self._processes.get(number)
        if process is None:
            return
        told = process.wire.hear()
        if told is None:  # it is about to end
            self._selector.unregister(process.wire.socket)
        if not told:
            return
        now = time.monotonic()
        process.health = told[-1]
        self._roster.accepts(number, now)
        self._roster.lives(number, now)
        if not self._served:
            self._served = True
            self._serves()
        process.wire.tell([self._row(each, other) for each, other in sorted(self._processes.items())])

    def _row(self, number: int, process: Process) -> dict[str, Any]:
        """What `/health` says of a worker."""
        told = {name: process.health.get(name) for name in ("status", "connections", "calls", "memory")}
        told["status"] = told["status"] or "starting"
        measured = process.health.get(MEASURED)
        row = {"worker": number, "place": process.place, **told}
        return row if measured is None else {**row, MEASURED: measured}

    # What is to be done

    def _perform(self) -> None:
        outbox = self._roster.outbox
        while outbox:
            action = outbox.pop(0)
            if isinstance(action, Start):
                self._start(action)
            elif isinstance(action, Stop):
                self._signal(action.worker, signal.SIGTERM)
            elif isinstance(action, Kill):
                self._signal(action.worker, signal.SIGKILL)
            elif isinstance(action, Finish):
                self._status = action.status
            else:
                self._report(action)

    def _start(self, action: Start) -> None:
        ours, theirs = socket.socketpair()
        command, environment = self._command(action.place), self._environment_of(action, theirs)
        inherited = [*self._descriptors(action.place), theirs.fileno()]
        try:
            # In a group of its own: Ctrl-C reaches the supervisor alone, which asks the workers once.
            child = subprocess.Popen(command, env=environment, pass_fds=inherited, process_group=0)
        except OSError as error:
            ours.close()
            report(ERROR, "worker.not_started", "cannot start a worker: {reason}", reason=error.strerror or str(error))
            self._roster.exited(action.worker, 1, time.monotonic())
            return
        finally:
            theirs.close()
        self._processes[action.worker] = Process(child, Wire(ours), action.place)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._heard(action.worker))
        report(INFO, "worker.started", "worker started", worker=action.worker, pid=child.pid)

    def _environment_of(self, action: Start, wire: socket.socket) -> dict[str, str]:
        own = {VARIABLE: str(wire.fileno()), PLACE: str(action.place)}
        return {**self._environment, **own, **self._variables(action.place)}

    def _signal(self, worker: int, number: signal.Signals) -> None:
        process = self._processes.get(worker)
        if process is not None:
            process.child.send_signal(number)

    def _report(self, action: Report) -> None:
        level = LEVELS.get(action.event, WARNING)
        report(level, action.event, action.text, worker=action.worker, status=action.status)
