"""Who may call which method."""

from __future__ import annotations

from posthouse.core.values.errors import FORBIDDEN, UNAUTHENTICATED
from posthouse.core.values.peers import Identity


def unauthorized(identity: Identity, public: bool, scopes: tuple[str, ...]) -> int | None:
    """The code that refuses this identity, or None. An anonymous identity may have scopes, too."""
    if not identity.authenticated:
        return UNAUTHENTICATED if not public or identity.missing(scopes) else None
    return FORBIDDEN if identity.missing(scopes) else None
