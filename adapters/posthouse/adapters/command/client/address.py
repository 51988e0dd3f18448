"""From an address to a connection: `http://…`, `ws://…`, `unix:/PATH` or `stdio:COMMAND`."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from posthouse.adapters.terminal import Misuse
from posthouse.core.values.config import MIB, Config

from .duplex import LineConnection, WebSocketConnection
from .http import HttpConnection, Options
from .streams import Deadline, open_tcp, open_unix, start_process, tls_context

Connection = HttpConnection | LineConnection | WebSocketConnection

MAX_ANSWER: Final = 256 * MIB
"""The largest answer that is accepted. The server's own limit is lower; this one is for other servers."""

PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
PATHS: Final = {"http": "/rpc", "https": "/rpc", "ws": "/ws", "wss": "/ws"}

TARGET: Final = re.compile(r"/[!-~]*")

EXAMPLES: Final = "examples: http://127.0.0.1:8000, ws://127.0.0.1:8000, unix:/path/to.sock, stdio:'COMMAND'"


def connect(url: str, options: Options, deadline: Deadline) -> Connection:
    """Connect to this address. Raises Misuse for an invalid address, NoConnection if the server cannot be reached."""
    config = Config(max_message_bytes=MAX_ANSWER, max_response_bytes=MAX_ANSWER, head_timeout=deadline.seconds)
    scheme, _, rest = url.partition(":")
    if scheme == "stdio":
        if options.headers:
            raise Misuse("--header is for HTTP and WebSocket: a process has no headers")
        return LineConnection(start_process(rest, deadline), config)
    if scheme == "unix":
        path = rest.removeprefix("//")
        if not path:
            raise Misuse("unix: has no path", hint="example: unix:/run/calculator.sock")
        return HttpConnection(open_unix(path, deadline), config, "localhost", "/rpc", options)
    return _connect_network(url, config, options, deadline)


def _connect_network(url: str, config: Config, options: Options, deadline: Deadline) -> Connection:
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
        port = parts.port if parts.port is not None else PORTS.get(scheme, 0)
    except ValueError as error:
        raise Misuse(f"invalid address {url!r}: {error}") from None
    if scheme not in PORTS or not host:
        raise Misuse(f"cannot call the address {url!r}", hint=EXAMPLES)
    if parts.username is not None:
        hint = "send them in a header: --header 'Authorization: ...'"
        raise Misuse("an address must not contain credentials", hint=hint)
    target = (parts.path or PATHS[scheme]) + (f"?{parts.query}" if parts.query else "")
    if not url.isascii() or not TARGET.fullmatch(target):
        raise Misuse(f"invalid address {url!r}: write it in ASCII (%20, xn--...)")
    secure = scheme in ("https", "wss")
    if not secure and (options.authority is not None or options.insecure):
        raise Misuse("--ca and --insecure are for https:// and wss://")
    tls = tls_context(authority=options.authority, insecure=options.insecure) if secure else None
    stream = open_tcp(host, port, deadline, tls)
    try:
        if scheme in ("http", "https"):
            return HttpConnection(stream, config, parts.netloc, target, options)
        return WebSocketConnection(stream, config, parts.netloc, target, options)
    except BaseException:
        stream.close()
        raise
