"""Requests that came before, and how their heads were judged: a client repeats one head with every call.

A request is looked up by its whole head, so that no other one gets its judgement. The values of `DIFFERING` fields are
cut out before that, as in `transports/http/known_heads.py`: the judgement never says who calls. A head is only kept if
it is short, asks for a call, repeats no field, and is written as it is read. This module may not know how a head is
judged.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.transports.fields import Fields
from posthouse.transports.http.head import Head
from posthouse.transports.http.judgement import JudgedHead
from posthouse.transports.http.known_heads import DIFFERING, MAX_HEAD_BYTES, MAX_HEADS, CutHead, put, without_values

from .request import HostedRequest, head_bytes

DIFFERS: Final = dict.fromkeys(DIFFERING)


class CutRequest(Struct, frozen=True, gc=False):
    """A judgement without the values that differ. `size`: the bytes of the head without them."""

    head: CutHead
    size: int


class KnownRequests:
    """At most `most` heads, and as many with values cut out, whose requests have at most `max_head_bytes`. The oldest
    one makes room. All requests that one judge judges share it, but for those of trusted proxies."""

    def __init__(self, max_head_bytes: int, most: int = MAX_HEADS) -> None:
        self._max_head_bytes: Final = max_head_bytes
        self._most: Final = most
        self._whole: Final[dict[HostedRequest, JudgedHead]] = {}
        self._cut: Final[dict[HostedRequest, CutRequest]] = {}

    def find(self, request: HostedRequest) -> JudgedHead | None:
        """How the head of this request is judged, if it is known. The options have its X-Request-Id."""
        return self._whole.get(request) or self._find_cut(request)

    def _find_cut(self, request: HostedRequest) -> JudgedHead | None:
        kept, values = _cut(request.headers)
        if not values:
            return None
        known = self._cut.get(replace(request, headers=kept))
        if known is None or known.size + sum(map(len, values)) > self._max_head_bytes:
            return None
        return known.head.fill(values)

    def keep(self, request: HostedRequest, head: Head, judged: JudgedHead) -> None:
        """Keep how this head was judged, if it is likely to come again. The options do not have its X-Request-Id."""
        size = head_bytes(request)
        if not judged.call or head.headers != request.headers or len(head.fields) < len(head.headers):
            return
        if size > MAX_HEAD_BYTES:
            return
        kept, values = _cut(request.headers)
        if values:
            cut = CutRequest(without_values(judged, (b"",)), size - sum(map(len, values)))
            put(self._cut, replace(request, headers=kept), cut, self._most)
        else:
            put(self._whole, request, judged, self._most)


def _cut(headers: Fields) -> tuple[Fields, list[bytes]]:
    """The headers without the values that differ, and those values."""
    kept, values = [], []
    for field in headers:
        name = field[0]
        if name in DIFFERS:
            kept.append((name, b""))
            values.append(field[1])
        else:
            kept.append(field)
    return tuple(kept), values
