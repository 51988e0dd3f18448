"""A whole system on a virtual clock: clients, links, one server process, and nothing that is not a function of choices.

    world = World(seed=7, service=service)
    alice = world.client("alice")
    call = alice.call("subtract", 42, 23)
    world.run(seconds=1)
    assert call.result == 19

A step is one event: bytes that arrive, a handler that ends, a deadline. After each the process does all that follows,
and the invariants are checked: of what the step touched at once, of everything every `check_every` steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from posthouse.adapters.invariants import Violation, Witness, check, check_at_rest, check_touched, chunking, time
from posthouse.core.config import Config
from posthouse.core.errors import UsageError
from posthouse.core.peers import Address, Identity
from posthouse.core.service import Service
from posthouse.transports.actions import Action
from posthouse.transports.deflate import RATIO_FREE
from posthouse.transports.policy import Policy

from .chance import Chance, Seeded
from .clients import Client
from .handlers import HONEST, Manners
from .network import CALM, Link, Way, Weather
from .process import Process
from .schedule import Schedule
from .speech import Transport
from .speeches import SPEECHES
from .trace import Trace

WALL: Final = 1_700_000_000.0
"""Unix time when a world begins, in seconds."""

PATIENCE: Final = 60.0
"""Seconds beyond the longest deadline in which everything must be settled, once the world has healed."""

MAX_STILL: Final = 100_000
"""So many steps may be taken at one moment."""

REFUSING: Final = (
    *("max_connections", "max_in_head", "max_connections_per_address", "max_connections_per_user"),
    *("accept_rate_per_address", "memory_budget", "call_rate", "max_head_bytes", "max_headers", "max_bad_messages"),
)
"""The limits by which somebody may be refused who has done nothing wrong lately."""


class World:
    """The system. `chance` may be given in place of `seed`; `steps` is how many events there were, and `failed` what
    came out of one. `journal` takes each line of the journals of the server's lives, with the number of the life.
    `modelled`: the reference model runs beside each of them."""

    def __init__(
        self,
        seed: int | str = 0,
        *,
        service: Service,
        config: Config = Config(),
        policy: Policy = Policy(),
        weather: Weather = CALM,
        manners: Manners = HONEST,
        chance: Chance | None = None,
        check_every: int = 64,
        journal: Callable[[int, bytes], object] | None = None,
        modelled: bool = True,
    ) -> None:
        self.chance: Final[Chance] = Seeded(seed) if chance is None else chance
        self.schedule: Final = Schedule()
        self.service: Final = service
        self.config: Final = config
        self.policy: Final = policy
        self.weather = weather
        self.manners = manners
        self.clients: Final[dict[str, Client]] = {}
        self.steps = 0
        self.failed: Exception | None = None
        self._still = 0
        self._moved_at = 0.0
        # With whose they are. Those that were left while nothing moved on them too: the server has still to hear of it.
        self._clogged: list[tuple[str, Link]] = []
        self._transports: Final[dict[str, tuple[Transport, Identity | None]]] = {}
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

    # Who is in it

    def client(self, name: str, transport: Transport = "websocket", *, identity: Identity | None = None) -> Client:
        """A new client. `identity` is who the server takes it for. With the name alone, the one of this name."""
        client = self.clients.get(name)
        if transport not in SPEECHES:
            raise UsageError(f"there is no transport {transport!r}: there are {', '.join(SPEECHES)}")
        if client is None:
            self._transports[name] = transport, identity
            stream = self.chance.stream(f"client {name}")
            # Whoever comes calls the server by a name that it has.
            host = next(iter(self.policy.hosts), "localhost").encode("latin-1")
            client = self.clients[name] = Client(name, self, stream, partial(SPEECHES[transport], host))
        elif (transport, identity) not in (self._transports[name], ("websocket", None)):
            was, who = self._transports[name]
            raise UsageError(f"client {name!r} is there already, over {was!r} as {who!r}: say its name alone")
        return client

    def _named(self, name: str) -> Client:
        try:
            return self.clients[name]
        except KeyError:
            there = ", ".join(map(repr, self.clients)) or "none yet"
            raise UsageError(f"there is no client {name!r}: `client({name!r})` makes one (there are {there})") from None

    def connect(self, client: Client) -> Link | None:
        """A new link from this client to the server, or None: it is not let in."""
        transport, identity = self._transports[client.name]
        stream = self.chance.stream(f"link of {client.name}")
        up = Way(self.schedule, stream, self.weather)
        link = Link(up, Way(self.schedule, stream, self.weather))
        place = 2 + list(self.clients).index(client.name)
        piped = transport in ("lines", "headers")
        address = Address(transport="pipe") if piped else Address(f"10.0.{place >> 8}.{place & 255}", 40_000)
        if not self.process.open(link, address, partial(client.lost, link), identity):
            return None
        if client.clogged:
            link.clog()
            self._clogged.append((client.name, link))
        return link

    def takes(self, size: int) -> bool:
        """Does the server take a text of so many bytes, whatever it is and however well it was compressed?"""
        return size <= min(self.config.max_message_bytes, RATIO_FREE)

    def incident(self, id: str) -> BaseException | None:
        """What a handler has raised, by the id that its caller was told, as long as it is remembered."""
        return self.process.handlers.incidents.get(id)

    @property
    def hook_errors(self) -> list[Exception]:
        """What hooks of the service have raised in this life of the server: nobody else hears of it."""
        return list(self.process.handlers.hook_errors)

    # What befalls it

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let this happen, `seconds` from now."""
        self.schedule.after(seconds, event)

    def cut(self, name: str) -> None:
        """The link of this client is cut, and what is on its way is lost. Both ends notice."""
        client = self._named(name)
        link = client.link
        if link is not None:
            link.cut()
            client.lost(link)
            self.schedule.after(link.up.weather.latency, partial(self.process.reset, link))

    def clog(self, name: str) -> None:
        """Nothing moves on the links of this client, until `unclog` or `heal`."""
        client = self._named(name)
        client.clogged = True
        link = client.link
        if link is not None:
            link.clog()
            self._clogged.append((name, link))

    def unclog(self, name: str) -> None:
        """It moves again."""
        self._named(name).clogged = False
        clogged, self._clogged = self._clogged, []
        for whose, link in clogged:
            if whose == name:
                link.unclog()
            else:
                self._clogged.append((whose, link))

    def stall(self, seconds: float) -> None:
        """The process stands still for so long, or until it is killed; the network and the clients do not."""
        schedule, process, until = self.schedule, self.process, self.now + seconds
        if process.clock.asleep:
            return
        process.sleep()
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
        self._cut_otherwise()
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
        """The next event, if it is due by `until`. False: nothing is."""
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

    def run(self, seconds: float) -> None:
        """Let so much time pass. Raises Violation."""
        until = self.now + seconds
        with self._noted():
            self.process.perform()
            while self.step(until):
                pass
            self.schedule.now = max(self.schedule.now, until)
            self.check()

    def run_until(self, happened: Callable[[], bool], sentence: str, seconds: float = PATIENCE) -> None:
        """Let time pass until this is true. Raises Violation, with this sentence, when it is not within `seconds`."""
        until = self.now + seconds
        with self._noted():
            self.process.perform()
            while not happened():
                if not self.step(until):
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
        calls = [f"{client.name} waits for {call}" for client in self.clients.values() for call in client.pending]
        running = [f"{invoke.method.name} runs" for invoke in self.process.handlers.running]
        there = [repr(client) for client in self.clients.values() if client.link is not None]
        return [*calls, *running, *there][:5]

    # The second phase

    def heal(self) -> None:
        """No more faults: links are quick and whole, clients read, handlers end, the server listens."""
        self.weather = CALM
        self.manners = HONEST
        for client in self.clients.values():
            client.reads = True
            client.answer_delay = 0.0
            if client.link is not None:
                client.link.improve(CALM)
            self.unclog(client.name)
        self.process.handlers.heal()
        self.process.perform()

    def settle(self) -> None:
        """Heal, and demand that every call gets its outcome. Raises Violation."""
        self.heal()
        longest = max((m.timeout or 0.0 for m in self.service.methods.values()), default=0.0)
        patience = PATIENCE + max(longest, self.config.call_timeout)
        self.run_until(self.settled, "every call has its outcome", patience)

    def settled(self) -> bool:
        """Does nobody wait for anything?"""
        return not any(client.pending for client in self.clients.values()) and not self.process.handlers.running

    def leave(self) -> None:
        """Settle; then everybody leaves, and the tables of the server must be empty. Raises Violation."""
        self.settle()
        self._reach()
        for client in self.clients.values():
            client.close()
        self.run_until(self.empty, "who has left is let go")
        check_at_rest(self.process.board)
        if self.process.model is not None:
            self.process.model.at_rest()
        self._witness.at_rest()
        self._cut_otherwise()

    def _cut_otherwise(self) -> None:
        """What the last sockets heard means the same however it is cut."""
        for accepted in self.process.came:
            chunking(self.config, self.policy, accepted.address, bytes(accepted.heard), accepted.cuts)

    def _reach(self) -> None:
        """Once it has healed the server is there for everybody, where nothing is so small that it may refuse them."""
        usual = Config()
        if self.process.board.draining or any(getattr(self.config, n) != getattr(usual, n) for n in REFUSING):
            return
        late = list(self.clients.values())
        for _ in range(2):  # a link that was about to end may end under the first
            pings = {client: client.call("connection.ping") for client in late}
            self.run_until(self.settled, "everybody is answered")
            late = [client for client, ping in pings.items() if ping.status != "result"]
        if late:
            raise Violation("liveness: everybody is answered", *late[:3])

    def close(self) -> None:
        """The end of the world: whatever still runs is stopped where it is."""
        self.process.handlers.close()

    def empty(self) -> bool:
        """Has everybody left, and every handler ended?"""
        gone = all(client.link is None for client in self.clients.values())
        return gone and not self.process.accepted and not self.process.handlers.running

    # What is seen

    def _see(self, action: Action) -> None:
        self._witness.see(action)
        self._trace.add(action, self.schedule.now)


MakeWorld = Callable[..., World]
"""The type of the fixture `world`: `world(service=…, seed=…, …)`."""
