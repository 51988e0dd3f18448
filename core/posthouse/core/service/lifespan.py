"""The lifespan of a service: declared here, run by the adapter.

A lifespan opens what the service needs, such as a pool of connections, and yields it as the state of the service.
Nothing here runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, get_origin, get_type_hints

from msgspec import Struct
from posthouse.core.values.errors import UsageError

from .signature import KEYWORD_ONLY, POSITIONAL, REST, is_required, underlying

FORM: Final = "write an `async def` with one `yield`, which opens before it and closes after it"


class Lifespan(Struct, frozen=True, eq=False):
    """The lifespan of the service of this name. `takes_server`: its function is called with the running server."""

    service: str
    function: Callable[..., AbstractAsyncContextManager[Any]]
    takes_server: bool

    @classmethod
    def of(cls, function: Callable[..., Any], service: str) -> Lifespan:
        """Check a declaration. Raises UsageError if it is invalid."""
        where = f"the lifespan of service {service!r}"
        if not callable(function):
            raise UsageError(f"{where} is {function!r}, which is no function: {FORM}")
        target = function if isinstance(function, type) else underlying(function)
        if inspect.iscoroutinefunction(target):
            raise UsageError(f"{where} is a coroutine function without `yield`: {FORM}")
        if inspect.isgeneratorfunction(target):
            raise UsageError(f"{where} is a generator function without `async`: {FORM}")
        takes_server = _takes_server(function, where)
        if inspect.isasyncgenfunction(target):
            return cls(service, asynccontextmanager(function), takes_server)
        if not _returns_manager(target):
            raise UsageError(
                f"{where} is a plain function: {FORM}; or annotate its result as an async context manager, if it "
                "returns one"
            )
        return cls(service, function, takes_server)

    def open(self, server: object) -> AbstractAsyncContextManager[Any]:
        """Call the function, for one server. The adapter enters and exits the result, in one task."""
        return self.function(server) if self.takes_server else self.function()


def _takes_server(function: Callable[..., Any], where: str) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise UsageError(f"{where}: the signature of {function!r} cannot be read") from None
    parameters = signature.parameters.values()
    given = [parameter for parameter in parameters if parameter.kind in POSITIONAL]
    named = [parameter for parameter in parameters if parameter.kind is KEYWORD_ONLY and is_required(parameter)]
    names = ", ".join(parameter.name for parameter in parameters)
    if len(given) > 1 or named or any(parameter.kind is REST for parameter in parameters):
        raise UsageError(f"{where} takes ({names}): it may take the server, or nothing")
    if given and given[0].name in ("self", "cls"):
        raise UsageError(
            f"{where} belongs to a class and is not bound to an instance: declare the bound method, as in "
            "`service.lifespan(instance.name)`"
        )
    return bool(given)


def _returns_manager(target: Any) -> bool:
    """Does this plain function, or class, say that its result is an async context manager?"""
    if isinstance(target, type):
        return hasattr(target, "__aenter__")
    if inspect.isasyncgenfunction(inspect.unwrap(target)):
        return True  # made by `asynccontextmanager`
    try:
        returns = get_type_hints(target).get("return")
    except Exception:  # an annotation that is not known may be anything
        return True
    return hasattr(get_origin(returns) or returns, "__aenter__")
