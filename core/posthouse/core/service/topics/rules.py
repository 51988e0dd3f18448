"""One rule: what a service declares for the topics of one name, or of all names that a pattern stands for.

`Rule.of` builds a complete value or raises UsageError.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, Literal, TypedDict, get_args

from msgspec import Struct
from posthouse.core.service.declarations import MAX_NAME_BYTES, sorted_scopes
from posthouse.core.values.errors import UsageError

from .names import ONE, RESERVED, REST, read_pattern
from .payloads import Payload

Slow = Literal["close", "drop_oldest"]
"""What happens to a subscriber that reads too slowly: its connection is closed, or it loses the oldest publications and
is told which."""

Who = Literal["public", "authenticated", "nobody"] | Iterable[str]
"""Who may do something: anyone, anyone with a user, only the server itself, or callers with all of these scopes."""

WORDS: Final = ("public", "authenticated", "nobody")


class TopicOptions(TypedDict, total=False):
    """The options of `Service.topic`."""

    history: int | bool
    ttl: float | None
    publish: Who
    subscribe: Who | None
    slow: Slow
    payload: Any


class Access(Struct, frozen=True):
    """Who may do something. `nobody`: no caller may, only the server. Else as for a method: without `public`, callers
    must be authenticated, and they must have all `scopes`."""

    public: bool
    scopes: tuple[str, ...] = ()
    nobody: bool = False

    @property
    def shown(self) -> str | list[str]:
        """As it stands in the OpenRPC document."""
        if self.scopes:
            return list(self.scopes)
        return "nobody" if self.nobody else "public" if self.public else "authenticated"


class Rule(Struct, frozen=True, eq=False, kw_only=True):
    """What holds for the topics of a `pattern`. `segments` are those of the pattern. `history`: how many publications
    are kept, None for `Config.history_size`. `ttl`: for how many seconds, None for `Config.history_ttl`."""

    pattern: str
    segments: tuple[str, ...]
    publish: Access
    subscribe: Access
    history: int | None
    ttl: float | None
    slow: Slow
    payload: Payload

    @classmethod
    def of(
        cls,
        pattern: str,
        *,
        public: bool,
        history: int | bool = 0,
        ttl: float | None = None,
        publish: Who = "nobody",
        subscribe: Who | None = None,
        slow: Slow = "close",
        payload: Any = Any,
    ) -> Rule:
        """Check a declaration. `public`: that of the service. Raises UsageError if the declaration is invalid."""
        where = f"topic {pattern!r}"
        if isinstance(history, bool):
            kept = None if history else 0
        elif not isinstance(history, int) or history < 0:
            raise UsageError(f"{where}: history is {history!r}, but must be True, False or a number of publications")
        else:
            kept = history
        if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int | float) or not ttl > 0):
            raise UsageError(f"{where}: ttl is {ttl!r}, but must be a number of seconds above 0")
        if ttl is not None and (kept == 0 or not isfinite(ttl)):
            raise UsageError(f"{where}: ttl is the age of what is kept: it must be finite, and needs history")
        if slow not in get_args(Slow):
            raise UsageError(f"{where}: slow is {slow!r}, but must be 'close' or 'drop_oldest'")
        if subscribe is None:
            subscribe = "public" if public else "authenticated"
        return cls(
            pattern=pattern,
            segments=_segments(pattern),
            publish=_access(publish, f"{where}: publish"),
            subscribe=_access(subscribe, f"{where}: subscribe"),
            history=kept,
            ttl=ttl,
            slow=slow,
            payload=Payload.of(payload, where),
        )

    @property
    def exact(self) -> bool:
        """Is it the rule of one topic?"""
        return ONE not in self.segments and self.segments[-1] != REST


def _segments(pattern: str) -> tuple[str, ...]:
    segments = read_pattern(pattern) if isinstance(pattern, str) else None
    if segments is None:
        raise UsageError(
            f"{pattern!r} is no name of topics: write segments of letters, digits, _ : $ and -, with points between "
            "them; * or {name} stands for one segment, a last > for the rest"
        )
    if segments[0].startswith(RESERVED):
        raise UsageError(f"topic {pattern!r} is reserved, like all that begin with '$': choose another name")
    if len(pattern.encode()) > MAX_NAME_BYTES:
        raise UsageError(f"topic {pattern!r} is too long: at most {MAX_NAME_BYTES} bytes are allowed")
    return segments


def _access(who: Who, where: str) -> Access:
    if isinstance(who, str):
        if who not in WORDS:
            raise UsageError(
                f"{where} is {who!r}: give 'public', 'authenticated', 'nobody', or scopes such as {{{who!r}}}"
            )
        return Access(who == "public", nobody=who == "nobody")
    scopes = sorted_scopes(who, where)
    if not scopes:
        raise UsageError(f"{where} has no scope: give 'public', 'authenticated', 'nobody', or some scopes")
    return Access(False, scopes)
