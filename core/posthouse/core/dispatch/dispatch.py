"""JSON-RPC dispatch: each entry of a text becomes a call, an answer of a built-in method, or an error.

Every request gets exactly one outcome. Limits that a peer breaches are noted; this module does not close connections.
"""

from __future__ import annotations

from typing import Final

from msgspec.json import encode
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.endings import Endings
from posthouse.core.calls.outgoing import CANCEL_REQUEST, OutgoingRequests
from posthouse.core.calls.replies import Batch, Replies
from posthouse.core.connections.connections import Connection
from posthouse.core.identity.authorization import authorize, check_expiry
from posthouse.core.jsonrpc.envelope import invalid_request
from posthouse.core.jsonrpc.messages import NULL, Decoder, Invalid, Message, Request, Response
from posthouse.core.service.service import Service
from posthouse.core.values.close_reasons import MAX_BAD_MESSAGES
from posthouse.core.values.errors import DRAINING, METHOD_NOT_FOUND, SERVER_BUSY, RpcError, refusal
from posthouse.core.values.peers import NO_META, CallId, WireId
from posthouse.core.values.rates import Window
from posthouse.core.values.shared import Shared

from .admission import CallRate
from .builtin.auth import LOGIN
from .builtin.builtins import Builtins
from .builtin.rpc import CANCEL

KEYED_BATCH: Final = Invalid(
    NULL, invalid_request("meta.idempotency_key", reason="one key cannot stand for all of a batch")
)
"""A batch on a connection with one idempotency key (over HTTP its header): all its calls would count as one."""


class Dispatch:
    """Handles the texts of peers. `draining`: new calls are refused."""

    def __init__(
        self,
        shared: Shared,
        service: Service,
        calls: Calls,
        requests: OutgoingRequests,
        replies: Replies,
        builtins: Builtins,
    ) -> None:
        self._shared = shared
        self._config = config = shared.config
        self._calls = calls
        self._requests = requests
        self._replies = replies
        self._endings = Endings(shared, calls)
        self._builtins = builtins
        self._keys = builtins.outcomes.keys
        self._methods = service.methods
        self._decoder = Decoder(config)
        self._rate = None if config.call_rate is None else CallRate(shared, config.call_rate)
        self.draining = False

    # A text

    def receive(self, connection: Connection, data: bytes, now: float) -> None:
        """One whole JSON text of an open connection."""
        message = self._decoder.decode(data)
        if type(message) is Request:
            self._request(connection, message, now, None, 0)
            return
        if isinstance(message, list) and connection.peer.meta.idempotency_key is not None:
            message = KEYED_BATCH
        if isinstance(message, list):
            batch = self._replies.batch([reply_id(entry) for entry in message])
            batch.first = self._calls.made + 1
            for place, entry in enumerate(message):
                if type(entry) is Request:
                    self._request(connection, entry, now, batch, place)
                else:
                    self._other(connection, entry, now, batch, place)
            batch.last = self._calls.made
            if batch.followers is not None and not batch.left:
                self._builtins.outcomes.batch_answered(connection, batch, now)
        else:
            self._other(connection, message, now, None, 0)
        self._count_bad(connection, message, now)

    def logs_in(self, data: bytes) -> bool:
        """Is this text a log-in, and nothing else?"""
        message = self._decoder.decode(data)
        return type(message) is Request and message.method == LOGIN

    def _other(self, connection: Connection, message: Message, now: float, batch: Batch | None, entry: int) -> None:
        if type(message) is Invalid and message.answer:
            self._replies.error(connection, batch, entry, message.id, message.error)
        else:
            if type(message) is Response and not self._requests.answered(message.id, connection, message.outcome):
                self._shared.stats.count("responses.unmatched")
            self._replies.no_reply(connection, batch)

    def _count_bad(self, connection: Connection, message: Message | list[Message], now: float) -> None:
        if Invalid not in map(type, message if isinstance(message, list) else (message,)):
            return
        self._shared.stats.count("messages.bad")
        allowed = self._config.max_bad_messages
        if allowed is None:
            return
        if connection.invalid_window is None:
            connection.invalid_window = Window(60.0, now)
        if connection.invalid_window.add(now) > allowed:
            self._shared.breach(connection.id, MAX_BAD_MESSAGES)

    # A request

    def _request(self, connection: Connection, request: Request, now: float, batch: Batch | None, entry: int) -> None:
        try:
            method = self._methods.get(request.method)
            if method is None:
                self._builtin(connection, request, now, batch, entry)
                return
            if self.draining or self._rate is not None:
                self._admit(connection, now)
            if connection.changing is None:
                if connection.identity.expires_at is not None:
                    check_expiry(connection.identity, self._shared, now)
                if not method.public or method.scopes:
                    authorize(method, connection.identity)
            if request.meta is not None or connection.peer.meta is not NO_META:
                key = (request.meta or NO_META).idempotency_key or connection.peer.meta.idempotency_key
                if key is not None:
                    self._keys.admit(connection, request, method, key, batch, entry, now)
                    return
            self._calls.admit(connection, request, method, batch, entry, now)
        except RpcError as error:
            code = self._replies.error(connection, batch, entry, request.id, error.error_object)
            self._endings.request(request, connection, code, now, refused=True)

    def _admit(self, connection: Connection, now: float) -> None:
        if self.draining:
            raise RpcError.of(refusal(DRAINING))
        if self._rate is not None:
            self._rate.take(connection, now)

    def _builtin(self, connection: Connection, request: Request, now: float, batch: Batch | None, entry: int) -> None:
        name = CANCEL if request.method == CANCEL_REQUEST else request.method
        # Cancellations are always admitted because they free slots and memory.
        if name != CANCEL:
            self._admit(connection, now)
        method = self._builtins.methods.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND)
        if connection.changing is None or name == CANCEL:
            if name != CANCEL and not method.changes:
                check_expiry(connection.identity, self._shared, now)
            authorize(method, connection.identity)
        if name != CANCEL and (method.later or connection.changing is not None):
            if method.changes and connection.changing is not None:
                raise RpcError.of(refusal(SERVER_BUSY, reason="the identity of the connection is changing already"))
            self._calls.admit(connection, request, method, batch, entry, now, queued=True)
            if method.changes:
                connection.changing = CallId(self._calls.made)
            self._builtins.outcomes.run_waiting(connection, now)
            return
        result = self._builtins.run(method, request.params, connection, now)
        code = self._replies.result(connection, batch, entry, request.id, encode(result))
        self._endings.request(request, connection, code, now, refused=False)


def reply_id(message: Message) -> WireId | None:
    """The id of the reply to this entry, or None if it gets no reply."""
    if type(message) is Request or (type(message) is Invalid and message.answer):
        return message.id
    return None
