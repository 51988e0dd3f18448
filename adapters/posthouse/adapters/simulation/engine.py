"""The server on a virtual clock: its lives, one step after the other, and what must hold looked at after each.

A step is one event: bytes that arrive, a handler that ends, a deadline. After each the process does all that follows,
and the invariants are checked: of what the step touched at once, of everything every `check_every` steps. It may not
know who comes to the server, nor over what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from posthouse.adapters.invariants import Violation, Witness, check, check_at_rest, check_touched, time
from posthouse.adapters.simulation.handlers.manners import HandlerFaults
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import Action

from .chance import Chance, Seeded
from .process import Process
from .schedule import Schedule
from .trace import Trace

WALL: Final = 1_700_000_000.0
"""Unix time when a world begins, in seconds."""

MAX_STILL: Final = 100_000
"""So many steps may be taken at one moment."""

PATIENCE: Final = 60.0
"""Seconds beyond the longest deadline in which everything must be settled, once the world has healed."""


class Engine:
    """The lives of one server. `steps` is how many events there were, and `failed` what came out of one. `journal`
    takes each line of the journals of these lives, with the number of the life. `modelled`: the reference model runs
    beside each of them."""

    def __init__(
        self,
        service: Service,
        config: Config,
        policy: Policy,
        manners: HandlerFaults,
        chance: Chance,
        *,
        check_every: int,
        journal: Callable[[int, bytes], object] | None,
        modelled: bool,
    ) -> None:
        self.chance: Final = chance
        self.schedule: Final = Schedule()
        self.service: Final = service
        self.config: Final = config
        self.policy: Final = policy
        self.manners = manners
        self.steps = 0
        self.failed: Exception | None = None
        self._still = 0
        self._moved_at = 0.0
        self._check_every: Final = check_every
        self._journal: Final = journal
        self._modelled: Final = modelled
        self._trace: Final = Trace()
        self._lives = 0
        self._begin_process()

    def _begin_process(self) -> None:
        self._lives += 1
        self._witness = Witness()
        self.process = Process(
            self.service,
            self.config,
            self.policy,
            self.schedule,
            self.chance.stream(f"server {self._lives}"),
            self.chance.stream(f"handlers {self._lives}"),
            wall=WALL,
            manners=self.manners,
            seen=self._see,
            journal=None if self._journal is None else partial(self._journal, self._lives),
            modelled=self._modelled,
        )

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self.schedule.now

    @property
    def trace(self) -> str:
        """A hash of every action of the server so far, with its time: equal for equal runs."""
        return self._trace.digest()

    @property
    def hook_errors(self) -> list[BaseException]:
        """What hooks of the service have raised in this life of the server: nobody else hears of it."""
        return list(self.process.handlers.hooks.errors)

    def incident(self, id: str) -> BaseException | None:
        """What a handler has raised, by the id that its caller was told, as long as it is remembered."""
        return self.process.handlers.incidents.get(id)

    # What befalls it

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let this happen, `seconds` from now."""
        self.schedule.after(seconds, event)

    def stall(self, seconds: float) -> None:
        """The process stands still for so long, or until it is killed; the network and the clients do not."""
        schedule, process, until = self.schedule, self.process, self.now + seconds
        if process.clock.asleep:
            return
        process.sleep()
        with self._noted():
            while (planned := schedule.next()) is not None and planned <= until:
                schedule.pop()()
                self.steps += 1
                if self.process is not process:
                    return  # the new one is awake
            schedule.now = max(schedule.now, until)
            process.wake()

    def restart(self) -> None:
        """The process is killed and a new one begins. It knows nothing; clients notice that their links are cut. What
        the modules of the service hold is kept, as no process would."""
        if self.process.performing:
            raise UsageError("a handler cannot kill its own process: plan it, with `world.after(0, world.restart)`")
        raised = self.process.handlers.incidents  # what was said of them may be on its way
        with self._noted():
            self.process.heard.check(self.config, self.policy)
        self.process.kill()
        self._begin_process()
        self.process.handlers.incidents.update(raised)

    def shut_down(self, *, grace: float | None = None) -> None:
        """The process begins to leave in good order."""
        self.process.board.shut_down(self.now, grace=grace)

    def broadcast(self, method: str, params: Any = None) -> int:
        """The server notifies every client that it can. How many it told."""
        return self.process.board.broadcast(method, params, self.now)

    # Time

    def step(self, until: float = float("inf")) -> bool:
        """The next event, if it is due by `until`. False: nothing is. Raises Violation."""
        with self._noted():
            return self._step(until)

    def _step(self, until: float) -> bool:
        schedule, process = self.schedule, self.process
        planned, due = schedule.next(), process.next_timeout()
        if planned is not None and (planned <= schedule.now or due is None or planned <= due):
            # What has come is read before what is due is done.
            if planned > until:
                return False
            schedule.pop()()
            self.process.perform()  # it may be another one by now
        elif due is not None and due <= until:
            schedule.now = max(schedule.now, due)
            process.handle_timeout()
            process.perform()
            time(process.board, schedule.now)
        else:
            return False
        self.steps += 1
        self._still = self._still + 1 if schedule.now == self._moved_at else 0
        self._moved_at = schedule.now
        if self._still > MAX_STILL:
            raise Violation("time: the clock goes on")
        self._check()
        return True

    def _check(self) -> None:
        process = self.process
        check_touched(process.board, process.touched)
        process.touched.clear()
        if self.steps % self._check_every == 0:
            self.check()

    def check(self) -> None:
        """Check every invariant now. Raises Violation."""
        process = self.process
        check(process.board)
        if process.model is not None:
            process.model.check(process.gateway, self.now)
        self._witness.stopped(process.handlers.running)

    def _check_at_rest(self) -> None:
        check_at_rest(self.process.board)
        if self.process.model is not None:
            self.process.model.at_rest()
        self._witness.at_rest()
        self.process.heard.check(self.config, self.policy)

    def run(self, seconds: float) -> None:
        """Let so much time pass. Raises Violation."""
        until = self.now + seconds
        with self._noted():
            self.process.perform()
            while self._step(until):
                pass
            self.schedule.now = max(self.schedule.now, until)
            self.check()

    def run_until(self, happened: Callable[[], bool], sentence: str, seconds: float = PATIENCE) -> None:
        """Let time pass until this is true. Raises Violation, with this sentence, when it is not within `seconds`."""
        until = self.now + seconds
        with self._noted():
            self.process.perform()
            while not happened():
                if not self._step(until):
                    raise Violation(f"liveness: {sentence}", f"not within {seconds:g} s", *self._waiting())

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """What goes wrong says where it was: a seed, a time and a step are all that it takes to have it again."""
        if asyncio._get_running_loop() is not None:
            raise UsageError("a world is its own event loop: tests with one are plain functions, and not `async def`")
        try:
            yield
        except Exception as error:
            self.failed = error
            if not hasattr(error, "__notes__"):
                seed = f"seed {self.chance.seed!r}, " if isinstance(self.chance, Seeded) else ""
                error.add_note(f"{seed}at {self.now:.6f} s, step {self.steps}")
            raise

    def _waiting(self) -> list[str]:
        """Some of what is waited for."""
        return [f"{invoke.method.name} runs" for invoke in self.process.handlers.running]

    # What is seen

    def _see(self, action: Action) -> None:
        self._witness.see(action)
        self._trace.add(action, self.schedule.now)

    def close(self) -> None:
        """The end of the world: whatever still runs is stopped where it is."""
        self.process.handlers.close()
