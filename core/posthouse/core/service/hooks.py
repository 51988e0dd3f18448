"""A hook: a function that is called with lifecycle events, and what it receives beside them. Nothing here runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any

from msgspec import Struct
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import EVENTS, Event, EventNames

from .lifespan import Lifespan

Hook = Callable[[Any], Awaitable[None] | None] | Callable[[Any, Any], Awaitable[None] | None]
"""Called with a lifecycle event, or with the event and a HookContext. A plain function or a coroutine function."""


class DeclaredHook(Struct, frozen=True):
    """One hook of a service. `takes_context`: it is called with the event and a HookContext. `lifespan` opens the state
    that it sees."""

    function: Callable[..., Any]
    takes_context: bool
    lifespan: Lifespan | None = None

    @classmethod
    def of(cls, function: Callable[..., Any], event: str, lifespan: Lifespan | None) -> DeclaredHook:
        """Check a declaration. Raises UsageError if it is invalid."""
        for arguments in (("event",), ("event", "context")):
            if _accepts(function, arguments):
                return cls(function, len(arguments) == 2, lifespan)
        raise UsageError(
            f"hook of {event!r} is called with (event) or with (event, context): {function!r} does not accept them"
        )

    def within(self, lifespan: Lifespan) -> DeclaredHook:
        """This hook, which sees the state of this lifespan unless it has one already."""
        return DeclaredHook(self.function, self.takes_context, lifespan) if self.lifespan is None else self


def _accepts(function: Callable[..., Any], arguments: tuple[str, ...]) -> bool:
    try:
        signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


def wanted_events(hooks: Mapping[type[Event], Collection[object]], names: EventNames) -> tuple[type[Event], ...]:
    """The events that somebody listens to: those with hooks, and those of these names. Raises UsageError for an unknown
    name."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if name not in EVENTS:
            near = get_close_matches(str(name), EVENTS, 1, 0.0)
            raise UsageError(f"unknown event {name!r}: did you mean {near[0]!r}?")
    return tuple(kind for name, kind in EVENTS.items() if hooks.get(kind) or name in listed)
