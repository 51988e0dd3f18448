"""The calls and pings of a simulated client, from when they are sent until they have an outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

from msgspec import Struct, field
from posthouse.core.values.errors import RpcError, UsageError

Status = Literal["pending", "result", "error", "lost"]


class PendingCall(Struct, eq=False):
    """One call of a client. `status` is "pending" until it has a result or an error, or its connection is lost.

    `progress` are the values that were received for its progress token. `sent_at` and `ended_at` are virtual seconds.
    """

    id: str
    method: str
    params: Any
    sent_at: float
    token: str | int | None = None
    progress: list[Any] = field(default_factory=list)
    ended_at: float | None = None
    status: Status = "pending"
    value: Any = None
    error: RpcError | None = None
    _callbacks: list[Callable[[PendingCall], object]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.method} {self.id}: {self.status}>"

    @property
    def result(self) -> Any:
        """The result. Raises RpcError if the call failed, and LookupError if it is pending or lost."""
        if self.error is not None:
            raise self.error
        if self.status != "result":
            raise LookupError(f"{self.method} is {self.status} and has no result: let the world run, or expect that")
        return self.value

    def end(self, status: Status, now: float, value: Any = None, error: RpcError | None = None) -> None:
        """Set the outcome."""
        self.status, self.ended_at, self.value, self.error = status, now, value, error
        for callback in self._callbacks:
            callback(self)

    def then(self, callback: Callable[[PendingCall], object]) -> None:
        """Call `callback(self)` when the call has ended; at once if it has."""
        if self.status == "pending":
            self._callbacks.append(callback)
        else:
            callback(self)


class PendingCalls:
    """The calls of one client that have no outcome, by id. `made` is the number of all its calls."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self.made = 0
        self._calls: Final[dict[str, PendingCall]] = {}

    def __iter__(self) -> Iterator[PendingCall]:
        """In the order in which they were made."""
        return iter(tuple(self._calls.values()))

    def make(self, request: dict[str, Any], now: float) -> PendingCall:
        """A call for this request, which gets its id. The call is pending once it is added."""
        self.made += 1
        id = request["id"] = f"{self._name}-{self.made}"
        token = request.get("meta", {}).get("progress_token")
        return PendingCall(id, request["method"], request.get("params", ()), now, token)

    def add(self, calls: Iterable[PendingCall]) -> None:
        """These calls wait for a reply."""
        self._calls.update((call.id, call) for call in calls)

    def take(self, entry: dict[Any, Any]) -> PendingCall | None:
        """Remove the call with the id of this message. Returns None if there is none."""
        return self._calls.pop(str(entry.get("id")), None)

    def add_progress(self, params: Any) -> bool:
        """Add a progress value to the calls with its token. Returns False if there are none."""
        token = params.get("token") if isinstance(params, dict) else None
        calls = [call for call in self._calls.values() if token is not None and call.token == token]
        for call in calls:
            call.progress.append(params.get("value"))
        return bool(calls)

    def lose(self, now: float) -> None:
        """The connection is lost: none of the calls gets a reply."""
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            call.end("lost", now)


class PendingPings(PendingCalls):
    """The pings of one client that have no pong, as calls. The payload of a ping is its id."""

    def ping(self, now: float) -> PendingCall:
        """The next ping, which waits for its pong."""
        ping = self.make({"method": "ping"}, now)
        self.add([ping])
        return ping

    def answered(self, payload: bytes, now: float) -> bool:
        """A pong was received. Returns False if no ping with this payload waits.

        Earlier pings end too: the server "MAY elect to send a Pong frame for only the most recently processed Ping
        frame" (RFC 6455 section 5.5.3).
        """
        ids = [ping.id.encode() for ping in self]
        if payload not in ids:
            return False
        answered = list(self)[: ids.index(payload) + 1]
        for ping in answered:
            del self._calls[ping.id]
        for ping in answered:
            ping.end("result", now, payload.decode())
        return True


def notification(method: str, params: Any) -> dict[str, Any]:
    """A notification. With an id it becomes a request."""
    made: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params:
        made["params"] = params
    return made


def one_kind(*kinds: Any) -> Any:
    """The parameters, which are given in one of these ways. Raises TypeError if they are given in several."""
    given = [params for params in kinds if params]
    if len(given) > 1:
        raise TypeError("JSON-RPC parameters are by position or by name, not both (section 4.2)")
    return given[0] if given else ()


def checked_pairs(entries: Iterable[Any]) -> list[tuple[str, Any]]:
    """The entries of a batch, each a method and its parameters. Raises UsageError for anything else."""
    pairs = []
    for entry in entries:
        match entry:
            case (str(method), list() | tuple() | dict() as params):
                pairs.append((method, params))
            case _:
                raise UsageError(f"a batch takes pairs of a method and its parameters, ('add', [1, 2]), not {entry!r}")
    return pairs
