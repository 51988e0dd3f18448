"""One process of the real server: `serve`, on a machine of its own. It starts here, runs in turns, and ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Final

from msgspec import UNSET, Struct
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.lifespans import LifespanError
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.invariants.violation import Violation, must
from posthouse.adapters.loop.alarm import SPACING
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.model.checked import gateway_for
from posthouse.adapters.server.build import BUILD, Build
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.adapters.server.serve import serve
from posthouse.adapters.simulation.chance import Chance, Stream
from posthouse.adapters.simulation.judges.log import LogJudge, watch_log
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.adapters.simulation.machine.threads import Exited
from posthouse.adapters.simulation.network import Link
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule
from posthouse.core.gateway import Gateway
from posthouse.core.values.peers import Address, Identity
from posthouse.transports.switchboard.actions import Action

from .deployment import EVENTS, WALL, Deployment
from .entrances import PLACE, UNIX, ServedEntrances
from .exits import Exits
from .faults import Faults
from .handlers import ServedHandlers
from .observed import ObservedProcess
from .watch import Watch

LATE: Final = SPACING + 1e-6
"""Seconds by which a deadline may be handled late: the spacing of the alarm, and the rounding of two clocks."""

LAST_ROUNDS: Final = 1000
"""The most sleeps of a process that is killed, until its tasks have ended."""


class Served(Struct, frozen=True):
    """What a process serves, and who observes it. `journal` takes each line of its journal. With `model`, the reference
    model checks the gateway."""

    deployment: Deployment
    journal: Callable[[bytes], object] | None
    model: bool


class ServedProcess(ObservedProcess):
    """A process, from its start on. `on_action` is called with each action before it is performed, `incident` with each
    exception of a handler.

    `performing`: the event loop runs, and perhaps a handler.
    """

    def __init__(
        self,
        served: Served,
        faults: Faults,
        schedule: Schedule,
        streams: tuple[Chance, int],
        on_action: Callable[[Action], None],
        incident: Callable[[str, BaseException], None],
    ) -> None:
        chance, number = streams

        def stream(actor: str) -> Stream:
            return chance.stream(f"{actor} {number}")

        self.clock: Final = ProcessClock(schedule)
        system = SimulatedSystem(schedule, self.clock, stream, WALL, faults.machine)
        system.signals.on_exit = self._exit
        self.exits: Final = Exits(system.signals, served.deployment.config)
        super().__init__(system, ServedHandlers(faults.handlers, stream("handlers"), system.threads), on_action)
        self.secure = faults.machine.secure
        self.performing = False
        self._served: Final = served
        self._incident: Final = incident
        self._entrances: Final = ServedEntrances(system)
        self._context: Final = copy_context()
        self.log: Final = LogJudge(served.deployment.config, lambda: self.clock.now)
        watch_log()
        LogJudge.current = self.log  # until it ends: also for lines of its threads
        self._doomed = False
        self._start(faults.machine)

    def _start(self, machine: MachineFaults) -> None:
        deployment, served = self._served.deployment, self._served
        service = self.handlers.prepare(deployment.service)
        if deployment.state is not UNSET:
            service.own_lifespan = None
        context = self._context
        build = Build(
            machine=lambda _: self.system,
            gateway=gateway_for(service) if served.model else Gateway,
            policy=deployment.policy,
            write=served.journal,
            events=EVENTS,
            tell_exchanges=deployment.tell_exchanges,
            direct=deployment.direct,
            watch=self._built,
        )
        context.run(BUILD.set, build)
        host, port = PLACE
        allow = deployment.policy.hosts or ("localhost",)
        main = serve(
            service,
            host=host,
            port=port,
            unix=UNIX if machine.unix else None,
            tls_cert="simulated.pem" if machine.secure else None,
            config=deployment.config,
            allow_hosts=allow,
            signals=True,
            store=None if deployment.store is None else deployment.store(),
            started=self.application.accepts,
        )
        self.system.loop.begin(main, context, self._returned)
        self.perform()

    def _built(self, runner: Runner, endpoints: Endpoints, runs: Runs, events: Events) -> None:
        self._watch = Watch(runner, endpoints, events, self._on_action, self._incident, self._entrances.identify)
        self.handlers.attach(runs, runner.board, self.clock)
        deployment = self._served.deployment
        own = deployment.service.own_lifespan
        if deployment.state is not UNSET and own is not None:
            events.states[own] = deployment.state

    def _returned(self, error: BaseException | None) -> None:
        self.application.ended = True
        if isinstance(error, Exception):
            self.application.error = error
        elif error is None and not self._doomed and not self.watch.dead:
            try:
                self.log.ended(0)
            except Violation as violation:
                self.application.error = violation

    # Clients

    def open(self, link: Link, address: Address, on_reset: Callable[[], None], identity: Identity | None) -> bool:
        """Connect a client. Returns False if it is refused. `on_reset` is called when the server cuts the link."""
        if not self.application.started or self.application.ended:
            return False
        return self._entrances.open(self.watch, link, address, on_reset, identity)

    def reset(self, link: Link) -> None:
        """Tell the server that the client or the network has cut this link."""
        self._entrances.reset(link)

    def heal(self) -> None:
        """End all faults of the machine and of the handlers."""
        self.system.heal()
        if not self.application.ended:
            self.system.loop.run_soon(self.handlers.heal, self._context)
        self.perform()

    # Signals

    @property
    def exited(self) -> bool:
        """Has the process exited, by a signal or by itself?"""
        return self.system.signals.code is not None

    def signal(self, number: int, calls: int | None = None) -> None:
        """Send a signal, now or during a call of the kernel, after `calls` others. One that is stopped gets it when it
        continues."""
        if calls is None:
            self.clock.run(partial(self._signal, number))
        else:
            self.system.signals.plan(number, calls)

    def _signal(self, number: int) -> None:
        if not self.application.ended:
            with suppress(Exited):
                self.system.signals.send(number)

    def _exit(self) -> None:
        """The process exits: nothing that it does from now on counts."""
        self._doomed = True
        if self._watch is not None:
            self._watch.dead = True
        self._entrances.reset_all()

    # Time

    def perform(self) -> None:
        """Run the event loop until it waits. Raises the first defect of the server."""
        if self.clock.asleep or self.application.ended:
            return
        watch = self._watch
        if watch is not None and watch.unflushed:  # inputs came from outside of the loop
            self.system.loop.run_soon(watch.runner.flush_outbox, self._context)
        self._turn()
        self.exits.signalled(self.clock.now, ended=self.application.ended)
        if self._doomed:
            resisted = self.handlers.resist
            self.kill()
            self.exits.exited(resisted=resisted)
            self.log.ended(self.system.signals.code or 0)
            return
        self.exits.check(self.clock.now, ended=self.application.ended)
        watch = self._watch
        if watch is not None and not self.application.ended:
            for due in (watch.board.next_timeout(), watch.runner.timers.next()):
                must(
                    due is None or due > self.clock.now - LATE,
                    "time: a deadline has passed and did not wake the server",
                )

    def _turn(self) -> None:
        self.performing = True
        try:
            with suppress(Exited):
                self.system.loop.turn()
        finally:
            self.performing = False
            if self._watch is not None:
                self._watch.unflushed = False
        if self._doomed:
            return
        if self._watch is not None and self._watch.failed is not None:
            raise self._watch.failed
        if self.log.failed is not None:
            raise self.log.failed
        error = self.application.error
        if error is not None and not isinstance(error, LifespanError):
            raise _innermost(error)

    def sleep(self) -> None:
        """Stop the process: its events wait, while the kernel receives for it."""
        self.exits.held_up = True
        self.broken_since.clear()
        self.opening_since.clear()
        self.clock.asleep = True

    def wake(self) -> None:
        """Let the process continue."""
        self.log.woke()
        self.clock.wake()

    def kill(self) -> None:
        """End the process, and all its links, at once."""
        if self._watch is not None:
            self._watch.dead = True
        self._entrances.reset_all()
        self.close()

    def close(self) -> None:
        """End the process with its world, in which no client hears of it."""
        system = self.system
        LogJudge.current = None
        if self._watch is not None:
            self._watch.dead = True
        self.handlers.close()
        self.application.close()
        self.clock.asleep = False
        loop = system.loop
        if loop.is_closed():
            return
        loop.cancel_all()
        for _ in range(LAST_ROUNDS):
            loop.failed = None
            try:
                loop.turn()
            except (Exception, Exited):
                continue
            if loop.over or loop.wait is None:
                break
            self.clock.skip(loop.wait)
            loop.wake_up()
        system.threads.kill()
        loop.close()
        self.application.ended = True


def _innermost(error: Exception) -> Exception:
    """The first exception of a group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
