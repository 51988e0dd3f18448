"""Streams over sockets and processes: the deadline, and the end of the peer."""

from __future__ import annotations

import socket
import ssl

import pytest
from posthouse.adapters.command.client.streams import (
    Deadline,
    NoConnection,
    SocketStream,
    TimedOut,
    open_tcp,
    start_process,
)


def test_sending_and_receiving_over_a_socket_end_at_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    stream = SocketStream(ours, Deadline(0.1))
    with theirs, pytest.raises(TimedOut):
        stream.send(b"x" * 10_000_000)
    with pytest.raises(TimedOut):
        stream.receive()
    stream.close()


def test_the_end_of_the_peer_is_reported_by_receive_and_not_by_send() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    stream = SocketStream(ours, Deadline(5.0))
    stream.send(b"x")
    assert stream.receive() == b""
    stream.close()


def test_a_tls_handshake_ends_at_the_deadline() -> None:
    context = ssl.create_default_context()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(NoConnection, match="no TLS with"):
            open_tcp("127.0.0.1", port, Deadline(0.2), context)


def test_the_end_of_a_process_is_reported_by_receive_and_not_by_send() -> None:
    stream = start_process("true", Deadline(20.0))
    assert stream.receive() == b""
    stream.send(b"x")
    assert stream.receive() == b""
    stream.close()
