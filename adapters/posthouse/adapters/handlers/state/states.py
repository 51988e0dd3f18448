"""The states of the services of one server: what their lifespans have yielded."""

from __future__ import annotations

from typing import Any

from posthouse.core.service.context import NO_STATE
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.values.errors import UsageError


class States(dict[Lifespan, Any]):
    """The state of each lifespan that is open."""

    def of(self, lifespan: Lifespan | None) -> Any:
        """The state that a function with this lifespan sees. Raises UsageError if there is none."""
        if lifespan is None:
            raise UsageError(NO_STATE)
        try:
            return self[lifespan]
        except KeyError:
            raise UsageError(f"the lifespan of service {lifespan.service!r} is not open") from None
