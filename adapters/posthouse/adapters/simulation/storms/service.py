"""The service that storms call by default: a method for each way in which a call can end, and the expected results.

A result contains the arguments of its call, so that a result which reaches the wrong caller is recognised. The names
and the docstrings of types are part of the OpenRPC document, and thereby of traces and of journals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypedDict

import anyio
from msgspec import Meta, Struct
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.errors import (
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNAUTHENTICATED,
    RpcError,
)

from .catalogue.calls import PREFIX
from .catalogue.declarations import catalogue
from .insight import ERROR_CODES as INSIGHT_CODES
from .insight import RESULTS as INSIGHT_RESULTS
from .insight import guard, insight

REFUSED: Final = 7
"""The error code of `refuses`."""

EVENT: Final = "event"
"""The notification of `subscribe`: the token of its call, and how many came before."""

CLIMB_STEPS: Final = 3
"""How often `climb` sends progress."""


class Item(Struct):
    """Something that can be ordered."""

    name: str
    price: int


class Tagged(Struct, frozen=True):
    """A result with sets: their order on the wire must not depend on hashes."""

    names: frozenset[str]
    pairs: Any


class Pair(Struct, frozen=True):
    """What a set may hold: its hash is that of its parts."""

    left: str
    right: tuple[int, str] = (0, "")


class Receipt(TypedDict):
    """What was ordered."""

    token: str
    sum: int


service: Final = Service("stage", public=True, builtin_scopes={"connection.info": {"vault"}}, subprotocols=("another",))
shelf: Final = Service("shelf", public=True)


@shelf.method
def total(numbers: Annotated[list[int], Meta(max_length=5)]) -> int:
    return sum(numbers)


@shelf.on_call
def unchanged(context: Context, method: Method, arguments: Arguments) -> Arguments:
    return arguments


@shelf.on_outcome
def as_it_is(context: Context, method: Method, outcome: Outcome) -> None:
    return None


service.include(shelf, prefix="shelf.")
service.include(catalogue, prefix=PREFIX)
service.include(insight, prefix="insight.")
service.include(guard, prefix="guard.")


@service.on("call.timed_out")
def noticed(event: object) -> None:
    raise ValueError  # exceptions of hooks must have no effect


@service.method
def order(item: Item, count: int = 1, *, note: str | None = None, sizes: frozenset[int] = frozenset()) -> Receipt:
    return {"token": item.name, "sum": item.price * count}


@service.method
def echo(token: str) -> str:
    return token


@service.method
def add(a: int, b: int) -> int:
    return a + b


@service.method
def blob(token: str, size: int) -> str:
    return token.ljust(size, "x")


@service.method(blocking=True, timeout=0.5)
def brief(token: str) -> str:
    return token


@service.method(on_disconnect="finish")
async def finish(token: str, seconds: float) -> str:
    await anyio.sleep(seconds)
    return token


@service.method(blocking=True, sequential=True)
def queue(token: str) -> str:
    return token


@service.method
def tell(context: Context, token: str, times: int) -> tuple[str, int]:
    sent = 0
    for time in range(times):
        context.notify("told", [token, time])
        sent += context.progress(time / times)
    return token, sent


class Subscription:
    """The last subscription of a connection. It goes on after its call, whose context it keeps."""

    def __init__(self, context: Context, token: str) -> None:
        self._context = context
        self._token = token
        self._sent = 0

    def send(self) -> None:
        """Send the next event, behind the reply of the call."""
        self._sent += self._context.notify(EVENT, [self._token, self._sent], after_reply=True)


@service.method
async def subscribe(context: Context, token: str, events: int, seconds: float, fails: bool) -> str:
    subscription = context.connection_state["subscription"] = Subscription(context, token)
    for _ in range(events):
        subscription.send()
        await anyio.sleep(seconds)
    if fails:
        raise RpcError(REFUSED)
    return token


@service.method
def publish(context: Context, token: str) -> str:
    if "subscription" in context.connection_state:
        context.connection_state["subscription"].send()
    return token


@service.method
def visit(context: Context, token: str) -> tuple[str, int]:
    visits = context.connection_state["visits"] = context.connection_state.get("visits", 0) + 1
    return token, visits


@service.method
async def climb(context: Context, token: str, seconds: float) -> tuple[str, int]:
    sent = 0
    for step in range(CLIMB_STEPS):
        sent += context.progress(step / CLIMB_STEPS, "on the way")
        await anyio.sleep(seconds / CLIMB_STEPS)
    return token, sent


@service.method
async def wait(token: str, seconds: float) -> str:
    await anyio.sleep(seconds)
    return token


@service.method
async def ask(context: Context, token: str) -> str:
    answer: str = await context.call("mirror", [token], timeout=5.0, result_type=str)
    return answer


@service.method
def spread(first: int, *more: int, **named: int) -> list[int]:
    return [first, *more, *named.values()]


@service.method
def paired(pairs: set[Pair]) -> int:
    return len(pairs)


@service.method
def placed(token: str, /, loud: bool = False) -> str:
    return token.upper() if loud else token


@service.method
def named(*, token: str) -> str:
    return token


@service.method
def gathered(context: Context, **named: int) -> list[int]:
    return list(named.values())


@service.method
def tags(names: list[str]) -> Any:
    return Tagged(frozenset(names), {("pair", 1), ("pair", 0)})


@service.method(scopes={"vault"})
def secret() -> str:
    return "secret"


@service.method
def refuses(token: str) -> None:
    raise RpcError(REFUSED, data=token)


@service.method
def breaks() -> None:
    raise ZeroDivisionError


@service.method
def unspeakable() -> Any:
    return object()


def mirror(params: Any) -> Any:
    """The answer of clients to the requests of `ask`."""
    return params[0]


RESULTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "echo": lambda params: params["token"],
    "add": lambda params: params["a"] + params["b"],
    "blob": lambda params: params["token"].ljust(params["size"], "x"),
    "brief": lambda params: params["token"],
    "finish": lambda params: params["token"],
    "queue": lambda params: params["token"],
    "tell": lambda params: [params["token"], params["received"]],
    "climb": lambda params: [params["token"], params["received"]],
    "subscribe": lambda params: None if params["fails"] else params["token"],
    "publish": lambda params: params["token"],
    "visit": lambda params: [params["token"], params["received"]],
    "wait": lambda params: params["token"],
    "ask": lambda params: params["token"],
    "secret": lambda params: "secret",
    "order": lambda params: {"token": params["item"]["name"], "sum": params["item"]["price"] * params["count"]},
    "shelf.total": lambda params: sum(params["numbers"]),
    "spread": lambda params: list(params.values()),
    "paired": lambda params: len({pair["left"] for pair in params["pairs"]}),
    **INSIGHT_RESULTS,
    "tags": lambda params: {"names": sorted(set(params["names"])), "pairs": [["pair", 0], ["pair", 1]]},
}
"""The result of each method, from the parameters of the call."""

WITH_PROGRESS: Final = ("tell", "climb", "insight.in_thread")
"""Methods that send progress, and return how often. The caller must have `received` it as often."""

ERROR_CODES: Final[dict[str, tuple[int, ...]]] = {
    **INSIGHT_CODES,
    "refuses": (REFUSED,),
    "subscribe": (REFUSED,),
    "breaks": (INTERNAL_ERROR,),
    "unspeakable": (INTERNAL_ERROR,),
    "secret": (FORBIDDEN, UNAUTHENTICATED),
    "no.such.method": (METHOD_NOT_FOUND,),
    "echo.wrongly": (INVALID_PARAMS,),
}
"""Methods that fail, and the codes with which they do. Only `subscribe` may also return a result."""
