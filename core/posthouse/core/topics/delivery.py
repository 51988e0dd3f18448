"""Delivery: one publication to all subscribers of its topic, encoded once, without waiting for any of them.

A subscriber whose peer reads gets it at once, with all others, in one `Multicast`. Else the rule of the topic decides:
it is queued as any notification, or it waits in a ring that loses its oldest publications (`waiting.py`).
"""

from __future__ import annotations

from math import inf
from typing import Final

from posthouse.core.calls.replies import Batch
from posthouse.core.connections.connections import Connection
from posthouse.core.connections.flow import Flow
from posthouse.core.service.topics.described import PUBLICATION
from posthouse.core.service.topics.position import Position
from posthouse.core.service.topics.rules import Slow
from posthouse.core.values.close_reasons import MAX_QUEUED_PUSHES
from posthouse.core.values.effects import Multicast
from posthouse.core.values.peers import ConnectionId
from posthouse.core.values.shared import Shared

from .subscriptions import NOBODY, Subscriptions
from .waiting import WaitingRoom

LOST: Final = "topics.lost"
"""The counter of publications that a slow subscriber has lost, once for each subscriber."""


class TopicDelivery:
    """Delivers publications. `waiting` has those that cannot leave yet."""

    def __init__(self, shared: Shared, flow: Flow, subscriptions: Subscriptions) -> None:
        self._shared = shared
        self._outbox = shared.outbox
        self._flow = flow
        self.subscriptions = subscriptions
        self.waiting = WaitingRoom(shared)
        flow.refill = self._refill

    def deliver(self, topic: str, slow: Slow, position: Position, body: bytes, now: float) -> None:
        """Send a publication to everybody who is subscribed to its topic. `body` has its members behind `epoch`."""
        subscribers = self.subscriptions.by_topic.get(topic, NOBODY)
        if not subscribers:
            return
        payload = encode_publication(topic, position.epoch, body)
        clear, slow_peers = subscribers, self._flow.slow_among(subscribers)
        if slow_peers or self.waiting.records:
            clear = subscribers.copy()
            for id in dict.fromkeys((*slow_peers, *self.waiting.among(subscribers))):
                if self._queued(id, topic, slow, position.offset, payload, now):
                    del clear[id]
        if clear:
            self._outbox.append(Multicast(list(clear), payload))

    def _queued(self, id: ConnectionId, topic: str, slow: Slow, offset: int, payload: bytes, now: float) -> bool:
        """Queue a publication for one subscriber, if it cannot leave at once."""
        ring = self.waiting.find(id, topic)
        if ring is None or ring.unanswered is None:
            backlog = self._flow.backlogs.get(id)
            if backlog is None:
                return False
            if slow == "close":
                self._flow.queue_push(id, backlog, payload, now)
                return True
        for _ in range(self.waiting.add(id, topic, offset, payload)):
            if slow == "close":
                self._shared.breach(id, MAX_QUEUED_PUSHES)
            self._shared.stats.count(LOST)
        return True

    # The reply to a subscription comes first

    def begin(self, connection: Connection, topic: str, slow: Slow, batch: Batch | None) -> None:
        """The reply to a subscription was made. In a batch, it leaves with the others: until then, publications
        wait."""
        if batch is not None and batch.left:
            ring = self.waiting.ring(connection.id, topic)
            ring.unanswered, ring.loses = batch, slow == "drop_oldest"
            batch.followers = batch.followers or []  # so that its end is told

    def answered(self, connection: Connection, batch: Batch, now: float) -> None:
        """A batch of this connection was answered: what waited for that may leave."""
        waiting = self.waiting.records.get(connection.id)
        if waiting is None:
            return
        for topic, ring in list(waiting.rings.items()):
            if ring.unanswered is batch:
                ring.unanswered = None
                if ring.loses and ring.waits and connection.id in self._flow.backlogs:
                    continue  # it waits for its slow peer from now on
                for payload in self.waiting.take(connection.id, topic, inf):
                    self._flow.push(connection.id, payload, now)

    def tell(self, connection: Connection, topic: str, payload: bytes, now: float) -> None:
        """Tell a subscriber something about its subscription: not before the reply to it."""
        ring = self.waiting.find(connection.id, topic)
        if ring is None or ring.unanswered is None:
            self._flow.push(connection.id, payload, now)
            return
        assert ring.unanswered.followers is not None
        ring.unanswered.followers.append(payload)
        connection.following += 1
        connection.following_bytes += len(payload)
        self._shared.hold(len(payload))

    # A slow peer

    def _refill(self, connection: ConnectionId, room: int) -> list[bytes]:
        """A slow peer has taken everything: the next of what waits for it, up to so many bytes. Its topics take
        turns."""
        waiting = self.waiting.records.get(connection)
        for topic, ring in ({} if waiting is None else waiting.rings).items():
            if ring.unanswered is None:
                return self.waiting.take_turn(connection, topic, room)
        return []


def encode_publication(topic: str, epoch: str, body: bytes) -> bytes:
    """The notification of a publication. The names of topics need no escapes."""
    return b'{"jsonrpc":"2.0","method":"%b","params":{"topic":"%b","epoch":"%b",%b}}' % (
        PUBLICATION.encode(),
        topic.encode(),
        epoch.encode(),
        body,
    )
