"""Heads that came before, and how each was judged: a client repeats one head with every call.

A head is looked up by its bytes, so that no other head gets its judgement. It is only kept if it is short, asks for a
call, and has no field of `DIFFERING`: a judgement never says who calls, and heads that are used once do not displace
others. This module may not know how a head is judged.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.config import KIB
from posthouse.core.values.peers import CREDENTIALS, NO_META
from posthouse.transports.fields import Fields

from .answers import ResponseOptions
from .head import Head
from .routes import Call, Wanted

MAX_HEADS: Final = 256
MAX_HEAD_BYTES: Final = KIB

DIFFERING: Final = (
    *(name.encode() for name in CREDENTIALS),
    *b"idempotency-key posthouse-timeout-ms traceparent tracestate x-request-id".split(),
)
"""Fields of a caller, or of one request."""


class KnownHead(Struct, frozen=True, gc=False):
    """A head that asks for a call without metadata, with a body of `length` bytes, and how to answer it."""

    length: int
    path: str
    headers: Fields
    options: ResponseOptions


class KnownHeads:
    """At most `most` heads, of at most `MAX_HEAD_BYTES` each. The oldest one makes room. All sockets of one policy and
    one config share it."""

    def __init__(self, most: int = MAX_HEADS) -> None:
        self._most: Final = most
        self._heads: Final[dict[bytes, KnownHead]] = {}
        self.find: Final = self._heads.get

    def keep(self, raw: bytes, head: Head, wanted: Wanted, options: ResponseOptions) -> None:
        """Keep how this head was judged, if it is likely to come again."""
        if not isinstance(wanted, Call) or wanted.meta is not NO_META or wanted.awaited or head.length is None:
            return
        if raw in self._heads or len(raw) > MAX_HEAD_BYTES or any(name in head.fields for name in DIFFERING):
            return
        heads = self._heads
        if len(heads) >= self._most:
            if not heads:
                return
            del heads[next(iter(heads))]
        heads[raw] = KnownHead(head.length, head.path.decode("ascii"), head.headers, options)


NO_HEADS: Final = KnownHeads(0)
"""Knows none, and keeps none."""
