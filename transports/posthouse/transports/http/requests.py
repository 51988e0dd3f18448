"""Requests out of bytes: heads as they become whole, what they ask for, and bodies.

`head.py` and `routes.py` judge heads, `bodies.py` collects bodies. This module keeps the bytes that were not read yet.
It may not know answers, nor when a request may be read.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META, Meta
from posthouse.transports.codec import Exchange, Handshake
from posthouse.transports.fields import Fields
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal

from .answers import UNKNOWN, ResponseOptions, cors_lines, field_lines
from .bodies import Body, ChunkedBody, CountedBody
from .head import Head, HeadScanner, parse
from .known_heads import MAX_HEAD_BYTES, KnownHeads
from .routes import Call, Wanted, judge, read_request_id

RATE_GRACE: Final = 2.0
"""`min_body_rate` does not count for so many seconds."""


class RequestReader:
    """The received bytes of one socket. `buffer` has those that were not read yet. `head_read`: a whole head was found.
    `path`, `headers`, `meta` and `options` (how to answer) are those of the request whose head was read last."""

    def __init__(self, config: Config, policy: Policy, known: KnownHeads) -> None:
        self._config: Final = config
        self._policy: Final = policy
        self._known: Final = known
        self._scanner: Final = HeadScanner(config)
        self.buffer = bytearray()
        self._body: Body | None = None
        self._body_since = 0.0
        self.meta: Meta = NO_META
        self.head_read = False
        self.path = ""
        self.headers: Fields = ()
        self.options = UNKNOWN

    def read_known(self) -> Exchange | None:
        """The next request, if its head is known and all of its bytes are here. None: `read_head` reads it."""
        buffer = self.buffer
        head = buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES) + 4
        known = self._known.find(bytes(buffer[:head]))
        if known is None or len(buffer) < head + known.length:
            return None
        end = head + known.length
        request = Exchange(bytes(buffer[head:end]), NO_META, known.path, known.headers)
        del buffer[:end]
        self._scanner.reset()
        self.head_read = True
        self.options = known.options
        return request

    def read_whole(self, data: bytes) -> Exchange | None:
        """The request that these bytes are, if its head is known and nothing else was received. None: nothing has
        changed."""
        head = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES) + 4
        known = self._known.find(data[:head])
        if known is None or len(data) != head + known.length or self.buffer or not self.head_read:
            return None
        self.options = known.options
        return Exchange(data[head:], NO_META, known.path, known.headers)

    def read_head(self, now: float) -> Wanted | None:
        """The purpose of the next request, a refusal, or None if it needs more bytes. After a `Call`, read its body."""
        buffer = self.buffer
        end = self._scanner.scan(buffer)
        if not isinstance(end, int):
            self.options = UNKNOWN
            return end
        raw = bytes(buffer[:end])
        del buffer[:end]
        self._scanner.reset()
        self.head_read = True
        head = parse(raw)
        if not isinstance(head, Head):
            self.options = UNKNOWN
            return head
        wanted = judge(head, self._policy, self._config)
        origin = head.fields.get(b"origin")
        lines = b"" if origin is None or not self._policy.allows_origin(origin) else cors_lines(origin)
        request_id = read_request_id(head.fields)
        if request_id is not None:
            lines += field_lines(((b"X-Request-Id", request_id),))
        self.options = ResponseOptions(head.persistent, head.method == b"HEAD", lines)
        self.path, self.headers = head.path.decode("ascii"), head.headers
        self._known.keep(raw, head, wanted, self.options)
        if isinstance(wanted, Handshake):
            self.meta = NO_META if request_id is None else Meta(request_id=request_id.decode("ascii"))
        elif isinstance(wanted, Call):
            self.meta = wanted.meta
            self._body = ChunkedBody(self._config) if head.chunked else CountedBody(head.length or 0)
            self._body_since = now
        return wanted

    def read_body(self, data: bytes) -> Exchange | Refusal | None:
        """Read the body from the next bytes. The whole request; a refusal; or None: more bytes are needed."""
        body = self._body
        assert body is not None
        rest = body.feed(data)
        if not isinstance(rest, bytes):
            return rest
        self._body = None
        self.buffer += rest
        return Exchange(body.join(), self.meta, self.path, self.headers)

    @property
    def body_deadline(self) -> float:
        """When the body that is being read must be whole, or faster."""
        assert self._body is not None
        config, since = self._config, self._body_since
        due = since + config.body_timeout
        if config.min_body_rate:
            due = min(due, since + max(RATE_GRACE, self._body.received / config.min_body_rate))
        return due

    def drop_body(self) -> None:
        """Forget the body that was being read."""
        self._body = None

    def drop(self) -> None:
        """Forget everything."""
        self._body = None
        self.buffer.clear()

    def take(self) -> bytes:
        """All bytes that are kept. None are kept afterwards."""
        rest = bytes(self.buffer)
        self.buffer.clear()
        return rest

    @property
    def begun(self) -> bool:
        """Is there a part of a head? A single CR is half of an empty line before it."""
        return bool(self.buffer) and self.buffer != b"\r"

    @property
    def buffered(self) -> int:
        """The number of bytes that it holds."""
        return len(self.buffer) + (self._body.buffered if self._body is not None else 0)
