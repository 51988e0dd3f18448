"""Heads that came before, and how each was judged: a client repeats one head with every call.

A head is looked up by its bytes, so that no other head gets its judgement. The values of `DIFFERING` fields are cut
out before that: the judgement never says who calls, and a request id or a trace makes no head a new one. A head is only
kept if it is short, asks for a call, and repeats no field. The client that a proxy names is no part of a judgement: it
is read from the headers of each request. This module may not know how a head is judged.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.values.config import KIB
from posthouse.core.values.peers import CREDENTIALS, NO_META, Meta
from posthouse.transports.fields import VALUE

from .answers import FIELD_VALUE
from .head import Head
from .judgement import JudgedHead
from .routes import Call, read_meta

FORBIDDEN: Final = 1
MARKED: Final = bytes([0 if FIELD_VALUE.fullmatch(bytes((byte,))) else FORBIDDEN for byte in range(256)])
"""Translates the bytes that no value may have to `FORBIDDEN`, and all others to 0."""

K = TypeVar("K")
V = TypeVar("V")

MAX_HEADS: Final = 256
MAX_HEAD_BYTES: Final = KIB

DIFFERING: Final = (
    *(name.encode() for name in CREDENTIALS),
    *b"baggage cf-connecting-ip cf-ray forwarded idempotency-key posthouse-timeout-ms traceparent tracestate".split(),
    *b"x-amzn-trace-id x-b3-parentspanid x-b3-spanid x-b3-traceid x-client-ip x-cloud-trace-context".split(),
    *b"x-correlation-id x-datadog-parent-id x-datadog-trace-id x-forwarded-for x-forwarded-port".split(),
    *b"x-real-ip x-request-id x-request-start".split(),
)
"""Fields of a caller, or of one request. Only the metadata of a call depends on their values."""

X_NAMES: Final = [name.removeprefix(b"x-") for name in DIFFERING if name.startswith(b"x-")]
OTHER_NAMES: Final = [name for name in DIFFERING if not name.startswith(b"x-")]

DIFFERING_LINE: Final = re.compile(
    rb"\r\n(?=[%b])(x-(?:%b)|%b):(%b)(?=\r\n)"
    % (b"".join([name[:1] for name in DIFFERING]), b"|".join(X_NAMES), b"|".join(OTHER_NAMES), VALUE),
    re.IGNORECASE,
)
"""A line of such a field. The first letter tells most others apart, which halves the time of the search."""


class CutHead(Struct, frozen=True, gc=False):
    """How a head was judged but for the values that differ. `before` are the bytes before each of them, with their
    number, `behind` those after the last. `cut` are the places of their headers, with their names."""

    judged: JudgedHead
    before: list[tuple[bytes, int]]
    behind: bytes
    cut: list[tuple[int, bytes]]

    def values(self, raw: bytes) -> list[bytes] | None:
        """The values in a head that differs only by them. None if it differs otherwise."""
        values = []
        end = 0
        for piece, size in self.before:
            if not raw.startswith(piece, end):
                return None
            begin = end + size
            end = raw.find(b"\r", begin)
            values.append(raw[begin:end])
        if raw[end:] != self.behind or FORBIDDEN in b"".join(values).translate(MARKED):
            return None
        return values

    def fill(self, values: list[bytes]) -> JudgedHead | None:
        """The judgement of the head with these values. None if it must be judged anew."""
        known = self.judged
        headers, fields = list(known.headers), {}
        for (place, name), value in zip(self.cut, values, strict=True):
            fields[name] = stripped = value.strip(b" \t")
            headers[place] = (name, stripped)
        meta = read_meta(fields)
        if not isinstance(meta, Meta):
            return None
        call, options = Call(meta, awaited=False), known.options.naming(meta.request_id)
        said = known.secure, known.host, known.ignored
        return JudgedHead(call, True, meta, known.length, known.path, tuple(headers), options, *said)


class KnownHeads:
    """At most `most` heads, and as many with values cut out, of at most `MAX_HEAD_BYTES` each. The oldest one makes
    room. All sockets of one policy and one config share it, those of trusted proxies another one."""

    def __init__(self, most: int = MAX_HEADS) -> None:
        self._most: Final = most
        self._whole: Final[dict[bytes, JudgedHead]] = {}
        self._cut: Final[dict[tuple[bytes, ...], CutHead]] = {}
        self._recent: CutHead | None = None
        self.find: Final = self._whole.get

    def find_cut(self, raw: bytes) -> JudgedHead | None:
        """How a head is judged that `find` does not find, if it is known but for the values that differ."""
        recent = self._recent
        values = None if recent is None else recent.values(raw)
        if recent is None or values is None:
            parts, values = _cut(raw)
            self._recent = recent = self._cut.get(parts)
        return None if recent is None else recent.fill(values)

    def keep(self, raw: bytes, head: Head, judged: JudgedHead) -> None:
        """Keep how this head was judged, if it is likely to come again. The options do not have its X-Request-Id."""
        if not judged.call or head.length is None:
            return
        if len(raw) > MAX_HEAD_BYTES or len(head.fields) < len(head.headers):
            return
        parts, values = _cut(raw)
        if values:
            put(self._cut, parts, without_values(judged, parts), self._most)
        else:
            put(self._whole, raw, judged, self._most)


def put(heads: dict[K, V], key: K, judged: V, most: int) -> None:
    """Keep at most so many heads: the oldest one makes room."""
    if len(heads) >= most and key not in heads:
        if not heads:
            return
        del heads[next(iter(heads))]
    heads[key] = judged


def without_values(judged: JudgedHead, parts: tuple[bytes, ...]) -> CutHead:
    """The judgement without the values that differ. `parts`: the pieces of the head's bytes around them, with the names
    of their fields in between."""
    headers = judged.headers
    cut = [(place, name) for place, (name, _) in enumerate(headers) if name in DIFFERING]
    pieces = [b"%b\r\n%b:" % (text, name) for text, name in zip(parts[:-1:2], parts[1::2], strict=True)]
    before = [(piece, len(piece)) for piece in pieces]
    kept = tuple([(name, b"" if name in DIFFERING else value) for name, value in headers])
    call = Call(NO_META, awaited=False)
    known = replace(judged, wanted=call, meta=NO_META, headers=kept)
    return CutHead(known, before, parts[-1], cut)


def _cut(raw: bytes) -> tuple[tuple[bytes, ...], list[bytes]]:
    """A head without the values that differ, and those values."""
    parts = DIFFERING_LINE.split(raw)
    values = parts[2::3]
    del parts[2::3]
    return tuple(parts), values


NO_HEADS: Final = KnownHeads(0)
"""Knows none, and keeps none. With it, no head is read in a shorter way."""
