"""The calls that a simulated client made, each from its asking to its outcome, and what it writes and reads of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

from posthouse.core.values.errors import RpcError, UsageError

Status = Literal["pending", "result", "error", "lost"]


class PendingCall:
    """One call that a client made. `status` is "pending" until it has a result, an error, or its connection is lost.

    `progress` is what it was told in the meantime, if it gave a progress token. `then(function)` has a function called
    with it when it is no longer pending.
    """

    __slots__ = (
        "answered_at",
        "asked_at",
        "error",
        "id",
        "method",
        "params",
        "progress",
        "status",
        "token",
        "value",
        "waiting",
    )

    def __init__(self, id: str, method: str, params: Any, asked_at: float, *, token: str | int | None = None) -> None:
        self.id: Final = id
        self.method: Final = method
        self.params: Final = params
        self.asked_at: Final = asked_at
        self.token: Final = token
        self.progress: Final[list[Any]] = []
        self.answered_at: float | None = None
        self.status: Status = "pending"
        self.value: Any = None
        self.error: RpcError | None = None
        self.waiting: list[Callable[[PendingCall], object]] = []

    def __repr__(self) -> str:
        return f"<{self.method} {self.id}: {self.status}>"

    @property
    def result(self) -> Any:
        """The result. Raises RpcError for what failed, and LookupError while there is none or will be none."""
        if self.error is not None:
            raise self.error
        if self.status != "result":
            raise LookupError(f"{self.method} is {self.status}: let the world run, or expect no result")
        return self.value

    def end(self, status: Status, now: float, value: Any = None, error: RpcError | None = None) -> None:
        """It has its outcome."""
        self.status, self.answered_at, self.value, self.error = status, now, value, error
        for tell in self.waiting:
            tell(self)

    def then(self, tell: Callable[[PendingCall], object]) -> None:
        """Call this when it has ended; at once, if it has."""
        if self.status == "pending":
            self.waiting.append(tell)
        else:
            tell(self)


class Asked:
    """The calls of one client that have no outcome yet, by ids that begin with its `name`. It has `made` so many."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self.made = 0
        self._calls: Final[dict[str, PendingCall]] = {}

    def __iter__(self) -> Iterator[PendingCall]:
        """In the order in which they were made."""
        return iter(tuple(self._calls.values()))

    def make(self, request: dict[str, Any], now: float) -> PendingCall:
        """A call of this request, which is given its id. It waits for nothing before it is added."""
        self.made += 1
        id = request["id"] = f"{self._name}-{self.made}"
        token = request.get("meta", {}).get("progress_token")
        return PendingCall(id, request["method"], request.get("params", ()), now, token=token)

    def add(self, calls: Iterable[PendingCall]) -> None:
        """They were asked."""
        self._calls.update((call.id, call) for call in calls)

    def take(self, entry: dict[Any, Any]) -> PendingCall | None:
        """The call with the id of this request or response, which has its outcome now. None: there is none."""
        return self._calls.pop(str(entry.get("id")), None)

    def told(self, params: Any) -> bool:
        """Progress was told. False: of none of these calls."""
        token = params.get("token") if isinstance(params, dict) else None
        meant = [call for call in self._calls.values() if token is not None and call.token == token]
        for call in meant:
            call.progress.append(params.get("value"))
        return bool(meant)

    def lose(self, now: float) -> None:
        """None of them will be answered."""
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            call.end("lost", now)


class Pings:
    """The pings of one client that have no pong yet, as calls whose ids are the payloads."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._made = 0
        self._waiting: Final[deque[PendingCall]] = deque()

    def __iter__(self) -> Iterator[PendingCall]:
        """In the order in which they were sent."""
        return iter(tuple(self._waiting))

    def make(self, now: float) -> PendingCall:
        """The next one."""
        self._made += 1
        ping = PendingCall(f"{self._name}-ping-{self._made}", "ping", (), now)
        self._waiting.append(ping)
        return ping

    def answered(self, payload: bytes, now: float) -> bool:
        """A pong came. False: no ping of this payload waits for one.

        Pings before it have none any more: the server "MAY elect to send a Pong frame for only the most recently
        processed Ping frame" (RFC 6455 section 5.5.3).
        """
        ids = [ping.id.encode() for ping in self._waiting]
        if payload not in ids:
            return False
        for ping in [self._waiting.popleft() for _ in range(ids.index(payload) + 1)]:
            ping.end("result", now, payload.decode())
        return True

    def lose(self, now: float) -> None:
        """None of them will be answered."""
        pings = list(self._waiting)
        self._waiting.clear()
        for ping in pings:
            ping.end("lost", now)


def notification(method: str, params: Any) -> dict[str, Any]:
    """A notification, or a request that has no id yet."""
    made: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params:
        made["params"] = params
    return made


def one_kind(*kinds: Any) -> Any:
    """The parameters that were given, in one of these ways. Raises TypeError for several."""
    given = [params for params in kinds if params]
    if len(given) > 1:
        raise TypeError("JSON-RPC parameters are by position or by name, not both (section 4.2)")
    return given[0] if given else ()


def pairs(given: Iterable[Any]) -> list[tuple[str, Any]]:
    """Methods and their parameters, for a batch. Raises UsageError for what is something else."""
    found = []
    for entry in given:
        match entry:
            case (str(method), list() | tuple() | dict() as params):
                found.append((method, params))
            case _:
                raise UsageError(f"a batch has pairs of a method and its parameters, as ('add', [1, 2]), not {entry!r}")
    return found
