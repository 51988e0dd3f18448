"""The gateway: all inputs, in one class. It checks each input and calls the tables beside it.

Inputs run to completion and leave their effects in `outbox`, in order. They raise only UsageError (misuse by the
caller), before any change. After a batch of inputs the caller performs the outbox, clears it, and only then waits.
`now` is monotonic seconds and always an argument.
"""

from __future__ import annotations

from math import isfinite

from posthouse.core.calls.calls import RUNNING
from posthouse.core.calls.totals import measurements, totals
from posthouse.core.connections.delivery import Names
from posthouse.core.connections.state import ASK, LIVING, OPEN, State
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.peers import Address, CallId, ConnectionId, OperationId, OutgoingId, Peer, SocketId
from posthouse.core.values.stats import Health, Measurements

from .topic_inputs import TopicInputs


class Gateway(TopicInputs):
    """One JSON-RPC gateway without I/O, for one process: give it inputs, perform its `outbox`.

    `wall` is Unix time at monotonic 0; `entropy(n)` returns n unpredictable bytes. `events` names lifecycle events that
    you listen to besides the hooks of the service: `call.ended` is only made for those who listen. With
    `tell_exchanges=False`, so are `connection.opened` and `connection.closed` of HTTP exchanges and local calls.
    """

    # Sockets

    def accepted(self, address: Address, now: float, *, trusted: bool = False) -> SocketId | None:
        """A socket was accepted and nothing was read from it. None: it is refused; close it unread. `trusted`: it is
        that of a proxy that names its clients. Limits per address then apply to them, when their requests arrive."""
        if self._busy:
            self._check_not_reentrant()
        return self._openings.accept(address, now, accepting=self._drain.accepting, trusted=trusted)

    def arrived(self, socket: SocketId, address: Address, now: float) -> bool:
        """The head of a request was read from a trusted proxy, and names this client. False: a limit per address
        refuses it. If the whole request is here, `connect` alone does the same."""
        self._check_not_reentrant()
        return not self._connections.has_socket(socket) or self._openings.arrive(socket, address, now) is None

    def head_read(self, socket: SocketId, now: float) -> None:
        """The socket's first whole head was read (or its equivalent in another protocol)."""
        self._check_not_reentrant()
        if socket in self._connections.sockets or self._connections.has_socket(socket):
            self._connections.head_read(socket)

    def released(self, socket: SocketId, now: float) -> None:
        """The socket is closed."""
        self._check_not_reentrant()
        if socket in self._connections.sockets or self._connections.has_socket(socket):
            self._connections.remove_socket(socket)
        if self._shared.unsettled:
            self._limits.enforce(now)

    # Connections

    def connect(self, peer: Peer, now: float, *, credentials: object = None, ahead: bool = False) -> ConnectionId:
        """A peer asks to be connected. `Accept` admits it (an HTTP exchange: `Answer`, or if it comes `ahead` of its
        text `Accept`), `Disconnect` refuses it. Exactly one `disconnected` must follow. `credentials` (Bearer, Basic,
        Cookie, or UnreadableCredentials for others; a tuple of several, which must be those of one user) are verified
        first. They are ignored if the service has no authenticator."""
        if self._busy:
            self._check_not_reentrant()
        if credentials is None or not self.authenticates:
            return self._openings.connect(peer, now, draining=self._drain.began is not None, ahead=ahead)
        return self._arrivals.connect(peer, credentials, now, ahead=ahead)

    def receive(self, connection: ConnectionId, data: bytes, now: float) -> None:
        """One whole JSON text from a connection. Raises UsageError for a second text of an HTTP exchange."""
        if self._busy:
            self._check_not_reentrant()
        record = self._connections.records.get(connection)
        if record is None or record.state is not OPEN:
            record = self._connections.find(connection)
            if record is not None and record.state is State.ASKED:
                raise UsageError(f"connection {connection} is an HTTP exchange: it has already received its one text")
            if record is not None and record.state is State.AUTHENTICATING:
                self._arrivals.hold(record, data, now)
                self._limits.enforce(now)
            return
        if not record.pushable:
            record.move(ASK)
        record.heard_at = record.active_at = now
        self._busy = True
        try:
            self._dispatch.receive(record, data, now)
        finally:
            self._busy = False
        if self._shared.unsettled:
            self._limits.enforce(now)

    def heard(self, connection: ConnectionId, now: float) -> None:
        """Bytes were received that are not a whole text: a sign of life."""
        self._check_not_reentrant()
        record = self._connections.find(connection)
        if record is not None:
            record.heard_at = now

    def disconnected(
        self, connection: ConnectionId, code: int | None, now: float, *, reason: str | None = None
    ) -> None:
        """The connection is gone. Exactly one for each `connect`. `code`: the peer's close code, or None. `reason`: the
        rule that the peer broke (for logs), or None."""
        if self._busy:
            self._check_not_reentrant()
        record = self._connections.records.get(connection)
        if record is None:
            self._connections.find(connection)
            return
        self._closing.end(record, code, now, reason)
        if self._shared.unsettled:
            self._limits.enforce(now)

    # Flow

    def report_held(self, connection: ConnectionId, size: int, now: float) -> None:
        """The socket did not take `size` bytes: they wait outside the gateway."""
        self._check_not_reentrant()
        record = self._connections.find(connection)
        if record is not None and size > 0 and record.state in LIVING:
            self._flow.hold(connection, size, now)
            self._limits.enforce(now)

    def report_sent(self, connection: ConnectionId, size: int, now: float) -> None:
        """`size` of the held bytes were sent."""
        self._check_not_reentrant()
        record = self._connections.find(connection)
        if record is None or record.state not in LIVING:
            return
        held = self._flow.held(connection)
        if size > held:
            raise UsageError(f"{size} bytes are reported as sent: only {held} are held for connection {connection}")
        if size <= 0:
            return
        self._flow.sent(connection, size, now)
        if not self._flow.held(connection):
            self._liveness.resumed(record, now)
        self._limits.enforce(now)

    def report_buffered(self, size: int, now: float) -> None:
        """The codecs hold `size` received bytes in total."""
        self._check_not_reentrant()
        self._shared.hold(size - self._buffered)
        self._buffered = size
        self._limits.enforce(now)

    # Handlers

    def complete(self, call: CallId, result: object, now: float) -> bool:
        """The handler of this call returned. True: the call ends with this result. False: it has another outcome."""
        if self._busy:
            self._check_not_reentrant()
        record = self._calls.records.get(call)
        if record is None:
            self._calls.find(call)
            return False
        self._busy = True
        try:
            first = self._outcomes.complete(record, result, now)
        finally:
            self._busy = False
        if self._shared.unsettled:
            self._limits.enforce(now)
        return first

    def fail(self, call: CallId, error: RpcError, now: float) -> bool:
        """The handler of this call raised, or was stopped. False: the call already has its outcome."""
        self._check_not_reentrant()
        record = self._calls.find(call)
        if record is None:
            return False
        self._busy = True
        try:
            first = self._outcomes.fail(record, error.error_object, now)
        finally:
            self._busy = False
        self._limits.enforce(now)
        return first

    def progress(self, call: CallId, value: object, now: float) -> bool:
        """Send `$/progress` to the caller. False: the call has ended, or its caller gave no progress token."""
        self._check_not_reentrant()
        found = self._calls.find(call)
        if found is None or found.phase is not RUNNING or found.detached or found.meta.progress_token is None:
            return False
        record = self._connections.records[found.connection]
        payload = self._encode("$/progress", {"token": found.meta.progress_token, "value": value})
        pushed = self._delivery.push(record, payload, now)
        self._limits.enforce(now)
        return pushed

    # External operations

    def conclude(self, operation: OperationId, outcome: object, now: float) -> bool:
        """The outside has done what a `Verify` or an `AskStore` asked for, with this outcome: exactly once for each.
        False: the operation has ended before. Raises UsageError for one that never was, and for a wrong outcome."""
        self._check_not_reentrant()
        self._busy = True
        try:
            first = self._operations.conclude(operation, outcome, now)
        finally:
            self._busy = False
        self._limits.enforce(now)
        return first

    def revoke(self, user: str, now: float, *, namespace: str = "", not_before: float | None = None) -> int:
        """Revoke a user: close its connections (4403), cancel its calls, forget that its credentials were verified.
        Returns the number of connections. With `not_before` (Unix seconds) this is about credentials that were made
        before, or nobody knows when; they are refused from now on, too."""
        self._check_not_reentrant()
        closed = self._revocation.revoke(user, namespace, not_before, now)
        self._limits.enforce(now)
        return closed

    # Notifications and requests to peers

    def notify(self, to: ConnectionId, method: str, params: object, now: float, *, after: CallId | None = None) -> bool:
        """Send a notification. False: the connection is gone or cannot be pushed to. `after`: behind the reply of this
        call (`followers.py`); False if it has ended without a result. Ask only before `complete` or after a True."""
        self._check_not_reentrant()
        record = self._connections.find(to)
        if after is not None:
            self._followers.check(after, to)
        payload = self._encode(method, params)
        if after is None:
            pushed = record is not None and self._delivery.push(record, payload, now)
        else:
            pushed = record is not None and self._followers.follow(record, after, payload, now)
        self._limits.enforce(now)
        return pushed

    def broadcast(
        self,
        method: str,
        params: object,
        now: float,
        *,
        kinds: Names | None = None,
        users: Names | None = None,
        namespace: str = "",
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). Returns how many there are.
        `namespace` is that of the users."""
        self._check_not_reentrant()
        payload = self._encode(method, params)
        delivered = self._delivery.multicast(payload, now, kinds=kinds, users=users, namespace=namespace)
        self._limits.enforce(now)
        return delivered

    def request(self, to: ConnectionId, method: str, params: object, now: float, *, timeout: float) -> OutgoingId:
        """Send a request. Exactly one `Resolve` follows, within `timeout` seconds, unless the request is abandoned."""
        self._check_not_reentrant()
        if not timeout > 0:
            raise UsageError(f"timeout is {timeout}: it must be above 0 seconds")
        record = self._connections.find(to)
        self._busy = True
        try:
            request = self._requests.send(record, method, params, now + timeout, now)
        finally:
            self._busy = False
        self._limits.enforce(now)
        return request

    def abandon(self, request: OutgoingId, now: float) -> None:
        """Forget a request: no `Resolve` follows, and the peer is told."""
        self._check_not_reentrant()
        self._requests.abandon(request, now)
        self._limits.enforce(now)

    # Shut-down

    @property
    def accepting(self) -> bool:
        """Are new sockets accepted? False after the notice of a shut-down."""
        return self._drain.accepting

    @property
    def draining(self) -> bool:
        """Has a shut-down begun?"""
        return self._drain.began is not None

    def shut_down(self, now: float, *, grace: float | None = None) -> None:
        """Begin a shut-down: refuse new calls, tell peers, let calls end within `grace` seconds (None: `drain_grace`)
        and close connections. `Drained` follows. A second call changes nothing."""
        self._check_not_reentrant()
        if grace is not None and not grace >= 0:
            raise UsageError(f"grace is {grace}: it must be at least 0 seconds")
        if self.draining:
            return
        self._drain.begin(now, grace)
        self._limits.enforce(now)

    # Time

    def set_wall(self, unix: float, now: float) -> None:
        """Unix time is `unix` at `now`. Only timestamps depend on it, and when identities expire."""
        self._check_not_reentrant()
        self._shared.wall = unix - now
        self._expiry.wall_moved(now)
        self._sessions.wall_moved(now)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`, in monotonic seconds. None: no deadline is armed."""
        self._outcomes.arm()
        return self._shared.timers.next()

    def handle_timeout(self, now: float) -> None:
        """Time has passed. Early, late or spurious calls are harmless."""
        self._check_not_reentrant()
        if not isfinite(now):
            raise UsageError(f"now is {now}: it must be a finite number of seconds")
        self._outcomes.arm()
        self._shared.timers.run(now)
        self._limits.enforce(now)

    # Look-ups

    @property
    def memory(self) -> int:
        """The bytes that this gateway and its codecs hold for peers."""
        return self._shared.held

    def busy(self, connection: ConnectionId) -> bool:
        """Does this connection have calls without an outcome, or bytes that are not sent?"""
        record = self._connections.records.get(connection)
        return record is not None and (bool(record.calls) or connection in self._flow.backlogs)

    def health(self, now: float) -> Health:
        """The state of the gateway. Changes nothing."""
        return self._limits.health(now)

    def stats(self) -> dict[str, int]:
        """The counters and the sizes, by name (docs/protocol.md lists them). Changes nothing."""
        return self._with_topics(self._with_sessions(totals(*self._counted)))

    def measurements(self) -> Measurements:
        """All counters, sizes, durations and levels. Changes nothing."""
        return measurements(self._shared, self._connections, self._calls, self.stats())
