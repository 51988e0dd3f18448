"""The shim in place of TLS: handshakes that wait and fail, and bytes that are decrypted before they are read."""

from __future__ import annotations

import ssl

import pytest
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.adapters.system.system import Socket, TlsSocket

from tests.simulation.machine.systems import READ, SimulatedBench


def wrapped(simulated: SimulatedBench, faults: MachineFaults = MachineFaults()) -> tuple[TlsSocket, Socket]:
    simulated.machine.kernel.faults = faults
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
    assert (server.pending(), server.recv(5), server.pending(), server.recv(99)) == (0, b"first", 6, b" bytes")
    with pytest.raises(ssl.SSLWantReadError):
        server.recv(1)


def test_a_handshake_fails_when_the_client_goes(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated)
    client.close()
    simulated.until(server, READ)
    with pytest.raises(ssl.SSLEOFError):
        server.do_handshake()


def test_a_handshake_fails_as_often_as_was_asked_for(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated, MachineFaults(handshake_failing=1000))
    client.send(b"x")
    simulated.until(server, READ)
    with pytest.raises(ssl.SSLError, match="no shared cipher"):
        server.do_handshake()


def shaken(simulated: SimulatedBench) -> tuple[TlsSocket, Socket]:
    server, client = wrapped(simulated)
    client.send(b"x")
    simulated.until(server, READ)
    server.do_handshake()
    assert server.recv(9) == b"x"
    return server, client


def test_a_handshake_stalls_until_the_client_goes(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated, MachineFaults(handshake_stalling=1000))
    for _ in range(2):
        client.send(b"x")
        simulated.until(server, READ)
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
    client.close()
    simulated.until(server, READ)
    with pytest.raises(ssl.SSLEOFError):
        server.do_handshake()


def test_a_handshake_waits_once_until_it_can_write(simulated: SimulatedBench) -> None:
    server, client = wrapped(simulated, MachineFaults(handshake_writing=1000))
    client.send(b"x")
    simulated.until(server, READ)
    with pytest.raises(ssl.SSLWantWriteError):
        server.do_handshake()
    server.do_handshake()
    assert server.recv(1) == b"x"


def test_a_write_takes_all_of_its_bytes_and_is_repeated_until_it_has(simulated: SimulatedBench) -> None:
    server, client = shaken(simulated)
    with pytest.raises(ssl.SSLWantWriteError):
        server.send(b"x" * 100_000 + b"y")
    with pytest.raises(ssl.SSLError, match="bad write retry"):
        server.send(b"x")
    assert len(simulated.take(client, 100_000)) == 100_000
    assert server.send(b"x" * 100_000 + b"yz") == 100_002
    assert simulated.take(client, 2) == b"yz"
    assert server.send(b"next") == 4


def test_tls_cannot_be_ended_before_its_handshake(simulated: SimulatedBench) -> None:
    server, _ = wrapped(simulated)
    with pytest.raises(ssl.SSLError, match="shutdown while in init"):
        server.unwrap()


def test_the_end_of_output_leaves_the_input(simulated: SimulatedBench) -> None:
    server, client = shaken(simulated)
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
