"""Why credentials were not accepted: by the outcome of an authenticator, and what a caller is told."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.operations.operations import Expired, Refused
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.store.outcomes import RETRY_MS
from posthouse.core.values.close_reasons import CloseReason
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import AuthFailure

from .cache import encoded


class Unavailable(Struct, frozen=True, gc=False):
    """The outcome of a look-up: the store could not say whether the credentials are right."""


class Refusal(Struct, frozen=True, gc=False):
    """Credentials were not accepted. The reason is not for the peer. `limit`: the one for which they were not verified,
    or None. `retry_after_ms`: when they will be, if too many authentications have failed."""

    reason: AuthFailure
    limit: CloseReason | None = None
    retry_after_ms: int | None = None


REASONS: Final[dict[type, AuthFailure]] = {Refused: "refused", Expired: "timed_out", Unavailable: "unavailable"}
"""Why credentials were not accepted, by the outcome of an operation. Others: the authenticator has failed."""

OTHERS_MAY_KNOW: Final[tuple[AuthFailure, ...]] = ("refused", "failed", "unavailable")
"""For these reasons, the next authenticator is asked."""

UNKNOWN: Final = Refusal("unavailable", retry_after_ms=RETRY_MS)
"""The store could not say whether the credentials are right, and nobody else has accepted them."""


def too_long(credentials: object, config: Config) -> bool:
    """Is the secret in these credentials longer than may be? Then nobody looks at it."""
    if isinstance(credentials, Bearer):
        return len(encoded(credentials.token)) > config.max_token_bytes
    return isinstance(credentials, Basic) and len(encoded(credentials.password)) > config.max_password_bytes
