"""A service about handlers themselves: what they know of their call, where they run, and how they may end.

`insight` has methods that use their context from threads, return something to await, or clean up. `guard` has
interceptors of each kind, which see the state of its lifespan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Final

import anyio
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Identity

REFUSED: Final = 7
"""The error code of methods that refuse."""

MARK: Final = "#"
"""What the lifespan of `guard` yields."""

CLEAN_UP: Final = 0.05
"""Seconds for which `tidies` cleans up."""

seen: Final[ContextVar[str]] = ContextVar("seen")

insight: Final = Service("insight", public=True)
guard: Final = Service("guard", public=True)


@insight.method
def whoami(context: Context, token: str) -> dict[str, Any]:
    """Everything that a handler knows of its call."""
    meta = context.meta
    return {
        "token": token,
        "kind": context.kind,
        "user": context.user,
        "scopes": context.scopes,
        "identity": [context.identity.user, context.identity.scopes],
        "path": context.path,
        "json": context.headers.get("content-type", "").lower().startswith("application/json"),
        "host": context.headers.get("host", "").lower(),
        "secret": [name for name in ("cookie", "authorization") if name in context.headers],
        "method": context.method,
        "cancelled": context.cancelled,
        "public_id": len(context.public_id),
        "known": context.connection > 0 and context.call_id > 0,
        "address": context.address.transport,
        "meta": [meta.timeout_ms, meta.traceparent, meta.idempotency_key],
    }


@insight.method(blocking=True)
def in_thread(context: Context, token: str, times: int) -> tuple[str, int]:
    """Sends from a thread."""
    sent = 0
    for time in range(times):
        context.notify("told", [token, time])
        sent += context.progress(time / times)
    return token, sent


@insight.method(blocking=True)
def asks_in_thread(context: Context, token: str) -> str:
    """Asks its caller from a thread, which waits for the answer."""
    answer: str = _at_once(context.call("mirror", [token], timeout=5.0, result_type=str), token)
    return answer


def _at_once(coroutine: Coroutine[Any, Any, Any], otherwise: Any) -> Any:
    """The result of a coroutine that awaits nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    return otherwise


class Later:
    """Gives a value to a task that awaits it."""

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def __await__(self) -> Generator[Any, Any, str]:
        yield from anyio.sleep(0.01).__await__()
        return self._value


@insight.method
def promises(token: str) -> Any:
    """Returns something to await."""
    return Later(token)


@insight.method(blocking=True)
def promises_in_thread(token: str) -> Any:
    """Returns something to await, from a thread."""
    return Later(token)


@insight.method
async def tidies(token: str, seconds: float) -> str:
    """Cleans up when it ends or is cancelled."""
    try:
        await anyio.sleep(seconds)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(CLEAN_UP)
    return token


@insight.method(sequential=True)
async def in_turn(token: str) -> str:
    """Runs after the earlier calls of its connection."""
    await anyio.sleep(0.02)
    return token


@insight.method
def remembers(token: str) -> str:
    """Sees no context variable of another call."""
    before = seen.get("fresh")
    seen.set(token)
    return before


@insight.method
def unsendable(token: str) -> None:
    """Raises an error whose data cannot be sent."""
    raise RpcError(REFUSED, token, object())


@insight.method
async def grouped(token: str) -> None:
    """Raises an error inside an exception group."""
    async with anyio.create_task_group():
        raise RpcError(REFUSED, token)


@guard.lifespan
async def opened() -> AsyncIterator[dict[str, str]]:
    state = {"mark": MARK}
    yield state
    state.clear()


@guard.on_call
def adds_plus(context: Context, method: Method, arguments: Arguments) -> Arguments:
    (token,), named = arguments
    return (f"{token}+",), named


@guard.on_call
async def adds_mark(context: Context[dict[str, str]], method: Method, arguments: Arguments) -> Arguments | None:
    await anyio.sleep(0)
    (token,), named = arguments
    return None if method.name.endswith("plain") else ((f"{token}{context.state['mark']}",), named)


@guard.on_outcome
async def ends_later(context: Context, method: Method, outcome: Outcome) -> None:
    await anyio.sleep(0)


@guard.on_outcome
def adds_name(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
    return Returned(f"{outcome.value}{context.method}") if isinstance(outcome, Returned) else None


@guard.method
def plain(context: Context[dict[str, str]], token: str) -> str:
    return token + context.state["mark"]


@guard.method
async def waits(token: str) -> str:
    await anyio.sleep(0.01)
    return token


@guard.method(blocking=True)
def blocks(token: str) -> str:
    return token


@guard.method
def refuses(token: str) -> str:
    raise RpcError(REFUSED, token)


RESULTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "insight.in_thread": lambda params: [params["token"], params["received"]],
    "insight.asks_in_thread": lambda params: params["token"],
    "insight.promises": lambda params: params["token"],
    "insight.promises_in_thread": lambda params: params["token"],
    "insight.tidies": lambda params: params["token"],
    "insight.in_turn": lambda params: params["token"],
    "insight.remembers": lambda params: "fresh",
    "guard.plain": lambda params: f"{params['token']}+{MARK}guard.plain",
    "guard.waits": lambda params: f"{params['token']}+{MARK}guard.waits",
    "guard.blocks": lambda params: f"{params['token']}+{MARK}guard.blocks",
}
"""The result of each method, from the parameters of the call."""

ERROR_CODES: Final[dict[str, tuple[int, ...]]] = {
    "insight.unsendable": (REFUSED,),
    "insight.grouped": (REFUSED,),
    "guard.refuses": (REFUSED,),
}
"""The codes of methods that fail."""

TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
META: Final[dict[str, Any]] = {"timeout_ms": 29_000, "traceparent": TRACEPARENT}
"""The metadata with which clients call `whoami`."""


def known_of(token: str, transport: str, host: bytes, identity: Identity) -> dict[str, Any]:
    """The result of `whoami` for a client over this transport, which the server takes for this identity."""
    stream = transport in ("websocket", "http")
    return {
        "token": token,
        "kind": transport if stream else "cli",
        "user": identity.user,
        "scopes": list(identity.scopes),
        "identity": [identity.user, list(identity.scopes)],
        "path": {"websocket": "/ws", "http": "/rpc"}.get(transport, ""),
        "json": transport == "http",
        "host": host.decode() if stream else "",
        "secret": [],
        "method": "insight.whoami",
        "cancelled": False,
        "public_id": 24,
        "known": True,
        "address": "stream" if stream else "pipe",
        "meta": [*META.values(), None],
    }
