"""A storm: clients that may read slowly, flood or send malformed input, on bad links, to a server with small limits.

It has two phases. In the first, faults occur and the invariants hold. In the second the world heals: every call must
get an outcome, every client is closed, and the server's tables must be empty. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from signal import SIGINT, SIGTERM
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.adapters.invariants.documented import documented
from posthouse.adapters.simulation.chance import Chance, Seeded, Stream
from posthouse.adapters.simulation.clients.client import Client
from posthouse.adapters.simulation.clients.protocols.proxies import trusting
from posthouse.adapters.simulation.clients.protocols.transports import open_http, open_websocket
from posthouse.adapters.simulation.engine import Monitoring
from posthouse.adapters.simulation.journals import Journals
from posthouse.adapters.simulation.served.application import LocalCall, ServedApplication
from posthouse.adapters.simulation.served.deployment import WALL
from posthouse.adapters.simulation.served.process import ServedProcess
from posthouse.adapters.simulation.world import World
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ALL_SCOPES, ANONYMOUS, Identity, Kind
from posthouse.transports.policy import Policy

from .both_ways import compare
from .catalogue.conversations import ORIGIN
from .catalogue.document import check_document
from .guards import USERS, check_stats, draw_credentials, guarded, revoke_under_load
from .insight import known_of
from .keeping.service import keeping, with_store
from .keeping.workload import KeepingWorkload
from .malformed import MALFORMED_BYTES, MALFORMED_TEXTS
from .misuse import MISUSES, misuse
from .narrowing import Part
from .scenario import Scenario, draw_machine, draw_scenario
from .scenes.repertoire import perform_part
from .service import mirror
from .service import service as sample_service
from .subscriptions import check_news
from .workload import SampleWorkload

LOCAL_PARAMS: Final[tuple[Any, ...]] = (None, [1, 2], {"token": "local"}, {"token": "local", "seconds": 3.0})
"""The params of calls in process. Each suits some methods of the sample service."""

KIND_FILTERS: Final[tuple[tuple[Kind, ...] | None, ...]] = (None, ("cli",), ("websocket", "http"))
IDENTITIES: Final = (None, Identity("ada"), Identity("ada", ("broadcast",)), Identity("bob", (ALL_SCOPES,)))

MAX_PENDING: Final = 60
"""A client with this many pending calls makes no more: they would only wait in its own queue."""

FINAL_MISUSES: Final = 5
"""How many misuses are done at the end of every storm."""


class StormReport(Struct, frozen=True):
    """A storm that did not fail: its steps, its `simulated` seconds, the number of its calls, and its trace."""

    steps: int
    simulated: float
    calls: int
    trace: str


Workload = Callable[[Client], object]
"""What a client does when its turn comes. It draws from `client.stream`."""


class Storm:
    """One storm in its `world`. Its `scenario` is drawn from the seed.

    `seed` is as in World. A `service` of your own needs a `workload`; without one, the sample service is used. Each
    client is one of the `identities`, and so are peers that the policy accepts without credentials. `journal` is as in
    Monitoring.
    """

    def __init__(
        self,
        seed: int | str | Chance,
        *,
        service: Service | None = None,
        workload: Workload | None = None,
        identities: Sequence[Identity | None] = IDENTITIES,
        part: Part = Part(),
        journal: Callable[[int, bytes], object] | None = None,
    ) -> None:
        if (service is None) is not (workload is None):
            raise UsageError("a `service` of your own needs a `workload` that says what its clients do, and vice versa")
        if service is None and sample_service.document is None:
            Gateway(sample_service, wall=0.0, entropy=bytes)  # describes the service once, for all processes
        self._repeat: Final = _repeat(seed, sample=service is None)
        self._seed, chance = seed, Seeded(seed) if isinstance(seed, int | str) else seed
        scenario = draw_machine(chance.stream("machine"), draw_scenario(chance.stream("swarm")))
        scenario = with_store(scenario, chance, lambda: self._raging, sample=service is None)
        scenario = replace(scenario, config=trusting(scenario.config, chance.stream("proxies"), fair=scenario.fair))
        if part.trio:
            conditions = replace(scenario.conditions, machine=replace(scenario.conditions.machine, trio=True))
            scenario = replace(scenario, conditions=conditions)
        self.scenario: Final[Scenario] = scenario
        self._stream: Final[Stream] = chance.stream("fate")
        self._signals: Final[Stream] = chance.stream("signals")
        self._local: Final[Stream] = chance.stream("local calls")
        self._talks: Final = chance.stream("conversations") if service is None else None
        self._raging = True
        self._sample: Final = SampleWorkload(self.scenario, lambda: self._raging, self._known_of)
        self._keeping: Final = KeepingWorkload(self._sample, lambda: self._raging) if scenario.keeps else None
        own = self._sample.act if self._keeping is None else self._keeping.act
        self._workload: Final[Workload] = own if workload is None else workload
        self._slowly: Final[Workload] = self._sample.call_slowly if workload is None else workload
        self._acting: Final[list[Client]] = []
        self._journals: Final = Journals(journal) if scenario.both_ways or scenario.guarded else None
        self.world: Final = World(
            chance,
            service=service or (guarded() if scenario.guarded else keeping() if scenario.keeps else sample_service),
            config=self.scenario.config,
            policy=Policy(origins=(ORIGIN,), identity=self._stream.pick(identities) or ANONYMOUS),
            conditions=self.scenario.conditions,
            monitoring=Monitoring(journal=self._journals.add if self._journals else journal),
        )
        if service is None:
            documented()
            if not scenario.keeps:
                self.world.server.begin("rpc.discover").ended = partial(check_document, guarded=scenario.guarded)
        self._add_clients(chance, identities, part)
        if not part.quiet_server:
            self.world.after(self.scenario.clients.pause, self._server_turn)

    def _add_clients(self, chance: Chance, identities: Sequence[Identity | None], part: Part) -> None:
        clients, config = self.scenario.clients, self.scenario.config
        draw = partial(draw_credentials, lambda: self._raging, []) if self.scenario.guarded else None
        for number in range(clients.count):
            stream = chance.stream(name := f"client {number}")
            transport, identity = stream.pick(clients.transports), stream.pick(identities)
            client = self.world.client(name, transport, identity=identity)
            if self._keeping is not None:
                draw = partial(self._keeping.draw, name)
            habits: dict[str, Any] = {"draw": draw, "proxied": config.proxy_headers if config.trust_proxies else None}
            if transport == "http":
                habits.update(foreign=clients.foreign, closes=not self.scenario.fair, origins=(ORIGIN.encode(),))
                client.new_protocol = partial(open_http, b"localhost", **habits)
            elif transport == "websocket":
                client.new_protocol = partial(open_websocket, b"localhost", **habits)
            client.answers["mirror"] = mirror
            known = identity or self.world.deployment.policy.identity
            guarded = (each.user for each in USERS.values() if self.scenario.guarded or self.scenario.keeps)
            users = (known.user, *guarded)
            client.on_stats = None if self.scenario.keeps else partial(check_stats, known)
            client.on_notification["news"] = partial(check_news, transport, users)
            if part.clients is None or number in part.clients:
                self._acting.append(client)
                self.world.after(clients.pause * stream.choose(1000) / 1000, partial(self._client_turn, client))

    def run(self, seconds: float) -> StormReport:
        """Run both phases, the first for this time. Raises Violation."""
        world = self.world
        try:
            world.run(seconds)
            self.end_faults()
            for _ in range(FINAL_MISUSES):
                misuse(world.process.board, world.now, self._stream.choose(len(MISUSES)))
            world.finish()
            for recorded in self._journals.all() if self._journals and self.scenario.both_ways else ():
                compare(recorded, world.service)
        except Exception as error:
            error.add_note(f"in a storm of {seconds:g} s with {self.scenario}")
            if self._repeat is not None:
                error.add_note(f"to run it again and save a shrunk journal: {self._repeat.format(seconds)}")
            raise
        finally:
            world.close()
        more = perform_part(self._seed, self._talks, sample_service) if self._talks else 0
        calls = sum(each.calls for each in world.clients.values())
        return StormReport(world.steps + more, world.now, calls, world.trace)

    def end_faults(self) -> None:
        """End the first phase: from now on clients and server do nothing by themselves."""
        self._raging = False
        if self.world.process.exited:
            self.world.restart()  # the second phase needs a server
        for client in self.world.clients.values():
            if client.broke_protocol:
                self.world.cut(client.name)  # its replies cannot be checked

    # Clients

    def _known_of(self, client: Client, token: str) -> list[dict[str, Any]]:
        """What a handler may know of a call of this client: who it is, or as whom it may have logged in."""
        transport, identity = self.world._transports[client.name]
        identity = identity or self.world.deployment.policy.identity
        users = USERS.values() if self.scenario.guarded else IDENTITIES[1:] if self.scenario.keeps else ()
        return [known_of(token, transport, b"localhost", each) for each in (identity, *users)]

    def _client_turn(self, client: Client) -> None:
        """A client may meet faults, and sends something."""
        if not self._raging:
            return
        stream, faults, world = client.stream, self.scenario.faults, self.world
        if stream.happens(faults.cut):
            self._cut_under_load(client)
        if stream.happens(faults.half_close):
            self._half_close_under_load(client)
        if stream.happens(faults.block):
            world.block(client.name)
            world.after(stream.choose(20), partial(world.unblock, client.name))
        if stream.happens(faults.slow_reader):
            client.reads = False
            client.answer_delay = stream.pick((0.0, 1.0, 6.0))
            world.after(stream.choose(20), partial(setattr, client, "reads", True))
        if stream.happens(faults.malformed):
            self._send_malformed(client)
        for _ in range(1 + stream.choose(MAX_PENDING) if stream.happens(faults.flood) else 1):
            if len(client.pending) < MAX_PENDING:
                self._workload(client)
        world.after(self._pause(stream), partial(self._client_turn, client))

    def _send_some(self, client: Client, most: int) -> None:
        for _ in range(client.stream.choose(most)):
            if len(client.pending) < MAX_PENDING:
                self._workload(client)

    def _cut_under_load(self, client: Client) -> None:
        """Cut a link, at once or while messages or their replies are on the way."""
        on_the_way = 3 * self.scenario.conditions.links.latency
        self._send_some(client, 4)
        self.world.after(on_the_way * client.stream.choose(1000) / 1000, partial(self.world.cut, client.name))

    def _half_close_under_load(self, client: Client) -> None:
        """End the output of a client, behind requests that it has just sent, and that may take a while."""
        for _ in range(client.stream.choose(6)):
            if len(client.pending) < MAX_PENDING:
                self._slowly(client)
        client.half_close()

    def _pause(self, stream: Stream) -> float:
        """Seconds until the next turn."""
        return self.scenario.clients.pause * (0.5 + stream.choose(1000) / 1000)

    def _send_malformed(self, client: Client) -> None:
        if client.stream.happens(250):
            # A response to a request that the server may have sent to another client.
            request = self.world.process.gateway._requests.upcoming - 1 - client.stream.choose(4)
            client.send_text(b'{"jsonrpc":"2.0","id":%d,"result":0}' % max(request, 0))
        elif client.stream.happens(500):
            client.send_text(client.stream.pick(MALFORMED_TEXTS))
        else:
            client.send_bytes(client.stream.pick(MALFORMED_BYTES))

    # The server and its host

    def _server_turn(self) -> None:
        """The server meets a fault or sends something by itself."""
        if not self._raging:
            return
        stream, faults, world = self._stream, self.scenario.faults, self.world
        process = world.process
        if process.clock.asleep:
            world.after(self.scenario.clients.pause, self._server_turn)
            return
        if process.drained or process.application.ended or stream.happens(faults.kill):
            world.restart()
        elif self._signals.happens(self.scenario.conditions.machine.signals):
            self._signal(process)
        elif stream.happens(faults.shut_down):
            self._shut_down_under_load(stream.pick((0.0, 1.0, None)))
        elif stream.happens(faults.stall):
            world.stall(stream.pick((0.5, 4.0, 30.0)))
        elif stream.happens(faults.spurious_timeout):
            process.board.handle_timeout(world.now)
        elif stream.happens(faults.misuse):
            misuse(process.board, world.now, stream.choose(len(MISUSES)))
        elif stream.happens(faults.wall_clock):
            near = WALL + world.now + stream.choose(12) - 6
            process.board.set_wall(near if stream.happens(500) else stream.choose(2_000_000_000), world.now)
        elif stream.happens(faults.revoke):
            revoke_under_load(world, self._acting if self.scenario.guarded else (), stream, lambda: self._raging)
        else:
            self._send_from_server()
        world.after(self._pause(stream), self._server_turn)

    def _shut_down_under_load(self, grace: float | None) -> None:
        """Let clients send more, then shut down: the shutdown must end the calls that are pending."""
        for client in self.world.clients.values():
            if client in self._acting:
                self._send_some(client, 12)
        self.world.after(2 * self.scenario.conditions.links.latency, partial(self._shut_down, grace))

    def _shut_down(self, grace: float | None) -> None:
        if self._raging:  # in the second phase the server must answer everything
            self.world.shut_down(grace=grace)

    def _signal(self, process: ServedProcess) -> None:
        """Signals come to the process: one or two, now or during one of its next calls of the kernel."""
        stream = self._signals
        for _ in range(stream.pick((1, 1, 2))):
            number = stream.pick((SIGTERM, SIGINT))
            calls = stream.pick((None, stream.choose(40)))
            self.world.after(stream.pick((0.0, 0.0, 0.3)), partial(self._send_signal, process, number, calls))

    def _send_signal(self, process: ServedProcess, number: int, calls: int | None) -> None:
        if self._raging:  # in the second phase the server must answer everything
            process.signal(number, calls)

    def _send_from_server(self) -> None:
        stream, board, now = self._stream, self.world.process.board, self.world.now
        connections = list(board.gateway._connections.records)  # also those that are being closed and must get nothing
        match stream.choose(5):
            case 0:
                self.world.server.broadcast("news", ["x" * stream.pick((5, 300, 3000))])
            case 4:
                kinds, users = stream.pick(KIND_FILTERS), stream.pick((None, ("ada",), ("bob", "nobody")))
                news = {"seen": {2, 1}, "by": [{"a"}], "kinds": kinds, "users": users}
                self.world.server.broadcast("news", news, kinds=kinds, users=users)
            case 1 if connections:
                self.world.server.notify(stream.pick(connections), "news", [1])
            case 2 if connections:
                request = board.request(stream.pick(connections), "mirror", ["?"], now, timeout=stream.pick((0.1, 5.0)))
                if stream.happens(200):
                    board.abandon(request, now)
            case 3:
                self._call_in_process()

    def _call_in_process(self) -> None:
        stream, server = self._local, self.world.server
        methods = ("connection.info", "missing", *self.world.service.methods)
        timeout, method = stream.pick((None, 0.05, 5.0)), stream.pick(methods)
        call = server.begin(method, stream.pick(LOCAL_PARAMS), identity=stream.pick(IDENTITIES), timeout=timeout)
        if stream.happens(200):
            self.world.after(stream.choose(2000) / 1000, partial(self._hang_up, server, call))

    def _hang_up(self, server: ServedApplication, call: LocalCall) -> None:
        if server is self.world.server:
            server.hang_up(call)


def _repeat(seed: int | str | Chance, *, sample: bool) -> str | None:
    """An expression that runs the storm again, with `{:g}` for its seconds. None if it has no seed."""
    if not isinstance(seed, int | str):
        return None
    return f"attempt({seed!r}, {{:g}}, 'journals'{'' if sample else ', service=…, workload=…'})"
