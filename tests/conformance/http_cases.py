"""What HTTP/1.1 asks of the server, as tables: a request as bytes, and the status and headers of its answer.

RFC 9110 and 9112, the Fetch standard's preflights, and the statuses that docs/limits.md gives to error codes. Behind
the bytes of a case follows a request for `/health`: where the connection goes on it is answered too.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config

from .places import ORIGIN


class HttpCase(Struct, frozen=True):
    """`sent` bytes, and what is answered. `headers` must be among those of the (last) answer, names in lower case; a
    value of None: it must not be there. `kept`: the connection goes on. `answers` are the statuses of several. `alone`:
    nothing follows, for the server waits for more of the same."""

    name: str
    sent: bytes
    status: int
    headers: dict[str, str | None] = {}
    kept: bool = False
    limits: Config = Config()
    answers: tuple[int, ...] = ()
    alone: bool = False


def request(method: str, target: str, *lines: str, version: str = "1.1", body: bytes = b"") -> bytes:
    """A request with these header lines, for localhost."""
    return "\r\n".join((f"{method} {target} HTTP/{version}", "Host: localhost", *lines, "", "")).encode() + body


CALL: Final = b'{"jsonrpc":"2.0","method":"echo","params":["here"],"id":1}'
JSON: Final = "Content-Type: application/json"


def post(body: bytes, *lines: str, version: str = "1.1", media: str = JSON) -> bytes:
    """A call with further header lines."""
    return request("POST", "/rpc", media, f"Content-Length: {len(body)}", *lines, version=version, body=body)


def failing(params: str) -> bytes:
    """A call that is answered with an error."""
    return post(b'{"jsonrpc":"2.0","method":"fail.with","params":%b,"id":1}' % params.encode())


STATUSES: Final[dict[int, int]] = {
    **dict.fromkeys((-32700, -32600), 400),
    **dict.fromkeys((-32601, -32602, -32603, -32000, -32006, -32008, -32011, -32013, -32030, -32036), 200),
    **dict.fromkeys((-32040, -32043, -32800, 7), 200),
    **dict.fromkeys((-32007, -32010), 413),
    **dict.fromkeys((-32009, -32034, -32035, -32050), 503),
    **dict.fromkeys((-32020, -32022), 401),
    -32021: 403,
    **dict.fromkeys((-32023, -32029), 429),
}
"""The status of every error code, and of one of the service's own."""

COMMON: Final[dict[str, str | None]] = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
IN_JSON: Final[dict[str, str | None]] = {**COMMON, "content-type": "application/json"}
IN_WORDS: Final[dict[str, str | None]] = {**COMMON, "content-type": "text/plain; charset=utf-8"}
CLOSING: Final[dict[str, str | None]] = {**IN_WORDS, "connection": "close"}

CODES: Final = (
    *(
        HttpCase(
            f"{code}",
            failing(f"[{code}]"),
            status,
            {
                **IN_JSON,
                "www-authenticate": "Bearer" if status == 401 else None,
                "retry-after": "1" if code in (-32009, -32029, -32050) else None,
            },
            kept=True,
        )
        for code, status in sorted(STATUSES.items())
    ),
    HttpCase("Retry-After is rounded up", failing("[-32029, 1001]"), 429, {"retry-after": "2"}, kept=True),
    HttpCase("a batch is 200", post(b"[1]"), 200, IN_JSON, kept=True),
    HttpCase("a batch that is too large is 413", post(b"[1,1]"), 413, IN_JSON, kept=True, limits=Config(max_batch=1)),
    HttpCase(
        "a body that is too large is 413",
        post(CALL),
        413,
        {**IN_JSON, "connection": "close"},
        limits=Config(max_body_bytes=len(CALL) - 1),
    ),
)
"""Error codes as HTTP says them."""

NO_CONTENT: Final[dict[str, str | None]] = {**COMMON, "content-type": None, "content-length": None}
CORS: Final[dict[str, str | None]] = {
    "access-control-allow-origin": ORIGIN,
    "vary": "Origin",
    "access-control-allow-credentials": None,
}
PREFLIGHT: Final = "Access-Control-Request-Method: POST"

REQUESTS: Final = (
    HttpCase("a call", post(CALL), 200, IN_JSON, kept=True),
    HttpCase("a notification", post(b'{"jsonrpc":"2.0","method":"update"}'), 204, NO_CONTENT, kept=True),
    HttpCase("a call that closes", post(CALL, "Connection: close"), 200, {**IN_JSON, "connection": "close"}),
    HttpCase("HTTP/1.0", post(CALL, version="1.0"), 200, {**IN_JSON, "connection": "close"}),
    HttpCase("an empty line in front", b"\r\n" + post(CALL), 200, IN_JSON, kept=True),
    HttpCase("three in a row", post(CALL) * 3, 200, IN_JSON, kept=True, answers=(200, 200, 200)),
    HttpCase("an absolute target", request("GET", "http://localhost/health"), 200, IN_JSON, kept=True),
    HttpCase("HEAD", request("HEAD", "/health"), 200, IN_JSON, kept=True),
    HttpCase("100-continue", post(CALL, "Expect: 100-continue"), 200, IN_JSON, kept=True, answers=(100, 200)),
    HttpCase("another expectation", post(CALL, "Expect: more"), 417, CLOSING),
    HttpCase("a path that there is not", request("GET", "/nothing"), 404, IN_WORDS, kept=True),
    HttpCase("a method that a path has not", request("GET", "/rpc"), 405, {**IN_WORDS, "allow": "POST"}, kept=True),
    HttpCase("CONNECT", request("CONNECT", "localhost:443"), 405, CLOSING),
    HttpCase("/stats for everybody", request("GET", "/stats"), 401, {"www-authenticate": "Bearer"}, kept=True),
    HttpCase("no length", request("POST", "/rpc", JSON), 411, CLOSING),
    HttpCase(
        "chunked, where that is not allowed",
        request("POST", "/rpc", JSON, "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        411,
        CLOSING,
        limits=Config(allow_chunked=False),
    ),
    HttpCase(
        "chunked",
        request("POST", "/rpc", JSON, "Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(CALL), CALL)),
        200,
        IN_JSON,
        kept=True,
    ),
    HttpCase(
        "JSON-RPC as a type of its own", post(CALL, media="Content-Type: application/json-rpc"), 200, IN_JSON, kept=True
    ),
    HttpCase(
        "a type with an empty parameter", post(CALL, media="Content-Type: application/json;"), 200, IN_JSON, kept=True
    ),
    HttpCase("a type that is not JSON", request("POST", "/rpc", "Content-Type: text/plain"), 415, CLOSING),
    HttpCase("no type", request("POST", "/rpc", "Content-Length: 0"), 415, CLOSING),
    HttpCase("a compressed body", post(CALL, "Content-Encoding: gzip"), 415, {"accept-encoding": "identity"}),
    HttpCase("a long target", request("GET", "/" + "x" * 4096), 414, CLOSING),
    HttpCase("a large head", request("GET", "/health", "X: " + "x" * 16_384), 431, CLOSING),
    HttpCase("many headers", request("GET", "/health", *["X: x"] * 100), 431, CLOSING),
    HttpCase("another coding", request("POST", "/rpc", JSON, "Transfer-Encoding: gzip"), 501, CLOSING),
    HttpCase("HTTP/1.2", request("GET", "/health", version="1.2"), 505, CLOSING),
    HttpCase("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, CLOSING),
    HttpCase("a credential in the URL", request("GET", "/ws?token=canary"), 400, CLOSING),
    HttpCase("a body that never comes", post(CALL)[:-1], 408, CLOSING, limits=Config(body_timeout=0.05), alone=True),
    HttpCase(
        "a head that never ends",
        request("GET", "/health")[:-1],
        408,
        CLOSING,
        limits=Config(head_timeout=0.05),
        alone=True,
    ),
    HttpCase("a page from elsewhere", post(CALL, "Origin: https://evil.example"), 403, CLOSING),
    HttpCase("a page of the same origin", post(CALL, "Origin: http://localhost"), 200, IN_JSON, kept=True),
    HttpCase("a page of the same host and another port", post(CALL, "Origin: http://localhost:1"), 403, CLOSING),
    HttpCase("a page that may", post(CALL, f"Origin: {ORIGIN}"), 200, {**IN_JSON, **CORS}, kept=True),
    HttpCase(
        "a preflight",
        request("OPTIONS", "/rpc", f"Origin: {ORIGIN}", PREFLIGHT),
        204,
        {**NO_CONTENT, **CORS, "access-control-allow-methods": "POST"},
        kept=True,
    ),
    HttpCase("a preflight from elsewhere", request("OPTIONS", "/rpc", "Origin: null", PREFLIGHT), 403, CLOSING),
    HttpCase("another host", b"GET /stats HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, CLOSING),
    HttpCase(
        "a page of another host",
        b"GET /ws HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n",
        421,
        CLOSING,
    ),
    HttpCase("/health by any name", b"GET /health HTTP/1.1\r\nHost: 10.1.2.3:8000\r\n\r\n", 200, IN_JSON, kept=True),
)
"""Requests as they should be, and what is refused before it is read as JSON."""


def head(*lines: bytes) -> bytes:
    """Lines as they are, and the empty one."""
    return b"\r\n".join((*lines, b"", b""))


LINE: Final = b"POST /rpc HTTP/1.1"
HOST: Final = b"Host: localhost"
TYPE: Final = b"Content-Type: application/json"
TWO: Final = b"Content-Length: 2"

SMUGGLING: Final = (
    HttpCase("a length and a coding", head(LINE, HOST, TYPE, TWO, b"Transfer-Encoding: chunked") + b"{}", 400),
    HttpCase("two lengths", head(LINE, HOST, TYPE, TWO, b"Content-Length: 3") + b"{}", 400),
    HttpCase("two equal lengths", head(LINE, HOST, TYPE, TWO, TWO) + b"{}", 400),
    HttpCase("a list of lengths", head(LINE, HOST, TYPE, b"Content-Length: 2, 2") + b"{}", 400),
    HttpCase("a length with a sign", head(LINE, HOST, TYPE, b"Content-Length: +2") + b"{}", 400),
    HttpCase("a coding on HTTP/1.0", head(b"POST /rpc HTTP/1.0", HOST, TYPE, b"Transfer-Encoding: chunked"), 400),
    HttpCase("two codings", head(LINE, HOST, TYPE, b"Transfer-Encoding: chunked, chunked"), 501),
    HttpCase("a bare LF", b"GET /health HTTP/1.1\nHost: localhost\n\n", 400),
    HttpCase("a bare CR", head(b"GET /health HTTP/1.1", HOST, b"X: a\rb"), 400),
    HttpCase("a folded line", head(b"GET /health HTTP/1.1", HOST, b"X: a", b" b"), 400),
    HttpCase("a NUL", head(b"GET /health HTTP/1.1", HOST, b"X: a\0b"), 400),
    HttpCase("a space before the colon", head(b"GET /health HTTP/1.1", HOST, b"X : a"), 400),
    HttpCase("HTTP/0.9", b"GET /health\r\n\r\n", 400),
    HttpCase("no host", head(b"GET /health HTTP/1.1"), 400),
    HttpCase("two hosts", head(b"GET /health HTTP/1.1", HOST, HOST), 400),
    HttpCase("a target of another host", head(b"GET http://evil.example/health HTTP/1.1", HOST), 400),
    HttpCase("a fragment in the target", head(b"GET /health#here HTTP/1.1", HOST), 400),
    HttpCase("a body behind an upgrade", head(b"GET /ws HTTP/1.1", HOST, b"Upgrade: websocket", TWO) + b"{}", 400),
    HttpCase("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
)
"""Requests that can be read in two ways: refused, and nothing behind them is parsed."""
