"""Publications that wait for one subscriber each: its peer is slow, or the reply to its subscription has not left.

They wait in a ring for each topic of a connection. A ring that is full loses its oldest publication, and tells which.
What a ring has lost comes before what it still has: offsets follow each other, so it is one gap at most.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from msgspec import Struct, field
from posthouse.core.calls.replies import Batch
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.values.config import Config
from posthouse.core.values.peers import ConnectionId
from posthouse.core.values.shared import Shared

GAP: Final = "topic.gap"


class Waits(NamedTuple):
    """One publication that waits: its offset and its notification."""

    offset: int
    payload: bytes


class Ring(Struct, eq=False):
    """The publications of one topic that wait. Those from `lost_from` to `lost_to` were lost before them; 0 if none
    was. `unanswered`: the batch with the reply to the subscription, which has not left. `loses`: a slow peer may
    lose some. `bytes`: those of the publications."""

    queue: deque[Waits] = field(default_factory=deque)
    lost_from: int = 0
    lost_to: int = 0
    unanswered: Batch | None = None
    loses: bool = True
    bytes: int = 0

    @property
    def waits(self) -> bool:
        """Is there anything to send?"""
        return bool(self.queue or self.lost_from)


class Waiting(Struct, eq=False):
    """What waits for one connection, by topic: the topic that is served next comes first. `number` and `bytes` are
    those of all publications."""

    rings: dict[str, Ring] = field(default_factory=dict)
    number: int = 0
    bytes: int = 0

    def losers(self, ring: Ring) -> list[Ring]:
        """The rings that may have to lose something for a publication in this one."""
        return [each for each in self.rings.values() if each.loses] if ring.loses else [ring]


class WaitingRoom:
    """What waits, by connection. A connection has an entry only while something waits for it, or may have to."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config: Config = shared.config
        self.records: dict[ConnectionId, Waiting] = {}

    def ring(self, connection: ConnectionId, topic: str) -> Ring:
        """The ring of this topic, which is made if there is none."""
        waiting = self.records.get(connection)
        if waiting is None:
            waiting = self.records[connection] = Waiting()
        return waiting.rings.setdefault(topic, Ring())

    def find(self, connection: ConnectionId, topic: str) -> Ring | None:
        """The ring of this topic, or None."""
        waiting = self.records.get(connection)
        return None if waiting is None else waiting.rings.get(topic)

    def among(self, connections: dict[ConnectionId, None]) -> list[ConnectionId]:
        """Those of these connections for which something waits, or may have to."""
        if len(connections) < len(self.records):
            return [id for id in connections if id in self.records]
        return [id for id in self.records if id in connections]

    def add(self, connection: ConnectionId, topic: str, offset: int, payload: bytes) -> int:
        """Let a publication wait. Returns how many were lost for that: their rings will tell it. The ring with the most
        loses them, so that a busy topic does not take the room of a quiet one; a ring that may lose none loses its
        own."""
        ring, waiting = self.ring(connection, topic), self.records[connection]
        ring.queue.append(Waits(offset, payload))
        self._count(waiting, ring, 1, len(payload))
        lost = 0
        while waiting.number > self._config.max_queued_pushes:
            self._lose_oldest(waiting, max(waiting.losers(ring), key=lambda each: len(each.queue)))
            lost += 1
        while waiting.bytes > self._config.max_queued_pushes_bytes:
            self._lose_oldest(waiting, max(waiting.losers(ring), key=lambda each: each.bytes))
            lost += 1
        return lost

    def _lose_oldest(self, waiting: Waiting, ring: Ring) -> None:
        oldest = ring.queue.popleft()
        self._count(waiting, ring, -1, -len(oldest.payload))
        ring.lost_from = ring.lost_from or oldest.offset
        ring.lost_to = oldest.offset

    def take_turn(self, connection: ConnectionId, topic: str, room: float) -> list[bytes]:
        """Take notifications out of a ring, which is served after all others the next time."""
        rings = self.records[connection].rings
        rings[topic] = rings.pop(topic)
        return self.take(connection, topic, room)

    def take(self, connection: ConnectionId, topic: str, room: float) -> list[bytes]:
        """Take notifications out of a ring, up to so many bytes, and one at least: the gap first. An empty ring is
        forgotten."""
        waiting = self.records[connection]
        ring = waiting.rings[topic]
        taken: list[bytes] = []
        if ring.lost_from:
            taken.append(encode_notification(GAP, {"topic": topic, "from": ring.lost_from, "to": ring.lost_to}))
            room -= len(taken[0])
            ring.lost_from = 0
        while ring.queue and (not taken or len(ring.queue[0].payload) <= room):
            payload = ring.queue.popleft().payload
            self._count(waiting, ring, -1, -len(payload))
            room -= len(payload)
            taken.append(payload)
        if not ring.queue:
            self.forget(connection, topic)
        return taken

    def forget(self, connection: ConnectionId, topic: str) -> None:
        """Forget a ring and what waits in it, if there is one."""
        waiting = self.records.get(connection)
        ring = None if waiting is None else waiting.rings.pop(topic, None)
        if waiting is None or ring is None:
            return
        self._count(waiting, ring, -len(ring.queue), -ring.bytes)
        if not waiting.rings:
            del self.records[connection]

    def _count(self, waiting: Waiting, ring: Ring, number: int, size: int) -> None:
        ring.bytes += size
        waiting.number += number
        waiting.bytes += size
        self._shared.hold(size)
