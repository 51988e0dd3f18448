"""One episode: a gateway with topics, a few clients whose links are cut, and everything that they are told.

What a reply says is compared with `Truth` when it is made; what a client receives is judged by the contract when it
reads it. A client may read late, slowly, or not at all before its link is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec import json
from posthouse.adapters.invariants import calls, flow, must, topics
from posthouse.adapters.invariants.publishing.topics import topics_at_rest
from posthouse.adapters.simulation.chance import Stream
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Disconnect, Effect, Invoke, Multicast, Resolve, Transmit
from posthouse.core.values.peers import CallId, ConnectionId, Identity, OutgoingId, Peer

from .client import Asked, Client, Sent
from .observed import Observed
from .requests import Requests
from .truth import Kept, Truth

STEPS: Final = 150
CLIENTS: Final = 5
WALL: Final = 1_700_000_000.0
STAFF: Final = Identity("staff", ("staff",))
IDENTITIES: Final = (STAFF, Identity("staff"), Identity("ada"), Identity())

KEPT: Final = {
    "kept.a": Kept(4, 20.0),
    "kept.b": Kept(4, 20.0),
    "lossy.a": Kept(6, 20.0),
    "lossy.b": Kept(6, 20.0),
    "plain": Kept(0, 20.0),
    "staff": Kept(3, 20.0),
}
TOPICS: Final = tuple(KEPT)


def offered() -> Service:
    """The service of an episode."""
    service = Service("publishing", public=True)
    service.topic("kept.*", history=4, ttl=20.0, publish="public")
    service.topic("lossy.*", history=6, ttl=20.0, publish="public", slow="drop_oldest")
    service.topic("plain", publish="public", subscribe="public")
    service.topic("staff", history=3, ttl=20.0, publish="public", subscribe={"staff"})

    @service.method
    def wait() -> None:
        """A call that takes a while."""

    return service


class Publishing:
    """One episode."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Final = stream
        running = stream.pick((64, 64, 1))
        config = Config(
            heartbeat_interval=None,
            history_ttl=20.0,
            max_recovery=stream.pick((300, 3)),
            max_subscriptions=stream.pick((128, 3)),
            max_subscriptions_per_user=stream.pick((1_024, 4)),
            max_topics=stream.pick((100_000, 100_000, 4)),
            max_queued_pushes=stream.pick((1_024, 3, 6)),
            write_ahead=stream.pick((64 * 1024, 200)),
            max_batch_reply_bytes=stream.pick((10 * 1024 * 1024, 10 * 1024 * 1024, 450)),
            idempotency_ttl=stream.pick((600.0, 10.0)),
            max_calls_per_connection=running,
            call_timeout=30.0 if running > 1 else 3_600.0,  # the end of a call that is out of time is uncertain
            write_timeout=1_000.0,
            max_push_age=None,
        )
        self.gateway: Final = Gateway(offered(), config, wall=WALL, entropy=stream.entropy)
        self._strict: Final = config.max_topics > len(TOPICS)
        self._exact: Final = self._strict and config.max_calls_per_connection > 1  # no call of a topic waits
        self._truth: Final = Truth(KEPT, config.max_recovery)
        self._clients: Final = [Client(f"client {number}") for number in range(CLIENTS)]
        self._homes: Final[dict[ConnectionId, Client]] = {}
        self._own: Final[dict[OutgoingId, tuple[str, int]]] = {}
        self._running: Final[list[CallId]] = []
        self._requests: Final = Requests(stream, self._truth)
        self._now = 0.0
        self.gateway._topics._broker = Observed(self.gateway._broker, self._truth, strict=self._strict)

    def run(self) -> int:
        """Perform the episode. Returns the number of its steps. Raises Violation."""
        for _ in range(STEPS):
            self._act(self._stream.pick(self._clients))
        self._come_to_rest()
        return STEPS

    # What happens

    def _act(self, client: Client) -> None:
        stream = self._stream
        if client.connection is None:
            self._connect(client)
            for topic in list(client.positions):
                if stream.happens(700):
                    self._subscribe(client, topic)
            return
        match stream.choose(16):
            case 0 | 1:
                self._subscribe(client, stream.pick(TOPICS))
            case 2:
                topic = stream.pick((*client.subscribers, stream.pick(TOPICS)))
                self._send(client, self._requests.end(client, topic))
            case 3 | 4 | 5:
                for _ in range(stream.pick((1, 1, 2, 8))):
                    self._publish(client, stream.pick(TOPICS))
            case 6:
                self._publish_own(stream.pick(TOPICS))
            case 7:
                self._send(client, self._requests.batch(client, TOPICS, self._now))
            case 8:
                self._input(self._complete)
            case 9:
                self._cut(client)
            case 10:
                client.blocked = True
            case 11:
                self._pass_time(stream.pick((0.1, 1.0, 8.0, 25.0)), late=stream.happens(300))
            case 12:
                self._identify(client, stream.pick(IDENTITIES))
            case 13:
                one = stream.pick((None, *TOPICS))
                user = stream.pick(("ada", "staff"))
                self._input(lambda: self.gateway.unsubscribe(self._now, user=user, topic=one))
            case 14:
                self._send(client, self._requests.history(client, stream.pick(TOPICS), self._now))
            case _:
                client.blocked = False
        for each in self._clients:
            if not each.blocked and stream.happens(600):
                self._read(each, 1 + stream.choose(6))

    def _connect(self, client: Client) -> None:
        peer = Peer("websocket", identity=self._stream.pick(IDENTITIES))

        def connect() -> None:
            client.connection = self.gateway.connect(peer, self._now)
            self._homes[client.connection] = client

        self._input(connect)

    def _cut(self, client: Client) -> None:
        connection = client.connection
        assert connection is not None
        del self._homes[connection]
        client.cut()
        self._input(lambda: self.gateway.disconnected(connection, None, self._now))

    def _identify(self, client: Client, identity: Identity) -> None:
        gateway = self.gateway
        record = gateway._connections.records[client.connection or ConnectionId(0)]
        self._input(lambda: gateway._connections.identify(record, identity, self._now))

    def _pass_time(self, seconds: float, *, late: bool = False) -> None:
        """Time passes. `late`: no deadline is handled meanwhile."""
        until = self._now + seconds
        while not late and (due := self.gateway.next_timeout()) is not None and due <= until:
            self._now = max(self._now, due)
            self._input(lambda: self.gateway.handle_timeout(self._now))
        self._now = until

    def _complete(self) -> None:
        if self._running:
            self.gateway.complete(self._running.pop(self._stream.choose(len(self._running))), None, self._now)

    # What clients ask for

    def _send(self, client: Client, message: Any) -> None:
        connection = client.connection
        if message and connection is not None:
            self._input(lambda: self.gateway.receive(connection, json.encode(message), self._now))

    def _subscribe(self, client: Client, topic: str) -> None:
        self._send(client, self._requests.subscription(client, topic, self._now))

    def _publish(self, client: Client, topic: str) -> None:
        request = self._requests.publication(client, topic)
        self._send(client, request)
        if "idempotency_key" in request["params"] and client.connection is not None and self._stream.happens(500):
            self._send(client, self._requests.again(client, request))

    def _publish_own(self, topic: str) -> None:
        data = self._requests.next()

        def publish() -> None:
            self._own[self.gateway.publish(topic, data, self._now)] = topic, data

        self._input(publish)

    # What the gateway does

    def _input(self, input: Callable[[], object]) -> None:
        outbox = self.gateway.outbox
        input()
        self.gateway._limits.enforce(self._now)
        while outbox:
            self._perform(outbox.pop(0))
        topics(self.gateway)
        flow(self.gateway)
        calls(self.gateway)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, Transmit):
            self._transmit(effect.connection, effect.data, report=effect.report)
        elif isinstance(effect, Multicast):
            copies = len(effect.connections) - len(dict.fromkeys(effect.connections))
            must(not copies, "delivery: a subscriber gets one copy")
            for connection in effect.connections:
                self._check_right(connection, json.decode(effect.data)["params"]["topic"])
                self._transmit(connection, effect.data, report=False)
        elif isinstance(effect, Invoke):
            self._running.append(effect.call)
        elif isinstance(effect, Resolve):
            self._resolved(effect)
        elif isinstance(effect, Disconnect):
            client = self._homes.get(effect.connection)
            if client is not None:
                self._cut(client)

    def _check_right(self, connection: ConnectionId, topic: str) -> None:
        identity = self.gateway.identity(connection)
        may = topic != "staff" or not identity.missing(("staff",))
        must(may, "delivery: a subscription outlives the right to it", connection, identity)

    def _resolved(self, effect: Resolve) -> None:
        topic, data = self._own.pop(effect.request)
        if isinstance(effect.outcome, bytes):
            position = json.decode(effect.outcome)
            self._truth.ledger.acknowledged(topic, position["epoch"], position["offset"], data)

    def _transmit(self, connection: ConnectionId, data: bytes, *, report: bool) -> None:
        client = self._homes.get(connection)
        if client is None:
            return
        message = json.decode(data)
        for entry in message if isinstance(message, list) else [message]:
            if "result" in entry:
                self._check_result(client.asked[entry["id"]], entry["result"])
        size = len(data)
        client.wire.append(Sent(message, size if report or client.blocked else 0))
        if client.blocked and not report:
            self.gateway.report_held(connection, size, self._now)

    def _check_result(self, asked: Asked, result: Any) -> None:
        """What a reply says is true when it is made."""
        if asked.method == "topic.publish":
            self._truth.ledger.acknowledged(asked.topic, result["epoch"], result["offset"], asked.data)
        elif asked.method == "topic.subscribe" and asked.expected is not None and self._exact:
            (expected,) = asked.expected
            if (
                asked.subscriber is None
                or asked.subscriber.asked is None
                or asked.subscriber.asked[0] != result["epoch"]
            ):
                expected = None  # the topic was forgotten just now
            found = [each["offset"] for each in result["publications"]] if "publications" in result else None
            must(found == expected, "delivery: what is held is recovered", asked.topic, found, expected)
        elif asked.method == "topic.history" and asked.kept is not None and self._exact:
            found = [(each["offset"], each["data"]) for each in reversed(result["publications"])]
            kept = asked.kept[-self.gateway.config.max_recovery :]
            must(found == kept, "delivery: a history has what was acknowledged", asked.topic, found, kept)

    def _read(self, client: Client, most: int) -> None:
        """A client reads some of what was sent to it."""
        for _ in range(most):
            if not client.wire or client.connection is None:
                return
            sent, connection = client.wire.popleft(), client.connection
            client.read(sent.message)
            if sent.owed:
                self._input(partial(self.gateway.report_sent, connection, sent.owed, self._now))

    # The end

    def _come_to_rest(self) -> None:
        """Everybody reads everything: nobody has missed anything. Then everybody leaves, and nothing is left."""
        while self._running:
            self._input(self._complete)
        for client in self._clients:
            client.blocked = False
            while client.wire and client.connection is not None:
                self._read(client, 1)
            for topic, subscriber in client.subscribers.items():
                here = self._truth.position(topic)
                must(
                    subscriber.position == here,
                    "delivery: every publication comes in the end",
                    topic,
                    subscriber.position,
                    here,
                )
        for client in self._clients:
            if client.connection is not None:
                self._cut(client)
        topics_at_rest(self.gateway)
        self._pass_time(700.0)
        must(not self.gateway.memory, "rest: something is kept of topics that nobody uses")
        must(not self.gateway._broker.records, "rest: a topic that nobody uses is forgotten")
