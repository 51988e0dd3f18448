"""Streams over sockets: the deadline, and how the end of the peer is noticed."""

from __future__ import annotations

import socket
import ssl

import pytest
from posthouse.adapters.command.client.deadline import Deadline, NoConnection, TimedOut
from posthouse.adapters.command.client.sockets import SocketStream, open_tcp


def test_what_a_socket_does_not_take_in_time_is_too_late() -> None:
    ours, theirs = socket.socketpair()
    stream = SocketStream(ours, Deadline(0.1))
    with theirs, pytest.raises(TimedOut):
        stream.send(b"x" * 10_000_000)
    with pytest.raises(TimedOut):
        stream.receive()
    stream.close()


def test_a_socket_that_is_gone_is_noticed_by_whoever_reads() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    stream = SocketStream(ours, Deadline(5.0))
    stream.send(b"x")
    assert stream.receive() == b""
    stream.close()


def test_a_handshake_with_tls_has_the_same_deadline() -> None:
    context = ssl.create_default_context()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(NoConnection, match="no TLS with"):
            open_tcp("127.0.0.1", port, Deadline(0.2), context)
