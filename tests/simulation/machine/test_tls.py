"""The shim in place of TLS: handshakes that wait and fail, and bytes that are decrypted before they are read."""

from __future__ import annotations

import ssl

import pytest
from posthouse.adapters.system.system import Socket, TlsSocket

from tests.simulation.machine.systems import READ, SimulatedBench


def wrapped(simulated: SimulatedBench) -> tuple[TlsSocket, Socket]:
    server, client = simulated.pair()
    context = simulated.machine.sockets.tls("any.pem", None)
    return context.wrap_socket(server, server_side=True, do_handshake_on_connect=False), client


def test_a_handshake_waits_for_the_client(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    client.send(b"first bytes")
    simulated.until(server, READ)
    server.do_handshake()
    assert (server.pending(), server.recv(5), server.pending(), server.recv(99)) == (11, b"first", 6, b" bytes")
    with pytest.raises(ssl.SSLWantReadError):
        server.recv(1)


def test_a_handshake_fails_when_the_client_goes(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated)
    client.close()
    simulated.until(server, READ)
    with pytest.raises(ssl.SSLEOFError):
        server.do_handshake()


def test_a_handshake_fails_as_often_as_was_asked_for(simulated: SimulatedBench) -> None:
    simulated.machine.tls.failing = 1000
    server, client = wrapped(simulated)
    client.send(b"x")
    simulated.until(server, READ)
    with pytest.raises(ssl.SSLError, match="no shared cipher"):
        server.do_handshake()


def test_a_socket_that_takes_no_more_says_so_as_tls_does(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated)
    assert server.send(b"x" * 200_000) == 100_000
    with pytest.raises(ssl.SSLWantWriteError):
        server.send(b"x")
    assert len(simulated.take(client, 100_000)) == 100_000


def test_the_end_of_output_leaves_the_input(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated)
    with pytest.raises(ssl.SSLWantReadError):
        server.unwrap()
    simulated.until(client, READ)
    assert client.recv(1) == b""
    client.send(b"x")
    simulated.until(server, READ)
    assert server.recv(1) == b"x"
    client.close()
    simulated.until(server, READ)
    assert server.recv(1) == b""
