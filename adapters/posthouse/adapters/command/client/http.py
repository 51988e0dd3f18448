"""A connection for one HTTP request: JSON text out in a POST, JSON text back in the response."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from msgspec import Struct
from posthouse.adapters.terminal import Failure, printable
from posthouse.core.values.config import Config
from posthouse.transports.client.http import Http1Client
from posthouse.transports.client.responses import Failed, Response
from posthouse.transports.codec import Send

from .streams import NoConnection, Stream

CREDENTIALS_MISSING: Final = "to send a token, use --token-file FILE or the environment variable POSTHOUSE_TOKEN"
CREDENTIALS_REFUSED: Final = "the server does not accept these credentials: its log says why (auth.failed)"

STATUS_HINTS: Final = {
    403: "the server does not allow this origin: start it with --allow-origin",
    404: "check the path: Posthouse has /rpc for HTTP and /ws for WebSocket",
    421: "the server does not accept this host name: start it with --allow-host",
    426: "this path is a WebSocket: use ws:// or wss://",
}


class Options(Struct, frozen=True):
    """How to connect: additional HTTP headers, a PEM file that replaces the system's authorities, or no checks of
    certificates."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    authority: str | None = None
    insecure: bool = False

    @property
    def has_credentials(self) -> bool:
        """Is there a header Authorization?"""
        return any(name.lower() == b"authorization" for name, _ in self.headers)


class HttpConnection:
    """One POST and its response."""

    duplex = False

    def __init__(self, stream: Stream, config: Config, host: str, target: str, options: Options) -> None:
        self._stream: Final = stream
        self._client: Final = Http1Client(config, host.encode())
        self._target: Final = target.encode()
        self._options: Final = options
        given = [name.lower() for name, _ in options.headers]
        usual = () if b"content-type" in given else ((b"Content-Type", b"application/json"),)
        self._headers: Final = (*usual, *options.headers)

    def send(self, text: bytes) -> None:
        self._client.request(b"POST", self._target, self._headers, text)
        for output in self._client.output:
            if isinstance(output, Send):
                self._stream.send(output.data)
        self._client.output.clear()

    def receive(self) -> bytes:
        response = read_response(self._client, self._stream, self._stream.receive())
        if isinstance(response, Failed):
            raise NoConnection(response.reason)
        return _body(response, self._options)

    def finish(self) -> None:
        """HTTP has no closing handshake."""

    def close(self) -> None:
        self._stream.close()


def read_response(client: Http1Client, stream: Stream, data: bytes) -> Response | Failed:
    """Read until the response to the client's request is complete. `data` was read already."""
    while True:
        if data:
            client.receive_data(data)
        else:
            client.receive_eof()
        for output in client.output:
            if isinstance(output, Response | Failed):
                return output
        data = stream.receive()


def refusal_text(response: Response) -> str:
    """The body of a refusal in plain text, after a colon. Empty for other media types: a page is for browsers."""
    media = (response.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    text = response.body.decode("utf-8", "backslashreplace").strip() if media == b"text/plain" else ""
    return f": {printable(text)}" if text else ""


def status_hint(status: int, options: Options) -> str:
    """The remedy for an answer with this status; empty if there is none."""
    if status == 401:
        return CREDENTIALS_REFUSED if options.has_credentials else CREDENTIALS_MISSING
    return STATUS_HINTS.get(status, "")


def _body(response: Response, options: Options) -> bytes:
    if response.status in (200, 204) or b'"jsonrpc"' in response.body:
        return response.body
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = ""
    text = f"the server answered {response.status} {phrase}".rstrip() + refusal_text(response)
    raise Failure(text, hint=status_hint(response.status, options))
