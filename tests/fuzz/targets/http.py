"""The server's HTTP codec as a whole: heads, bodies, pipelining, chunks, answers, and the end."""

from __future__ import annotations

import re
from typing import Any

import h11
from msgspec import Struct
from posthouse.core.values.close_reasons import MAX_CONNECTIONS
from posthouse.core.values.config import Config
from posthouse.transports import Answered, Exchange, Http1, Policy, Probe, Send, Upgrade
from posthouse.transports.http.bodies import MAX_CHUNK_OVERHEAD
from posthouse.transports.http.known_heads import NO_HEADS, KnownHeads

from tests.fuzz.conduct import Play
from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

LIMITS: dict[str, Any] = {
    "max_head_bytes": 400,
    "max_headers": 8,
    "max_target_bytes": 60,
    "max_body_bytes": 64,
    "frames_per_turn": 2,
    "write_ahead": 100,
}
CONFIG = Config(allow_chunked=False, **LIMITS)
CHUNKED = Config(**LIMITS)
POLICY = Policy(origins=("http://a",))

ALLOWS_CHUNKED, ENDS_INPUT, ANSWERS_LATE, DRAINS, ACCEPTS_UPGRADE, SHEDS = range(6)

STATUSES = (100, 101, 200, 204, 400, 403, 404, 405, 408, 411, 413, 414, 415, 417, 421, 426, 431, 501, 503, 505)


class Asked(Struct, frozen=True):
    """One request as h11 alone reads it, and the bytes behind it."""

    target: bytes
    body: bytes
    rest: bytes
    persistent: bool


def run(data: bytes) -> None:
    """Any bytes become requests, one after the other, each with one answer, until one is refused or the last.

    A peer's bytes lead to `Exchange`, `Probe` and `Upgrade`, to answers of the documented statuses, and to a half-close
    and the end; nothing raises, nothing is parsed or sent behind the half-close, bodies and what waits are bounded, and
    a request is read only when the one before it was answered. It makes no difference how the bytes are cut, nor
    whether an answer comes at once or when everything has come, nor whether heads are known and plain ones read at
    once, nor whether requests and answers take the direct way. Every request begins and ends where h11, reading alone
    and bounded by nothing, says that it does: what follows it is never part of it, nor it of what follows.
    """
    sent = read(data)
    said = play(sent, late=sent.option(ANSWERS_LATE))
    assert said == play(sent.whole(), late=False), "pieces, or when it is answered, mean something else than the whole"
    known = KnownHeads()
    for _ in range(2):
        assert said == play(sent, late=sent.option(ANSWERS_LATE), known=known), "the shorter way means something else"
        assert said == play(sent, late=False, known=known, direct=True), "the direct way means something else"
    compare(said, sent.wire)


class Served:
    """The codec behind a switchboard that answers everything, at once or `late`: when reading stops."""

    def __init__(self, sent: Sent, known: KnownHeads, *, late: bool, direct: bool) -> None:
        self.codec = Http1(CHUNKED if sent.option(ALLOWS_CHUNKED) else CONFIG, POLICY, 0.0, known)
        if sent.option(DRAINS):
            self.codec.drain()
        largest = max((len(piece) for piece in sent.pieces()), default=0) if late else 0
        body = 2 * CONFIG.max_body_bytes + MAX_CHUNK_OVERHEAD if sent.option(ALLOWS_CHUNKED) else CONFIG.max_body_bytes
        held = CONFIG.max_head_bytes + body + largest
        self.stage = Play(self.codec, most_text=CONFIG.max_body_bytes, most_held=held, react=self.react, direct=direct)
        self.stage.may_pause = late
        self.upgrade: Upgrade | None = None
        self.behind = b""
        self.pending: Any = None
        self._accepts = sent.option(ACCEPTS_UPGRADE)
        self._late = late
        self._direct = direct
        self._count = 0

    def react(self, output: object) -> None:
        """A request: it is answered now, or waits."""
        if isinstance(output, Answered):
            self.codec.proceed(self.stage.now)
        elif isinstance(output, Exchange | Probe | Upgrade):
            assert self.pending is None, "a request is read while another is not answered"
            self.pending = output
            if not self._late:
                self.answer()

    def answer(self) -> None:
        """Answer what waits, each in another way."""
        request, self.pending = self.pending, None
        now = self.stage.now
        self._count += 1
        if isinstance(request, Upgrade):
            if self._accepts:
                self.upgrade = request
                self.behind = bytes(self.codec._reader.buffer)
                self.codec.accept(now)
                return
            self.codec.refuse(MAX_CONNECTIONS, now)
        elif isinstance(request, Probe):
            self.codec.respond(200, request.path.encode(), now)
        elif self._count % 4 == 0:
            self.answer_with(None, None, None)
        elif self._count % 4 == 3:
            self.answer_with(b"[%d]" % len(request.data) * 30, -32009, 1.5)
        else:
            self.answer_with(request.data, None, None)
        self.codec.proceed(now)

    def answer_with(self, data: bytes | None, code: int | None, retry_after: float | None) -> None:
        """End an exchange, directly if that is wanted and can be."""
        codec, now = self.codec, self.stage.now
        whole = codec.answer_whole(data, code, now) if self._direct and not codec.output else None
        if whole is None:
            codec.answer(data, code, retry_after, now)
        else:
            self.stage.conduct.see(Send(whole))

    def answer_all(self) -> None:
        """Answer until nothing waits."""
        while self.pending is not None and self.upgrade is None:
            self.answer()
            self.stage.drain()


def play(sent: Sent, *, late: bool, known: KnownHeads = NO_HEADS, direct: bool = False) -> list[object]:
    """What the codec says until it is over."""
    served = Served(sent, known, late=late, direct=direct)
    stage = served.stage
    pieces = list(sent.pieces())
    while pieces and served.upgrade is None:
        stage.feed([pieces.pop(0)])
        if stage.conduct.paused:
            served.answer_all()
    if sent.option(ENDS_INPUT) and served.upgrade is None:
        stage.end_input()
    served.answer_all()
    stage.may_pause = False
    if served.upgrade is not None:
        stage.drain()
        behind = served.behind + b"".join(pieces)
        before = [output for output in stage.conduct.meaning if not isinstance(output, Upgrade)]
        return [*before, served.upgrade.handshake, behind]
    if sent.option(SHEDS):
        served.codec.shed(stage.now)
    stage.drain()
    stage.leave()
    return [as_seen(output) for output in stage.conduct.meaning]


def as_seen(output: object) -> object:
    """What of an output does not depend on when the peer's bytes came."""
    return output.handshake if isinstance(output, Upgrade) else output


def compare(said: list[Any], wire: bytes) -> None:
    """Are these the requests that h11 reads?"""
    writes = b"".join(output.data for output in said if isinstance(output, Send))
    assert all(int(status) in STATUSES for status in re.findall(rb"HTTP/1\.1 (\d+) \w[^\r]*\r\nCache-Con", writes))
    rest: bytes | None = wire
    for output in said:
        if not isinstance(output, Exchange | Probe | Answered):
            continue
        asked = None if rest is None else ask_h11(rest)
        if isinstance(output, Answered):
            rest = None if asked is None or not asked.persistent else asked.rest
            continue
        assert asked is not None, "h11 sees no request there"
        if isinstance(output, Exchange):
            assert asked.body == output.data, "h11 sees another body"
        else:
            assert output.path.encode() in asked.target, "h11 sees another target"
        rest = asked.rest if asked.persistent else None


def ask_h11(wire: bytes) -> Asked | None:
    """The next whole request, by h11 alone. None: there is none."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 30)
    parser.receive_data(wire.removeprefix(b"\r\n"))
    target, body = b"", b""
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:
            return None
        if isinstance(event, h11.Request):
            target = event.target
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Asked(target, body, parser.trailing_data[0], parser.their_state is not h11.MUST_CLOSE)
        else:
            return None


POST = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PREFLIGHT = (
    b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST\r\n\r\n"
)
PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"

TARGET = Target(
    name="http",
    run=run,
    seeds=(
        written(
            POST + b"Content-Length: 2\r\n\r\n[]" + PROBE + POST + b"Content-Length: 1\r\n\r\n1", sizes=b"\x21\x07\x50"
        ),
        written(
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1;x=y\r\n]\r\n0\r\nA: b\r\n\r\n" + PROBE,
            ALLOWS_CHUNKED,
            ANSWERS_LATE,
            sizes=b"\x70\x01\x02",
        ),
        written(POST + b"Expect: 100-continue\r\nContent-Length: 64\r\n\r\n" + b"x" * 64, ENDS_INPUT),
        written(PROBE + UPGRADE + b"\x81\x80abcd", ACCEPTS_UPGRADE),
        written(UPGRADE + PROBE, DRAINS),
        written(PREFLIGHT + b"HEAD /stats HTTP/1.0\r\n\r\n"),
        written(PROBE * 5, ANSWERS_LATE, ENDS_INPUT, sizes=b"\x28\x03\x01"),
    ),
    tokens=(
        PROBE,
        POST,
        UPGRADE,
        PREFLIGHT,
        POST + b"Content-Length: 1\r\n\r\n1",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"Content-Length: 65\r\n",
        b"Content-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"Origin: http://a\r\n",
        b"Origin: http://b\r\n",
        b"Origin: http://localhost\r\n",
        b"Origin: https://localhost:443\r\n",
        b"Host: localhost:443\r\n",
        b"Content-Type: application/json-rpc;\r\n",
        b"Host: b\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Idempotency-Key: a\r\n",
        b"Posthouse-Timeout-Ms: 5\r\n",
        b"X-Request-Id: a\r\n",
        b"Cookie: a\r\n",
        b"GET /rpc?token=x HTTP/1.1\r\n",
        b"GET /nowhere HTTP/1.1\r\n",
        b"HTTP/1.0",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"1\r\nx\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"0000000000000000001\r\nx\r\n",
        b"41\r\n",
        b"x" * 64,
        b";",
    ),
    planted=Planted(
        what="a HEAD of HTTP/1.0 does not end the connection",
        file="transports/posthouse/transports/http/server.py",
        before="close = last or self._draining or not options.persistent",
        after="close = last or self._draining or not (options.persistent or options.bodiless)",
    ),
    max_len=1200,
)
