"""The lines of the log about lifecycle events, and about handlers that do not keep to the rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import DEBUG, ERROR, INFO, MAX_VALUE, WARNING, access, is_logged, report
from posthouse.core.values.effects import Invoke
from posthouse.core.values.lifecycle import (
    AuthExpired,
    AuthFailed,
    AuthRevoked,
    CallEnded,
    CallFailed,
    CallTimedOut,
    ConnectionClosed,
    DrainStarted,
    Event,
    ForwardingIgnored,
    LimitBreached,
    RequestRefused,
    SessionEnded,
    UserChanged,
    UserRegistered,
    UserRemoved,
)
from posthouse.core.values.peers import UNIX

from .repeats import MAX_COUNTED, Repeats

QUIET: Final = 10.0
"""Seconds for which one line in the log stands for all breaches of one limit, or all refusals of one kind."""

NOT_ALLOWED: Final = {
    421: "refused host {host}: to allow it, use --allow-host (in code, allow_hosts)",
    403: "refused origin {origin}: to allow it, use --allow-origin (in code, allow_origins)",
}
"""The refusals that depend on a setting, by status."""

CUT: Final = ("calls.disconnected", "calls.drained")
"""The counters of calls that ended because the server did."""

EXCEEDED: Final = "limit {limit} exceeded"
WOULD_EXCEED: Final = "limit {limit} would have been exceeded, and is not enforced"


class EventLog:
    """Writes the lines of events. `access_log`: a line for each call, too. `raised` holds the exception behind a
    `CallFailed` that will follow, by its incident."""

    def __init__(self, runner: Runner, *, access_log: bool) -> None:
        self.repeats: Final = Repeats(runner)
        self.raised: Final[dict[str, BaseException]] = {}
        self.draining_since: float | None = None
        self._runner: Final = runner
        self._at_drain: dict[str, int] = {}
        self._warned: Final[dict[str, float]] = {}
        self.of: Final[dict[type[Event], Callable[[Any], None]]] = {
            ConnectionClosed: _closed,
            CallFailed: self._failed,
            CallTimedOut: self._timed_out,
            AuthFailed: self._auth_failed,
            AuthExpired: _auth_expired,
            AuthRevoked: _auth_revoked,
            SessionEnded: _session_ended,
            UserRegistered: _user_registered,
            UserChanged: _user_changed,
            UserRemoved: _user_removed,
            LimitBreached: self._breached,
            RequestRefused: self._refused,
            ForwardingIgnored: _ignored,
            DrainStarted: self._draining,
        }
        if access_log:
            self.of[CallEnded] = _ended

    def _failed(self, event: CallFailed) -> None:
        raised = self.raised.pop(event.incident, None)
        if not self.repeats.allows("call.failed", "method", event.method):
            return
        report(
            ERROR,
            "call.failed",
            "call failed",
            raised=raised,
            method=event.method,
            incident=event.incident,
            reason=event.reason,
            connection=event.connection,
            request_id=event.request_id,
        )

    def _timed_out(self, event: CallTimedOut) -> None:
        if not self.repeats.allows("call.timed_out", "method", event.method):
            return
        report(
            WARNING,
            "call.timed_out",
            "call timed out",
            method=event.method,
            connection=event.connection,
            request_id=event.request_id,
        )

    def resists(self, invoke: Invoke, text: str) -> None:
        """A handler was cancelled, but goes on. `text` has the rest."""
        method = invoke.method.name
        if self.repeats.allows("handler.resists", "method", method):
            connection, request_id = invoke.caller.connection, invoke.meta.request_id
            report(WARNING, "handler.resists", text, method=method, connection=connection, request_id=request_id)

    def data_lost(self, method: str, code: int) -> None:
        """The data of an RpcError cannot be encoded."""
        if self.repeats.allows("error.data_lost", "method", method):
            text = "sent an error without its data: the data cannot be encoded as JSON"
            report(WARNING, "error.data_lost", text, method=method, code=code)

    def _auth_failed(self, event: AuthFailed) -> None:
        kind = f"auth.failed.{event.reason}"
        if event.why and len(self._warned) < MAX_COUNTED:
            kind += f": {event.why[:MAX_VALUE]}"  # another text is news, unless a service makes a text for each refusal
        report(
            self._warn_once(kind, event.now),
            "auth.failed",
            "refused credentials",
            reason=event.reason,
            why=event.why or None,
            authenticator=event.authenticator,
            connection=event.connection,
            kind=event.kind,
            peer=event.address.host or None,
            proxy=event.address.proxy or None,
        )

    def authenticator_failed(self, name: str, raised: BaseException) -> None:
        """An authenticator raised an exception, or returned no identity."""
        if self.repeats.allows("authenticator.failed", "authenticator", name):
            text = "the authenticator {name} failed: the caller was refused"
            report(ERROR, "authenticator.failed", text, raised=raised, name=name)

    def store_failed(self, request: str, raised: BaseException) -> None:
        """The store raised an exception, or returned no outcome."""
        if self.repeats.allows("store.failed", "request", request):
            text = "the store failed to perform {request}: it is not known whether a write was done"
            report(ERROR, "store.failed", text, raised=raised, request=request)

    def _breached(self, event: LimitBreached) -> None:
        report(
            self._warn_once(event.limit, event.now),
            "limit.breached",
            f"{EXCEEDED if event.enforced else WOULD_EXCEED}: docs/limits.md explains it",
            limit=event.limit,
            connection=event.connection,
            peer=event.address.host or None,
            proxy=event.address.proxy or None,
        )

    def _refused(self, event: RequestRefused) -> None:
        text = None if event.rejected_value is None else NOT_ALLOWED.get(event.status)
        report(
            DEBUG if text is None else self._warn_once(f"http.refused.{event.status}", event.now),
            "request.refused",
            text or "refused a request",
            host=event.rejected_value if event.status == 421 else None,
            origin=event.rejected_value if event.status == 403 else None,
            status=event.status,
            reason=event.reason,
            peer=event.address.host or None,
            proxy=event.address.proxy or None,
        )

    def _draining(self, event: DrainStarted) -> None:
        self.draining_since = event.now
        self._at_drain = self._runner.board.stats()
        report(INFO, "gateway.draining", "shutting down: new calls are refused, running calls may finish")

    def report_end(self) -> None:
        """The server has ended: say what its shut-down did."""
        self.repeats.end_interval()
        now = self._runner.board.stats()
        if self.draining_since is None:
            text = "stopped without a shut-down: {connections} connections were cut"
            report(INFO, "server.stopped", text, connections=now["connections.open"])
            return
        since = {name: now[name] - self._at_drain[name] for name in ("connections.closed", *CUT)}
        text = "shut down in {seconds} s: closed connections: {connections}, cancelled calls: {calls}"
        report(
            INFO,
            "server.stopped",
            text,
            seconds=round(self._runner.now() - self.draining_since, 3),
            connections=since["connections.closed"],
            calls=sum(since[name] for name in CUT),
        )

    def _warn_once(self, kind: str, now: float) -> int:
        """The log level of an event of this kind: WARNING, or DEBUG within `QUIET` seconds after a warning."""
        if now - self._warned.get(kind, -math.inf) < QUIET:
            return DEBUG
        self._warned[kind] = now
        return WARNING


def _ignored(event: ForwardingIgnored) -> None:
    text = "ignored {header} of {peer}: if it is a proxy of yours, use --trust-proxy {peer} (in code, trust_proxies)"
    report(WARNING, "forwarding.ignored", text, header=event.header, peer=event.address.host or UNIX)


def _closed(event: ConnectionClosed) -> None:
    # Each HTTP request is a connection of its own: the line of an ordinary one belongs in the access log.
    level = DEBUG if event.kind == "http" and event.reason is None else INFO
    if not is_logged(level):
        return  # skip the work: every HTTP request gets here
    report(
        level,
        "connection.closed",
        "connection closed",
        connection=event.connection,
        public_id=event.public_id,
        kind=event.kind,
        peer=event.address.host or None,
        proxy=event.address.proxy or None,
        user=event.user,
        code=event.code,
        reason=event.reason,
        seconds=round(event.duration, 3),
        calls=event.calls,
    )


def _auth_expired(event: AuthExpired) -> None:
    report(
        INFO,
        "auth.expired",
        "the identity of a connection has expired",
        user=event.user,
        namespace=event.namespace or None,
        connection=event.connection,
        kind=event.kind,
        peer=event.address.host or None,
        proxy=event.address.proxy or None,
    )


def _session_ended(event: SessionEnded) -> None:
    level, text = DEBUG, "a session has ended"
    if event.reason == "stolen":
        level, text = WARNING, "a secret of a session was used that had been replaced: the session has ended"
    report(
        level,
        "session.ended",
        text,
        session=event.session,
        reason=event.reason,
        connections=event.connections,
    )


def _auth_revoked(event: AuthRevoked) -> None:
    report(
        INFO,
        "auth.revoked",
        "a user was revoked",
        user=event.user,
        namespace=event.namespace or None,
        not_before=event.not_before,
        connections=event.connections,
    )


def _user_registered(event: UserRegistered) -> None:
    report(INFO, "user.registered", "a user was made", user=event.user, connection=event.connection)


def _user_changed(event: UserChanged) -> None:
    report(
        INFO,
        "user.changed",
        "a user was changed" if event.certain else "a user may have been changed: the store has not said",
        user=event.user,
        change=event.change,
        by=event.by,
        connection=event.connection,
    )


def _user_removed(event: UserRemoved) -> None:
    text = "a user was removed" if event.certain else "a user may have been removed: the store has not said"
    report(INFO, "user.removed", text, user=event.user, by=event.by, connection=event.connection)


def _ended(event: CallEnded) -> None:
    report(
        INFO,
        "call.ended",
        "call ended",
        to=access,
        method=event.method,
        outcome=event.outcome,
        code=event.code,
        milliseconds=round(event.seconds * 1000, 3),
        connection=event.connection,
        kind=event.kind,
        peer=event.address.host or None,
        proxy=event.address.proxy or None,
        user=event.user,
        request_id=event.request_id,
        traceparent=event.traceparent,
    )
