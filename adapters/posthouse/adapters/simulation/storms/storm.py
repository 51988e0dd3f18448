"""A storm: clients that behave, dawdle, flood and lie on bad links to a server with small limits; then calm.

Two phases. In the first anything goes and the invariants hold; in the second the world heals, and everybody must get
their answers, leave, and be forgotten. All of it follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from posthouse.adapters.simulation.chance import Chance, Seeded, Stream
from posthouse.adapters.simulation.clients.clients import Client
from posthouse.adapters.simulation.world import World
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ALL_SCOPES, Identity, Kind
from posthouse.transports.policy import Policy

from .lies import BYTES, TEXTS
from .misuse import MISUSES, misuse
from .play import Play
from .stage import mirror
from .stage import service as stage
from .swarm import Swarm, draw

KIND_FILTERS: Final[tuple[tuple[Kind, ...] | None, ...]] = (None, ("cli",), ("websocket", "http"))
IDENTITIES: Final = (None, Identity("ada"), Identity("ada", ("broadcast",)), Identity("bob", (ALL_SCOPES,)))

MAX_PENDING: Final = 60
"""With so many calls that have no outcome a client says nothing: it would only make a queue of its own longer."""

MISUSED: Final = 5
"""So often the host errs when the storm is over, whatever it did before."""


class StormReport(Struct, frozen=True):
    """What became of a storm: how many `steps`, `simulated` seconds and `calls` there were, and the hash of it all."""

    steps: int
    simulated: float
    calls: int
    trace: str


class Part(Struct, frozen=True):
    """How much of a storm there is. `clients`: those of these numbers act, and the others say nothing before the calm
    (None: all act); `spared`: nothing befalls the server, and it says nothing unasked. Who acts draws from the same
    stream in every part, and meets another world."""

    clients: tuple[int, ...] | None = None
    spared: bool = False


Acts = Callable[[Client], object]
"""What a client does when its turn comes. Its chance is `client.stream`."""


class Storm:
    """One storm over `world`, and what it is made of: its `swarm` is drawn from the seed.

    With a `service` of one's own, `acts` says what its clients do; else the stage is played. Each client, and whoever
    the policy lets in without a name, is one of `identities`. `part` is how much of it there is; `journal` is as in
    World.
    """

    def __init__(
        self,
        seed: int | str,
        *,
        service: Service | None = None,
        acts: Acts | None = None,
        identities: Sequence[Identity | None] = IDENTITIES,
        chance: Chance | None = None,
        part: Part = Part(),
        journal: Callable[[int, bytes], object] | None = None,
    ) -> None:
        if (service is None) is not (acts is None):
            raise UsageError("a service of your own and what its clients do (`acts`) go together")
        seeded = chance is None
        chance = Seeded(seed) if chance is None else chance
        words = "" if service is None else ", service=…, acts=…"
        self._repeat: Final = f"attempt({seed!r}, {{:g}}, 'journals'{words})" if seeded else None
        self.swarm: Final[Swarm] = draw(chance.stream("swarm"))
        self._fate: Final[Stream] = chance.stream("fate")
        identity = self._fate.pick(identities)
        policy = Policy() if identity is None else Policy(identity=identity)
        self._play: Final = Play(self.swarm)
        self._acts: Final[Acts] = self._play.speak if acts is None else acts
        self._acting: Final[list[Client]] = []
        self.world: Final = World(
            service=stage if service is None else service,
            config=self.swarm.config,
            policy=policy,
            weather=self.swarm.weather,
            manners=self.swarm.manners,
            chance=chance,
            journal=journal,
        )
        for number in range(self.swarm.clients):
            stream = chance.stream(f"client {number}")
            client = self.world.client(
                f"client {number}", stream.pick(self.swarm.transports), identity=stream.pick(identities)
            )
            client.answers["mirror"] = mirror
            if part.clients is None or number in part.clients:
                self._acting.append(client)
                self.world.after(self.swarm.pause * stream.choose(1000) / 1000, partial(self._act, client))
        if not part.spared:
            self.world.after(self.swarm.pause, self._rule)

    def run(self, seconds: float) -> StormReport:
        """So many seconds of storm, then calm. Raises Violation."""
        world = self.world
        try:
            world.run(seconds)
            self._play.storming = False
            for client in world.clients.values():
                if client.liar:
                    world.cut(client.name)  # nobody knows what it would have to be answered
            for _ in range(MISUSED):
                misuse(world.process.board, world.now, self._fate.choose(len(MISUSES)))
            world.leave()
        except Exception as error:
            error.add_note(f"a storm of {seconds:g} s, made of {self.swarm}")
            if self._repeat is not None:
                error.add_note(f"{self._repeat.format(seconds)} runs it again, and leaves its journal, shrunk")
            raise
        finally:
            world.close()
        calls = sum(client.calls for client in world.clients.values())
        return StormReport(world.steps, world.now, calls, world.trace)

    # Clients

    def _act(self, client: Client) -> None:
        """One client's turn."""
        if not self._play.storming:
            return
        stream, faults, world = client.stream, self.swarm.faults, self.world
        if stream.happens(faults.cut):
            world.cut(client.name)
        if stream.happens(faults.half_close):
            client.half_close()
        if stream.happens(faults.clog):
            world.clog(client.name)
            world.after(stream.choose(20), partial(world.unclog, client.name))
        if stream.happens(faults.dawdle):
            client.reads = False
            client.answer_delay = stream.pick((0.0, 1.0, 6.0))
            world.after(stream.choose(20), partial(setattr, client, "reads", True))
        if stream.happens(faults.lie):
            self._lie(client)
        for _ in range(1 + stream.choose(MAX_PENDING) if stream.happens(faults.flood) else 1):
            if len(client.pending) < MAX_PENDING:
                self._acts(client)
        world.after(self.swarm.pause * (0.5 + stream.choose(1000) / 1000), partial(self._act, client))

    def _lie(self, client: Client) -> None:
        if client.stream.happens(250):
            # What somebody else may have been asked.
            request = self.world.process.board.gateway._requests.upcoming - 1 - client.stream.choose(4)
            client.say(b'{"jsonrpc":"2.0","id":%d,"result":0}' % max(request, 0))
        elif client.stream.happens(500):
            client.say(client.stream.pick(TEXTS))
        else:
            client.send(client.stream.pick(BYTES))

    # The server and its host

    def _rule(self) -> None:
        """What befalls the server, and what it says unasked."""
        if not self._play.storming:
            return
        fate, faults, world = self._fate, self.swarm.faults, self.world
        process = world.process
        if process.clock.asleep:
            world.after(self.swarm.pause, self._rule)
            return
        if process.drained or fate.happens(faults.kill):
            world.restart()
        elif fate.happens(faults.shut_down):
            self._leave_at_work(fate.pick((0.0, 1.0, None)))
        elif fate.happens(faults.stall):
            world.stall(fate.pick((0.5, 4.0, 30.0)))
        elif fate.happens(faults.spurious):
            process.handle_timeout()
        elif fate.happens(faults.misuse):
            misuse(process.board, world.now, fate.choose(len(MISUSES)))
        elif fate.happens(faults.wall):
            process.board.set_wall(fate.choose(2_000_000_000), world.now)
        else:
            self._say()
        world.after(self.swarm.pause * (0.5 + fate.choose(1000) / 1000), self._rule)

    def _leave_at_work(self, grace: float | None) -> None:
        """A shut-down comes when there is work: it has to end what it finds."""
        for client in self.world.clients.values():
            for _ in range(self._fate.choose(12)):
                if client in self._acting and len(client.pending) < MAX_PENDING:
                    self._acts(client)
        self.world.after(2 * self.swarm.weather.latency, partial(self._leave, grace))

    def _leave(self, grace: float | None) -> None:
        if self._play.storming:  # else everybody is to be answered by now
            self.world.shut_down(grace=grace)

    def _say(self) -> None:
        fate, board, now = self._fate, self.world.process.board, self.world.now
        known = list(board.gateway._connections.records)  # some are being closed, and must hear nothing
        match fate.choose(5):
            case 0:
                board.broadcast("news", ["x" * fate.pick((5, 300, 3000))], now)
            case 4:
                kinds, users = fate.pick(KIND_FILTERS), fate.pick((None, ("ada",), ("bob", "nobody")))
                board.broadcast("news", {"seen": {2, 1}, "by": [{"a"}]}, now, kinds=kinds, users=users)
            case 1 if known:
                board.notify(fate.pick(known), "news", [1], now)
            case 2 if known:
                request = board.request(fate.pick(known), "mirror", ["?"], now, timeout=fate.pick((0.1, 5.0)))
                if fate.happens(200):
                    board.abandon(request, now)
