"""The context of a call, as far as its facts are in its `Invoke`. A subclass knows how to send."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

from posthouse.core.service.context import Context, PeerContext
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.service.results import answers
from posthouse.core.values.effects import Invoke
from posthouse.core.values.peers import Address, Caller, CallId, ConnectionId, Identity, Kind, Meta

from .state.states import States
from .state.views import OtherState


class CallerContext(PeerContext[Any]):
    """The peer of a context, whose `_caller` a subclass knows."""

    __slots__ = ()

    @property
    @abstractmethod
    def _caller(self) -> Caller: ...

    @property
    def public_id(self) -> str:
        return self._caller.public_id

    @property
    def kind(self) -> Kind:
        return self._caller.kind

    @property
    def address(self) -> Address:
        return self._caller.peer.address

    @property
    def path(self) -> str:
        return self._caller.peer.path

    @property
    def headers(self) -> Mapping[str, str]:
        return self._caller.headers

    @property
    def host_scope(self) -> Any:
        return self._caller.peer.host_scope


class InvokedContext(CallerContext, Context[Any]):
    """The context of one call. It stays valid after the call. The code that runs the call sets `ended`, and `replied`
    if `complete` says that the caller gets the result."""

    __slots__ = ("_invoke", "_states", "ended", "replied")

    def __init__(self, invoke: Invoke, states: States) -> None:
        self._invoke: Final = invoke
        self._states: Final = states
        self.ended = False
        self.replied = False

    @property
    def state(self) -> Any:
        return self._states.of(self._invoke.method.lifespan)

    def seen_with(self, lifespan: Lifespan | None) -> Context[Any]:
        """This context, with the state of this lifespan."""
        return self if lifespan is self._invoke.method.lifespan else OtherState(self, lifespan, self._states)

    @property
    def _caller(self) -> Caller:
        return self._invoke.caller

    @property
    def connection(self) -> ConnectionId:
        return self._invoke.caller.connection

    @property
    def connection_state(self) -> dict[str, Any]:
        return self._invoke.caller.connection_state

    @property
    def identity(self) -> Identity:
        return self._invoke.caller.identity

    @property
    def meta(self) -> Meta:
        return self._invoke.meta

    @property
    def call_id(self) -> CallId:
        return self._invoke.call

    @property
    def method(self) -> str:
        return self._invoke.method.name

    @property
    def cancelled(self) -> bool:
        return self.ended

    @property
    def may_follow(self) -> bool:
        """May a notification leave behind the reply? Not if the call has ended without a result."""
        return self.replied or not self.ended

    @abstractmethod
    def send_progress(self, value: object) -> bool:
        """Send this progress value. False: it was not sent."""

    @abstractmethod
    async def ask(self, method: str, params: object, timeout: float) -> bytes:
        """Send a request to the caller and wait for its result as JSON. Raises RpcError."""

    def progress(self, fraction: float, message: str | None = None) -> bool:
        return self.send_progress(
            {"fraction": fraction} if message is None else {"fraction": fraction, "message": message}
        )

    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        read = answers(result_type)
        return read(method, await self.ask(method, params, timeout))
