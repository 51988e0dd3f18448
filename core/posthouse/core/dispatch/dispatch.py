"""JSON-RPC dispatch: what a text asks for, whether it may, and how each of its entries ends.

Between `jsonrpc.py` (bytes to messages), `calls.py` (slots and deadlines) and `replies.py` (outcomes to bytes). Every
request that enters leaves exactly one outcome, whatever happens to its connection or its handler. It may not close
a connection: limits that a peer breaches are left in `breaches`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.json import encode
from msgspec.structs import astuple
from posthouse.core.calls.calls import ENDED, RUNNING, WAITING, Call, Calls
from posthouse.core.calls.outgoing import CANCEL_REQUEST, OutgoingRequests
from posthouse.core.calls.replies import Batch, Replies
from posthouse.core.closing.drain import SHUTDOWN
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Breaches, Delivery
from posthouse.core.jsonrpc.envelope import invalid_request
from posthouse.core.jsonrpc.messages import NULL, Decoder, Invalid, Message, Request, Response
from posthouse.core.service.method import Method
from posthouse.core.service.results import ResultError
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Effect, Emit
from posthouse.core.values.errors import (
    DEADLINE_EXCEEDED,
    DRAINING,
    FORBIDDEN,
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    RATE_LIMITED,
    REQUEST_CANCELLED,
    UNAUTHENTICATED,
    RpcError,
    UsageError,
    refusal,
)
from posthouse.core.values.lifecycle import CallCancelled, CallFailed, CallTimedOut
from posthouse.core.values.peers import NO_META, CallId, Identity, Meta
from posthouse.core.values.rates import Bucket, Buckets, Window
from posthouse.core.values.stats import Stats, Wall

from .builtin import Builtins

CANCEL: Final = "rpc.cancel"
FLOODED: Final = 10.0
"""Seconds of refusals for the rate of calls after which the connection is closed."""

KEYED_BATCH: Final = Invalid(
    NULL, invalid_request("meta.idempotency_key", reason="one key cannot stand for all of a batch")
)
"""A batch whose connection (over HTTP its header) gives one key: its calls would pass for one and the same."""


class Dispatch:
    """What the gateway does with texts, and with what handlers report. `draining` refuses new calls."""

    def __init__(
        self,
        config: Config,
        outbox: list[Effect],
        service: Service,
        delivery: Delivery,
        wall: Wall,
        connections: Connections,
        calls: Calls,
        requests: OutgoingRequests,
        replies: Replies,
        stats: Stats,
        breaches: Breaches,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._connections = connections
        self._calls = calls
        self._requests = requests
        self._replies = replies
        self._builtins = Builtins(service, connections, calls, delivery, wall, self.cancel)
        self._stats = stats
        self._breaches = breaches
        self._entropy = entropy
        self._methods = service.methods
        self._decoder = Decoder(config)
        self._spent = None if config.call_rate is None else Buckets(config.call_rate, config.max_connections)
        self.draining = False

    # A text

    def receive(self, connection: Connection, data: bytes, now: float) -> None:
        """One whole JSON text of an open connection."""
        message = self._decoder.decode(data)
        batch = None if connection.pushable else Batch(1, [None], single=True)
        if type(message) is Request:
            self._request(connection, message, now, batch, 0)
            return
        if isinstance(message, list) and connection.peer.meta.idempotency_key is not None:
            message = KEYED_BATCH
        if isinstance(message, list):
            self._batch(connection, message, now)
        else:
            self._entry(connection, message, now, batch, 0)
        self._count_bad(connection, message, now)

    def _batch(self, connection: Connection, messages: list[Message], now: float) -> None:
        batch = self._replies.batch([reply_id(message) for message in messages])
        for entry, message in enumerate(messages):
            self._entry(connection, message, now, batch, entry)

    def _entry(self, connection: Connection, message: Message, now: float, batch: Batch | None, entry: int) -> None:
        if type(message) is Request:
            self._request(connection, message, now, batch, entry)
        elif type(message) is Invalid and message.answer:
            self._check(connection, self._replies.error(connection, batch, entry, message.id, message.error))
        else:
            if type(message) is Response and not self._requests.answered(message.id, connection, message.outcome):
                self._stats.count("responses.unmatched")
            self._check(connection, self._replies.no_reply(connection, batch))

    def _count_bad(self, connection: Connection, message: Message | list[Message], now: float) -> None:
        entries = message if isinstance(message, list) else (message,)
        if not any(type(entry) is Invalid for entry in entries):
            return
        self._stats.count("messages.bad")
        allowed = self._config.max_bad_messages
        if allowed is None:
            return
        if connection.invalid_window is None:
            connection.invalid_window = Window(60.0, now)
        if connection.invalid_window.add(now) > allowed:
            self._breaches.append((connection, "max_bad_messages"))

    def _check(self, connection: Connection, breached: str | None) -> None:
        if breached is not None:
            self._breaches.append((connection, breached))

    # A request

    def _request(self, connection: Connection, request: Request, now: float, batch: Batch | None, entry: int) -> None:
        try:
            method = self._methods.get(request.method)
            if method is None:
                self._builtin(connection, request, now, batch, entry)
                return
            if self.draining or self._spent is not None:
                self._admit(connection, now)
            if not method.public or method.scopes:
                authorize(method, connection.identity)
            meta = connection.peer.meta if request.meta is None else combined(request.meta, connection.peer.meta)
            self._calls.admit(connection, request, method, meta, now, batch, entry)
        except RpcError as error:
            self._check(connection, self._replies.error(connection, batch, entry, request.id, error))

    def _admit(self, connection: Connection, now: float) -> None:
        if self.draining:
            raise refusal(DRAINING)
        by_user = self._spent
        if by_user is None:
            return
        user = connection.identity.user
        if user is not None:
            bucket = by_user.of(user, now)
        elif connection.call_bucket is not None:
            bucket = connection.call_bucket
        else:
            bucket = connection.call_bucket = Bucket(by_user.rate, now)
        if bucket.take(now):
            return
        if "call_rate" in self._config.observe:
            self._breaches.append((connection, "call_rate"))
            return
        if bucket.refused_since is not None and now - bucket.refused_since >= FLOODED:
            self._breaches.append((connection, "call_rate"))
        wait = int(bucket.wait() * 1000) + 1
        raise refusal(RATE_LIMITED, retry_after_ms=wait, limit="call_rate")

    def _builtin(self, connection: Connection, request: Request, now: float, batch: Batch | None, entry: int) -> None:
        name = CANCEL if request.method == CANCEL_REQUEST else request.method
        # Cancellations are always let through: they give back what calls took.
        if name != CANCEL:
            self._admit(connection, now)
        method = self._builtins.methods.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND)
        authorize(method, connection.identity)
        result = self._builtins.run(method, request.params, connection, now)
        self._check(connection, self._replies.result(connection, batch, entry, request.id, encode(result)))

    # An outcome

    def complete(self, call: Call, result: object, now: float) -> bool:
        """Its handler returned. False: the call had its outcome."""
        outcome: bytes | RpcError = b""
        if call.phase is RUNNING and now < call.deadline and not call.detached:
            try:
                outcome = call.method.encode_result(result)
            except ResultError as error:
                outcome = self._result_error(call, error, now)
        return self._handler_ended(call, outcome, now)

    def fail(self, call: Call, error: RpcError, now: float) -> bool:
        """Its handler raised, or was stopped. False: the call had its outcome.

        An internal error that names its incident is one that nobody expected: it is told, whatever became of the call.
        """
        first = self._handler_ended(call, error, now)
        if error.code == INTERNAL_ERROR and isinstance(error.data, dict) and "incident" in error.data:
            self._failed(call, str(error.data["incident"]), "the handler raised what is no RpcError", now)
        return first

    def _result_error(self, call: Call, error: ResultError, now: float) -> RpcError:
        incident = self._entropy(6).hex()
        self._failed(call, incident, error.reason, now)
        return RpcError(INTERNAL_ERROR, data={"incident": incident})

    def _failed(self, call: Call, incident: str, reason: str, now: float) -> None:
        self._stats.count("calls.failed")
        self._outbox.append(Emit(CallFailed(call.call, call.connection, call.method.name, incident, reason, now)))

    def _handler_ended(self, call: Call, outcome: bytes | RpcError, now: float) -> bool:
        if call.phase is WAITING:
            raise UsageError(f"call {call.call} waits: it was not handed out and has no handler that could end")
        connection = self._connections.records.get(call.connection)
        first = self._calls.handler_ended(call, connection)
        if first:
            if now >= call.deadline:
                outcome = self._timed_out(call, now)
            self._answer(call, connection, outcome)
        if connection is not None:
            connection.active_at = now
            if connection.waiting:
                self._run_waiting(connection)
        return first

    def _settle(self, call: Call, connection: Connection | None, outcome: RpcError) -> None:
        self._calls.settle(call, connection)
        self._answer(call, connection, outcome)

    def _answer(self, call: Call, connection: Connection | None, outcome: bytes | RpcError) -> None:
        if connection is None or call.detached:
            return
        if connection.farewell_due and not connection.calls:
            self._breaches.append((connection, SHUTDOWN))
        if type(outcome) is bytes:
            breached = self._replies.result(connection, call.batch, call.entry, call.id, outcome)
        else:
            assert isinstance(outcome, RpcError)
            breached = self._replies.error(connection, call.batch, call.entry, call.id, outcome)
        if breached is not None:
            self._breaches.append((connection, breached))

    def _run_waiting(self, connection: Connection) -> None:
        while (call := self._calls.next_waiting(connection)) is not None:
            try:
                self._calls.start(connection, call)
            except RpcError as error:
                self._settle(call, connection, error)

    def _timed_out(self, call: Call, now: float) -> RpcError:
        self._stats.count("calls.timed_out")
        self._outbox.append(Emit(CallTimedOut(call.call, call.connection, call.method.name, now)))
        return refusal(DEADLINE_EXCEEDED)

    def _cancelled(self, call: Call, reason: str, now: float) -> None:
        self._stats.count("calls.cancelled")
        self._outbox.append(Emit(CallCancelled(call.call, call.connection, call.method.name, reason, now)))

    def expire(self, id: CallId, now: float) -> None:
        """The deadline of a call without an outcome has come."""
        call = self._calls.records[id]
        connection = self._connections.records.get(call.connection)
        self._settle(call, connection, self._timed_out(call, now))

    def cancel(self, connection: Connection, id: bytes, now: float) -> bool:
        """Cancel a call by its raw id. False: this connection has no such call without an outcome."""
        call = connection.calls.get(id)
        if call is None:
            return False
        self._cancelled(call, "client", now)
        self._settle(call, connection, RpcError(REQUEST_CANCELLED))
        return True

    def drop(self, connection: Connection, now: float) -> None:
        """The connection closes: its calls end, but for those that were declared to finish."""
        for call in list(connection.calls.values()):
            if call.phase is RUNNING and call.method.on_disconnect == "finish":
                call.detached = True
            else:
                self._cancelled(call, "disconnected", now)
                self._calls.settle(call, connection)
        connection.calls.clear()
        self._replies.drop(connection)

    def drain(self, now: float) -> None:
        """The grace has passed: every call that has no outcome is told so."""
        for call in list(self._calls.records.values()):
            if call.phase is not ENDED:
                self._cancelled(call, "draining", now)
                connection = self._connections.records.get(call.connection)
                self._settle(call, connection, refusal(DRAINING))


def reply_id(message: Message) -> bytes | None:
    """The raw id of the reply to this entry, or None where there will be none."""
    if type(message) is Request or (type(message) is Invalid and message.answer):
        return message.id
    return None


def combined(own: Meta, given: Meta) -> Meta:
    """What a request says itself, and for the rest what its connection was given."""
    if given == NO_META:
        return own
    pairs = zip(astuple(own), astuple(given), strict=True)
    return Meta(*(beside if value is None else value for value, beside in pairs))


def authorize(method: Method, identity: Identity) -> None:
    """Raise RpcError unless this identity may call the method. Its data says what would have let the call through."""
    if not method.public and not identity.authenticated:
        needed: dict[str, object] = {"requires": "authentication"}
        if method.scopes:
            needed["scopes"] = list(method.scopes)
        raise RpcError(UNAUTHENTICATED, data=needed)
    missing = identity.missing(method.scopes)
    if missing and not identity.authenticated:
        raise RpcError(UNAUTHENTICATED, data={"requires": "authentication", "scopes": list(missing)})
    if missing:
        raise RpcError(FORBIDDEN, data={"scopes": list(missing)})
