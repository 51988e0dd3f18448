"""One client of an episode, and the wire to it: what was sent, what it has read, and what it knows of its topics."""

from __future__ import annotations

from collections import deque
from typing import Any

from msgspec import Struct, field
from posthouse.adapters.invariants import Violation, must
from posthouse.adapters.invariants.publishing.contract import Subscriber
from posthouse.core.values.errors import BATCH_REPLY_TOO_LARGE
from posthouse.core.values.peers import ConnectionId


class Asked(Struct):
    """A call without an answer. `ends`: the subscription that it ends, as far as its client knows. `expected`: the
    offsets of a recovery as they must be, in a tuple. `batched`: its answer comes with others."""

    method: str
    topic: str
    subscriber: Subscriber | None = None
    data: Any = None
    ends: Subscriber | None = None
    expected: tuple[list[int] | None] | None = None
    kept: list[tuple[int, Any]] | None = None
    batched: bool = False


class Sent(Struct):
    """One message on the wire. `owed`: the bytes of it that the server holds for the peer."""

    message: Any
    owed: int


class Client(Struct, eq=False):
    """One client. `connection`: None while it is cut off. `wire`: what it has not read. `blocked`: its socket takes
    nothing. `positions`: those that it remembers, over all connections."""

    name: str
    connection: ConnectionId | None = None
    wire: deque[Sent] = field(default_factory=deque)
    blocked: bool = False
    asked: dict[int, Asked] = field(default_factory=dict)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    positions: dict[str, tuple[str, int]] = field(default_factory=dict)

    def cut(self) -> None:
        """The link is lost with everything on it. The client remembers what it has received."""
        self.connection = None
        self.wire.clear()
        self.blocked = False
        self.asked.clear()
        self.subscribers.clear()

    def read(self, message: Any) -> None:
        """The client receives a message. Raises Violation if it may not come, or not now."""
        for entry in message if isinstance(message, list) else [message]:
            if "method" in entry:
                self._notified(entry["method"], entry.get("params"))
            else:
                self._answered(entry)

    def _answered(self, entry: Any) -> None:
        asked = self.asked.pop(entry["id"], None)
        if asked is None:
            raise Violation("answering: a client got a reply that matches no call", entry)
        code = entry["error"]["code"] if "error" in entry else None
        if asked.method == "topic.unsubscribe" and not asked.batched:
            earlier = (each for id, each in self.asked.items() if id < entry["id"] and each.topic == asked.topic)
            overtaken = any(each.method == "topic.subscribe" and not each.batched for each in earlier)
            must(not overtaken, "delivery: an end does not overtake its beginning", entry)
        if asked.method == "topic.unsubscribe" and code in (None, BATCH_REPLY_TOO_LARGE):
            # An error in place of a result that did not fit: the subscription has ended, if there was one.
            current = self.subscribers.get(asked.topic)
            must(current is not None or code is not None, "delivery: a subscription ends that there was not", entry)
            if code is None or current is asked.ends:
                self.subscribers.pop(asked.topic, None)
        elif asked.subscriber is not None and code is None:
            asked.subscriber.replied(entry["result"])
            self._moved(asked.subscriber)
        elif asked.subscriber is not None and self.subscribers.get(asked.topic) is asked.subscriber:
            del self.subscribers[asked.topic]

    def _notified(self, method: str, params: Any) -> None:
        topic = (params or {}).get("topic", "")
        subscriber = self.subscribers.get(topic)
        if subscriber is None:
            must(not method.startswith("topic."), "delivery: something comes of a topic without a subscription", params)
        elif method == "topic.publication":
            subscriber.publication(params)
            self._moved(subscriber)
        elif method == "topic.gap":
            subscriber.gap(params)
            self._moved(subscriber)
        elif method == "topic.unsubscribed":
            must(subscriber.position is not None, "delivery: an end comes before the reply", params)
            del self.subscribers[topic]

    def _moved(self, subscriber: Subscriber) -> None:
        if subscriber.position is not None:
            self.positions[subscriber.topic] = subscriber.position
