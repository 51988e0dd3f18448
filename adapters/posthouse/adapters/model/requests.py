"""Texts of peers: each entry is answered at once, becomes a call, or is a response to a request of the gateway."""

from __future__ import annotations

from typing import Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import decode
from posthouse.core.service.service import BUILTINS, Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import (
    CREDENTIALS_EXPIRED,
    DRAINING,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RATE_LIMITED,
    REQUEST_CANCELLED,
)
from posthouse.core.values.peers import UserKey

from .calls import Calls
from .credentials.rights import unauthorized
from .expected import Expected
from .identities import Identities
from .messages import NULL, Codes, Entry, Invalid, Request, Response, read_message
from .outgoing import CANCEL_REQUEST, OutgoingRequests
from .records import Batch, Builtin, Connection, ReplySlot, TokenBucket, subnet
from .reports.ends import ANSWERED, TOO_LARGE, End

CANCEL: Final = "rpc.cancel"
CHANGES: Final = ("auth.login", "auth.refresh", "auth.logout")
"""The methods that may change the identity of a connection."""


class CancelParams(Struct, forbid_unknown_fields=True):
    """The params of a cancellation, by name."""

    id: Raw


class Requests:
    """Decides for each entry. `draining`: a shutdown refuses new calls."""

    def __init__(self, service: Service, config: Config, expected: Expected, identities: Identities) -> None:
        self.calls = Calls(config, expected, identities)
        self.outgoing = OutgoingRequests(config, expected)
        self.draining = False
        self._identities = identities
        self._service = service
        self._config = config
        self._expected = expected
        self._buckets: dict[UserKey, TokenBucket] = {}
        self._address_buckets: dict[str, TokenBucket] = {}

    def receive(self, connection: Connection, data: bytes) -> None:
        """A text was received on an open connection."""
        message = read_message(data, self._config)
        if isinstance(message, list) and connection.peer.meta.idempotency_key is not None:
            message = Invalid(NULL, (INVALID_REQUEST,))
        array = isinstance(message, list)
        entries = message if isinstance(message, list) else [message]
        connection.heard_at = connection.active_at = self._expected.now
        if any(type(entry) is Invalid for entry in entries):
            connection.invalid_messages += 1
            self._expected.statistics.count("messages.bad")
        batch = Batch([None] * len(entries), len(entries), array) if array or not connection.pushable else None
        for place, entry in enumerate(entries):
            self._entry(connection, entry, batch, place)

    def _entry(self, connection: Connection, entry: Entry, batch: Batch | None, place: int) -> None:
        if isinstance(entry, Response):
            if not self.outgoing.answered(connection, entry):
                self._expected.statistics.count("responses.unmatched")
            self._expected.reply(ReplySlot(connection, None, batch, place), ())
            return
        slot = ReplySlot(connection, entry.id, batch, place)
        if isinstance(entry, Invalid):
            self._expected.reply(slot, (*entry.codes, *TOO_LARGE))
            return
        codes = self._request(slot, entry)
        if codes is not None:
            request_id = entry.request_id or connection.peer.meta.request_id
            now, identity = self._expected.now, connection.identity
            end = End(connection, None, entry.method, request_id, now, ANSWERED, codes, identity)
            self._expected.reply(slot, self._expected.ended(end))

    def _request(self, slot: ReplySlot, request: Request) -> Codes | None:
        """The codes with which a request is answered at once. None if it becomes a call."""
        connection = slot.connection
        method = self._service.methods.get(request.method)
        cancels = method is None and request.method in (CANCEL, CANCEL_REQUEST)
        if not cancels:
            if self.draining:
                return (DRAINING,)
            if not self._within_rate(connection):
                return (RATE_LIMITED,)
        if method is not None:
            public, scopes = method.public, method.scopes
        else:
            name = CANCEL if cancels else request.method
            off = name.startswith("session.") and self._service.accounts.sessions == "off"
            if name not in BUILTINS or off or (name in CHANGES and not self._service.authenticators):
                return (METHOD_NOT_FOUND,)
            public, scopes = BUILTINS[name]
            if name in self._service.builtin_scopes:
                public, scopes = False, self._service.builtin_scopes[name]
        if connection.changing is None or cancels:
            if request.method not in CHANGES and not cancels and self._identities.validity.expired(connection.identity):
                return (CREDENTIALS_EXPIRED,)
            refusal = unauthorized(connection.identity, public, scopes)
            if refusal is not None:
                return (refusal,)
        if method is not None:
            key = request.key or connection.peer.meta.idempotency_key
            if key is not None and connection.identity.key is None:
                return (INVALID_PARAMS,)  # nobody's key, and it has no session
            return self.calls.admit(slot, request, method)
        changes = request.method in CHANGES
        if not cancels and (changes or connection.changing is not None):
            return self.calls.admit_builtin(slot, request, Builtin(request.method, public, scopes, changes))
        return self._cancel(connection, request.params) if cancels else (None, INVALID_PARAMS)

    def _within_rate(self, connection: Connection) -> bool:
        rate, user = self._config.call_rate, connection.identity.key
        if rate is None or "call_rate" in self._config.observe:
            return True
        full = TokenBucket(max(rate, 1.0), self._expected.now)
        host = connection.peer.address.host
        if user is not None:
            bucket = self._bucket(self._buckets, user, full)
        elif host and not connection.pushable:
            bucket = self._bucket(self._address_buckets, subnet(host), full)
        else:
            bucket = connection.bucket = connection.bucket or full
        return bucket.take(rate, self._expected.now)

    def _bucket(self, buckets: dict[Any, TokenBucket], key: UserKey | str, full: TokenBucket) -> TokenBucket:
        """The bucket of this key. At most `max_connections` of them are kept: the least recent one is dropped."""
        bucket = buckets[key] = buckets.pop(key, full)
        if len(buckets) > self._config.max_connections:
            del buckets[next(iter(buckets))]
        return bucket

    def _cancel(self, connection: Connection, params: bytes | None) -> Codes:
        try:
            if params is None:
                return (INVALID_PARAMS,)
            id = decode(params, type=tuple[Raw])[0] if params[:1] == b"[" else decode(params, type=CancelParams).id
        except DecodeError:
            return (INVALID_PARAMS,)
        call = connection.calls.get(bytes(id))
        if call is not None:
            self.calls.end(call, (REQUEST_CANCELLED,), "cancelled")
        return (None,)

    def drop(self, connection: Connection) -> None:
        """The connection is closed or lost."""
        connection.open = False
        self.calls.drop(connection)
        self.outgoing.drop(connection)

    def deadlines(self) -> list[float]:
        """The deadlines of calls and of requests to peers."""
        ends = [call.deadline for call in self.calls.records.values() if call.open]
        return ends + [deadline for _, deadline in self.outgoing.pending.values()]
