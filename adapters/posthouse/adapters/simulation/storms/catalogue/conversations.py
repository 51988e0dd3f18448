"""Conversations with a server of the sample service: what a client sends, and every byte that it must receive.

If you change an answer, change `conversations.json`, or let `python -m tests.simulation.conversations` write it anew,
and read the difference. Each character of a text there is one byte (Latin-1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from msgspec.json import Decoder
from msgspec.structs import replace
from posthouse.adapters.invariants import must
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.network import Direction, Link, LinkConditions
from posthouse.adapters.simulation.world import World
from posthouse.core.service.service import Service
from posthouse.core.values.peers import Address
from posthouse.transports.policy import Policy

ORIGIN: Final = "https://app.example"
"""The origin of a page that may call, beside those of the server's own."""

SECONDS: Final = 8.0
"""The time for which a client waits: longer than `head_timeout`, and shorter than `keep_alive_timeout`."""

FRAGMENTS: Final = (0, 500, 1000)
"""In so many of a thousand deliveries, a part of the bytes that have arrived is delivered."""


class Conversation(Struct, frozen=True, omit_defaults=True):
    """One conversation over a socket or a pipe. `ends`: the server ends it. Up to `exact`, the bytes that are received
    are known: what follows has times and counters."""

    about: str
    sent: str
    received: str
    ends: bool = False
    exact: bool = True
    transport: Literal["stream", "pipe"] = "stream"


CONVERSATIONS: Final[list[Conversation]] = Decoder(list[Conversation]).decode(
    Path(__file__).with_name("conversations.json").read_bytes()
)
"""All conversations."""


class Talk:
    """A client that sends one text, and keeps what it receives."""

    def __init__(self, link: Link) -> None:
        self.received = b""
        self.ended = False
        link.down.deliver = self._deliver
        link.down.deliver_eof = self.end

    def _deliver(self, data: bytes) -> None:
        self.received += data

    def end(self) -> None:
        """The server has ended it."""
        self.ended = True


def converse(asked: Sequence[Conversation], stream: Stream, service: Service) -> None:
    """Have these conversations with a new server. Raises Violation for a byte that is received and not known."""
    conditions = LinkConditions(fragment=stream.pick(FRAGMENTS))
    seed = f"conversations/{stream.choose(1 << 30)}"  # streams of their own: those of the storm go on as they did
    for known, heard in zip(asked, hear(asked, service, seed, conditions), strict=True):
        seen = heard.received if known.exact else heard.received[: len(known.received)]
        must(seen == known.received, "documented: an answer has other bytes", known.about, seen, known.received)
        must(heard.ends is known.ends, "documented: a connection ends, or goes on, as it should not", known.about)


def hear(
    asked: Sequence[Conversation],
    service: Service,
    seed: int | str = 0,
    conditions: LinkConditions = LinkConditions(),
) -> list[Conversation]:
    """These conversations as a new server leads them, at the same time."""
    world = World(seed, service=service, policy=Policy(origins=(ORIGIN,)))
    cuts = world.chance.stream("cuts")
    talks = []
    try:
        world.run(0.0)
        for number, each in enumerate(asked):
            link = Link(Direction(world.schedule, cuts, conditions), Direction(world.schedule, cuts, conditions))
            talk = Talk(link)
            piped = each.transport == "pipe"
            address = Address(transport="pipe") if piped else Address("10.0.0.1", 40_000 + number)
            world.process.open(link, address, talk.end, None)
            link.up.write(each.sent.encode("latin-1"))
            talks.append(talk)
        world.run(SECONDS)
    finally:
        world.close()
    return [
        replace(each, received=talk.received.decode("latin-1"), ends=talk.ended)
        for each, talk in zip(asked, talks, strict=True)
    ]
