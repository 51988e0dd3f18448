"""A diary for its users: they register, log in, and find their entries again, on any connection, after a restart.

    posthouse serve diary:service --store diary.sqlite

The store keeps users, tokens and sessions. Entries are in the session of their user, so this service has no database.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from posthouse.core import Context, RpcError, Service

NO_SESSION = 1


class Profile(Struct):
    """What users say of themselves."""

    name: str


service = Service(
    "diary",
    version="1.0.0",
    description="A diary for each of its users.",
    registration="open",
    profile=Profile,
    sessions="on",
)


@service.method(scopes={"write"})
async def write(context: Context, text: str) -> int:
    """Add an entry. Returns how many there are."""
    entries = [*_data(context).get("entries", []), text]
    assert context.session is not None
    await context.session.update({"entries": entries})
    return len(entries)


@service.method
def read(context: Context) -> list[str]:
    """The entries of the caller."""
    entries: list[str] = _data(context).get("entries", [])
    return entries


def _data(context: Context) -> dict[str, Any]:
    if context.session is None:
        raise RpcError(NO_SESSION, "Log in with session: true first, or resume a session")
    return dict(context.session.data)
