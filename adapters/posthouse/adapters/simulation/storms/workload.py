"""The workload of the sample service: what its clients send in a storm, and which outcomes each call may have. This
module does not know which faults links and server have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from posthouse.adapters.invariants import Violation, must
from posthouse.adapters.simulation.clients.client import Client
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.adapters.simulation.clients.protocols.http import HttpProtocol
from posthouse.adapters.simulation.clients.protocols.websocket import WebSocketProtocol
from posthouse.adapters.simulation.served.faults import InjectedError
from posthouse.core.values.config import Config
from posthouse.core.values.errors import (
    DRAINING,
    ERRORS,
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RATE_LIMITED,
    REQUEST_TOO_LARGE,
    SERVER_BUSY,
    SESSION_TAKEN_OVER,
    STORAGE_UNAVAILABLE,
    UNAUTHENTICATED,
    UNKNOWN_SESSION,
    RpcError,
)

from . import guards
from .catalogue.calls import LIMITS, PREFIX, ROWS, TEXTS, Row, Text
from .insight import META
from .scenario import Scenario
from .service import ERROR_CODES, EVENT, RESULTS, WITH_PROGRESS
from .subscriptions import MAX_CALLS, Subscriptions, Visits

BATCH_NOTIFICATIONS: Final = ("echo", "echo", "x" * 200)
"""Methods of notifications in batches. The last name is over every limit: it is refused with an error without an id."""

MAX_ROWS: Final = 8
"""The most calls of the catalogue in one batch."""

CALLS: Final = ("echo", "echo", *RESULTS, *ERROR_CODES)
TIMEOUTS: Final = (None, None, None, None, 1, 50, 300, 3_000, 100_000, 0)
"""Milliseconds: the longest is longer than that of any method. 0 is invalid, and ten of these close a connection."""

LARGEST: Final = 5_000
"""Larger messages than this are not made to reach a limit."""

LONG: Final = 70_000
"""The size of a text whose frame has its length in eight bytes."""

CANCELLED: Final = ({"cancelled": True}, {"cancelled": False})

REAL_NAMES: Final = {"echo.wrongly": "echo"}
"""The names of methods that are listed here under another name."""

BUILTIN_CODES: Final[dict[str, tuple[int, ...]]] = {
    "connection.ping": (),
    "connection.info": (FORBIDDEN, UNAUTHENTICATED),
    "connection.stats": (FORBIDDEN, UNAUTHENTICATED),
    "message.broadcast": (FORBIDDEN, UNAUTHENTICATED),
    "auth": guards.LOGIN_CODES,
    guards.WRONG: (*guards.LOGIN_CODES, INVALID_PARAMS),
    **dict.fromkeys(("session.create", "session.resume", "session.update", "keep"), (INVALID_PARAMS,)),
}
"""Built-in methods, and the errors that each may have for its own reasons."""

GONE: Final = (STORAGE_UNAVAILABLE, UNKNOWN_SESSION, SESSION_TAKEN_OVER)
"""Errors that only a service with sessions has."""

OWN_REASONS: Final = (METHOD_NOT_FOUND, INVALID_PARAMS, UNAUTHENTICATED, FORBIDDEN, *GONE)
"""Errors that depend on the call itself, and not on limits or faults."""

STATISTICS: Final = 100
"""How often, in a thousand turns, a client with credentials asks for the statistics."""

REFUSALS: Final = (SERVER_BUSY, RATE_LIMITED, DRAINING, REQUEST_TOO_LARGE, PARSE_ERROR)
"""Errors that no call has whose caller keeps within all limits."""


class SampleWorkload:
    """The calls of all clients of a storm. `raging` says whether its first phase goes on, `identify` what a handler
    may know of a call with this token."""

    def __init__(
        self, scenario: Scenario, raging: Callable[[], bool], identify: Callable[[Client, str], list[dict[str, Any]]]
    ) -> None:
        self._scenario: Final = scenario
        self._raging: Final = raging
        self._identify: Final = identify
        self._calls = 0
        config, usual = scenario.config, Config()
        # A text may be invalid, and too many invalid texts are refused.
        self._takes_texts: Final = not scenario.fair and all(
            getattr(config, name) == getattr(usual, name) for name in LIMITS
        )
        sizes = [config.max_message_bytes]
        if config.require_authentication:
            sizes.append(config.max_message_bytes_unauthenticated)
        self._sizes: Final = [size for size in sizes if size <= LARGEST]
        self._made_by: Final[dict[str, int]] = {}
        self._subscriptions: Final = Subscriptions()
        self._visits: Final = Visits()

    def act(self, client: Client) -> None:
        """Send something, in the turn of a client."""
        stream = client.stream
        if self._scenario.guarded and isinstance(client.protocol, HttpProtocol) and stream.happens(STATISTICS):
            client.ask_stats()
            return
        acted = guards.browse(client, stream) if self._scenario.guarded else None
        if acted is None and self._scenario.guarded and stream.happens(self._scenario.log_ins):
            act = guards.guess if self._scenario.log_ins == guards.GUESSING else guards.act
            acted = act(client, stream)
        if acted is not None:
            name, call = acted
            self._expect(client, call, name, {})
            return
        match stream.choose(19):
            case 0:
                max_batch = self._scenario.config.max_batch
                calls = [self._draw_call(client) for _ in range(1 + stream.choose(min(max_batch, MAX_CALLS)))]
                room = max_batch > len(calls)
                others = [(stream.pick(BATCH_NOTIFICATIONS), ["nobody"])] if room and stream.happens(300) else []
                if others and stream.happens(300):
                    calls = []
                batch = client.batch([by_position(method, params) for method, params in calls], others)
                for call, (method, params) in zip(batch, calls, strict=True):
                    self._expect(client, call, method, params)
            case 1:
                self._cancel(client)
            case 2:
                client.notify("echo", "nobody")
            case 3:
                method = stream.pick(("connection.ping", "connection.info", "connection.stats"))
                self._expect(client, client.call(method), method, {})
            case 4:
                call = client.call("message.broadcast", data=[client.name])
                self._expect(client, call, "message.broadcast", {})
            case 5 if isinstance(client.protocol, WebSocketProtocol):
                for _ in range(stream.pick((1, 3))):
                    self._expect(client, client.ping(), "ping", {})
            case 6 | 7 | 8:
                rows = [
                    stream.pick(ROWS) for _ in range(1 + stream.choose(min(self._scenario.config.max_batch, MAX_ROWS)))
                ]
                for row, call in zip(
                    rows, client.batch([(PREFIX + row.method, row.params) for row in rows]), strict=True
                ):
                    call.then(partial(self._check_row, client, row))
            case 9 if self._takes_texts and client.protocol is not None:
                text = stream.pick(TEXTS)
                if not (text.null and isinstance(client.protocol, HttpProtocol)):
                    client.call_text(text.text).then(partial(self._check_row, client, text))
            case 10:
                self._calls += 1
                whoami = f"{client.name}/{self._calls}"
                call = client.call("insight.whoami", **META, params={"token": whoami})
                call.then(partial(self._check_known, client, whoami))
            case 11:
                self._call_in_line(client)
            case 12 if self._sizes:
                size = stream.pick(self._sizes) + stream.pick((-1, 0, 1))
                params = {"token": f"{client.name}/sized"}
                self._expect(client, client.call_sized(size, "echo", **params), "echo", params)
            case 14 if isinstance(client.protocol, HttpProtocol):
                client.ask_stats()
            case 13 if not self._scenario.fair and stream.happens(100):
                params = {"token": stream.entropy(LONG // 2).hex()}
                self._expect(client, client.call("echo", **params), "echo", params)
            case _:
                method, params = self._draw_call(client)
                timeout = stream.pick(TIMEOUTS[:-1] if self._scenario.fair else TIMEOUTS)
                token = stream.pick((None, self._calls)) if method in WITH_PROGRESS else None
                call = client.call(
                    REAL_NAMES.get(method, method),
                    timeout_ms=timeout,
                    progress_token=token,
                    request_id=None if self._calls % 3 else f"request-{self._calls}",
                    **params,
                )
                self._expect(client, call, method, params)

    def call_slowly(self, client: Client) -> None:
        """Call a method that takes a while, or another one."""
        self._calls += 1
        params: dict[str, Any] = {"token": f"{client.name}/slowly/{self._calls}", "seconds": 0.1}
        method = client.stream.pick(("wait", "wait", "finish", "echo"))
        if method == "echo":
            del params["seconds"]
        self._expect(client, client.call(method, **params), method, params)

    def _cancel(self, client: Client) -> None:
        """Cancel a call that waits or runs, that has ended, or that was never made."""
        stream, pending = client.stream, client.pending
        match stream.choose(5):
            case 0:
                client.notify("$/cancelRequest", id=stream.pick((f"{client.name}-1", f"{client.name}-999999", 7)))
            case 1:
                known = pending[stream.choose(len(pending))].id if pending else f"{client.name}-1"
                self._expect(client, client.call("rpc.cancel", id=known), "rpc.cancel", {})
            case 2:
                method, params = self._draw_call(client)
                call = client.call(REAL_NAMES.get(method, method), **params)
                self._expect(client, call, method, params)
                client.cancel(call)  # at once: it may not have begun
            case _ if pending:
                client.cancel(stream.pick(pending))

    def _call_in_line(self, client: Client) -> None:
        """Calls that wait for each other or for a thread. Some are cancelled, in any place of the line."""
        stream = client.stream
        calls = []
        for _ in range(2 + stream.choose(5)):
            self._calls += 1
            params: dict[str, Any] = {"token": f"{client.name}/line/{self._calls}"}
            method = stream.pick(("queue", "queue", "brief"))
            calls.append(client.call(method, timeout_ms=stream.pick((None, None, 50)), **params))
            self._expect(client, calls[-1], method, params)
        for _ in range(stream.choose(len(calls))):
            client.cancel(stream.pick(calls))

    def _draw_call(self, client: Client) -> tuple[str, dict[str, Any]]:
        """Draw a method and its parameters."""
        stream = client.stream
        self._calls += 1
        made = self._made_by[client.name] = self._made_by.get(client.name, 0) + 1
        token = f"{client.name}/{made}"
        method = stream.pick(CALLS)
        match method:
            case "add":
                return method, {"a": stream.choose(100), "b": made}
            case "blob":
                return method, {"token": token, "size": stream.pick((10, 200, 5000))}
            case "tell" | "insight.in_thread":
                return method, {"token": token, "times": 1 + stream.choose(4)}
            case "wait" | "finish" | "climb" | "insight.tidies":
                return method, {"token": token, "seconds": stream.pick((0.0, 0.2, 3.0))}
            case "subscribe":
                seconds = stream.pick((0.0, 0.1, 2.0))
                return method, {
                    "token": token,
                    "events": stream.choose(4),
                    "seconds": seconds,
                    "fails": stream.happens(200),
                }
            case "order":
                price = stream.choose(9)
                return method, {"item": {"name": token, "price": price}, "count": stream.choose(3), "note": "x"}
            case "shelf.total":
                return method, {"numbers": [stream.choose(9) for _ in range(stream.choose(4))]}
            case "spread":
                return method, {"first": stream.choose(9), "x": stream.choose(9), "y": 7}
            case "paired":
                return method, {"pairs": [{"left": stream.pick("abc")} for _ in range(stream.choose(4))]}
            case "tags":
                return method, {"names": [stream.pick("abc") for _ in range(4)][: stream.choose(5)]}
            case "secret" | "breaks" | "unspeakable" | "no.such.method":
                return method, {}
            case "echo.wrongly":
                return method, {"token": 7}
            case _:
                return method, {"token": token}

    def _expect(self, client: Client, call: PendingCall, method: str, params: dict[str, Any]) -> None:
        if method == "subscribe":
            client.on_notification[EVENT] = partial(self._subscriptions.event, client)
            self._subscriptions.expect(call, params["token"])
        call.then(partial(self._check, client, method, params))

    def _check_row(self, client: Client, row: Row, call: PendingCall) -> None:
        """Raise Violation unless this call of the catalogue may have its outcome."""
        self._check_fair(call)
        # An error without an id may be that of a message that broke the protocol; over HTTP any response may.
        unknown = isinstance(client.protocol, HttpProtocol) or (isinstance(row, Text) and row.null)
        # The cookie of a browser may name another user than the host does: then any text is an invalid request.
        error = None if call.error is None else call.error.code
        torn = error == INVALID_REQUEST and isinstance(client.protocol, HttpProtocol) and client.protocol.cookies
        if not torn and not (client.broke_protocol and unknown):
            row.check(call)
        if call.error is not None and not client.broke_protocol and not row.may_fail_with(call.error):
            self.check_error("", call, call.error)

    def _check_known(self, client: Client, token: str, call: PendingCall) -> None:
        """Raise Violation unless a handler has told what its client knows, too."""
        if call.status == "result" and not client.broke_protocol:
            known = self._identify(client, token)
            must(call.value in known, "answering: a handler knows something else of its call", call.value, *known)
        self._check(client, "insight.whoami", {}, call)

    def _check_fair(self, call: PendingCall) -> None:
        refused = call.status == "lost" or (call.error is not None and call.error.code in REFUSALS)
        if refused and self._scenario.fair and self._raging():
            raise Violation("answering: a call failed without a fault or a small limit", call, call.error)

    def check_error(self, method: str, call: PendingCall, error: RpcError) -> None:
        """Raise Violation unless a call of this method may have this error."""
        # A request whose credentials were refused gets the error for all of its calls, and so does one that is revoked.
        # An exchange whose session ends, or is replaced, before its answer gets the reason in place of it.
        scenario = self._scenario
        refused = (scenario.guarded or scenario.keeps) and error.code in (UNAUTHENTICATED, FORBIDDEN)
        revoked = scenario.faults.revoke > 0 and error.code == FORBIDDEN
        refused = refused or revoked or (scenario.keeps and error.code in GONE)
        if not refused and not may_fail_with(method, error):
            raise Violation("answering: a call got an error that it cannot have", call, repr(error))

    def _check(self, client: Client, method: str, params: dict[str, Any], call: PendingCall) -> None:
        """Raise Violation unless this call may have its outcome."""
        if client.broke_protocol and (method == "ask" or method in WITH_PROGRESS):
            return  # malformed input may have answered for the client, or may have hidden its progress
        self._check_fair(call)
        if call.status == "result":
            received = {"received": len(call.progress)} if method in WITH_PROGRESS else {}
            if method == "visit":
                if self._scenario.guarded or self._scenario.keeps:
                    return  # a log-in, or a session, begins the state of a connection anew
                received = {"received": self._visits.checked(client, call)}
            if method == "rpc.cancel" and call.value not in CANCELLED:
                raise Violation("answering: a call got a wrong result", call, call.value)
            fails = method in ERROR_CODES or method == guards.WRONG
            if call.value != RESULTS[method](params | received) if method in RESULTS else fails:
                raise Violation("answering: a call got a wrong result", call, call.value)
        elif call.error is not None and not client.broke_protocol:
            self.check_error(method, call, call.error)


def may_fail_with(method: str, error: RpcError) -> bool:
    """May a call of this method end with this error, if its client keeps the protocol?"""
    own = ERROR_CODES.get(method, ()) + BUILTIN_CODES.get(method, ())
    if error.code == INTERNAL_ERROR:
        # The handler raised the cause. Only `unspeakable` has none: its result cannot be encoded.
        expected = error.code in own or isinstance(error.__cause__, InjectedError)
        return expected and (method == "unspeakable" or error.__cause__ is not None)
    return error.code in own or (error.code in ERRORS and error.code not in OWN_REASONS)


def by_position(method: str, params: dict[str, Any]) -> tuple[str, list[Any]]:
    """The entry of a batch for this call."""
    return REAL_NAMES.get(method, method), [value for name, value in params.items() if name != "note"]
