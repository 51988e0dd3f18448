"""Requests out of bytes: heads as they become whole, what they ask for, and bodies.

`head.py` and `routes.py` judge heads, `bodies.py` collects bodies. This module keeps the bytes that were not read yet.
It may not know answers, nor when a request may be read.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META, Address, Meta
from posthouse.transports.codec import Exchange
from posthouse.transports.credentials import read_credentials
from posthouse.transports.fields import Fields
from posthouse.transports.forwarding import Proxy
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal

from .answers import UNKNOWN
from .bodies import Body, ChunkedBody, CountedBody, body_deadline
from .challenges import Challenges
from .head import Head, HeadScanner, parse, read_plain
from .judgement import Judge, JudgedHead, named
from .known_heads import MAX_HEAD_BYTES, NO_HEADS, KnownHeads
from .routes import Call, Wanted

EMPTY_LINE: Final = b"\r\n\r\n"


class RequestReader:
    """The received bytes of one socket. `buffer` has those that were not read yet. `head_read`: a whole head was found.
    `options` (how to answer) are those of the request whose head was read last, and so are `path`, `headers`, `meta`
    and `ignored` unless that was an `Exchange`. `body_since`: when its body began. `client` is its client, if the peer
    is a trusted `proxy`."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        known: KnownHeads,
        proxy: Proxy | None = None,
        challenges: Challenges = Challenges(),
    ) -> None:
        self._config: Final = config
        self._judgement: Final = Judge(config, policy, challenges)
        self._proxy: Final = proxy
        self._known: Final = known
        self._direct: Final = known is not NO_HEADS
        self._demanding: Final = config.require_authentication
        self._scanner: Final = HeadScanner(config)
        self.buffer = bytearray()
        self._body: Body | None = None
        self.body_since = 0.0
        self.meta: Meta = NO_META
        self._last_raw = b""  # the last whole head that no other socket may know, because it may have credentials
        self._last: JudgedHead | None = None
        self.head_read = False
        self.path = ""
        self.headers: Fields = ()
        self.options = UNKNOWN
        self.client: Address | None = None
        self.ignored: bytes | None = None

    def read_whole(self, data: bytes) -> Exchange | None:
        """The call that these bytes are, if its head is known or plain and nothing else was received. None: nothing has
        changed."""
        end = data.find(EMPTY_LINE, 0, self._config.max_head_bytes) + 4
        if end < 4 or end == len(data) or self.buffer or self._scanner.begun or not (self._direct and self.head_read):
            return None
        raw = data[:end]
        if raw == self._last_raw:
            judged = self._last
        else:
            judged = self._known.find(raw)
            if judged is None:
                judged = self._read_new(raw)
                if end <= MAX_HEAD_BYTES:
                    self._last_raw, self._last = raw, judged
        if judged is None or judged.length != len(data) - end or not judged.call:
            return None
        if self._proxy is not None and not self._names_client(self._proxy, judged):
            return None
        self.options = judged.options
        return Exchange(data[end:], judged.meta, judged.path, judged.headers, self.client, judged.ignored)

    def read_head(self, now: float) -> Wanted | Exchange | None:
        """The purpose of the next request, a refusal, or None if it needs more bytes. After a `Call`, read its body. An
        `Exchange` is a call that is here with its body."""
        judged = (self._direct and self._take_whole()) or self._take_general()
        if not isinstance(judged, JudgedHead):
            self.options = UNKNOWN
            self.client = None
            return judged
        self.head_read = True
        self.options = judged.options
        buffer, wanted, length = self.buffer, judged.wanted, judged.length
        if self._direct and judged.call and length is not None and len(buffer) >= length:
            body = bytes(buffer[:length])
            del buffer[:length]
            return Exchange(body, judged.meta, judged.path, judged.headers, self.client, judged.ignored)
        if isinstance(wanted, Call):
            self._body = ChunkedBody(self._config) if length is None else CountedBody(length)
            self.body_since = now
        self.path, self.headers, self.meta, self.ignored = judged.path, judged.headers, judged.meta, judged.ignored
        return wanted

    def _take_whole(self) -> JudgedHead | None:
        """The next head, if all of it came at once, and it is known or plain."""
        buffer = self.buffer
        end = buffer.find(EMPTY_LINE, 0, self._config.max_head_bytes) + 4
        if end < 4 or self._scanner.begun:
            return None
        raw = bytes(buffer[:end])
        judged = self._known.find(raw) or self._read_new(raw)
        if judged is None or (self._proxy is not None and not self._names_client(self._proxy, judged)):
            return None
        del buffer[:end]
        return judged

    def _names_client(self, proxy: Proxy, judged: JudgedHead) -> bool:
        """Read the client of this request. False: the judgement of its head is not that of this client's request."""
        client = proxy.client_of(judged.headers)
        if isinstance(client, Refusal) or (client.address.secure, client.host) != (judged.secure, judged.host):
            return False
        self.client = client.address
        return True

    def _read_new(self, raw: bytes) -> JudgedHead | None:
        """How this whole head is judged, if it is known but for the values that differ, or if it is plain."""
        judged = self._known.find_cut(raw)
        if judged is not None and not (self._demanding and read_credentials(judged.headers) is None):
            return judged  # the value of a cookie was cut out, too, and it may have been another one
        head = read_plain(raw, self._config)
        return None if head is None else self._judge(raw, head)

    def _take_general(self) -> JudgedHead | Refusal | None:
        """The next head, a refusal, or None if it needs more bytes."""
        buffer = self.buffer
        end = self._scanner.scan(buffer)
        if not isinstance(end, int):
            return end
        raw = bytes(buffer[:end])
        del buffer[:end]
        self._scanner.reset()
        self.head_read = True
        head = parse(raw)
        return self._judge(raw, head) if isinstance(head, Head) else head

    def _judge(self, raw: bytes, head: Head) -> JudgedHead:
        judged, client = self._judgement.judge(head, self._proxy)
        if self._proxy is not None:
            self.client = client
        self._known.keep(raw, head, judged)
        return named(judged)

    def read_body(self, data: bytes) -> Exchange | Refusal | None:
        """Read the body from the next bytes. The whole request; a refusal; or None: more bytes are needed."""
        body = self._body
        assert body is not None
        rest = body.feed(data)
        if not isinstance(rest, bytes):
            return rest
        self._body = None
        self.buffer += rest
        return Exchange(body.join(), self.meta, self.path, self.headers, self.client, self.ignored)

    @property
    def body_deadline(self) -> float:
        """When the body that is being read must be whole, or faster."""
        assert self._body is not None
        return body_deadline(self._config, self.body_since, self._body.received)

    def skip_body(self) -> None:
        """Forget the body that is to be read, with the part of it that is here."""
        body, self._body = self._body, None
        if isinstance(body, CountedBody):
            del self.buffer[: body.missing]

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
