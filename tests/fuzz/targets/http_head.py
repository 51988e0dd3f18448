"""One HTTP request head: the gate in front of h11, and what is made of a head that it lets through."""

from __future__ import annotations

import re
from ipaddress import ip_address

import h11
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address
from posthouse.transports.forwarding import Client, Networks, Proxy
from posthouse.transports.http.head import Head, HeadScanner, parse, read_plain
from posthouse.transports.http.recogniser import SINGLE
from posthouse.transports.refusal import Refusal

from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

CONFIG = Config(max_head_bytes=400, max_headers=8, max_target_bytes=60)

TRUSTING = (Config(trust_proxies=("10.0.0.0/8",)), Config(trust_proxies=("10.0.0.0/8",), proxy_headers="forwarded"))
PROXIES = [Proxy(config, Networks(config.trust_proxies), Address("10.0.0.1", 1)) for config in TRUSTING]

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
BAD = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]*)?")
STATUSES = (400, 405, 414, 431, 501, 505)


def run(data: bytes) -> None:
    """Any bytes are a head that says one thing, or are refused (400, 405, 414, 431, 501, 505), or are not whole yet.

    Nothing raises. Pieces mean the same as the whole, and no more than one head may have is ever asked for. A head that
    is let through is one to h11 alone too, with the same method, target and fields; and a reader of our own, which
    splits lines and knows the rules (docs/limits.md, row 6 of what abuse meets), accepts exactly the same heads. A head
    that is read at once, because it came whole and is plain, is read in the same way.
    """
    sent = read(data)
    verdict = judge(sent)
    assert verdict == judge(sent.whole()), "pieces mean something else than the whole"
    if isinstance(verdict, Refusal):
        assert verdict.status in STATUSES, "a refusal that no head can earn"
    whole = head_of(sent.wire)
    at_once = None if whole is None or len(whole) > CONFIG.max_head_bytes else read_plain(whole, CONFIG)
    assert at_once is None or at_once == verdict, "a plain head that comes whole means something else"
    if isinstance(verdict, Head):
        assert whole is not None, "there is no whole head"
        compare_with_h11(verdict, whole)
        assert verdict.persistent == persists(verdict), "it is wrong about what follows"
        for proxy in PROXIES:
            check_client(proxy, verdict)
    if whole is not None:
        assert isinstance(verdict, Head) == understood(whole), "it is refused or let through against the rules"


def judge(sent: Sent) -> Head | Refusal | None:
    """What gate and parser say, given the pieces one after the other."""
    gate = HeadScanner(CONFIG)
    buffer = bytearray()
    for piece in sent.pieces():
        buffer += piece
        verdict = gate.scan(buffer)
        if isinstance(verdict, int):
            assert verdict <= CONFIG.max_head_bytes, "a head is larger than its limit"
            return parse(bytes(buffer[:verdict]))
        if verdict is not None:
            return verdict
        assert len(buffer) < CONFIG.max_head_bytes, "more is waited for than a head may have"
    return None


def check_client(proxy: Proxy, head: Head) -> None:
    """A trusted proxy names an address, or its fields are refused. Fields left of those that it adds change nothing."""
    said = proxy.client_of(head.headers)
    if isinstance(said, Client):
        assert said.address.proxy == "10.0.0.1", "a client has no proxy"
        assert ip_address(said.address.host), "a client has no address"
    added = ((b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-proto", b"https"), (b"forwarded", b"for=192.0.2.1"))
    known = proxy.client_of((*head.headers, *added))
    assert isinstance(known, Client), "a client makes the word of its proxy malformed"
    assert known.address.host == "192.0.2.1", "a client changes its address"


def head_of(wire: bytes) -> bytes | None:
    """The bytes up to the end of the head, if it is there; an empty line before it is nothing."""
    wire = wire.removeprefix(b"\r\n")
    end = wire.find(b"\r\n\r\n")
    return None if end < 0 else wire[: end + 4]


def compare_with_h11(head: Head, raw: bytes) -> None:
    """h11 alone must take it, and read the same."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(raw)
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    target = head.path + (b"?" + head.query if b"?" in request.target else b"")
    assert request.target.endswith(target) or target == b"/" + request.target.partition(b"?")[1] + head.query
    assert (request.method, request.http_version) == (head.method, head.version)
    assert dict(request.headers).keys() == head.fields.keys()
    after = parser.next_event()
    framed = isinstance(after, h11.EndOfMessage)
    assert framed == head.bodiless, "h11 is told otherwise about a body"
    assert tuple(request.headers) == tuple(
        (name, b"chunked" if name == b"transfer-encoding" else value) for name, value in head.headers
    )


def persists(head: Head) -> bool:
    """Can another request follow (RFC 9112 section 9.3)?"""
    options = b",".join(value for name, value in head.headers if name == b"connection").lower().split(b",")
    return head.version == b"1.1" and b"close" not in [option.strip(b" \t") for option in options]


def understood(raw: bytes) -> bool:
    """Would a strict reader take this whole head?"""
    line, *lines = raw[:-4].split(b"\r\n")
    if len(raw) > CONFIG.max_head_bytes or len(lines) > CONFIG.max_headers or BAD.search(raw.replace(b"\r\n", b"")):
        return False
    words = line.split(b" ")
    if len(words) != 3 or not TOKEN.fullmatch(words[0]) or words[2] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return False
    target = words[1]
    if not re.fullmatch(rb"[\x21-\x7e]+", target) or len(target) > CONFIG.max_target_bytes:
        return False
    fields: dict[bytes, list[bytes]] = {}
    for header in lines:
        name, colon, value = header.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            return False
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    if any(len(values) > 1 and name in SINGLE for name, values in fields.items()):
        return False
    return framed_once(fields, words[2]) and addressed_once(fields, words[0], target, words[2])


def framed_once(fields: dict[bytes, list[bytes]], version: bytes) -> bool:
    """Is there one story about where the body ends?"""
    codings, lengths = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if codings is not None:
        return lengths is None and codings[0].lower() == b"chunked" and version == b"HTTP/1.1"
    return lengths is None or re.fullmatch(rb"[0-9]{1,20}", lengths[0]) is not None


def addressed_once(fields: dict[bytes, list[bytes]], method: bytes, target: bytes, version: bytes) -> bool:
    """Is there one story about whom it is for?"""
    hosts = fields.get(b"host")
    if (hosts is None and version == b"HTTP/1.1") or (hosts is not None and not AUTHORITY.fullmatch(hosts[0])):
        return False
    if method == b"CONNECT" or b"#" in target:
        return False
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return True
    scheme, separator, rest = target.partition(b"://")
    authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
    if scheme.lower() not in (b"http", b"https") or not separator or not authority:
        return False
    named = hosts[0] if hosts is not None else authority
    return AUTHORITY.fullmatch(authority) is not None and authority.lower() == named.lower()


TARGET = Target(
    name="http_head",
    run=run,
    seeds=(
        written(
            b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        ),
        written(
            b"\r\nGET http://a:1/ws?x=1 HTTP/1.0\r\nHost: A:1\r\nConnection: keep-alive, close\r\n\r\n",
            sizes=b"\x01\x01\x01",
        ),
        written(b"POST /rpc HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\nX: a\tb\r\nX:\r\n\r\n"),
        written(b"GET /ws HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 10.0.0.5\r\nX-Forwarded-Proto: wss\r\n\r\n"),
        written(b'GET / HTTP/1.1\r\nHost: a\r\nForwarded: for="[2001:db8::1]:4711";proto=https, for=_x\r\n\r\n'),
        written(b"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", sizes=b"\x20\x03\x07"),
    ),
    tokens=(
        b"\r\n",
        b"\r\n\r\n",
        b"\r\n ",
        b"\n",
        b"\r",
        b": ",
        b"Host: a\r\n",
        b"HTTP/1.0",
        b"HTTP/1.1",
        b"HTTP/0.9",
        b"PRI * HTTP/2.0",
        b"CONNECT ",
        b"OPTIONS ",
        b"http://",
        b"https://a",
        b"Content-Length: 1\r\n",
        b"Content-Length:",
        b"Transfer-Encoding: chunked\r\n",
        b"transfer-encoding",
        b"identity",
        b"Expect: 100-continue\r\n",
        b"X-Forwarded-For: 1.1.1.1\r\n",
        b"X-Forwarded-For: ",
        b"X-Forwarded-Proto: https\r\n",
        b"X-Forwarded-Host: a\r\n",
        b"Forwarded: for=1.1.1.1\r\n",
        b"Forwarded: ",
        b"for=",
        b";proto=https",
        b'"[2001:db8::1]:4711"',
        b", 10.0.0.5",
        b", for=10.0.0.5",
        b"unknown",
        b"_hidden",
        b'"',
        b"Connection: close\r\n",
        b"\x00",
        b"\x7f",
        b"\x80",
        b"#",
        b"?",
        b"+1",
        b"X: y\r\n" * 8,
        b"x" * 60,
        b"x" * 300,
    ),
    planted=Planted(
        what="a Content-Length together with a Transfer-Encoding is refused on HTTP/1.0 only",
        file="transports/posthouse/transports/http/head.py",
        before="        if chunked:\n",
        after='        if chunked and version == b"1.0":\n',
    ),
    max_len=600,
)
