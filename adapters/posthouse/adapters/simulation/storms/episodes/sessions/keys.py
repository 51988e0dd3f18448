"""Idempotency keys in an episode: of the calls with one key of one owner, one handler runs, and all have its result."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from posthouse.adapters.invariants import must
from posthouse.core.values.effects import Invoke

Place = tuple[str, str]
"""The owner of a key, and the key."""


class Keys:
    """The keys whose handlers have started, with their params and the call. Each handler returns the number of its
    call."""

    def __init__(self) -> None:
        self._begun: dict[Place, tuple[Any, int]] = {}

    def invoked(self, invoke: Invoke, owner: str) -> None:
        """A handler starts for this owner."""
        key = invoke.meta.idempotency_key
        if key is None:
            return
        place = owner, key
        must(place not in self._begun, "calls: a call with a key runs again", key, owner)
        self._begun[place] = {"number": invoke.args[0]}, invoke.call

    def answered(self, owner: str, key: str, params: dict[str, Any], result: int) -> None:
        """A call with a key has a result, which is the number of the call whose handler has returned it."""
        given, call = self._begun.get((owner, key), (None, None))
        must(call == result, "calls: a call has the result of another key", key, owner, result)
        must(given == params, "calls: a call has the result of other params", key, owner, params)

    def revoked(self, owner: str, running: Container[int]) -> None:
        """The calls of this owner that are running have ended, and nobody may know their outcomes."""
        left = [place for place, (_, call) in self._begun.items() if place[0] == owner and call in running]
        for place in left:
            del self._begun[place]

    def forget(self) -> None:
        """The server has ended, and with it all outcomes."""
        self._begun.clear()
