"""The context variables of user code: every call and every hook starts with those of the server, and keeps its own.

So nothing that one call sets reaches another, even if it sets the precision of `decimal`. This module does not know
what a call is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from decimal import Context as DecimalContext
from typing import Any, Final


class Variables:
    """The variables as they are now, from which `fresh` makes a copy for each call."""

    def __init__(self) -> None:
        self._clean: Final = copy_context()
        decimals = [(name, value) for name, value in self._clean.items() if isinstance(value, DecimalContext)]
        self._decimals: Final[list[tuple[ContextVar[Any], DecimalContext]]] = decimals
        self.fresh: Final[Callable[[], Context]] = self._fresh if decimals else self._clean.copy

    def _fresh(self) -> Context:
        """A copy. The context of `decimal` can be changed in place, so it is copied, too."""
        fresh = self._clean.copy()
        for name, value in self._decimals:
            fresh.run(name.set, value.copy())
        return fresh


def take_over(changed: Context) -> None:
    """Set the variables of the current context as they are in `changed`, which was a copy of it."""
    current = copy_context()
    for name, value in changed.items():
        if current.get(name) is not value:
            name.set(value)
