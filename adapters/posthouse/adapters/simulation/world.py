"""A whole system on a virtual clock: clients, links, one server process, and nothing that is not a function of choices.

    world = World(seed=7, service=service)
    alice = world.client("alice")
    call = alice.call("subtract", 42, 23)
    world.run(seconds=1)
    assert call.result == 19

Time, and the server's lives on it, are in `engine.py`; here is who comes to it, over which links, and the second phase:
the world heals, and everybody must get their answers and be let go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.clients.clients import Client
from posthouse.adapters.simulation.clients.speech import Transport
from posthouse.adapters.simulation.clients.speeches import SPEECHES
from posthouse.adapters.simulation.handlers.manners import HONEST, HandlerFaults
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Address, Identity
from posthouse.transports.policy import Policy
from posthouse.transports.websocket.deflate import RATIO_FREE

from .chance import Chance, Seeded
from .engine import PATIENCE, Engine
from .network import CALM, Link, LinkConditions, Way

REFUSING: Final = (
    *("max_connections", "max_in_head", "max_connections_per_address", "max_connections_per_user"),
    *("accept_rate_per_address", "memory_budget", "call_rate", "max_head_bytes", "max_headers", "max_bad_messages"),
    *("head_timeout", "idle_timeout"),
)
"""The limits by which somebody may be refused who has done nothing wrong lately."""


class World(Engine):
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
        weather: LinkConditions = CALM,
        manners: HandlerFaults = HONEST,
        chance: Chance | None = None,
        check_every: int = 64,
        journal: Callable[[int, bytes], object] | None = None,
        modelled: bool = True,
    ) -> None:
        super().__init__(
            service,
            config,
            policy,
            manners,
            Seeded(seed) if chance is None else chance,
            check_every=check_every,
            journal=journal,
            modelled=modelled,
        )
        self.weather = weather
        self.clients: Final[dict[str, Client]] = {}
        # With whose they are. Those that were left while nothing moved on them too: the server has still to hear of it.
        self._clogged: list[tuple[str, Link]] = []
        self._transports: Final[dict[str, tuple[Transport, Identity | None]]] = {}

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

    # What befalls it

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

    def _waiting(self) -> list[str]:
        """Some of what is waited for."""
        calls = [f"{client.name} waits for {call}" for client in self.clients.values() for call in client.pending]
        there = [repr(client) for client in self.clients.values() if client.link is not None]
        return [*calls, *super()._waiting(), *there][:5]

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
        with self._noted():
            self._check_at_rest()

    def _reach(self) -> None:
        """Once it has healed the server is there for everybody, where nothing is so small that it may refuse them."""
        usual = Config()
        refused = not self.policy.hosts or any(getattr(self.config, n) != getattr(usual, n) for n in REFUSING)
        if self.process.board.draining or refused:
            return
        late = list(self.clients.values())
        for _ in range(2):  # a link that was about to end may end under the first
            pings = {client: client.call("connection.ping") for client in late}
            self.run_until(self.settled, "everybody is answered")
            late = [client for client, ping in pings.items() if ping.status == "lost"]
        if late:
            with self._noted():
                raise Violation("liveness: everybody is answered", *late[:3])

    def empty(self) -> bool:
        """Has everybody left, and every handler ended?"""
        gone = all(client.link is None for client in self.clients.values())
        return gone and not self.process.accepted and not self.process.handlers.running


MakeWorld = Callable[..., World]
"""The type of the fixture `world`: `world(service=…, seed=…, …)`."""
