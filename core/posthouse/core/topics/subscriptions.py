"""Who is subscribed to which topics: by topic, by connection, and how many for each user.

A subscription is an entry in two tables and nothing else. It may not know how publications are delivered.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import Connection
from posthouse.core.values.close_reasons import MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS_PER_USER, Limit
from posthouse.core.values.errors import TOO_MANY_SUBSCRIPTIONS, RpcError, refusal
from posthouse.core.values.peers import ConnectionId, UserKey
from posthouse.core.values.shared import Shared

NOBODY: Final[dict[ConnectionId, None]] = {}
"""The subscribers of a topic that has none. Never changed."""


class Subscriber(Struct, eq=False):
    """One connection with subscriptions. `user`: that for whom they are counted. A tuple of a few topics takes a third
    of a dict."""

    user: UserKey | None
    topics: tuple[str, ...] = ()


class Subscriptions:
    """All subscriptions of one gateway: `by_topic` the connections, in the order in which they subscribed;
    `by_connection` the topics; `by_user` their number."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self.by_topic: dict[str, dict[ConnectionId, None]] = {}
        self.by_connection: dict[ConnectionId, Subscriber] = {}
        self.by_user: dict[UserKey, int] = {}
        self._names: dict[str, str] = {}  # all subscriptions to a topic share one text

    def __len__(self) -> int:
        """How many there are."""
        return sum(map(len, self.by_topic.values()))

    def has(self, connection: ConnectionId, topic: str) -> bool:
        """Is this connection subscribed to this topic?"""
        return connection in self.by_topic.get(topic, NOBODY)

    def check_room(self, connection: Connection, now: float) -> None:
        """Raise RpcError (-32006) if this connection, or its user, may have no more subscriptions."""
        own, user = self.by_connection.get(connection.id), connection.identity.key
        config, limits = self._config, list[Limit]()
        if own is not None and len(own.topics) >= config.max_subscriptions:
            limits.append(MAX_SUBSCRIPTIONS)
        if user is not None and self.by_user.get(user, 0) >= config.max_subscriptions_per_user:
            limits.append(MAX_SUBSCRIPTIONS_PER_USER)
        for limit in limits:
            if self._shared.enforces(limit, connection.id, connection.peer.address, now):
                raise RpcError.of(refusal(TOO_MANY_SUBSCRIPTIONS, limit=limit.name))

    def add(self, connection: Connection, topic: str) -> None:
        """Subscribe. The connection is not subscribed to this topic yet."""
        topic = self._names.setdefault(topic, topic)
        self.by_topic.setdefault(topic, {})[connection.id] = None
        own = self.by_connection.get(connection.id)
        if own is None:
            own = self.by_connection[connection.id] = Subscriber(connection.identity.key)
        own.topics = (*own.topics, topic)
        self._count(own.user, 1)

    def remove(self, connection: ConnectionId, topic: str) -> bool:
        """End a subscription. True: it was the last one of the topic."""
        own = self.by_connection[connection]
        own.topics = tuple(other for other in own.topics if other != topic)
        if not own.topics:
            del self.by_connection[connection]
        self._count(own.user, -1)
        subscribers = self.by_topic[topic]
        del subscribers[connection]
        if not subscribers:
            del self.by_topic[topic], self._names[topic]
        return not subscribers

    def move(self, connection: Connection) -> int:
        """The connection has another identity: count its subscriptions for that user. Returns how many are too many."""
        own = self.by_connection.get(connection.id)
        user = connection.identity.key
        if own is None or own.user == user:
            return 0
        number = len(own.topics)
        self._count(own.user, -number)
        own.user = user
        self._count(user, number)
        excess = 0 if user is None else self.by_user[user] - self._config.max_subscriptions_per_user
        return min(max(excess, 0), number)

    def of(self, connection: ConnectionId) -> tuple[str, ...]:
        """The topics to which this connection is subscribed."""
        own = self.by_connection.get(connection)
        return () if own is None else own.topics

    def _count(self, user: UserKey | None, change: int) -> None:
        if user is None:
            return
        number = self.by_user.get(user, 0) + change
        if number:
            self.by_user[user] = number
        else:
            del self.by_user[user]
