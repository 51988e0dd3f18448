"""`context_of`: a context for one handler, called as a function. It keeps what the handler sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET, Struct, field, json
from posthouse.adapters.handlers.firewall import must_wait
from posthouse.core.service.context import NO_STATE, Context
from posthouse.core.service.results import answers
from posthouse.core.service.topics.position import Position
from posthouse.core.values.errors import METHOD_NOT_FOUND, RpcError, UsageError
from posthouse.core.values.peers import ANONYMOUS, NO_META, Address, CallId, ConnectionId, Identity, Kind, Meta

NOWHERE: Final = Address("127.0.0.1")


class Facts(Struct, frozen=True):
    """The facts of one call: what its context says."""

    method: str
    identity: Identity = ANONYMOUS
    kind: Kind = "websocket"
    path: str = "/ws"
    address: Address = NOWHERE
    headers: Mapping[str, str] = field(default_factory=dict)
    meta: Meta = NO_META
    state: Any = UNSET
    host_scope: Any = None


def context_of(
    method: str = "test",
    *,
    identity: Identity = ANONYMOUS,
    kind: Kind = "websocket",
    headers: Mapping[str, str] = {},
    meta: Meta = NO_META,
    state: Any = UNSET,
    host_scope: Any = None,
    answer: Mapping[str, Callable[..., Any]] = {},
) -> HandlerContext:
    """A context for a handler that a test calls as a function: `build(context_of("report.build"), 2026)`.

    No gateway is behind it: parameters are not checked, no interceptor runs, no deadline counts. `state` is that of the
    lifespan. `answer` has functions by the names of the methods that the handler calls on its client.
    """
    path = {"websocket": "/ws", "http": "/rpc"}.get(kind, "")
    facts = Facts(method, identity, kind, path, NOWHERE, headers, meta, state, host_scope)
    return HandlerContext(facts, answer)


class HandlerContext(Context[Any]):
    """The context of one handler. `notifications` has the method and the params of each notification that it has sent,
    `progressed` the fraction and the message of each progress, `published` the topic and the data of each publication.
    Set `cancelled` to see what the handler does then."""

    cancelled = False

    def __init__(self, facts: Facts, answer: Mapping[str, Callable[..., Any]]) -> None:
        self.notifications: Final[list[tuple[str, Any]]] = []
        self.progressed: Final[list[tuple[float, str | None]]] = []
        self.published: Final[list[tuple[str, Any]]] = []
        self._facts: Final = facts
        self._answer: Final = answer
        self._connection_state: Final[dict[str, Any]] = {}

    @property
    def state(self) -> Any:
        """What the lifespan yields."""
        if self._facts.state is UNSET:
            raise UsageError(NO_STATE)
        return self._facts.state

    @property
    def public_id(self) -> str:
        """The id of the connection as peers see it."""
        return "1"

    @property
    def kind(self) -> Kind:
        """The kind of the connection."""
        return self._facts.kind

    @property
    def address(self) -> Address:
        """The other end of the socket."""
        return self._facts.address

    @property
    def path(self) -> str:
        """The path of the request or handshake."""
        return self._facts.path

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request or handshake."""
        return self._facts.headers

    @property
    def host_scope(self) -> Any:
        """What the host of the server says."""
        return self._facts.host_scope

    @property
    def connection(self) -> ConnectionId:
        """The id of the connection."""
        return ConnectionId(1)

    @property
    def connection_state(self) -> dict[str, Any]:
        """A dict that lives as long as this context."""
        return self._connection_state

    @property
    def identity(self) -> Identity:
        """The caller."""
        return self._facts.identity

    @property
    def meta(self) -> Meta:
        """The metadata of the request."""
        return self._facts.meta

    @property
    def call_id(self) -> CallId:
        """The id of the call."""
        return CallId(1)

    @property
    def method(self) -> str:
        """The name that was called."""
        return self._facts.method

    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        """Keep this notification. False: the kind of the connection can be pushed nothing."""
        pushed = self.kind in ("websocket", "cli")
        if pushed:
            self.notifications.append((method, params))
        return pushed

    def progress(self, fraction: float, message: str | None = None) -> bool:
        """Keep this progress."""
        self.progressed.append((fraction, message))
        return True

    async def publish(self, topic: str, data: Any) -> Position:
        """Keep this publication. Offsets count all of them."""
        self.published.append((topic, data))
        return Position("test", len(self.published))

    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        """The result of the function that answers this method, read as `result_type`. Raises RpcError without one."""
        read = answers(result_type)
        if method not in self._answer:
            raise RpcError(METHOD_NOT_FOUND)
        named = params if isinstance(params, dict) else {}
        result = self._answer[method](*(params if isinstance(params, list | tuple) else ()), **named)
        return read(method, json.encode(await result if must_wait(result) else result))
