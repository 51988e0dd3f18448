"""Texts of peers: each entry is answered at once, becomes a call, or is a response to a request of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import decode
from posthouse.adapters.invariants import must
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
    SERVER_BUSY,
    UNKNOWN_SESSION,
)
from posthouse.core.values.peers import UserKey

from .calls import Calls
from .credentials.rights import unauthorized
from .expected import Expected
from .identities import Identities
from .kept.asks import ASKS
from .kept.asks import CHANGES as SESSION_CHANGES
from .kept.questions import Question
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
            if name == "session.create":
                public = self._service.public
            if name in self._service.builtin_scopes:
                public, scopes = False, self._service.builtin_scopes[name]
        if connection.changing is None or cancels:
            changes = request.method in (*CHANGES, *SESSION_CHANGES)
            if not (changes or cancels) and self._identities.validity.expired(connection.identity):
                return (CREDENTIALS_EXPIRED,)
            refusal = unauthorized(connection.identity, public, scopes)
            if refusal is not None:
                return (refusal,)
        if method is not None:
            key = request.key or connection.peer.meta.idempotency_key
            if key is not None and connection.identity.key is None and connection.session is None:
                return (INVALID_PARAMS,)  # nobody's key, and it has no session
            return self.calls.admit(slot, request, method)
        changes = request.method in (*CHANGES, *SESSION_CHANGES)
        later = changes or request.method in ASKS
        if not cancels and (later or connection.changing is not None):
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

    def sizes(self) -> dict[str, int]:
        """How many there are of each thing that is counted here, by the name of its counter."""
        calls = self.calls
        return {
            "calls.made": calls.made,
            "calls.running": calls.handlers,
            "calls.waiting": len(calls.records) - calls.handlers,
            "calls.unanswered": sum(call.open for call in calls.records.values()),
            "operations.pending": len(self._identities.outside),
            "requests.pending": len(self.outgoing.pending),
        }

    def check_at_rest(self) -> None:
        """Nothing is in flight. Raises Violation."""
        must(not self.calls.records, "rest: calls are left", *self.calls.records)
        must(not self.outgoing.pending, "rest: requests to peers are left", *self.outgoing.pending)
        must(not self._identities.outside, "rest: operations are left", *self._identities.outside)

    # The store

    def concluded(self, operation: int, outcome: object, first: bool) -> tuple[Connection | None, bytes | None]:
        """The store has concluded an operation, which the gateway calls the `first` end, or not."""
        self._identities.outside.pop(operation, None)
        question = self._identities.sessions.asked.pop(operation, None)
        right = first is (question is not None)
        must(right, "identity: the end of an operation was accepted or ignored wrongly", operation)
        return (None, None) if question is None else self.store_answered(question, outcome)

    def store_answered(self, question: Question, outcome: object) -> tuple[Connection | None, bytes | None]:
        """A question to the store has its outcome, or its time is over. Returns the connection that has come with a
        session, if that is judged now, and its text."""
        sessions, call, came = self._identities.sessions, question.call, None
        text: bytes | None = None
        if call is not None and question.waited:
            late = self.calls.records[call].deadline <= self._expected.now
            codes = () if late else sessions.outcome(question, outcome)
            if codes is not None:
                self.calls.answered(call, codes, None if late else sessions.told(question, outcome))
        elif question.change is not None:
            self._expected.resolve(question.change, sessions.outcome(question, outcome) or ())
        elif question.connection is not None and question.waited:
            came, text = question.connection, self._identities.used(question, outcome)
        sessions.answered(question, outcome)
        return came, text

    def unanswered(self, all_ended_at: float | None) -> Iterator[Question]:
        """The questions whose time is over, in order. Calls whose deadlines come before have ended, and all of them if
        a shutdown has ended them at this time (None: it has not)."""
        for at, question in self._identities.sessions.expire():
            self.calls.expire_before(at if all_ended_at is None else min(at, all_ended_at))
            if all_ended_at is not None and all_ended_at <= at:
                self.calls.expire(grace_over=True)
            if self._identities.sessions.is_over(question):
                yield question

    def ask_session(self, call: int, number: int) -> None:
        """A handler has asked for a change of the session of its caller."""
        record = self.calls.records.get(call)
        self.outgoing.made += 1
        if not self._identities.sessions.change(None if record is None else record.slot.connection, number):
            self._expected.resolve(number, (UNKNOWN_SESSION, SERVER_BUSY))

    def drop(self, connection: Connection) -> None:
        """The connection is closed or lost."""
        connection.open = False
        self.calls.drop(connection)
        self.outgoing.drop(connection)

    def deadlines(self) -> list[float]:
        """The deadlines of calls and of requests to peers."""
        ends = [call.deadline for call in self.calls.records.values() if call.open]
        return ends + [deadline for _, deadline in self.outgoing.pending.values()]
