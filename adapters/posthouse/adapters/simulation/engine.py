"""The server on a virtual clock: its processes, one step after another, and the checks after each step.

A step is one event: bytes arrive, a handler ends, a deadline passes. After a step the process performs everything that
follows from it. Then the invariants are checked: those of the sockets that the step touched at once, all others every
`check_every` steps. The engine does not know the clients or their links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from msgspec import Struct
from posthouse.adapters.invariants import Violation, Witness, check, check_at_rest, check_touched
from posthouse.adapters.simulation.served.deployment import Deployment
from posthouse.adapters.simulation.served.faults import Faults
from posthouse.adapters.simulation.served.process import Served, ServedProcess
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.switchboard.actions import Action

from .chance import Chance, Seeded
from .schedule import Schedule
from .trace import Trace

MAX_STEPS_AT_ONE_TIME: Final = 100_000
"""After this many steps at one moment the clock counts as stopped."""

SPARE_INCIDENTS: Final = 1000
"""The most exceptions of handlers that are kept although no call can get them any more."""

SETTLE_TIMEOUT: Final = 60.0
"""Seconds after the longest deadline within which a healed world must settle."""


class Monitoring(Struct, frozen=True):
    """How a world is observed. Every invariant is checked each `check_every` steps.

    `journal` is called with the number of the process, from 1, and each line of that process's journal. With `model`,
    the reference model checks every gateway.
    """

    check_every: int = 64
    journal: Callable[[int, bytes], object] | None = None
    model: bool = True


class Engine:
    """The processes of one server, one at a time. `faults` are those of a process that starts. `steps` is the number of
    events so far; `failed` is the exception of the last one that failed."""

    def __init__(self, deployment: Deployment, faults: Faults, chance: Chance, monitoring: Monitoring) -> None:
        self.deployment: Final = deployment
        self.chance: Final = chance
        self.schedule: Final = Schedule()
        self.faults = faults
        self.steps = 0
        self.failed: Exception | None = None
        self._monitoring: Final = monitoring
        self._trace: Final = Trace()
        self._steps_at_this_time = 0
        self._last_step_at = 0.0
        self._incidents: dict[str, tuple[float, BaseException]] = {}
        self._processes = 0
        with self._annotate_errors():
            self._start_process()

    def _start_process(self) -> None:
        self._processes = number = self._processes + 1
        monitoring, deployment = self._monitoring, self.deployment
        journal = None if monitoring.journal is None else partial(monitoring.journal, number)
        self._witness = Witness(exchanges_told=deployment.tell_exchanges or journal is not None)
        self.process = ServedProcess(
            Served(deployment, journal, monitoring.model),
            self.faults,
            self.schedule,
            (self.chance, number),
            self._on_action,
            self._keep_incident,
        )

    def _on_action(self, action: Action) -> None:
        self._witness.see(action)
        self._trace.add(action, self.schedule.now)

    @property
    def service(self) -> Service:
        """The service that is served."""
        return self.deployment.service

    @property
    def config(self) -> Config:
        """The limits of the server."""
        return self.deployment.config

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self.schedule.now

    @property
    def trace(self) -> str:
        """A hash of every action of the server so far, with its time. Equal runs have equal traces."""
        return self._trace.digest()

    @property
    def hook_errors(self) -> list[BaseException]:
        """The exceptions that hooks of the service have raised in the current process."""
        return list(self.process.handlers.errors)

    def incident(self, id: str) -> BaseException | None:
        """The exception of a handler, by the incident id in the error of its call.

        It is kept at least as long as a call is pending that was sent before the exception.
        """
        kept = self._incidents.get(id)
        return None if kept is None else kept[1]

    def _keep_incident(self, id: str, error: BaseException) -> None:
        self._incidents[id] = (self.now, error)
        if len(self._incidents) % SPARE_INCIDENTS == 0:
            oldest = self._oldest_pending()
            self._incidents = {id: kept for id, kept in self._incidents.items() if kept[0] >= oldest}

    def _oldest_pending(self) -> float:
        """The time at which the oldest pending call was sent, or now."""
        return self.now

    # Events of the server

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Plan an event, `seconds` from now."""
        self.schedule.after(seconds, event)

    def stall(self, seconds: float) -> None:
        """Stop the process for this time, or until it is killed. The network and the clients go on."""
        schedule, process, until = self.schedule, self.process, self.now + seconds
        if process.clock.asleep:
            return
        process.sleep()
        with self._annotate_errors():
            while (planned := schedule.next()) is not None and planned <= until:
                schedule.pop()()
                self.steps += 1
                if self.process is not process:
                    return  # the new process is not asleep
            schedule.now = max(schedule.now, until)
            process.wake()

    def restart(self) -> None:
        """Kill the process and start a new one, which knows nothing. Clients notice that their links are cut.

        Unlike in a real restart, the state of the service's modules is kept. Raises UsageError when called from within
        a handler.
        """
        if self.process.performing:
            raise UsageError("a handler cannot kill its own process: plan it, with `world.after(0, world.restart)`")
        with self._annotate_errors():
            self.process.first_bytes.check(self.config, self.deployment.policy)
            self.process.kill()
            self._start_process()

    def shut_down(self, *, grace: float | None = None) -> None:
        """Begin a graceful shutdown of the process."""
        self.process.board.shut_down(self.now, grace=grace)

    def broadcast(self, method: str, params: Any = None) -> int:
        """Notify every client that can be pushed to. Returns their number."""
        return self.process.board.broadcast(method, params, self.now)

    # Time

    def step(self, until: float = float("inf")) -> bool:
        """Run the next event if it is due by `until`. Returns False if there is none. Raises Violation."""
        with self._annotate_errors():
            return self._step(until)

    def _step(self, until: float) -> bool:
        schedule = self.schedule
        planned = schedule.next()
        if planned is None or planned > until:
            return False
        schedule.pop()()
        self.process.perform()  # the event may have replaced the process
        self.steps += 1
        self._steps_at_this_time = self._steps_at_this_time + 1 if schedule.now == self._last_step_at else 0
        self._last_step_at = schedule.now
        if self._steps_at_this_time > MAX_STEPS_AT_ONE_TIME:
            raise Violation("time: the clock does not advance")
        self._check_step()
        return True

    def run(self, seconds: float) -> None:
        """Let this time pass. Raises Violation."""
        until = self.now + seconds
        with self._annotate_errors():
            self.process.perform()
            while self._step(until):
                pass
            self.schedule.now = max(self.schedule.now, until)
            self.check()

    def run_until(self, happened: Callable[[], bool], sentence: str, seconds: float = SETTLE_TIMEOUT) -> None:
        """Let time pass until `happened()` is true. If it is not within `seconds`, raise Violation with `sentence`."""
        until = self.now + seconds
        with self._annotate_errors():
            self.process.perform()
            while not happened():
                if not self._step(until):
                    raise Violation(f"liveness: {sentence}", f"not within {seconds:g} s", *self._unfinished())

    def _unfinished(self) -> list[str]:
        """Descriptions of some things that have not ended."""
        return [f"{invoke.method.name} runs" for invoke in self.process.handlers.running]

    @contextmanager
    def _annotate_errors(self) -> Iterator[None]:
        """Add the seed, the time and the step to an exception: they are enough to reproduce it."""
        if asyncio._get_running_loop() is not None:
            raise UsageError("a world is its own event loop: write its tests as plain functions, not as `async def`")
        try:
            yield
        except Exception as error:
            self.failed = error
            if not hasattr(error, "__notes__"):
                seed = f"seed {self.chance.seed!r}, " if isinstance(self.chance, Seeded) else ""
                error.add_note(f"{seed}at {self.now:.6f} s, step {self.steps}")
            raise

    # Checks

    def _check_step(self) -> None:
        watch = self.process.watch
        if watch.unchecked:
            check_touched(watch.board, watch.touched)
            watch.touched.clear()
            watch.unchecked = False
        if self.steps % self._monitoring.check_every == 0:
            self.check()

    def check(self) -> None:
        """Check every invariant now. Raises Violation."""
        process = self.process
        check(process.board)
        process.check()
        if process.model is not None:
            process.model.check(process.gateway, self.now)
        self._witness.stopped(process.handlers.running)

    def _check_at_rest(self) -> None:
        self.process.check_at_rest()
        if not self.process.handlers.left:
            check_at_rest(self.process.board)
            if self.process.model is not None:
                self.process.model.check_at_rest()
        self._witness.at_rest()
        self.process.first_bytes.check(self.config, self.deployment.policy)

    def close(self) -> None:
        """End the world: stop everything that still runs."""
        self.process.close()
