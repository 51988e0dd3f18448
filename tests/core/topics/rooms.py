"""A gateway with topics, and what its callers are told of them."""

from __future__ import annotations

from typing import Any

from posthouse.core.service.service import Service
from posthouse.core.values.peers import ConnectionId

from tests.core.world import World, service


class Rooms(World):
    """A world whose service declares topics: `open.*` for everybody, with a history of 3; `plain.*` without history;
    `lossy.*`, whose slow subscribers lose publications; `staff` for those with the scope `staff`; `news`, for which
    only the server publishes. Everybody is told to whom everything is sent."""

    def __init__(self, offered: Service | None = None, /, **limits: Any) -> None:
        super().__init__(offered or with_topics(), **limits)

    def ask(self, connection: ConnectionId, method: str, id: int = 1, **params: Any) -> Any:
        """The answer to a method of topics: its result, or the error. `since` is sent as `from`."""
        if "since" in params:
            params["from"] = params.pop("since")
        self.call(connection, f"topic.{method}", params, id)
        answers = [each for each in self.said(connection) if each.get("id") == id]
        (answer,) = answers
        return answer["result"] if "result" in answer else answer["error"]

    def subscribe(self, connection: ConnectionId, topic: str, **params: Any) -> Any:
        return self.ask(connection, "subscribe", topic=topic, **params)

    def publish(self, topic: str, value: Any = 0) -> None:
        """The service publishes."""
        self.gateway.publish(topic, value, self.now)

    def heard(self, connection: ConnectionId) -> list[Any]:
        """The notifications of topics that were sent to this connection: publications as `(topic, offset, data)`, all
        others by their names and params."""
        found: list[Any] = []
        for message in self.said(connection):
            params = message.get("params")
            if message.get("method") == "topic.publication":
                found.append((params["topic"], params["offset"], params["data"]))
            elif "method" in message:
                found.append((message["method"], params))
        return found


def with_topics(**options: Any) -> Service:
    """The service of `Rooms`."""
    offered = service(**options)
    offered.topic("open.*", history=3, ttl=60.0, publish="public", subscribe="public")
    offered.topic("plain.*", publish="public", subscribe="public")
    offered.topic("lossy.*", publish="public", subscribe="public", slow="drop_oldest")
    offered.topic("staff", publish={"staff"}, subscribe={"staff"}, payload=dict[str, int])
    offered.topic("news", subscribe="authenticated")
    return offered
