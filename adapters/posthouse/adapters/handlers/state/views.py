"""The contexts of hooks, and those of interceptors that see another state than the handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from posthouse.core.service.context import Context, HookContext
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.values.lifecycle import Event
from posthouse.core.values.peers import CallId, ConnectionId, Identity, Kind, Meta

from .states import States

Notify = Callable[[ConnectionId, str, Any], bool]
"""Sends a notification to a connection. False: it was not sent."""


class EventContext(HookContext[Any]):
    """An event as a hook with this lifespan sees it."""

    __slots__ = ("_connection", "_lifespan", "_notify", "_states")

    def __init__(self, event: Event, lifespan: Lifespan | None, states: States, notify: Notify) -> None:
        self._connection: Final[ConnectionId | None] = getattr(event, "connection", None)
        self._lifespan: Final = lifespan
        self._states: Final = states
        self._notify: Final = notify

    @property
    def state(self) -> Any:
        return self._states.of(self._lifespan)

    def notify(self, method: str, params: Any = None) -> bool:
        return self._connection is not None and self._notify(self._connection, method, params)


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

    def notify(self, method: str, params: Any = None) -> bool:
        return self._whole.notify(method, params)

    def progress(self, fraction: float, message: str | None = None) -> bool:
        return self._whole.progress(fraction, message)

    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        return await self._whole.call(method, params, timeout=timeout, result_type=result_type)
