"""Credentials and query strings never reach a journal, however the bytes were cut; everything else does."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posthouse.adapters.journal.redaction import FORWARDING, KEPT, REMEMBERED, Redactor
from posthouse.core.values.peers import CREDENTIALS
from posthouse.transports.http.routes import SECRETS

from tests.transports.board import Board, call, post

pytestmark = pytest.mark.unmeasured

CANARY = b"c4n4ry"

UPGRADE = (
    b"GET /ws?ticket=c4n4ry&x=c4n4ry HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"cookie: sid=c4n4ry; other=c4n4ry\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
BODY = call("add", b"[1,2]")
POST = post(BODY, more=b"Authorization: Bearer c4n4ry\r\nPROXY-authorization:Basic c4n4ry\r\nCookie:c4n4ry\r\n")
QUERY = POST.replace(b"/rpc", b"/rpc?token=c4n4ry")

STREAMS = {
    "an upgrade": UPGRADE,
    "frames behind it": UPGRADE + bytes(range(256)) * 3,
    "one request": POST,
    "requests on one socket": QUERY * 3,
    "a request in the middle of a line": QUERY + b"GET http://h/health?c4n4ry=c4n4ry HTTP/1.1\r\nHost: h\r\n\r\n",
    "an empty query": b"GET /health? HTTP/1.1\r\nCookie: c4n4ry\r\n\r\n",
    "no version": b"GET ?c4n4ry\r\n",
    "bare line ends": b"GET /?c4n4ry HTTP/1.1\nCookie: c4n4ry\rAuthorization: c4n4ry\n\n",
    "folded": b"GET / HTTP/1.1\r\nCookie: c4n4ry\r\n c4n4ry\r\n\tc4n4ry\r\nHost: h\r\n\r\n",
    "spaces where none may be": b"GET  /x?c4n4ry HTTP/1.1\r\n Cookie : c4n4ry\r\n\r\n",
    "a length that is too long": post(BODY).replace(b"Length: ", b"Length: 9") + POST,
    "chunks": b"POST /rpc HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n" + QUERY,
    "a head within a body": post(b"Content-Length: 900\r\n\r\n") + QUERY,
    "other secrets": post(
        BODY, more=b"X-API-Key: c4n4ry\r\nReferer: https://h/c4n4ry?c4n4ry\r\nX-Xsrf-Token: c4n4ry\r\n"
    ),
    "a space in a query": b"POST /rpc?a=c4n4ry c=c4n4ry HTTP/1.1\r\nHost: h\r\n\r\n",
    "spaces and no version": b"GET /rpc?c4n4ry H c4n4ry HTTP/c4n4ry c4n4ry\r\nHost: h\r\n\r\n",
    "a space in a path": b"GET /my file/of c4n?x=c4n4ry HTTP/1.1\r\n\r\n",
    "a space in a path behind a host": b"GET HTTPS://h/my file?x=c4n4ry HTTP/1.1\r\n\r\n",
    "behind a bare CR": b"GET / HTTP/1.1\r\nCookie: c4n4ry\rc4n4ry\r\r c4n4ry\r\n c4n4ry\r\nHost: h\r\n\r\n",
    "a query behind a bare CR": b"GET /?x=c4n4ry\rc4n4ry HTTP/1.1\rCookie: c4n4ry\r\n c4n4ry\r\nHost: h\r\n\r\n",
    "what is not visible before a name": b"GET / HTTP/1.1\r\n\0\xa0Cookie\x0b\x7f: c4n4ry\r\n"
    + b"\0" * 300
    + b"Cookie: c4n4ry",
    "a length behind many spaces": QUERY.replace(b"Length:", b"Length:" + b" " * 300) + QUERY,
    "a length with many zeros": QUERY.replace(b"Length: ", b"Length: 000000000000000000") + QUERY,
    "spaces without an end": b"GET" + b" " * 300 + b"/?c4n4ry HTTP/1.1\r\nCookie" + b" " * 300 + b": c4n4ry\r\n",
    "a star for a target": b"OPTIONS *?token=c4n4ry HTTP/1.1\r\nHost: h\r\n\r\n",
    "names with patterns": post(
        BODY,
        more=b"X-Amz-Security-Token: c4n4ry\r\nX-Access-Token: c4n4ry\r\nApi-Key: c4n4ry\r\nX-Goog-Api-Key: c4n4ry\r\n"
        b"X-Session-Token: c4n4ry\r\nPrivate-Token: c4n4ry\r\nX: c4n4ry\r\nX-Forwarded-For: c4n4ry\r\n",
    ),
    "a name as long as a line": b"GET / HTTP/1.1\r\n" + b"X" * 300 + b": c4n4ry\r\n \t" + b"y" * 300 + b" :c4n4ry\r\n",
    "parameters of a path": b"POST /rpc;token=c4n4ry;v=c4n4ry?q=c4n4ry HTTP/1.1\r\nHost: h\r\n\r\n",
    "a token in a subprotocol": UPGRADE.replace(
        b"\r\n\r\n",
        b"\r\nSec-WebSocket-Protocol: posthouse.v1.json,posthouse.bearer.c4n4ry , other\r\n"
        b" Sec-WebSocket-Protocol :Posthouse.bearer.c4n4ry\r\n\tposthouse.bearer.c4n4ry\r\n\r\n",
    ),
    "parameters of a word": b"OPTIONS *;c4n4ry HTTP/1.1\r\nHost: h\r\n\r\n",
    "parameters behind a host": b"GET http://h:80/a;c4n4ry HTTP/1.1\r\nHost: h\r\n\r\n",
    "a long method": b"G" * 300 + b" *?c4n4ry HTTP/1.1\r\n" + b"G" * 70 + b" " + b"a" * 300 + b"?c4n4ry HTTP/1.1\r\n",
}
"""Bytes that a peer may send, each with a secret that must not be kept."""

every_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


def redacted(*pieces: bytes) -> bytes:
    redactor = Redactor()
    done = [redactor.redact(piece) for piece in pieces]
    assert [len(piece) for piece in done] == [len(piece) for piece in pieces]
    return b"".join(done)


@every_stream
def test_no_secret_is_kept_at_any_split(stream: bytes) -> None:
    whole = redacted(stream)
    assert CANARY in stream
    assert CANARY not in whole
    for cut in range(1, len(stream)):
        assert redacted(stream[:cut], stream[cut:]) == whole
    assert redacted(*(stream[at : at + 1] for at in range(len(stream)))) == whole


@every_stream
def test_only_secrets_are_replaced(stream: bytes) -> None:
    for before, after in zip(stream.splitlines(), redacted(stream).splitlines(), strict=True):
        if CANARY not in before:
            assert before == after


def test_replaced_bytes_keep_their_number_and_their_spaces() -> None:
    head = b"GET /rpc?q=b%20c;y#e HTTP/1.1\r\nCookie: a=1; b=\t2\x00\xc3\r\nHost: h\r\n\r\n"
    assert redacted(head) == b"GET /rpc?x=xxxxx;x#x HTTP/1.1\r\nCookie: xxxx xx\tx\x00\xff\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (b"token=abc", b"token=xxx"),
        (b"tok3n=abc&TOKEN", b"tokxx=xxx&TOKEN"),
        (b"tokens", b"tokenx"),
        (b"+%74oken%20=abc", b"+%74oken%20=xxx"),
        (b"q=token&auth_x=1", b"x=xxxxx&auth_x=x"),
        (b"+" * 70, b"+" * 64 + b"x" * 6),
        (b"==&;&", b"==&;&"),
    ],
)
def test_of_a_query_the_names_stay_for_which_a_request_is_refused(query: bytes, kept: bytes) -> None:
    def line(query: bytes) -> bytes:
        return b"GET /health?" + query + b" HTTP/1.1\r\n"

    assert redacted(line(query)) == line(kept)
    for cut in range(len(line(query))):
        assert redacted(line(query)[:cut], line(query)[cut:]) == line(kept)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"GET /?q b HTTP/1.1", b"GET /?x x HTTP/1.1"),
        (b"GET /?q=b H HT\tHTTPS HTTP/1.15 1.1", b"GET /?x=x H HT\tHTTPx HTTP/1.1x xxx"),
        (b"GET /?q b#?=HTTP/1.1", b"GET /?x xxxxxxxxxxxx"),
        (b"GET /a b?q HTTP/2.0 ", b"GET /a b?x HTTP/2.0 "),
    ],
)
def test_the_version_after_a_query_stays(line: bytes, kept: bytes) -> None:
    assert redacted(line) == kept
    for cut in range(len(line)):
        assert redacted(line[:cut], line[cut:]) == kept


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        (b"posthouse.v1.json, posthouse.bearer.abc", b"posthouse.v1.json, posthouse.bearer.xxx"),
        (b"posthouse.bearer.abc,posthouse.bearer.d, e", b"posthouse.bearer.xxx,posthouse.bearer.x, e"),
        (b"xposthouse.bearer.abc:d", b"xposthouse.bearer.xxxxx"),
        (b"posthouse.bearer", b"posthouse.bearer"),
        (b"", b""),
    ],
)
def test_of_offered_subprotocols_only_tokens_are_hidden(offered: bytes, kept: bytes) -> None:
    line, hidden = b"Sec-WebSocket-Protocol: " + offered, b"Sec-WebSocket-Protocol: " + kept
    assert redacted(line) == hidden
    for cut in range(len(line)):
        assert redacted(line[:cut], line[cut:]) == hidden


def test_the_headers_that_are_kept_are_these() -> None:
    assert sorted(KEPT) == [
        *("accept", "accept-encoding", "accept-language"),
        *("access-control-request-headers", "access-control-request-method"),
        *("connection", "content-encoding", "content-length", "content-type", "expect", "host", "idempotency-key"),
        *("origin", "posthouse-timeout-ms", "sec-websocket-extensions", "sec-websocket-key"),
        *("sec-websocket-protocol", "sec-websocket-version", "te", "traceparent", "trailer", "transfer-encoding"),
        *("upgrade", "user-agent", "x-request-id"),
    ]
    assert set(KEPT).isdisjoint({*CREDENTIALS, "referer"} - {"sec-websocket-protocol"})


@pytest.mark.parametrize("name", FORWARDING)
def test_the_headers_of_a_trusted_proxy_are_kept_and_those_of_others_are_not(name: str) -> None:
    line = name.title().encode() + b": 192.0.2.1"
    request = b"GET / HTTP/1.1\r\n" + line + b"\r\nCookie: a\r\n\r\n"
    hidden = request.replace(b"192.0.2.1", b"xxxxxxxxx").replace(b": a\r", b": x\r")
    assert Redactor().redact(request) == hidden
    assert Redactor(proxy=True).redact(request) == request.replace(b": a\r", b": x\r")


@pytest.mark.parametrize("name", KEPT)
def test_a_header_is_hidden_unless_its_whole_name_is_one_that_is_kept(name: str) -> None:
    kept = name.title().encode()
    for line in (kept + b": a, b", b" \0" + kept + b"\t: a, b"):
        assert redacted(line) == line
    for other in (b"X-" + kept, kept + b"s", kept[:-1] + b"_", kept[:1]):
        assert redacted(other + b": a, b") == other + b": xx x"


def answer(data: bytes) -> bytes:
    """What a server answers to these bytes."""
    board = Board()
    return board.feed(board.open(), data)


NAMED = st.from_regex(r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]{1,80}\Z").filter(lambda name: name.lower() not in KEPT)
VALUE = st.from_regex(r"\A[!-~]([ \t!-~\x80-\xff]{0,40}[!-~])?\Z")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(NAMED, VALUE), min_size=1, max_size=4), st.booleans())
def test_the_values_of_all_other_headers_are_hidden_and_the_server_decides_the_same(
    fields: list[tuple[str, str]], dripped: bool
) -> None:
    values = [value.encode("latin-1") for _, value in fields]
    shown = [re.sub(rb"[\x80-\xff]", b"\xff", re.sub(rb"[!-~]", b"x", value)) for value in values]

    def request_with(values: list[bytes]) -> bytes:
        named = zip(fields, values, strict=True)
        return post(BODY, more=b"".join(name.encode() + b": " + value + b"\r\n" for (name, _), value in named))

    request = request_with(values)
    pieces = [request[at : at + 1] for at in range(len(request))] if dripped else [request]
    hidden = redacted(*pieces)
    assert hidden == request_with(shown)
    assert answer(hidden) == answer(request)


@settings(max_examples=100, deadline=None)
@given(
    st.text("abc;?=&#%/ ", max_size=12),
    st.lists(st.sampled_from([b"token", b"password=1", b"a;b", b"q=token", b";", b"?", b"%74oken=1"]), max_size=5),
    st.sampled_from([b"/rpc", b"/ws", b"/health", b"/", b"http://localhost/rpc", b"*"]),
)
def test_a_target_with_parameters_is_judged_the_same(text: str, pieces: list[bytes], path: bytes) -> None:
    target = path + b";".join([b"", *pieces]) + text.encode()
    request = b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert answer(redacted(request)) == answer(request)


HANDSHAKE = UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
FRAMES = b"\n\n\r\n\r\nGET /?c4n4ry\nCookie: c4n4ry\n" * 3


def test_bytes_after_a_head_that_the_server_took_for_a_handshake_stay() -> None:
    for cut in range(len(HANDSHAKE)):
        redactor = Redactor()
        shown = redactor.redact(HANDSHAKE[:cut]) + redactor.redact(HANDSHAKE[cut:] + FRAMES, upgraded=True)
        assert shown == redacted(HANDSHAKE) + FRAMES


def test_only_the_last_head_can_be_one_that_the_server_took_for_a_handshake() -> None:
    before = b"POST /rpc HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n" + HANDSHAKE + b"\r\n0\r\n\r\n" + QUERY
    shown = Redactor().redact(before + HANDSHAKE + FRAMES, upgraded=True)
    assert shown == redacted(before + HANDSHAKE) + FRAMES


@pytest.mark.parametrize(
    "head",
    [HANDSHAKE, UPGRADE, POST, post(HANDSHAKE), HANDSHAKE.replace(b"==", b"="), HANDSHAKE.replace(b"-Key:", b":")],
)
def test_after_bytes_that_only_look_like_a_handshake_secrets_are_hidden(head: bytes) -> None:
    assert CANARY not in redacted(head, FRAMES)
    assert CANARY not in redacted(head + FRAMES)
    if head != HANDSHAKE:
        assert CANARY not in Redactor().redact(head + FRAMES, upgraded=True)


def test_every_name_for_which_a_request_is_refused_stays() -> None:
    for name in SECRETS:
        line = b"GET /?" + name + b"=1 HTTP/1.1"
        assert redacted(line) == line.replace(b"=1", b"=x")


@pytest.mark.parametrize(
    "line",
    [
        b"Host: a",
        b"Accept-Language : a",
        b'"Cookie: a"',
        b'  {"authorization": "a"}',
        b'[true, 1 ,"why? oh"]',
        b'1 ,"what? or"',
        b"GET /rpc HTTP/1.1?",
        b"1 ]?",
        b"GET /my file",
        b"GET " + b"a" * 300 + b" b?c",
        b"X" * 300 + b" y: ?",
        b"Cookie " * 60,
    ],
)
def test_a_line_without_a_secret_stays_as_it_is(line: bytes) -> None:
    assert redacted(line + b"\r\n" + line) == line + b"\r\n" + line


def test_an_endless_line_costs_no_memory() -> None:
    redactor = Redactor()
    for piece in (b"a" * 10_000, b" y", b"Cookie: " * 10_000):
        assert redactor.redact(piece) == piece
    assert redactor.redact(b"\r\nCookie: ") == b"\r\nCookie: "
    assert redactor.redact(b"y" * 10_000) == b"x" * 10_000
    assert redactor.redact(b"\r\nGET /" + b"y" * 10_000) == b"\r\nGET /" + b"y" * 10_000
    assert redactor.redact(b"?" + b"y" * 10_000) == b"?" + b"x" * 10_000
    assert redactor.redact(b" " + b"y" * 10_000) == b" " + b"x" * 10_000
    for begun, more in ((b"GET", b" "), (b"", b"G"), (b"GET ", b"y"), (b"GET *", b"y"), (b"Content-Length:", b"0")):
        assert redactor.redact(b"\r\n" + begun + more * 10_000) == b"\r\n" + begun + more * 10_000
        assert len(redactor._line) <= REMEMBERED


PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b" " * 300, b"{", b",", b":", b"/", b"?", b"*", b"://", b"http", b"a"),
    *(b"GET", b"G" * 70, b"HTTP/1.1", b"H", b"Cookie", b"Content-Length:", b"5", b"0" * 18),
)
"""The pieces that random lines are made of."""


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([*STREAMS.values(), *PIECES]), min_size=1, max_size=9),
    st.lists(st.integers(0, 2000), max_size=6),
)
def test_it_is_the_same_however_the_bytes_are_cut(streams: list[bytes], cuts: list[int]) -> None:
    data = b"".join(streams)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[begin:end] for begin, end in pairwise(edges)]
    assert redacted(*pieces) == redacted(data)


def test_every_json_text_stays_as_it_is() -> None:
    text = b'{\n  "Cookie: a": [\n    true,\n    "GET /x?y HTTP/1.1",\n    1\n  ]\n}'
    for request in (post(text), post(text).replace(b"\n", b"\r\n")):
        assert redacted(request) == request
        assert not re.search(rb"xxx", redacted(request))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('abGET /?;:"{}[],', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a :;?/", max_size=6), inner, max_size=3),
    max_leaves=8,
)
BLANKS_BETWEEN = st.text(" \t\r\n", max_size=3)


@settings(max_examples=200, deadline=None)
@given(VALUES, BLANKS_BETWEEN, BLANKS_BETWEEN, BLANKS_BETWEEN, BLANKS_BETWEEN)
def test_every_json_text_stays_whatever_blanks_are_between_its_tokens(
    value: object, first: str, second: str, third: str, fourth: str
) -> None:
    text = json.dumps(value, separators=(f"{first},{second}", f"{third}:{fourth}")).encode()
    request = post(second.encode() + text + third.encode())
    assert redacted(request) == request
