"""What an episode of users knows of connections and of what callers were told."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from posthouse.core.values.peers import Kind


class Asked(Struct, frozen=True):
    """A call without an answer: its method and parameters, and the step in which it was made."""

    method: str
    params: dict[str, Any]
    step: int


class Peering(Struct, eq=False):
    """A connection: the credentials with which it came, or last logged in, and the step of that; its calls."""

    credentials: object
    step: int
    kind: Kind
    calls: dict[int, Asked]


class Facts(Struct):
    """What callers were told, with the step of it: who is disabled; the tokens, by their ids; those that were
    revoked. `enabled`: when somebody last asked to enable a user. `made`: when the store was asked for each session."""

    disabled: dict[str, int] = {}
    enabled: dict[str, int] = {}
    tokens: dict[str, str] = {}
    revoked: dict[str, int] = {}
    made: dict[str, int] = {}
