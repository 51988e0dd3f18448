"""A whole system on a virtual clock: clients, links and one server. All of it is a function of the choices made.

    world = World(seed=7, service=service)
    alice = world.client("alice")
    call = alice.call("subtract", 42, 23)
    world.run(seconds=1)
    assert call.result == 19
    world.finish()

The server and time are in `engine.py`. This module adds the clients and their links, and the second phase of a
run: the world heals, and then every call must get an outcome and every connection must be released.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec import UNSET, Struct
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.clients.client import Client
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.clients.protocols.transports import PROTOCOLS
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.adapters.simulation.served.application import ServedApplication
from posthouse.adapters.simulation.served.deployment import Deployment
from posthouse.adapters.simulation.served.faults import Faults, HandlerFaults
from posthouse.adapters.store.store import Store
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Address, Identity
from posthouse.transports.codec import message_limit
from posthouse.transports.policy import Policy
from posthouse.transports.websocket.deflate import RATIO_FREE

from .chance import Chance, Seeded
from .engine import SETTLE_TIMEOUT, Engine, Monitoring
from .judges.judge import Facts, Judge
from .judges.pipes import PipeJudge
from .judges.sockets import SocketJudge
from .network import Direction, Link, LinkConditions

REFUSING_LIMITS: Final = (
    *("max_connections", "max_in_head", "max_connections_per_address", "max_connections_per_user"),
    *("accept_rate_per_address", "memory_budget", "call_rate", "max_head_bytes", "max_headers", "max_bad_messages"),
    *("head_timeout", "idle_timeout", "allow_chunked", "require_authentication"),
)
"""Limits which, when small, may refuse a client that behaves well."""


class Conditions(Struct, frozen=True):
    """The conditions of a world. By default its links are fast and reliable, its handlers end as they should, and
    its machine does what it can.

    `store` opens the store of each process, which outlives it (None: each keeps its rows in memory).
    `state` is the `context.state` of the service in place of what its lifespan yields: that lifespan does not run, but
    those of included services do. `direct`: the server hands whole messages on directly. `tell_exchanges`: it tells
    of every exchange.
    """

    links: LinkConditions = LinkConditions()
    handlers: HandlerFaults = HandlerFaults()
    machine: MachineFaults = MachineFaults()
    state: Any = UNSET
    direct: bool = True
    tell_exchanges: bool = True
    store: Callable[[], Store] | None = None


class World(Engine):
    """The system. `seed` is an integer, a text, or a source of choices such as `Recorded`.

    `conditions` say how good links and handlers are, until the world heals. `monitoring` says how often invariants are
    checked, who gets the journals, and whether the reference model is used.
    """

    def __init__(
        self,
        seed: int | str | Chance = 0,
        *,
        service: Service,
        config: Config = Config(),
        policy: Policy = Policy(),
        conditions: Conditions = Conditions(),
        monitoring: Monitoring = Monitoring(),
    ) -> None:
        chance = Seeded(seed) if isinstance(seed, int | str) else seed
        how = conditions.state, conditions.direct, conditions.tell_exchanges, conditions.store
        deployment = Deployment(service, config, policy, *how)
        super().__init__(deployment, Faults(conditions.handlers, conditions.machine), chance, monitoring)
        self.links = conditions.links
        self.clients: Final[dict[str, Client]] = {}
        # Each blocked link, with its client. A client may have left it: the server does not know yet.
        self._blocked: list[tuple[str, Link]] = []
        self._transports: Final[dict[str, tuple[Transport, Identity | None]]] = {}
        if service.lifespans:
            self._start_service()

    def _start_service(self) -> None:
        """Let time pass until the lifespans have started. Raises LifespanError."""
        application = self.process.application
        self.run_until(lambda: application.started or application.ended, "the service starts")
        if application.error is not None:
            raise application.error

    @property
    def server(self) -> ServedApplication:
        """The methods of the running server, for the test: `begin` makes a call in process."""
        return self.process.application

    # Clients and links

    def client(self, name: str, transport: Transport = "websocket", *, identity: Identity | None = None) -> Client:
        """A new client, which the server takes for `identity`. With the name alone, the existing client of that name.

        Raises UsageError for an unknown transport, and for a client that exists with another transport or identity.
        """
        client = self.clients.get(name)
        if transport not in PROTOCOLS:
            raise UsageError(f"there is no transport {transport!r}: use one of {', '.join(PROTOCOLS)}")
        if client is None:
            self._transports[name] = transport, identity
            stream = self.chance.stream(f"client {name}")
            host = next(iter(self.deployment.policy.hosts), "localhost").encode("latin-1")
            client = self.clients[name] = Client(name, self, stream, partial(PROTOCOLS[transport], host))
        elif (transport, identity) not in (self._transports[name], ("websocket", None)):
            used, known = self._transports[name]
            raise UsageError(f"client {name!r} exists, over {used!r} as {known!r}: to get it, pass its name alone")
        return client

    def _named(self, name: str) -> Client:
        try:
            return self.clients[name]
        except KeyError:
            names = ", ".join(map(repr, self.clients)) or "none"
            raise UsageError(f"there is no client {name!r}: make it with client({name!r}) (clients: {names})") from None

    def connect(self, client: Client) -> Link | None:
        """A new link from this client to the server, or None if the server refuses it."""
        transport, identity = self._transports[client.name]
        stream = self.chance.stream(f"link of {client.name}")
        link = Link(Direction(self.schedule, stream, self.links), Direction(self.schedule, stream, self.links))
        host, known = 2 + list(self.clients).index(client.name), identity is not None
        if not known:
            host //= 2  # two clients share an address
        piped = transport in ("lines", "headers")
        net = 127 if host % 4 else 10  # some run on the machine of the server
        address = Address(transport="pipe") if piped else Address(f"{net}.{known:d}.{host >> 8}.{host & 255}", 40_000)
        if not self.process.open(link, address, partial(client.connection_lost, link), identity):
            return None
        if client.blocked:
            link.block()
            self._blocked.append((client.name, link))
        return link

    def judge(self, client: Client) -> Judge:
        """The judge of a new link of this client."""
        transport, _ = self._transports[client.name]
        origins = tuple(origin.encode() for origin in self.deployment.policy.origins)
        facts = Facts(self.config, client.name, lambda: self.process.board.draining, origins, self._shuts_out)
        return PipeJudge(facts) if transport in ("lines", "headers") else SocketJudge(facts)

    def _shuts_out(self) -> bool:
        """May the server have closed a connection because of its user, or of its session?"""
        told = self.process.board.stats()
        return any(name in told for name in ("auth.expired", "auth.revoked", "session.ended", "session.resumed"))

    def accepts_size(self, size: int) -> bool:
        """Does the server accept every text of this size, however well it was compressed?"""
        return size <= min(message_limit(self.config, authenticated=not self.config.require_authentication), RATIO_FREE)

    # Faults of links

    def cut(self, name: str) -> None:
        """Cut the link of this client: the bytes on their way are lost, and both ends notice."""
        client = self._named(name)
        link = client.link
        if link is not None:
            link.cut()
            client.connection_lost(link)
            self.schedule.after(link.up.conditions.latency, partial(self.process.reset, link))

    def block(self, name: str) -> None:
        """Deliver nothing on the links of this client, until `unblock` or `heal`."""
        client = self._named(name)
        client.blocked = True
        link = client.link
        if link is not None:
            link.block()
            self._blocked.append((name, link))

    def unblock(self, name: str) -> None:
        """Deliver again on the links of this client."""
        self._named(name).blocked = False
        blocked, self._blocked = self._blocked, []
        for owner, link in blocked:
            if owner == name:
                link.unblock()
            else:
                self._blocked.append((owner, link))

    # The second phase

    def heal(self) -> None:
        """End all faults: links are fast and whole, clients read and answer at once, handlers end as they should."""
        conditions = Conditions()
        self.links = conditions.links
        for client in self.clients.values():
            client.reads = True
            client.answer_delay = 0.0
            if client.link is not None:
                client.link.change(self.links)
            self.unblock(client.name)
        self.faults = Faults()
        self.process.heal()

    def settle(self) -> None:
        """Heal, then require an outcome for every call. Raises Violation."""
        self.heal()
        longest = max((method.timeout or 0.0 for method in self.service.methods.values()), default=0.0)
        seconds = SETTLE_TIMEOUT + max(longest, self.config.call_timeout)
        self.run_until(self.settled, "every call gets an outcome", seconds)

    def settled(self) -> bool:
        """Has every call an outcome, and has every handler ended?"""
        pending = any(client.pending for client in self.clients.values()) or self.process.application.calls
        return not pending and not self.process.handlers.running

    def finish(self) -> None:
        """Settle, close every client, end the lifespans, then require that the server's tables are empty. Raises
        Violation, or LifespanError for a lifespan that fails."""
        self.settle()
        self._require_service()
        for client in self.clients.values():
            client.close()
        self.run_until(self.empty, "every closed connection is released")
        application = self.process.application
        application.stop()
        self.run_until(lambda: self.process.over, "the server ends")
        if application.error is not None:
            raise application.error
        with self._annotate_errors():
            self._check_at_rest()

    def _require_service(self) -> None:
        """Require that the healed server answers every client, unless a small limit may refuse them."""
        default = Config()
        refuses = not self.deployment.policy.hosts or any(
            getattr(self.config, name) != getattr(default, name) for name in REFUSING_LIMITS
        )
        if self.process.board.draining or refuses:
            return
        unanswered = list(self.clients.values())
        for _ in range(2):  # the first ping may be lost on a link that was about to end
            pings = {client: client.call("connection.ping") for client in unanswered}
            self.run_until(self.settled, "every client gets an answer")
            unanswered = [client for client, ping in pings.items() if ping.status == "lost"]
        if unanswered:
            with self._annotate_errors():
                raise Violation("liveness: every client gets an answer", *unanswered[:3])

    def empty(self) -> bool:
        """Has every client left, and has every handler ended, and every authenticator?"""
        left = all(client.link is None for client in self.clients.values())
        idle = not self.process.handlers.running and not self.process.gateway._operations.records
        return left and idle and not self.process.sockets

    def _oldest_pending(self) -> float:
        return min((call.sent_at for client in self.clients.values() for call in client.pending), default=self.now)

    def _unfinished(self) -> list[str]:
        calls = [f"{client.name} waits for {call}" for client in self.clients.values() for call in client.pending]
        connected = [repr(client) for client in self.clients.values() if client.link is not None]
        return [*calls, *super()._unfinished(), *connected][:5]


MakeWorld = Callable[..., World]
"""The type of the fixture `world`: `world(service=…, seed=…, …)`."""
