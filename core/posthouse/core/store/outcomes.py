"""The outcomes of a request to a store, and which error a caller gets for one that the store could not do."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.values.errors import SERVER_BUSY, STORAGE_UNAVAILABLE, ErrorObject, RpcError, refusal

RETRY_MS: Final = 1_000
"""The milliseconds after which a caller may try again."""


class Done(Struct, frozen=True, gc=False):
    """The store has done it. `value` is what the request says."""

    value: Any = None


class MaybeApplied(Struct, frozen=True, gc=False):
    """The store has not said whether it was done: it took too long, or a commit has failed. The asker of a write then
    asks for the opposite."""


class Full(Struct, frozen=True, gc=False):
    """The store was not asked: too many external operations are in flight (`max_external_operations`)."""


StoreOutcome = Done | Refused | Failed | Busy | MaybeApplied
"""What a store answers. `Refused`: the rows forbid it; nothing was changed, or a stolen session has ended. `Failed` and
`Busy`: nothing was changed. The reasons of refusals are those below."""

EXISTS: Final = Refused("exists")
UNKNOWN: Final = Refused("unknown")
NO_ROOM: Final = Refused("full")
OTHER_VERSION: Final = Refused("version")
TOO_LARGE: Final = Refused("too_large")
STOLEN: Final = Refused("stolen")


def unavailable(outcome: Failed | Busy | MaybeApplied | Full) -> ErrorObject:
    """The error for a caller whose request could not be done."""
    return refusal(SERVER_BUSY if isinstance(outcome, Full) else STORAGE_UNAVAILABLE, retry_after_ms=RETRY_MS)


def value_of(outcome: StoreOutcome | Full, **refusals: ErrorObject) -> Any:
    """The value of an outcome that has one. Raises RpcError: one of `refusals`, by the reason of the store, or that the
    store is unavailable. A reason without an error is one that the rows cannot have."""
    if isinstance(outcome, Done):
        return outcome.value
    if isinstance(outcome, Refused):
        raise RpcError.of(refusals.get(outcome.why) or unavailable(Failed()))
    raise RpcError.of(unavailable(outcome))
