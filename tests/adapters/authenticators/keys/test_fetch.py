"""One GET of a document: within its time and size, over TLS unless it stays on this machine, and nowhere else."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import trustme
from posthouse.adapters.authenticators.keys.fetch import check_url, fetch
from posthouse.adapters.authenticators.keys.key import Unusable
from posthouse.core.values.errors import UsageError

OK = b"HTTP/1.1 200 OK\r\n"

Serve = Callable[[socket.socket], None]


@contextmanager
def server(serve: Serve) -> Iterator[int]:
    """A socket that serves one client after the other, in a thread. Yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    serve(client)
                except OSError:
                    continue

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def answering(*parts: bytes) -> Serve:
    def serve(client: socket.socket) -> None:
        client.recv(65536)
        for part in parts:
            client.sendall(part)

    return serve


def silent(client: socket.socket) -> None:
    while client.recv(65536):
        pass


def dripping(client: socket.socket) -> None:
    """A head that never ends: each byte comes in time, the whole never does."""
    client.sendall(OK + b"X: ")
    client.settimeout(0.01)
    while True:
        client.sendall(b"x")
        try:
            if not client.recv(65536):
                return
        except TimeoutError:
            continue


@pytest.mark.parametrize(
    "parts",
    [
        (OK + b"Content-Length: 2\r\n\r\n{}",),
        (OK + b"\r\n", b"{", b"}"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",),
    ],
)
def test_a_document_is_fetched(parts: tuple[bytes, ...]) -> None:
    with server(answering(*parts)) as port:
        assert fetch(f"http://127.0.0.1:{port}/jwks?a=b") == b"{}"


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the answer was 404, not 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", "the answer was 302, not 200"),
        (OK + b"Content-Length: 9\r\n\r\n{}", "it ended too early"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}", "it cannot be fetched: IncompleteRead"),
        (b"", "it cannot be fetched: Remote end closed connection without response"),
        (b"SSH-2.0\r\n", "it cannot be fetched: SSH-2.0"),
        (OK + b"X: x\r\n" * 200 + b"\r\n", "it cannot be fetched: got more than 100 headers"),
    ],
)
def test_another_answer_is_not_a_document(part: bytes, fault: str) -> None:
    with server(answering(part)) as port, pytest.raises(Unusable) as raised:
        fetch(f"http://127.0.0.1:{port}/")
    assert str(raised.value).startswith(fault)


@pytest.mark.parametrize(("size", "fits"), [(262_143, True), (262_144, True), (262_145, False)])
def test_a_document_has_at_most_256_kib(size: int, fits: bool) -> None:
    with server(answering(OK + b"\r\n" + bytes(size))) as port:
        if fits:
            assert len(fetch(f"http://127.0.0.1:{port}/")) == size
            return
        with pytest.raises(Unusable, match="it has more than 262144 bytes"):
            fetch(f"http://127.0.0.1:{port}/")


def dripping_body(client: socket.socket) -> None:
    """The same for the body of an answer that ends with its connection."""
    client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    dripping(client)


@pytest.mark.parametrize("serve", [silent, dripping, dripping_body])
def test_the_time_of_the_whole_request_is_limited(serve: Serve) -> None:
    with (
        server(serve) as port,
        pytest.raises(Unusable, match=r"^it (took more than 0\.1 seconds|cannot be fetched: timed out)$"),
    ):
        fetch(f"http://127.0.0.1:{port}/", seconds=0.1)


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unusable, match=r"it cannot be fetched: \[Errno 111\] Connection refused"):
        fetch(f"http://localhost:{port}/")


def test_the_certificate_of_a_server_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secure:
            answering(OK + b"Content-Length: 2\r\n\r\n{}")(secure)

    with server(serve) as port:
        with pytest.raises(Unusable, match=r"it cannot be fetched: .*certificate verify failed"):
            fetch(f"https://localhost:{port}/")
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
        assert fetch(f"https://localhost:{port}/") == b"{}"


@pytest.mark.parametrize(
    "url", ["https://id.example.org/jwks", "https://id.example.org:8443", "http://127.0.0.1:1/x", "http://[::1]/x"]
)
def test_https_and_http_of_this_machine_may_be_fetched(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://id.example.org/jwks", "is not safe: keys are fetched over https, or over http from this machine"),
        ("http://127.0.0.1.example.org/", "is not safe"),
        ("ftp://127.0.0.1/", "is not safe"),
        ("file:///etc/passwd", "is not the URL of a document: write https://HOST/PATH, without credentials"),
        ("https://user:password@id.example.org/", "is not the URL of a document"),
        ("https://id.example.org/#x", "is not the URL of a document"),
        ("https:///x", "is not the URL of a document"),
        ("https://id.example.org/\r\nX: y", "is not the URL of a document"),
        ("https://id.example.org/ä", "is not the URL of a document"),
        ("https://id.example.org:x/", "is not a URL: Port could not be cast to integer value as 'x'"),
        ("https://[x/", "is not a URL: Invalid IPv6 URL"),
    ],
)
def test_no_other_url_may_be_fetched(url: str, fault: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_url(url)
    assert fault in str(raised.value)
