"""What a handler sees of its call: one abstract class, given to the parameter that is annotated with it.

The adapter supplies it. Nothing here knows a loop, a task or a thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from posthouse.core.values.peers import CallId, ConnectionId, Identity, Kind, Meta


class Context(ABC):
    """One call, as its handler sees it: who calls, over what, and ways to speak to them before the answer.

    A service that is tested without a server subclasses it.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def connection(self) -> ConnectionId:
        """The id of the connection inside this process: a number from a counter, never reused."""

    @property
    @abstractmethod
    def public_id(self) -> str:
        """The id of the connection as peers see it: the address for `message.send`."""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """How the connection came: "websocket", "http" or "cli"."""

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Who calls. It comes from the connection alone, never from parameters."""

    @property
    def user(self) -> str | None:
        """The caller's user, or None for nobody in particular."""
        return self.identity.user

    @property
    def scopes(self) -> tuple[str, ...]:
        """The caller's scopes, sorted; `*` stands for every scope."""
        return self.identity.scopes

    @property
    @abstractmethod
    def meta(self) -> Meta:
        """What came with the request beside its parameters: deadline, trace, progress token, idempotency key."""

    @property
    @abstractmethod
    def call_id(self) -> CallId:
        """The id of this call inside this process. It is not the id that the client chose."""

    @property
    @abstractmethod
    def method(self) -> str:
        """The name that was called: one function may serve several."""

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Has the call ended already: cancelled, timed out, or its connection gone?

        An `async def` handler is stopped at its next await; plain and blocking ones, which nothing can stop, look here.
        """

    @abstractmethod
    def notify(self, method: str, params: Any = None) -> bool:
        """Send a notification to the caller (JSON-RPC 2.0 section 4.1). `params` is an array, an object or None.

        False: the connection is gone, or it came over HTTP, where nothing but the answer can be sent. Raises
        UsageError for params that cannot be encoded.
        """

    @abstractmethod
    def progress(self, fraction: float, message: str | None = None) -> bool:
        """Tell the caller how far this call is: from 0.0 to 1.0, with a word about it.

        False: it was not sent, because the request had no `meta.progress_token`, the call has ended or the
        connection cannot be pushed to.
        """

    @abstractmethod
    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        """Send a request to the caller and wait for its result, decoded and checked as `result_type`.

        `timeout` is in seconds. Raises RpcError: what the caller answered, -32030 when it did not in time, -32800
        when the connection is gone or came over HTTP, -32009 when too many requests to it are in flight. Raises
        ResultError for a result of another type; a handler that lets it through is answered for as for any exception
        that nobody expected.
        """
