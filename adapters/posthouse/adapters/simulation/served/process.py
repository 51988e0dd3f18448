"""One process of the real server: `serve`, in an event loop on virtual time, on a machine of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final

from msgspec import UNSET, Struct
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.lifespans import LifespanError
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.invariants import FirstBytes
from posthouse.adapters.invariants.ends_of_input import EndsOfInput
from posthouse.adapters.invariants.violation import must
from posthouse.adapters.loop.alarm import SPACING
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.adapters.model.model import Model
from posthouse.adapters.server.build import BUILD, Build
from posthouse.adapters.server.entrances.endpoints import Endpoint, Endpoints
from posthouse.adapters.server.entrances.stdio import Pipes
from posthouse.adapters.server.serve import serve
from posthouse.adapters.simulation.chance import Chance, Stream
from posthouse.adapters.simulation.handlers.handlers import HandlerFaults
from posthouse.adapters.simulation.machine.links import LinkSink, LinkSource
from posthouse.adapters.simulation.machine.sockets import SocketFaults
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.adapters.simulation.network import Link
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import EventName
from posthouse.core.values.peers import Address, Identity, SocketId
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import Action
from posthouse.transports.switchboard.switchboard import Switchboard

from .application import ServedApplication
from .handlers import ServedHandlers
from .watch import Watch

PLACE: Final = ("127.0.0.1", 8000)
"""The address on which the server listens."""

LATE: Final = SPACING + 1e-6
"""Seconds by which a deadline may be handled late: what the alarm allows itself, and the rounding of two clocks."""

LAST_ROUNDS: Final = 1000
"""The most sleeps that a process may take to end when it is killed."""


class Served(Struct, frozen=True):
    """What a process serves. `state` stands for that of the service's own lifespan, which then does not run. `journal`
    takes each line of its journal; with `model`, the reference model checks its gateway. `faults` are those of its
    machine."""

    service: Service
    config: Config
    policy: Policy
    state: Any
    wall: float
    events: tuple[EventName, ...]
    journal: Callable[[bytes], object] | None
    model: bool
    faults: SocketFaults = SocketFaults()


class ServedProcess:
    """A process, from its start on. `on_action` is called with each action before it is performed.

    `performing`: the event loop runs, and handlers may.
    """

    def __init__(
        self,
        served: Served,
        faults: HandlerFaults,
        schedule: Schedule,
        streams: tuple[Chance, int],
        on_action: Callable[[Action], None],
        incident: Callable[[str, BaseException], None],
    ) -> None:
        chance, number = streams

        def stream(actor: str) -> Stream:
            return chance.stream(f"{actor} {number}")

        self.clock: Final = ProcessClock(schedule)
        self.system: Final = SimulatedSystem(schedule, self.clock, stream("server"), stream("threads"), served.wall)
        self.handlers: Final = ServedHandlers(faults, stream("handlers"), self.system.threads)
        self.application: Final = ServedApplication()
        self.system.kernel.faults = served.faults
        self.performing = False
        self._served: Final = served
        self._on_action: Final = on_action
        self._incident: Final = incident
        self._identities: Final[dict[tuple[str, int], Identity | None]] = {}
        self._ends: Final[dict[Link, tuple[Callable[[], None], Callable[[], None]]]] = {}
        self._context: Final = copy_context()
        self._watch: Watch | None = None
        self._task = self._start()

    def _start(self) -> asyncio.Task[None]:
        served, loop = self._served, self.system.loop
        service = self.handlers.prepare(served.service)
        if served.state is not UNSET:
            service.own_lifespan = None
        context = self._context
        build = Build(
            machine=lambda _: self.system,
            gateway=CheckedGateway if served.model else Gateway,
            policy=served.policy,
            write=served.journal,
            events=served.events,
            tell_exchanges=True,
            watch=self._built,
        )
        context.run(BUILD.set, build)
        host, port = PLACE
        allow = served.policy.hosts or ("localhost",)
        main = serve(
            service, host=host, port=port, config=served.config, allow_hosts=allow, started=self.application.accepts
        )
        task = loop.create_task(main, name="serve", context=context)
        task.add_done_callback(self._returned)
        self.perform()
        return task

    def _built(self, runner: Runner, endpoints: Endpoints, runs: Runs, events: Events) -> None:
        self._watch = Watch(runner, endpoints, runs, events, self._on_action, self._identify)
        self.handlers.runs = runs
        explain = events.explain

        def keep(incident: str, raised: BaseException) -> None:
            self._incident(incident, raised)
            explain(incident, raised)

        events.__dict__["explain"] = keep
        own = self._served.service.own_lifespan
        if self._served.state is not UNSET and own is not None:
            events.states[own] = self._served.state

    def _returned(self, task: asyncio.Task[None]) -> None:
        self.application.ended = True
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.application.error = error

    def _identify(self, address: Address) -> Identity | None:
        return self._identities.get((address.host, address.port))

    # What is seen of it

    @property
    def watch(self) -> Watch:
        """What is seen of the server. Raises what `serve` raised, if it did not get so far."""
        if self._watch is None:
            raise self.application.error or RuntimeError("serve has not built its server")
        return self._watch

    @property
    def board(self) -> Switchboard:
        return self.watch.board

    @property
    def gateway(self) -> Gateway:
        return self.board.gateway

    @property
    def model(self) -> Model | None:
        """The reference model, if there is one."""
        return self.gateway.model if isinstance(self.gateway, CheckedGateway) else None

    @property
    def sockets(self) -> dict[SocketId, Endpoint]:
        """The open sockets and pipes."""
        return self.watch.endpoints.by_id

    @property
    def touched(self) -> dict[SocketId, None]:
        return self.watch.touched

    @property
    def first_bytes(self) -> FirstBytes:
        return self.watch.first_bytes

    @property
    def ends_of_input(self) -> EndsOfInput:
        return self.watch.ends_of_input

    @property
    def drained(self) -> bool:
        return self.watch.drained

    @property
    def over(self) -> bool:
        """Has `serve` returned, and has every thread ended?"""
        return self.application.ended and not self.system.threads.alive

    def check(self) -> None:
        """What must be true of the server beside its switchboard. Raises Violation."""
        if not self.application.ended:
            self.handlers.check()

    def check_at_rest(self) -> None:
        """The server has ended: it has left nothing open. Raises Violation."""
        for action in self.board.outbox:  # the ends of connections that were cut last: no hook is told of these
            self._on_action(action)
        left = self.system.descriptors.open()
        must(not left, f"rest: no descriptor is left open ({', '.join(type(file).__name__ for file in left.values())})")

    # Clients

    def open(self, link: Link, address: Address, on_reset: Callable[[], None], identity: Identity | None) -> bool:
        """A client connects. Returns False if it is refused. `on_reset` is called when the server cuts the link."""
        if not self.application.started or self.application.ended:
            return False
        self._identities[address.host, address.port] = identity

        def reset() -> None:
            link.cut()
            on_reset()

        if address.transport == "pipe":
            return self._open_pipes(link, address, reset)
        end = self.system.kernel.connect(PLACE, link, (address.host, address.port), reset)
        if end is None:
            return False
        self._ends[link] = end.fail, reset
        return True

    def _open_pipes(self, link: Link, address: Address, reset: Callable[[], None]) -> bool:
        """As `serve` opens those that it is given at its start."""
        watch, descriptors = self.watch, self.system.descriptors
        id = watch.board.opened(address, self.clock.now)
        if id is None:
            return False
        source = LinkSource(link.up, descriptors.changed)
        sink = LinkSink(link.down, descriptors.changed, reset)
        ends = descriptors.add(source), descriptors.add(sink)
        pipes = watch.endpoints.by_id[id] = Pipes(id, *ends, watch.runner, watch.endpoints.forget)
        close = pipes.close

        def closing(*, abort: bool = False) -> None:
            sink.torn = sink.torn or abort
            close(abort=abort)

        pipes.__dict__["close"] = closing
        watch.broken[id] = lambda: sink.told
        pipes.start()

        def fail() -> None:
            source.end()
            sink.end()

        self._ends[link] = fail, reset
        return True

    def reset(self, link: Link) -> None:
        """The client or the network has cut this link."""
        end = self._ends.pop(link, None)
        if end is not None:
            fail, _ = end
            fail()

    # Time

    def perform(self) -> None:
        """Run the event loop until it waits. Raises the first defect that was seen."""
        if self.clock.asleep or self.application.ended:
            return
        watch = self._watch
        if watch is not None and watch.unflushed:  # inputs came from outside of the loop
            self.system.loop.call_soon(watch.runner.flush_outbox, context=self._context)
        self._turn()
        watch = self._watch
        if watch is not None and not self.application.ended:
            due = watch.board.next_timeout()
            must(
                due is None or due > self.clock.now - LATE,
                "time: a deadline has passed and did not wake the server",
            )

    def _turn(self) -> None:
        self.performing = True
        try:
            self.system.loop.turn()
        finally:
            self.performing = False
            if self._watch is not None:
                self._watch.unflushed = False
        if self._watch is not None and self._watch.failed is not None:
            raise self._watch.failed
        error = self.application.error
        if error is not None and not isinstance(error, LifespanError):
            raise _innermost(error)

    def next_timeout(self) -> float | None:
        """None: the server has its own alarm."""
        return None

    def sleep(self) -> None:
        """Stop: its events wait, while the kernel receives for it."""
        self.clock.asleep = True

    def wake(self) -> None:
        """Continue."""
        self.clock.wake()

    def kill(self) -> None:
        """End the process, and all its links, at once."""
        watch, system = self._watch, self.system
        if watch is not None:
            watch.dead = True
        for fail, reset in self._ends.values():
            fail()
            reset()
        self._ends.clear()
        self.application.close()
        self.clock.asleep = False
        loop = system.loop
        if loop.is_closed():
            return
        for task in sorted(asyncio.all_tasks(loop), key=hash):
            task.cancel()
        for _ in range(LAST_ROUNDS):
            loop.failed = None
            try:
                loop.turn()
            except Exception:
                continue
            if self._task.done() or loop.wait is None:
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
