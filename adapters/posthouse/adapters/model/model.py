"""The model stands beside a gateway. It gets each input with its effects (`check_input`), and raises `Violation` when
these are not what the rules require.

| about | checked exactly | only within bounds |
|---|---|---|
| requests | refused with which code, started, or waiting, in order | |
| outcomes | once, when, where, which ids in which array, within the limits | -32603 for a result, -32008, -32011 |
| handlers | every Invoke and Cancel; slots; the return values of complete and fail | |
| time | everything that ends at the first `handle_timeout` that is due | which of two deadlines came first |
| pushes | to which connection, when, in order with replies | their params; for `message.received` only its target |
| requests of the gateway | one Resolve each, with a result or which code | |
| closing | what a close ends; what `flush` still sends; silence afterwards | a limit was reached; not when it closes |
| shutdown | refusals, the end of the grace, Drained | how closing is spread over time |
| addresses | how many sockets and requests each has, and whom the limit refuses | their rate |
| slow peers | queued messages are sent in order, before the peer is read again | in which portions |

Events are compared with all their facts: `call.ended` (if it is made), and those in `reports/told.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from posthouse.adapters.invariants import Violation, must
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Accept, Disconnect, Effect, Emit, Heartbeat
from posthouse.core.values.errors import INTERNAL_ERROR, RpcError
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import PUSHABLE, Address, Peer

from .expected import Expected
from .identities import Identities
from .limits import REACHED, Addresses
from .outgoing import Pushes
from .records import Connection
from .reports.statistics import check_health
from .requests import Requests
from .shutdown import Shutdown
from .validity import Validity

SERVICE_RESTART = 1012
"""The close code of a shutdown."""


class Model:
    """The promises of one gateway that serves `service` within `config`. It has a method for each input, `pushes` those
    for what the gateway sends by itself.

    These methods get the arguments of the input that matter here, then its return value if it has one. `wall` returns
    Unix time at monotonic 0.
    """

    def __init__(
        self,
        service: Service,
        config: Config,
        *,
        ends_are_told: bool = False,
        exchanges_told: bool = True,
        wall: Callable[[], float] = float,
    ) -> None:
        self._config = config
        hashes = any(authenticator.hashing for authenticator in service.authenticators.values())
        self._budget = config.memory_budget - (config.hashing_workers * config.argon2_memory if hashes else 0)
        self._expected = Expected(config, ends_are_told=ends_are_told, exchanges_told=exchanges_told)
        self._validity = Validity(config, self._expected, wall)
        self._identities = Identities(service, config, self._expected, self._validity)
        self._requests = Requests(service, config, self._expected, self._identities)
        self._calls = self._requests.calls
        self.ask_session = self._requests.ask_session
        self.pushes = Pushes(self._expected, self._calls, self._requests.outgoing)
        self._shutdown: Shutdown | None = None
        self.connections = self._expected.connections
        self._addresses = Addresses(config)
        self.sockets: dict[int, None] = {}
        self.wall = 0.0

    def check_input(self, input: Callable[[], None], effects: Sequence[Effect], now: float) -> None:
        """An input had these effects at this time. `input` calls the method of the model for it. Raises Violation."""
        expected = self._expected
        expected.begin(effects, now)
        self._identities.begin()
        self._addresses.begin(effects)
        input()
        for effect in effects:
            if type(effect) is Disconnect:
                self._closed(effect)
            elif type(effect) is Heartbeat:
                self._heartbeat(effect)
            elif type(effect) is Emit and type(effect.event) is LimitBreached:
                self._limit(effect.event)
        expected.compare()
        self._identities.compare()
        if self._shutdown is not None:
            busy = bool(self.connections or self.sockets or self._calls.handlers or self._identities.outside)
            self._shutdown.check_drained(effects, self.connections.values(), busy=busy)

    # Sockets and connections

    def accepted(self, socket: int | None, address: Address, *, trusted: bool) -> None:
        """A socket was accepted, or refused. `trusted`: that of a proxy."""
        self._addresses.accepted(socket, address, trusted=trusted)
        if socket is not None:
            accepting = self._shutdown is None or self._shutdown.accepting
            must(accepting, "shutdown: a socket was accepted after the notice", socket)
            self.sockets[socket] = None

    def released(self, socket: int) -> None:
        """A socket was closed."""
        self.sockets.pop(socket, None)
        self._addresses.released(socket)

    def arrived(self, socket: int, address: Address, *, admitted: bool) -> None:
        """The head of a request through a proxy was read."""
        self._addresses.arrived(socket, address, admitted=admitted)

    def connect(self, peer: Peer, number: int, credentials: object, *, ahead: bool) -> None:
        """A connection was opened, or refused at once, or its credentials must be verified first."""
        connection = self.connections[number] = Connection(number, peer, PUSHABLE[peer.kind], ahead)
        if self._shutdown is None or not connection.pushable:  # else it is refused before its address counts
            self._addresses.connected(peer)
        connection.identity, connection.active_at = peer.identity, self._expected.now
        connection.opened_at = self._expected.now
        self._identities.connect(connection, credentials)
        if not connection.pending:
            self._admit(connection)
        kinds = [type(effect) for effect in self._expected.effects]
        accepted = connection.accepted and not connection.pending and Disconnect not in kinds
        must(not (accepted and connection.pushable and self._shutdown), "shutdown: a lasting connection was accepted")
        must((Accept in kinds) is accepted, "answering: Accept was sent wrongly, or is missing", peer)

    def disconnected(self, number: int, code: int | None, reason: str | None) -> None:
        """The peer has left, or its connection was lost."""
        connection = self.connections.pop(number, None)
        if connection is not None and connection.open:
            self._drop(connection)
        if connection is not None:
            self._addresses.disconnected(connection.peer)
            self._expected.told.closed(connection, code, reason)
            if connection.admitted:
                self._expected.statistics.count(f"connections.closed.{connection.peer.kind}")

    def _admit(self, connection: Connection) -> None:
        """A connection is admitted, unless this input refuses it."""
        self._expected.told.opened(connection, self._expected.effects)
        self._validity.identify(connection, connection.identity)
        if connection.admitted:
            self._expected.statistics.count(f"connections.opened.{connection.peer.kind}")

    def _drop(self, connection: Connection) -> None:
        self._requests.drop(connection)
        self._identities.drop(connection)

    def report_held(self, number: int, size: int) -> None:
        """The socket holds these bytes."""
        connection = self.connections.get(number)
        if connection is not None and connection.open and size > 0:
            if not connection.held:
                connection.taken_at = self._expected.now
            connection.held += size

    def report_sent(self, number: int, size: int) -> None:
        """The socket has sent these bytes."""
        connection = self.connections.get(number)
        if connection is not None and connection.open and size > 0:
            connection.held -= size
            connection.taken_at = self._expected.now
            self._expected.has_room(connection)

    def _closed(self, effect: Disconnect) -> None:
        """The gateway closes a connection."""
        connection = self.connections.get(effect.connection)
        if connection is None or not connection.open:
            raise Violation("order: a connection was closed twice", effect)
        if effect.code == SERVICE_RESTART:
            must(self._shutdown is not None, "shutdown: close code 1012 without a shutdown", effect)
            must(not (effect.flush and connection.calls), "shutdown: a connection was closed before its calls", effect)
        if connection.admitted:
            self._validity.check_closed(connection, effect, self.connections.values())
        connection.closing = effect.code, effect.reason.text
        self._drop(connection)

    def _limit(self, event: LimitBreached) -> None:
        """A limit was reached, whether it closes or is only observed."""
        reached = REACHED.get(event.limit)
        connection = None if event.connection is None else self.connections.get(event.connection)
        if reached is not None and connection is not None:
            right = reached(connection, self._expected.now, self._config)
            must(right, "limits: a limit was reported that was not reached", event.limit, connection.number)

    def _heartbeat(self, effect: Heartbeat) -> None:
        connection = self.connections.get(effect.connection)
        if connection is None or not connection.open:
            raise Violation("order: a heartbeat was sent to a closed connection", effect)
        connection.heartbeat_at = self._expected.now

    # Texts and handlers

    def receive(self, number: int, data: bytes) -> None:
        """A text was received."""
        connection = self.connections.get(number)
        if connection is not None and connection.pending:
            connection.text = data
            if connection.stale is not None:
                self._admitted(connection, self._identities.held(connection))
        elif connection is not None and connection.open and not connection.exchange_used:
            connection.exchange_used = not connection.pushable
            self._requests.receive(connection, data)

    def heard(self, number: int) -> None:
        """A sign of life was received."""
        connection = self.connections.get(number)
        if connection is not None:
            connection.heard_at = self._expected.now

    def complete(self, number: int, result: bool) -> None:
        """A handler returned a result. A result that cannot be sent becomes an error."""
        self._calls.completed(number, result)

    def fail(self, number: int, error: RpcError, accepted: bool) -> None:
        """A handler failed. An error that cannot be encoded becomes an internal error."""
        self._calls.failed(number, (error.code, INTERNAL_ERROR), accepted)

    def conclude(self, operation: int, outcome: object, first: bool) -> None:
        """The outside has concluded an operation."""
        if operation in self._identities.sessions.begun:
            self._judged(*self._requests.concluded(operation, outcome, first))
            return
        asked = self._identities.asked.get(operation)
        if asked is not None and asked.call is not None:
            must(first, "identity: the end of an operation was accepted or ignored wrongly", operation)
            late = self._calls.records[asked.call].deadline <= self._expected.now
            ended = self._identities.concluded_login(operation, outcome, late=late)
            if ended is not None:
                self._calls.answered(*ended)
            return
        text = self._identities.concluded(operation, outcome, first)
        if asked is not None and not asked.connection.pending:
            self._admitted(asked.connection, text)

    def _judged(self, connection: Connection | None, text: bytes | None) -> None:
        """The store has answered, perhaps for the session with which a connection has come."""
        if connection is not None and not connection.pending:
            self._admitted(connection, text)

    def _admitted(self, connection: Connection, text: bytes | None) -> None:
        """Its credentials were verified: it is admitted, or refused, with the text that it has sent."""
        self._admit(connection)
        if text is not None:
            connection.exchange_used = not connection.pushable
            self._requests.receive(connection, text)

    def revoke(self, user: str, namespace: str, not_before: float | None, closed: int) -> None:
        """A user was revoked. `closed` connections are closed for it."""
        key = (namespace, user)
        self._identities.verified.revoke(key)
        self._identities.cookies.revoke(key, not_before)
        if not_before is None:
            self._identities.sessions.revoke(key)
        revoked = self._validity.revoke(key, not_before, self.connections.values())
        for connection in revoked:
            connection.revoked = key
        must(closed == len(revoked), "identity: the wrong number of connections are revoked", closed, len(revoked))
        self._calls.revoke(key, not_before, revoked)
        self._expected.told.revoked(key, not_before, closed)
        must_close = {each.number for each in revoked}
        closes = {effect.connection for effect in self._expected.effects if type(effect) is Disconnect}
        must(must_close <= closes, "identity: a connection of a revoked user is not closed", must_close - closes)

    # Time and shutdown

    def handle_timeout(self) -> None:
        """Every deadline that has passed was handled."""
        now, shutdown = self._expected.now, self._shutdown
        all_ended_at = shutdown.all_ended_at(now) if shutdown else None
        for at, call, code in self._identities.expire(self._calls.records, all_ended_at):
            self._calls.expire_before(at)
            self._calls.answered(call, (code,))
        for question in self._requests.unanswered(all_ended_at):
            self._judged(*self._requests.store_answered(question, MaybeApplied()))
        self._identities.sessions.check_over()
        self._calls.expire(grace_over=shutdown is not None and shutdown.grace_over(now))
        self._requests.outgoing.expire(now)
        self._validity.advance(self.connections.values())
        if shutdown is not None:
            accepting = shutdown.accepting
            shutdown.advance(now)
            if accepting and not shutdown.accepting:
                self._expected.told.stopped()

    def set_wall(self, unix: float, now: float) -> None:
        """Unix time is `unix` now."""
        self.wall = unix - now
        self._validity.wall_moved(self.connections.values(), now)

    def shut_down(self, grace: float | None) -> None:
        """A shutdown began, unless one had begun before."""
        if self._shutdown is not None:
            return
        self._shutdown = Shutdown(self._expected.now, grace, self._config)
        self._requests.draining = True
        self._expected.told.draining()
        for connection in self.connections.values():
            self._expected.push(connection, "connection.draining")

    # Between two inputs

    def check(self, gateway: Gateway, now: float) -> None:
        """The gateway's own figures are right, and it wants to be woken in time. Raises Violation.

        The cost grows with the number of calls and connections.
        """
        self._check_figures(gateway, now)
        must(gateway.draining is (self._shutdown is not None), "shutdown: gateway.draining is wrong")
        deadlines = self._requests.deadlines() + self._identities.deadlines()
        deadlines += self._identities.sessions.deadlines()
        deadlines += self._validity.deadlines(self.connections.values())
        if self._shutdown is not None:
            deadlines += self._shutdown.deadlines()
            self._shutdown.check_idle_closed(self.connections.values())
        due = gateway.next_timeout()
        late = bool(deadlines) and (due is None or due > min(deadlines))
        must(not late, "time: next_timeout is later than a deadline", due, min(deadlines, default=None))

    def _check_figures(self, gateway: Gateway, now: float) -> None:
        """The figures of `health` and `stats` are right."""
        living = [each for each in self.connections.values() if each.open and each.admitted]
        full = max(len(living), len(self.sockets)) >= self._config.max_connections
        full = full or self._calls.handlers >= self._config.max_calls
        degraded = "degraded" if full or gateway.memory > self._budget else "healthy"
        sizes = {
            **self._requests.sizes(),
            "connections.open": len(living),
            "memory.bytes": gateway.memory,
            "sockets.open": len(self.sockets),
        }
        check_health(gateway.health(now), sizes, "draining" if self._shutdown else degraded, self.wall + now)
        if "sessions.attached" in (told := gateway.stats()):
            sizes["sessions.attached"] = len(self._identities.sessions.rows)
        self._expected.statistics.check(told, sizes, Counter(connection.peer.kind for connection in living))

    def check_at_rest(self) -> None:
        """No call, no request and no due message is left. Raises Violation."""
        self._requests.check_at_rest()
        due = [connection.number for connection in self.connections.values() if connection.due]
        must(not due, "rest: messages are due", *due)
