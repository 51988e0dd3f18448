"""The view that a handler has of its call, and a hook of its event: abstract classes. The adapter implements them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic

from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Address, CallId, ConnectionId, Identity, Kind, Meta

from .topics.position import Position

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    State = TypeVar("State", default=Any)
else:
    from typing import TypeVar

    State = TypeVar("State")

NO_STATE: Final = "the service has no lifespan, so there is no state: declare one with @service.lifespan"


class PeerContext(ABC, Generic[State]):
    """The facts that handlers and authenticators see alike: the state of the service, and the peer at the other end."""

    __slots__ = ()

    @property
    def state(self) -> State:
        """What the lifespan of the service has yielded. Raises UsageError if the service has no lifespan.

        An included service without a lifespan of its own has the state of the service that includes it.
        """
        raise UsageError(NO_STATE)

    @property
    @abstractmethod
    def public_id(self) -> str:
        """The id of the connection as peers see it: a target of `message.send`."""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The kind of the connection: "websocket", "http", "cli", or "local" for a call of `Server.call`."""

    @property
    @abstractmethod
    def address(self) -> Address:
        """The other end of the socket. Behind a proxy it is the proxy's: the client's own may be in `headers`."""

    @property
    @abstractmethod
    def path(self) -> str:
        """The path of the request or handshake, such as "/rpc", without a query. Empty for pipes."""

    @property
    @abstractmethod
    def headers(self) -> Mapping[str, str]:
        """The headers of the request or handshake. Over HTTP each request has its own; pipes have none.

        Names are in lower case, values are decoded as latin-1, and the values of a repeated header are joined by ", "
        (RFC 9110 section 5.3). Credentials are left out: a handler has `identity`.
        """

    @property
    def host_scope(self) -> Any:
        """What the application that hosts the server says of the request or handshake: under ASGI the scope, with
        `host_scope["app"]`, `host_scope["state"]` and all headers. None if the server listens by itself."""
        return None


class CallerSession(ABC):
    """The session of a caller, as the handler of a call sees it."""

    __slots__ = ()

    @property
    @abstractmethod
    def id(self) -> str:
        """The public id of the session."""

    @property
    @abstractmethod
    def data(self) -> dict[str, Any]:
        """The data of the session as it is now, decoded: a copy, which `update` alone changes in the session."""

    @property
    @abstractmethod
    def version(self) -> int:
        """How often the data was changed."""

    @abstractmethod
    async def update(
        self, set: Mapping[str, Any] | None = None, *, unset: Iterable[str] = (), version: int | None = None
    ) -> int:
        """Change members of the data, and remove some, if it has this `version` (None: any). Returns the new version.

        Raises RpcError: -32602 for another version, or more than `max_session_bytes`; -32040 if the session has ended;
        -32035 if the store does not answer: the data may have been changed.
        """

    @abstractmethod
    async def end(self) -> None:
        """End the session. Other connections that belong to it are closed (4410). Raises RpcError as `update`."""


class Context(PeerContext[State]):
    """One call as its handler sees it: the caller, and ways to send to the caller before the answer.

    A parameter annotated with `Context` receives it. `Context[Pool]` says to type checkers that `state` is a Pool.
    Tests of a service without a server subclass it.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def connection(self) -> ConnectionId:
        """The id of the connection inside this process: a counter, never reused."""

    @property
    @abstractmethod
    def connection_state(self) -> dict[str, Any]:
        """A dict of your own: the same one for all calls of a connection, empty at first, and gone with it.

        Over HTTP each request has its own. A change of the caller's identity begins a new one.
        """

    @property
    def session(self) -> CallerSession | None:
        """The session of the caller ([docs/sessions.md]), or None: it has none, or the connection has another identity
        since."""
        return None

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """The identity of the caller. It comes from the connection, never from parameters."""

    @property
    def user(self) -> str | None:
        """The caller's user, or None if the caller has no user."""
        return self.identity.user

    @property
    def scopes(self) -> tuple[str, ...]:
        """The caller's scopes, sorted. `*` stands for every scope."""
        return self.identity.scopes

    @property
    @abstractmethod
    def meta(self) -> Meta:
        """The metadata of the request: deadline, trace, progress token, idempotency key."""

    @property
    @abstractmethod
    def call_id(self) -> CallId:
        """The id of this call inside this process, not the id that the client chose."""

    @property
    @abstractmethod
    def method(self) -> str:
        """The name that was called. One function may serve several names."""

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Has the call ended already: cancelled, timed out, or its connection gone?

        An `async def` handler is cancelled once, at its next await; its clean-up (`finally`) may then await for
        `Config.cleanup_grace` seconds, and is not cancelled again. On trio, if the handler waits for the tasks of a
        nursery, the first await after it raises, too. Other handlers cannot be stopped and should read this.
        """

    @abstractmethod
    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        """Send a notification to the caller (JSON-RPC 2.0 section 4.1). `params` is an array, an object or None.

        `after_reply`: it leaves behind the reply of this call (in a batch, behind the reply of the batch), and not at
        all if the call gets no result. For a call without an id it leaves when the handler has returned. True: it is
        sent if the call gets its result. After a call with a result, it is sent as soon as the reply was.

        False: it is not sent. The connection is gone, or it is an HTTP exchange, which carries the answer only; with
        `after_reply`, or the call has ended without a result. Raises UsageError for params that cannot be encoded.
        """

    @abstractmethod
    def progress(self, fraction: float, message: str | None = None) -> bool:
        """Send the progress of this call to the caller: from 0.0 to 1.0, and a message for people.

        False: it was not sent, because the request had no `meta.progress_token`, the call has ended, or the connection
        cannot be pushed to.
        """

    @abstractmethod
    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        """Send a request to the caller and wait for its result, read as `result_type` like a parameter of that type.

        `timeout` is in seconds. Raises RpcError: the caller's error, -32030 after the timeout, -32800 if the connection
        is gone or is an HTTP exchange, -32009 if too many requests to it are in flight. Raises ResultError for a result
        of another type, with its faults; if the handler does not catch it, its call is answered with -32603. Raises
        UsageError for a `result_type` that JSON cannot carry.
        """

    async def publish(self, topic: str, data: Any) -> Position:
        """Publish to a topic of the service ([docs/delivery.md]), and wait until it is accepted. Returns its position.

        `data` is what the topic takes. Raises RpcError: -32036 for a topic that is not declared, -32602 for a name that
        is not one, -32009 if there are too many topics. Raises UsageError for other data.
        """
        raise UsageError("this context has no topics to publish to")


class AuthContext(PeerContext[State]):
    """The verification of credentials, as its authenticator sees it. An authenticator with two parameters receives it
    as the second. `AuthContext[Pool]` says to type checkers that `state` is a Pool."""

    __slots__ = ()


class HookContext(ABC, Generic[State]):
    """An event as its hook sees it. A hook with two parameters receives it as the second."""

    __slots__ = ()

    @property
    def state(self) -> State:
        """What the lifespan of the service has yielded. Raises UsageError if the service has no lifespan."""
        raise UsageError(NO_STATE)

    @property
    @abstractmethod
    def connection_state(self) -> dict[str, Any]:
        """The `Context.connection_state` of the connection of the event, also when that has just closed.

        For an event without a connection, and after the connection has closed: an empty dict.
        """

    @abstractmethod
    def notify(self, method: str, params: Any = None) -> bool:
        """Send a notification to the connection of the event.

        False: the event has no connection, or it is gone or cannot be pushed to. Raises UsageError for params that
        cannot be encoded.
        """
