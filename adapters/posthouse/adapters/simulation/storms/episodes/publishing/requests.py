"""What the clients of an episode send: right requests, and positions that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from posthouse.adapters.invariants.publishing.contract import Subscriber
from posthouse.adapters.simulation.chance import Stream

from .client import Asked, Client
from .truth import Truth

KEYS: Final = 3


class Requests:
    """Makes requests, and notes them with their clients."""

    def __init__(self, stream: Stream, truth: Truth) -> None:
        self._stream: Final = stream
        self._truth: Final = truth
        self._last = 0

    def next(self) -> int:
        """A number that was not used before."""
        self._last += 1
        return self._last

    def _make(self, client: Client, asked: Asked, **params: Any) -> dict[str, Any]:
        id = self.next()
        client.asked[id] = asked
        return {"jsonrpc": "2.0", "method": asked.method, "params": params, "id": id}

    def subscription(self, client: Client, topic: str, now: float) -> dict[str, Any] | None:
        """Subscribe, with the position that the client remembers, or a wrong one. None: it is subscribed already."""
        if topic in client.subscribers or client.connection is None:
            return None
        stream, position = self._stream, client.positions.get(topic)
        params: dict[str, Any] = {"topic": topic}
        if position is not None and stream.happens(850):
            epoch, offset = position
            wrong = ((epoch, -1), (epoch, offset + 1), (epoch, 2**40), ("foreign", offset), (epoch, max(0, offset - 1)))
            position = stream.pick(wrong) if stream.happens(200) else position
            params["position"] = {"epoch": position[0], "offset": position[1]}
        else:
            position = None
        expected = None if position is None else (self._truth.unseen(topic, position, now),)
        subscriber = client.subscribers[topic] = Subscriber(topic, self._truth.ledger, position)
        return self._make(client, Asked("topic.subscribe", topic, subscriber, expected=expected), **params)

    def end(self, client: Client, topic: str) -> dict[str, Any]:
        """End a subscription, which there may not be."""
        asked = Asked("topic.unsubscribe", topic, ends=client.subscribers.get(topic))
        return self._make(client, asked, topic=topic)

    def publication(self, client: Client, topic: str) -> dict[str, Any]:
        """Publish new data, perhaps with a key that may have been used before."""
        data = self.next()
        key = {"idempotency_key": f"k{self._stream.choose(KEYS)}"} if self._stream.happens(200) else {}
        return self._make(client, Asked("topic.publish", topic, data=data), topic=topic, data=data, **key)

    def again(self, client: Client, request: dict[str, Any]) -> dict[str, Any]:
        """Publish the same with the same key."""
        params = request["params"]
        return self._make(client, Asked("topic.publish", params["topic"], data=params["data"]), **params)

    def history(self, client: Client, topic: str, now: float) -> dict[str, Any]:
        """Read what is kept."""
        asked = Asked("topic.history", topic, kept=self._truth.kept(topic, now))
        return self._make(client, asked, topic=topic, limit=99, reverse=True)

    def batch(self, client: Client, topics: Sequence[str], now: float) -> list[dict[str, Any]]:
        """Several requests in one array, perhaps with a call that takes a while."""
        stream, entries = self._stream, []
        for _ in range(1 + stream.choose(4)):
            topic = stream.pick(topics)
            subscription = self.subscription(client, topic, now)
            if subscription is not None:
                client.asked[subscription["id"]].expected = None  # others of this batch may publish before
                entries.append(subscription)
            if stream.happens(500):
                entries.append(self.publication(client, topic))
            if stream.happens(100):
                entries.append(self.end(client, topic))
        if stream.happens(600):
            entries.append(self._make(client, Asked("wait", "")))
        for entry in entries:
            client.asked[entry["id"]].batched = True
        return entries
