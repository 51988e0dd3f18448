"""Authorization: has this identity the right to call a method or to use a topic, and is it still valid?"""

from __future__ import annotations

from typing import Protocol

from posthouse.core.values.errors import CREDENTIALS_EXPIRED, FORBIDDEN, UNAUTHENTICATED, RpcError
from posthouse.core.values.peers import Identity
from posthouse.core.values.shared import Shared


class Guarded(Protocol):
    """Something that not everybody may use, such as a method: who must be authenticated, and which scopes are needed
    for it."""

    @property
    def public(self) -> bool: ...

    @property
    def scopes(self) -> tuple[str, ...]: ...


def authorize(guarded: Guarded, identity: Identity) -> None:
    """Raise RpcError (-32020, -32021) unless this identity may use it. Its data names what is missing."""
    if not guarded.public and not identity.authenticated:
        needed: dict[str, object] = {"requires": "authentication"}
        if guarded.scopes:
            needed["scopes"] = list(guarded.scopes)
        raise RpcError(UNAUTHENTICATED, data=needed)
    missing = identity.missing(guarded.scopes)
    if missing and not identity.authenticated:
        raise RpcError(UNAUTHENTICATED, data={"requires": "authentication", "scopes": list(missing)})
    if missing:
        raise RpcError(FORBIDDEN, data={"scopes": list(missing)})


def check_expiry(identity: Identity, shared: Shared, now: float) -> None:
    """Raise RpcError (-32022) if this identity has expired: whatever it calls, except to get another one."""
    if shared.expired(identity, now):
        raise RpcError(CREDENTIALS_EXPIRED)
