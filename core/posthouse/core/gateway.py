"""The gateway: every client as one kind of connection, and every fact that crosses connections, in one machine.

Inputs run to completion, raise only UsageError (the caller's own misuse, before any change) and leave what follows in
`outbox`, in order. Mutate, drain, wait: after a batch of inputs the caller performs the outbox, clears it, and only
then waits. `now` is monotonic seconds and always an argument. This module calls the tables beside it and decides
nothing twice; it may not know bytes on a wire, clocks, tasks or sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite

from posthouse.core.calls.calls import RUNNING, Calls
from posthouse.core.calls.outgoing import OutgoingRequests
from posthouse.core.calls.replies import Replies
from posthouse.core.closing.closing import CLOSES, Closing
from posthouse.core.closing.deadlines import Deadlines
from posthouse.core.closing.drain import SHUTDOWN, Drain
from posthouse.core.connections.connections import LIVING, OPEN, Connection, Connections, State, Trigger
from posthouse.core.connections.delivery import Breaches, Delivery
from posthouse.core.connections.flow import Flow
from posthouse.core.connections.liveness import Liveness
from posthouse.core.dispatch.dispatch import Dispatch
from posthouse.core.jsonrpc.messages import encode_notification, encode_request
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Accept, Disconnect, Effect, Emit
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.lifecycle import ConnectionOpened
from posthouse.core.values.peers import KINDS, Address, CallId, ConnectionId, OutgoingId, Peer, SocketId
from posthouse.core.values.stats import Health, Stats, Wall
from posthouse.core.values.timers import Timers


class Gateway:
    """One JSON-RPC gateway without I/O: give it inputs, perform its `outbox`.

    `wall` is Unix time at monotonic 0; `entropy(n)` gives n unpredictable bytes. One gateway serves one process.
    """

    def __init__(
        self, service: Service, config: Config = Config(), *, wall: float, entropy: Callable[[int], bytes]
    ) -> None:
        self.outbox: list[Effect] = []
        self._config = self.config = config
        self._busy = False
        self._buffered = 0
        self._breaches: Breaches = []
        self._stats = Stats()
        self._wall = Wall(wall)
        timers = Timers()
        outbox, breaches = self.outbox, self._breaches
        self._connections = Connections(config, entropy)
        self._flow = Flow(config, outbox, timers)
        self._calls = Calls(config, outbox, timers)
        self._liveness = Liveness(config, outbox, timers, entropy)
        self._drain = Drain(config, outbox, timers, self._connections)
        self._replies = Replies(config, outbox, self._flow)
        self._delivery = Delivery(outbox, self._connections, self._flow, breaches)
        self._requests = OutgoingRequests(config, outbox, timers, self._delivery)
        self._dispatch = Dispatch(
            config,
            outbox,
            service,
            self._delivery,
            self._wall,
            self._connections,
            self._calls,
            self._requests,
            self._replies,
            self._stats,
            breaches,
            entropy,
        )
        self._closing = Closing(
            config,
            outbox,
            self._connections,
            self._dispatch,
            self._requests,
            self._flow,
            self._liveness,
            self._drain,
            self._stats,
            breaches,
        )
        self._deadlines = Deadlines(
            timers,
            self._connections,
            self._calls,
            self._dispatch,
            self._requests,
            self._flow,
            self._liveness,
            self._drain,
            self._closing,
            breaches,
        )

    # Sockets

    def accepted(self, address: Address, now: float) -> SocketId | None:
        """A socket was accepted and nothing read from it. None: it is refused; close it unread."""
        self._check_not_reentrant()
        if not isinstance(address, Address):
            raise UsageError(f"the address is {address!r}: give an Address, such as Address('127.0.0.1', 5000)")
        if not self._drain.accepting:
            return None
        for limit in self._connections.socket_limits(address, now):
            if self._closing.enforced(limit, None, address, now):
                return None
        return self._connections.add_socket(address)

    def head_read(self, socket: SocketId, now: float) -> None:
        """The first whole head of this socket was read (or what its protocol has instead)."""
        self._check_not_reentrant()
        if self._socket(socket):
            self._connections.head_read(socket)

    def released(self, socket: SocketId, now: float) -> None:
        """This socket is closed."""
        self._check_not_reentrant()
        if self._socket(socket):
            self._connections.remove_socket(socket)
        self._enforce_limits(now)

    # Connections

    def connect(self, peer: Peer, now: float) -> ConnectionId:
        """A peer asks to be connected. Answered by `Accept`, or refused by `Disconnect`; for an HTTP exchange `Answer`
        is the acceptance. Exactly one `disconnected` is owed for it."""
        self._check_not_reentrant()
        if not isinstance(peer, Peer):
            raise UsageError(f"the peer is {peer!r}: give a Peer, such as Peer('websocket')")
        if peer.kind not in KINDS:
            raise UsageError(f"there is no kind {peer.kind!r}: kinds are {', '.join(KINDS)}")
        if peer.socket is not None and not self._socket(peer.socket):
            raise UsageError(f"socket {peer.socket} was released: nobody can connect through it")
        refusal = self._refusal(peer, now)
        record = self._connections.add(peer, now)
        if refusal is not None:
            record.move(Trigger.REFUSE)
            record.code = CLOSES[refusal][0]
            self.outbox.append(Disconnect(record.id, record.code))
            return record.id
        self._connections.index(record)
        self._liveness.begin(record, now)
        self._stats.count("connections.opened")
        if record.pushable:
            self.outbox.append(Accept(record.id))
        opened = ConnectionOpened(record.id, record.public_id, peer.kind, peer.address, record.identity.user, now)
        self.outbox.append(Emit(opened))
        return record.id

    def _refusal(self, peer: Peer, now: float) -> str | None:
        if self.draining and peer.kind != "http":
            return SHUTDOWN
        limits = self._connections.connection_limits(peer)
        if self.memory > self._config.memory_budget:
            limits += ("memory_budget",)
        return next((limit for limit in limits if self._closing.enforced(limit, None, peer.address, now)), None)

    def receive(self, connection: ConnectionId, data: bytes, now: float) -> None:
        """One whole JSON text from a connection. An HTTP exchange has one: UsageError while that is not answered."""
        if self._busy:
            self._check_not_reentrant()
        record = self._connections.records.get(connection)
        if record is None or record.state is not OPEN:
            record = self._record(connection)
            if record is not None and record.state is State.ASKED:
                raise UsageError(f"connection {connection} is an HTTP exchange: its one text came already")
            return
        if not record.pushable:
            record.move(Trigger.ASK)
        record.heard_at = record.active_at = now
        self._busy = True
        try:
            self._dispatch.receive(record, data, now)
        finally:
            self._busy = False
        if self._breaches or self._flow.total or self._calls.waiting or self._replies.batch_reply_bytes:
            self._enforce_limits(now)

    def heard(self, connection: ConnectionId, now: float) -> None:
        """Inbound bytes that were no text: a sign of life."""
        self._check_not_reentrant()
        record = self._record(connection)
        if record is not None:
            record.heard_at = now

    def disconnected(self, connection: ConnectionId, code: int | None, now: float) -> None:
        """The connection is gone, with the peer's close code or None. Exactly one for each `connect`."""
        self._check_not_reentrant()
        record = self._record(connection)
        if record is None:
            return
        self._closing.end(record, code, now)
        self._enforce_limits(now)

    # Flow

    def report_held(self, connection: ConnectionId, size: int, now: float) -> None:
        """The socket did not take `size` bytes of what it was given: they wait outside."""
        self._check_not_reentrant()
        record = self._record(connection)
        if record is not None and size > 0 and record.state in LIVING:
            self._flow.hold(connection, size, now)
            self._enforce_limits(now)

    def report_sent(self, connection: ConnectionId, size: int, now: float) -> None:
        """`size` of the held bytes went."""
        self._check_not_reentrant()
        record = self._record(connection)
        if record is None or record.state not in LIVING:
            return
        held = self._flow.held(connection)
        if size > held:
            raise UsageError(f"{size} bytes are reported as sent: only {held} are held for connection {connection}")
        if size <= 0:
            return
        breached = self._flow.sent(connection, size, now)
        if breached is not None:
            self._breaches.append((record, breached))
        if not self._flow.held(connection):
            self._liveness.resumed(record, now)
        self._enforce_limits(now)

    def report_buffered(self, size: int, now: float) -> None:
        """How many bytes the codecs hold in all, received and not yet handed on."""
        self._check_not_reentrant()
        self._buffered = size
        self._enforce_limits(now)

    # Handlers

    def complete(self, call: CallId, result: object, now: float) -> bool:
        """The handler of this call returned. False: the call had ended."""
        if self._busy:
            self._check_not_reentrant()
        record = self._calls.records.get(call)
        if record is None:
            self._calls.find(call)
            return False
        self._busy = True
        try:
            first = self._dispatch.complete(record, result, now)
        finally:
            self._busy = False
        if self._breaches or self._flow.total or self._replies.batch_reply_bytes or self._drain.began is not None:
            self._enforce_limits(now)
        return first

    def fail(self, call: CallId, error: RpcError, now: float) -> bool:
        """The handler of this call raised, or was stopped. False: the call had ended."""
        self._check_not_reentrant()
        record = self._calls.find(call)
        if record is None:
            return False
        self._busy = True
        try:
            first = self._dispatch.fail(record, error, now)
        finally:
            self._busy = False
        self._enforce_limits(now)
        return first

    def progress(self, call: CallId, value: object, now: float) -> bool:
        """Tell the caller how far its call is. False: the call had ended, or its caller gave no progress token."""
        self._check_not_reentrant()
        found = self._calls.find(call)
        if found is None or found.phase is not RUNNING or found.detached or found.meta.progress_token is None:
            return False
        record = self._connections.records[found.connection]
        payload = self._encode("$/progress", {"token": found.meta.progress_token, "value": value})
        pushed = self._delivery.push(record, payload, now)
        self._enforce_limits(now)
        return pushed

    # Speaking first

    def notify(self, to: ConnectionId, method: str, params: object, now: float) -> bool:
        """Send a notification. False: the connection is gone or cannot be pushed to."""
        self._check_not_reentrant()
        record = self._record(to)
        payload = self._encode(method, params)
        pushed = record is not None and self._delivery.push(record, payload, now)
        self._enforce_limits(now)
        return pushed

    def broadcast(
        self,
        method: str,
        params: object,
        now: float,
        *,
        kinds: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). To how many it was sent."""
        self._check_not_reentrant()
        payload = self._encode(method, params)
        delivered = self._delivery.multicast(payload, now, kinds=kinds, users=users)
        self._enforce_limits(now)
        return delivered

    def request(self, to: ConnectionId, method: str, params: object, now: float, *, timeout: float) -> OutgoingId:
        """Ask a peer. Exactly one `Resolve` follows, within `timeout` seconds, unless it is abandoned."""
        self._check_not_reentrant()
        if not timeout > 0:
            raise UsageError(f"timeout is {timeout}: it must be above 0 seconds")
        record = self._record(to)
        obstacle = self._requests.obstacle(record)
        if obstacle is not None:
            return self._requests.refuse(obstacle)
        assert record is not None
        self._busy = True
        try:
            payload = encode_request(self._requests.upcoming, method, params)
        finally:
            self._busy = False
        request = self._requests.send(record, payload, now + timeout, now)
        self._enforce_limits(now)
        return request

    def abandon(self, request: OutgoingId, now: float) -> None:
        """Nobody waits for this request any more: there will be no `Resolve`, and the peer is told."""
        self._check_not_reentrant()
        self._requests.abandon(request, now)
        self._enforce_limits(now)

    def _encode(self, method: str, params: object) -> bytes:
        """Conversion of a user's types runs a user's code: it may not call back."""
        self._busy = True
        try:
            return encode_notification(method, params)
        finally:
            self._busy = False

    # The end

    @property
    def accepting(self) -> bool:
        """May sockets be accepted? False once a shut-down's notice is over."""
        return self._drain.accepting

    @property
    def draining(self) -> bool:
        """Has a shut-down begun?"""
        return self._drain.began is not None

    def shut_down(self, now: float, *, grace: float | None = None) -> None:
        """Begin to leave: refuse new calls, tell peers, let calls end within `grace` seconds (None: `drain_grace`),
        close. `Drained` follows. A second call changes nothing."""
        self._check_not_reentrant()
        if grace is not None and not grace >= 0:
            raise UsageError(f"grace is {grace}: it must be at least 0 seconds")
        if self.draining:
            return
        self._drain.begin(now, grace)
        self._dispatch.draining = True
        payload = encode_notification("connection.draining", {"reconnect_after_ms": self._drain.reconnect_after_ms})
        self._delivery.multicast(payload, now, kinds=None, users=None)
        self._enforce_limits(now)

    # Time

    def set_wall(self, unix: float, now: float) -> None:
        """Unix time is `unix` at `now`. Only timestamps depend on it."""
        self._check_not_reentrant()
        self._wall.at_zero = unix - now

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is wanted: monotonic seconds, or None."""
        return self._deadlines.next()

    def handle_timeout(self, now: float) -> None:
        """Time has passed. Early, late or spurious calls are harmless."""
        self._check_not_reentrant()
        if not isfinite(now):
            raise UsageError(f"now is {now}: it must be a finite number of seconds")
        self._deadlines.handle(now)
        self._enforce_limits(now)

    # Look-ups

    @property
    def memory(self) -> int:
        """The bytes that this gateway and its codecs hold for peers."""
        return self._flow.total + self._calls.waiting_bytes + self._replies.batch_reply_bytes + self._buffered

    def busy(self, connection: ConnectionId) -> bool:
        """Does this connection wait for an outcome, or for bytes to go?"""
        record = self._connections.records.get(connection)
        return record is not None and (bool(record.calls) or connection in self._flow.backlogs)

    def health(self, now: float) -> Health:
        """How it is. Changes nothing."""
        connections = sum(len(of_kind) for of_kind in self._connections.by_kind.values())
        config = self._config
        full = (
            connections >= config.max_connections
            or len(self._connections.sockets) >= config.max_connections
            or self._calls.handlers >= config.max_calls
            or self.memory > config.memory_budget
        )
        return Health(
            status="draining" if self.draining else "degraded" if full else "healthy",
            timestamp=self._wall.timestamp(now),
            connections=connections,
            sockets=len(self._connections.sockets),
            calls=self._calls.handlers,
            waiting=self._calls.waiting,
            memory=self.memory,
        )

    def stats(self) -> dict[str, int]:
        """What was counted, by name. Changes nothing."""
        return {"calls.made": self._calls.made, **self._stats.snapshot()}

    # What every input does

    def _check_not_reentrant(self) -> None:
        if self._busy:
            raise UsageError("an input was called from within another: inputs run alone and to their end")

    def _record(self, connection: ConnectionId) -> Connection | None:
        record = self._connections.records.get(connection)
        if record is None and not self._connections.known(connection):
            raise UsageError(f"there never was a connection {connection}")
        return record

    def _socket(self, socket: SocketId) -> bool:
        if socket in self._connections.sockets:
            return True
        if not self._connections.known_socket(socket):
            raise UsageError(f"there never was a socket {socket}")
        return False

    def _enforce_limits(self, now: float) -> None:
        """Close what breached a limit, and see whether a shut-down has ended."""
        if self.memory > self._config.memory_budget:
            self._closing.relieve(self.memory, now)
        if self._breaches:
            self._closing.judge(now)
        if not self._drain.accepting and not (
            self._connections.records or self._connections.sockets or self._calls.handlers
        ):
            self._drain.finish()
