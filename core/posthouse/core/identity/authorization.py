"""Authorization: has this identity the right to call this method, and is it still valid?"""

from __future__ import annotations

from posthouse.core.service.method import Method
from posthouse.core.values.errors import CREDENTIALS_EXPIRED, FORBIDDEN, UNAUTHENTICATED, RpcError
from posthouse.core.values.peers import Identity
from posthouse.core.values.shared import Shared


def authorize(method: Method, identity: Identity) -> None:
    """Raise RpcError (-32020, -32021) unless this identity may call the method. Its data names what is missing."""
    if not method.public and not identity.authenticated:
        needed: dict[str, object] = {"requires": "authentication"}
        if method.scopes:
            needed["scopes"] = list(method.scopes)
        raise RpcError(UNAUTHENTICATED, data=needed)
    missing = identity.missing(method.scopes)
    if missing and not identity.authenticated:
        raise RpcError(UNAUTHENTICATED, data={"requires": "authentication", "scopes": list(missing)})
    if missing:
        raise RpcError(FORBIDDEN, data={"scopes": list(missing)})


def check_expiry(identity: Identity, shared: Shared, now: float) -> None:
    """Raise RpcError (-32022) if this identity has expired: whatever it calls, except to get another one."""
    if shared.expired(identity, now):
        raise RpcError(CREDENTIALS_EXPIRED)
