"""`topic.*`: publish to topics, subscribe to them, and read what is kept. Only if the service declares topics."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct
from posthouse.core.service.service import Service
from posthouse.core.service.topics.position import Position
from posthouse.core.topics.topics import Subscribed, TopicHistory, Topics
from posthouse.core.values.errors import INVALID_PARAMS, RpcError

from .part import Declared, Part


class Unsubscribed(Struct, frozen=True):
    """The subscription has ended."""

    unsubscribed: bool


class TopicMethods(Part):
    """The methods of `topic.*`."""

    prefix = "topic."
    declared: ClassVar[dict[str, Declared]] = {
        "subscribe": Declared(public=True, later=True),
        "unsubscribe": Declared(public=True, later=True),
        "publish": Declared(public=True, later=True),
        "history": Declared(public=True, later=True),
    }

    @classmethod
    def enabled(cls, service: Service) -> bool:
        return len(service.topics) > 0

    def subscribe(self, topic: str, position: Position | None = None) -> Subscribed:
        """Subscribe this connection to a topic: what is published from now on comes as `topic.publication`. With the
        `position` of the last publication that was received, the answer has all that was missed since, or says that
        some of it is lost."""
        return self._topics.subscribe(self.caller, self.call, topic, position, self.now)

    def unsubscribe(self, topic: str) -> Unsubscribed:
        """End a subscription. Nothing of it comes after the answer."""
        self._topics.unsubscribe(self.caller, topic, self.now)
        return Unsubscribed(True)

    def publish(self, topic: str, data: Raw, idempotency_key: str | None = None) -> Position:
        """Publish any JSON value that the topic takes. A second publication with the same key has the position of the
        first."""
        return self._topics.publish(self.caller, topic, data, idempotency_key, self.now)

    def history(
        self, topic: str, limit: Annotated[int, Meta(ge=1)], reverse: bool = False, **position: Position
    ) -> TopicHistory:
        """The publications that are kept, the oldest first, or the newest if it is `reverse`: at most `limit`, and only
        those behind the position `from` (before it, if it is `reverse`)."""
        since = position.pop("from", None)
        for name in position:
            raise RpcError(INVALID_PARAMS, data={"parameter": name[:128], "reason": "unknown parameter"})
        return self._topics.history(self.caller, topic, since, limit, self.now, reverse=reverse)

    @property
    def _topics(self) -> Topics:
        return self.tables.topics
