"""A small proxy on loopback: it serves one page at `/` and passes everything else on, with the Host header as it is.

So the page has the host and port that it calls, as behind a real proxy. The page posts its report to `/report` of
another such proxy: a browser keeps connections, and what is passed on goes to the server to its end.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from threading import Thread
from typing import Any


class Proxy:
    """In front of a server at `port` on this machine. `reports` has what the page posted."""

    def __init__(self, port: int, page: str = "") -> None:
        self._behind = port
        self._page = page.encode()
        self.reports: Queue[Any] = Queue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        """Accept nothing more. Connections end with their clients."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                if not (more := client.recv(65536)):
                    return
                data += more
            target = data.split(b" ")[1]
            if target == b"/":
                client.sendall(_answer(b"text/html; charset=utf-8", self._page))
            elif target == b"/report":
                self._take_report(client, data)
            else:
                self._pass_on(client, data)

    def _take_report(self, client: socket.socket, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < int(lengths[0].split(b":")[1]):
            body += client.recv(65536)
        self.reports.put(json.loads(body))
        client.sendall(_answer(b"text/plain", b""))

    def _pass_on(self, client: socket.socket, data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._behind)) as server:
            server.sendall(data)
            back = Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _answer(media: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (media, len(body)) + body


@contextmanager
def proxied(port: int, page: str = "") -> Iterator[Proxy]:
    """The proxy, until the block ends."""
    proxy = Proxy(port, page)
    try:
        yield proxy
    finally:
        proxy.close()
