"""What a declaration may say: names, options, scopes, functions, and what a service has. Each mistake has its own
error, which says the fix.

Nothing here compiles a method, and nothing here runs user code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args

from posthouse.core.values.errors import UsageError

from .signature import underlying

OnDisconnect = Literal["cancel", "finish"]
"""A call whose connection ends is cancelled, or it runs to its end and gets no reply."""

MAX_NAME_BYTES: Final = 128
"""The longest name of a method, in bytes of UTF-8: the default of `Config.max_method_bytes`."""

RESERVED_PREFIXES: Final = ("rpc.", "$/")
"""JSON-RPC 2.0 section 4: "Method names that begin with the word rpc followed by a period character are reserved";
the Language Server Protocol reserves `$/` for messages that depend on the implementation."""

OPTIONS: Final = ("public", "scopes", "timeout", "sequential", "blocking", "on_disconnect", "reserved")
"""The options of `service.method`."""

FLAGS: Final = ("public", "sequential", "blocking", "reserved")
"""The options that are True or False."""

SUBPROTOCOL: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""RFC 6455 section 4.1: "non-empty strings with characters in the range U+0021 to U+007E not including separator
characters"."""

OWN_SUBPROTOCOLS: Final = "posthouse."
"""The names of subprotocols that the gateway gives begin so."""


def check_name(name: str, *, reserved: bool) -> None:
    """Raise UsageError unless `name` is valid. `reserved`: another named protocol defines it."""
    if not isinstance(name, str) or not name:
        raise UsageError(f"a method's name is {name!r}: it must be a non-empty string")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise UsageError(f"the name {name!r} cannot be encoded as UTF-8: it contains a lone surrogate") from None
    if size > MAX_NAME_BYTES:
        raise UsageError(f"the name {name!r} has {size} bytes: at most {MAX_NAME_BYTES} are allowed")
    if not reserved and name.startswith(RESERVED_PREFIXES):
        raise UsageError(
            f"the name {name!r} is reserved, like all names that begin with 'rpc.' or '$/': use reserved=True if "
            "another named protocol defines it"
        )


def check_options(options: Mapping[str, Any]) -> None:
    """Raise UsageError for an option of `service.method` that does not exist, or has a wrong value."""
    for name, value in options.items():
        if name == "name":
            raise UsageError(f'service.method has no option name: write the name first, `service.method("{value}")`')
        if name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"its options are {', '.join(OPTIONS)}"
            raise UsageError(f"service.method has no option {name!r}: {hint}")
        if name in FLAGS and not isinstance(value, bool):
            raise UsageError(f"{name} is {value!r}, but must be True or False")


def check_event(event: object, names: Mapping[Any, type]) -> None:
    """Raise UsageError unless `event` is one of these names of lifecycle events."""
    if isinstance(event, str) and event in names:
        return
    if isinstance(event, str):
        (near,) = get_close_matches(event, names, 1, 0.0)
        raise UsageError(f"unknown event {event!r}: did you mean {near!r}?")
    name = next((name for name, kind in names.items() if kind is event), next(iter(names)))
    raise UsageError(f'service.on takes the name of an event: use `@service.on("{name}")`')


def check_timeout(timeout: float | None, where: str) -> None:
    """Raise UsageError unless this is a time in seconds, or None."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise UsageError(f"{where}: timeout is {timeout!r}, but must be a finite number of seconds above 0")


def check_on_disconnect(choice: object, where: str) -> None:
    """Raise UsageError unless this is a choice of `OnDisconnect`."""
    if choice not in get_args(OnDisconnect):
        raise UsageError(f"{where}: on_disconnect is {choice!r}, but must be 'cancel' or 'finish'")


def check_function(function: Callable[..., Any], where: str) -> None:
    """Raise UsageError unless `function` is a function that returns one result. `where` names its use."""
    if isinstance(function, classmethod | property):
        kind = type(function).__name__
        raise UsageError(
            f"{where}: a {kind} is not a function: declare a bound method, `service.method(instance.name)`"
        )
    if not callable(function):
        raise UsageError(f"{where}: {function!r} is not a function")
    if isinstance(function, type):
        raise UsageError(f"{where}: {function.__qualname__!r} is a class: give a function, or an object with __call__")
    target = underlying(function)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise UsageError(f"{where} is a generator function, which yields many values: return one value, such as a list")
    if inspect.isfunction(function) and next(iter(inspect.signature(function).parameters), None) in ("self", "cls"):
        raise UsageError(
            f"{where} belongs to a class and is not bound to an instance: declare the bound method, as in "
            f"`service.method(instance.{function.__name__})`"
        )


def check_takes(function: Callable[..., Any], where: str, *arguments: str) -> None:
    """Raise UsageError unless `function` accepts these arguments by position."""
    check_function(function, where)
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        raise UsageError(
            f"{where} is called with ({', '.join(arguments)}): {function!r} does not accept them"
        ) from None


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Does calling it return a coroutine? Looks through functools.partial and at `__call__`."""
    return inspect.iscoroutinefunction(underlying(function))


def wraps_coroutine_function(function: Callable[..., Any]) -> bool:
    """Is it a coroutine function, or one behind decorators that use functools.wraps?"""
    wrapped = inspect.unwrap(underlying(function), stop=inspect.iscoroutinefunction)
    return is_coroutine_function(wrapped)


def sorted_scopes(scopes: Iterable[str], where: str) -> tuple[str, ...]:
    """Scopes, sorted, without duplicates. Raises UsageError for an invalid scope; `where` names the declaration."""
    if isinstance(scopes, str):
        raise UsageError(f"{where}: scopes is a single string: give a collection, such as {{{scopes!r}}}")
    if not isinstance(scopes, Iterable):
        raise UsageError(f"{where}: scopes is {scopes!r}: give a collection of strings")
    given = list(scopes)
    for scope in given:
        if not isinstance(scope, str) or not scope:
            raise UsageError(f"{where}: {scope!r} is not a scope: it must be a non-empty string")
    return tuple(sorted(dict.fromkeys(given)))


def subprotocols_of(names: Iterable[str]) -> tuple[str, ...]:
    """The WebSocket subprotocols that a service names, in their order. Raises UsageError for one that no client can
    offer, or that has a meaning already."""
    if isinstance(names, str):
        raise UsageError(f"subprotocols is a single string: give a tuple, ({names!r},)")
    if not isinstance(names, Iterable):
        raise UsageError(f"subprotocols is {names!r}: give a tuple of names, such as ('mcp',)")
    found = tuple(names)
    for name in found:
        if not isinstance(name, str) or not SUBPROTOCOL.fullmatch(name):
            raise UsageError(f"subprotocol {name!r}: it must be 1 to 128 letters, digits or !#$%&'*+-.^_`|~")
        if name.startswith(OWN_SUBPROTOCOLS):
            hint = "posthouse.v1.json is selected anyway, and a token never is"
            raise UsageError(
                f"subprotocol {name!r}: names that begin with {OWN_SUBPROTOCOLS!r} are the gateway's; {hint}"
            )
        if found.count(name) > 1:
            raise UsageError(f"subprotocol {name!r} is named twice")
    return found


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function. Raises UsageError if it has none."""
    name = getattr(function, "__name__", "<unnamed>")
    check_function(function, "service.method" if name.startswith("<") else f"method {name!r}")
    if name.startswith("<"):
        raise UsageError(f'{function!r} has no name: use `service.method("name")`')
    return str(name)
