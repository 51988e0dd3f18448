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

    def unsubscribe(
        self,
        now: float,
        *,
        user: str | None = None,
        namespace: str = "",
        session: str | None = None,
        topic: str | None = None,
    ) -> int:
        """End the subscriptions of a user, or of the connections of a session, to one topic (None: to all). Their peers
        are told. Returns how many there were. Raises UsageError unless exactly one of `user` and `session` is given."""
        self._check_not_reentrant()
        if (user is None) is (session is None):
            raise UsageError("unsubscribe takes a user or a session: give exactly one of the two")
        if session is not None:
            connections = self._sessions.connections_of(session)
        else:
            connections = list(self._connections.by_user.get((namespace, user or ""), {}).values())
        ended = self._topics.take_back(connections, topic, now)
        self._limits.enforce(now)
        return ended

    def _with_topics(self, counters: dict[str, int]) -> dict[str, int]:
        if not self.has_topics:
            return counters
        sizes = {
            "topics.open": len(self._broker.records),
            "topics.subscriptions": len(self._topics.subscriptions),
            "topics.history_bytes": self._broker.bytes,
        }
        return dict(sorted({**counters, **sizes}.items()))
