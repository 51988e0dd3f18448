"""The contexts of hooks, and those of interceptors that see another state than the handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from posthouse.core.service.context import CallerSession, Context, HookContext
from posthouse.core.service.hooks import DeclaredHook
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.service.service import Service
from posthouse.core.service.topics.position import Position
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import ConnectionClosed, ConnectionOpened, Event
from posthouse.core.values.peers import Address, Caller, CallId, ConnectionId, Identity, Kind, Meta

from .states import States

Notify = Callable[[ConnectionId, str, Any], bool]
"""Sends a notification to a connection. False: it was not sent."""


class EventContext(HookContext[Any]):
    """An event as a hook with this lifespan sees it. `caller` is the connection, if it is known."""

    __slots__ = ("_caller", "_connection", "_lifespan", "_notify", "_states")

    def __init__(
        self, event: Event, caller: Caller | None, lifespan: Lifespan | None, states: States, notify: Notify
    ) -> None:
        self._connection: Final[ConnectionId | None] = getattr(event, "connection", None)
        self._caller: Final = caller
        self._lifespan: Final = lifespan
        self._states: Final = states
        self._notify: Final = notify

    @property
    def state(self) -> Any:
        return self._states.of(self._lifespan)

    @property
    def connection_state(self) -> dict[str, Any]:
        return {} if self._caller is None else self._caller.connection_state

    def notify(self, method: str, params: Any = None) -> bool:
        return self._connection is not None and self._notify(self._connection, method, params)


def takes_contexts(service: Service) -> bool:
    """Does a hook of this service take a context?"""
    return any(hook.takes_context for hooks in service.hooks.values() for hook in hooks)


class EventContexts:
    """Makes the contexts of hooks. If a hook takes one, `see` must be called with every event, in order."""

    def __init__(self, service: Service, states: States, notify: Notify) -> None:
        self.needed: Final = takes_contexts(service)
        self._states: Final = states
        self._notify: Final = notify
        self._open: Final[dict[ConnectionId | None, Caller]] = {}
        self._caller: Caller | None = None

    def see(self, action: Emit) -> None:
        """Remember the connection of this event, for `rest`."""
        event = action.event
        connection = getattr(event, "connection", None)
        if type(event) is ConnectionOpened and action.caller is not None:
            self._open[connection] = action.caller
        self._caller = self._open.get(connection)
        if type(event) is ConnectionClosed:
            self._open.pop(connection, None)

    def rest(self, hook: DeclaredHook, event: Event) -> list[EventContext]:
        """The arguments of this hook behind the event, which `see` has seen."""
        if not hook.takes_context:
            return []
        return [EventContext(event, self._caller, hook.lifespan, self._states, self._notify)]


class OtherState(Context[Any]):
    """The context of a call, as an interceptor sees it whose service has another state than that of the method."""

    __slots__ = ("_lifespan", "_states", "_whole")

    def __init__(self, whole: Context[Any], lifespan: Lifespan | None, states: States) -> None:
        self._whole: Final = whole
        self._lifespan: Final = lifespan
        self._states: Final = states

    @property
    def state(self) -> Any:
        return self._states.of(self._lifespan)

    @property
    def connection(self) -> ConnectionId:
        return self._whole.connection

    @property
    def public_id(self) -> str:
        return self._whole.public_id

    @property
    def kind(self) -> Kind:
        return self._whole.kind

    @property
    def address(self) -> Address:
        return self._whole.address

    @property
    def path(self) -> str:
        return self._whole.path

    @property
    def headers(self) -> Mapping[str, str]:
        return self._whole.headers

    @property
    def host_scope(self) -> Any:
        return self._whole.host_scope

    @property
    def connection_state(self) -> dict[str, Any]:
        return self._whole.connection_state

    @property
    def session(self) -> CallerSession | None:
        return self._whole.session

    @property
    def identity(self) -> Identity:
        return self._whole.identity

    @property
    def meta(self) -> Meta:
        return self._whole.meta

    @property
    def call_id(self) -> CallId:
        return self._whole.call_id

    @property
    def method(self) -> str:
        return self._whole.method

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        return self._whole.notify(method, params, after_reply=after_reply)

    def progress(self, fraction: float, message: str | None = None) -> bool:
        return self._whole.progress(fraction, message)

    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        return await self._whole.call(method, params, timeout=timeout, result_type=result_type)

    async def publish(self, topic: str, data: Any) -> Position:
        return await self._whole.publish(topic, data)
