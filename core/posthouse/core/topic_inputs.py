"""The inputs of a gateway about topics, for the service itself."""

from __future__ import annotations

from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import OutgoingId

from .session_inputs import SessionInputs


class TopicInputs(SessionInputs):
    """The service publishes to its topics."""

    def publish(self, topic: str, value: object, now: float) -> OutgoingId:
        """Publish a value of the service. Exactly one `Resolve` follows: with the position of the publication, or with
        an error for a topic that is not declared. Raises UsageError for a value that is not as declared."""
        self._check_not_reentrant()
        if not self.has_topics:
            raise UsageError("the service declares no topics: declare them with `service.topic`")
        if not isinstance(topic, str):
            raise UsageError(f"the topic is {topic!r}: it must be a string")
        self._busy = True
        try:
            published = self._topics.publish_own(topic, value, now)
        finally:
            self._busy = False
        self._limits.enforce(now)
        return published

    def _with_topics(self, counters: dict[str, int]) -> dict[str, int]:
        sizes = {
            "topics.open": len(self._broker.records),
            "topics.subscriptions": len(self._topics.subscriptions),
            "topics.history_bytes": self._broker.bytes,
        }
        return dict(sorted({**counters, **sizes}.items()))
