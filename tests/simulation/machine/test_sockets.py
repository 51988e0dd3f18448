"""Sockets: each behaviour of the simulated ones is that of the kernel's. One test, on both."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.simulation.machine.systems import READ, WRITE, Bench, SimulatedBench

RESET = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER with a time of zero: closing then resets the connection."""


def test_bytes_arrive_in_order_and_are_read_in_pieces(bench: Bench) -> None:
    server, client = bench.pair()
    assert client.send(b"one ") == 4 and client.send(memoryview(b"two")) == 3
    assert bench.take(server, 2) == b"on"
    assert bench.take(server, 5) == b"e two"
    with pytest.raises(BlockingIOError):
        server.recv(100)


def test_a_socket_takes_what_fits_and_more_when_its_peer_has_read(bench: Bench) -> None:
    server, client = bench.pair()
    size = bench.fill(server)
    assert size > 0
    with pytest.raises(BlockingIOError):
        server.send(b"x")
    assert len(bench.take(client, size)) == size
    bench.until(server, WRITE)
    assert server.send(b"more") == 4


def test_the_end_of_input_leaves_the_output_open(bench: Bench) -> None:
    server, client = bench.pair()
    client.send(b"last")
    client.shutdown(socket.SHUT_WR)
    assert bench.take(server, 4) == b"last"
    bench.until(server, READ)
    assert server.recv(10) == b"" == server.recv(10)
    server.send(b"answer")
    assert bench.take(client, 6) == b"answer"


def test_the_end_of_output_leaves_the_input_open(bench: Bench) -> None:
    server, client = bench.pair()
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        server.send(b"x")
    bench.until(client, READ)
    assert client.recv(10) == b""
    client.send(b"still")
    assert bench.take(server, 5) == b"still"


def test_closing_with_unread_bytes_resets_the_peer(bench: Bench) -> None:
    server, client = bench.pair()
    client.send(b"never read")
    bench.until(server, READ)
    server.close()
    bench.until(client, READ)
    with pytest.raises(ConnectionResetError):
        client.recv(10)
    assert client.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        client.send(b"x")


def test_closing_without_lingering_resets_the_peer(bench: Bench) -> None:
    server, client = bench.pair()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    server.close()
    bench.until(client, READ)
    with pytest.raises(ConnectionResetError):
        client.send(b"x")
    with pytest.raises(BrokenPipeError):
        client.send(b"x")


def test_closing_ends_the_input_of_the_peer_behind_all_bytes(bench: Bench) -> None:
    server, client = bench.pair()
    server.send(b"all of it")
    server.close()
    assert bench.take(client, 9) == b"all of it"
    bench.until(client, READ)
    assert client.recv(10) == b""


def test_writing_to_a_peer_that_has_closed_fails_the_second_time(bench: Bench) -> None:
    server, client = bench.pair()
    client.close()
    bench.until(server, READ)
    assert server.recv(10) == b""
    assert server.send(b"x") == 1
    while True:
        try:
            server.send(b"x")
        except BrokenPipeError:  # its peer had ended before the reset
            return
        bench.pass_time()


def test_bytes_that_came_before_a_reset_are_read_before_it_is_told(bench: Bench) -> None:
    server, client = bench.pair()
    client.send(b"first")
    bench.until(server, READ)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
    assert b"".join(server.recv(1) for _ in range(5)) == b"first"
    while True:
        try:
            assert server.recv(1) == b""
        except BlockingIOError:
            bench.pass_time()
        except ConnectionResetError:
            break
    assert server.recv(1) == b""


def test_accepting_without_a_client_would_block(bench: Bench) -> None:
    with pytest.raises(BlockingIOError):
        bench.listening.accept()


def test_clients_that_wait_are_reset_when_listening_ends(bench: Bench) -> None:
    client = bench.connect()
    bench.opened.append(client)
    bench.until(bench.listening, READ)
    bench.listening.close()
    bench.until(client, READ)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_descriptor_that_was_closed_is_used_again(bench: Bench) -> None:
    server, _ = bench.pair()
    number = server.fileno()
    server.close()
    assert server.fileno() == -1
    with pytest.raises(OSError) as raised:
        server.recv(1)
    assert raised.value.errno == errno.EBADF
    reserve = bench.system.descriptors.null()
    assert reserve == number
    bench.system.descriptors.close(reserve)
    with pytest.raises(OSError) as raised:
        bench.system.descriptors.close(reserve)
    assert raised.value.errno == errno.EBADF


def test_two_sockets_of_one_process_are_connected(bench: Bench) -> None:
    one, other = bench.system.sockets.pair()
    one.setblocking(False)
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)
    one.send(b"abc")
    assert (other.recv(2), other.recv(2)) == (b"ab", b"c")
    size = bench.fill(one)
    with pytest.raises(BlockingIOError):
        one.send(b"x")
    while size:
        size -= len(other.recv(65536))
    assert one.send(b"x") == 1
    one.close()
    assert (other.recv(9), other.recv(9)) == (b"x", b"")
    with pytest.raises(BrokenPipeError):
        other.send(b"x")
    other.close()


def test_an_address_is_used_once(bench: Bench) -> None:
    second = bench.system.sockets.open(socket.AF_INET)
    with pytest.raises(OSError) as raised:
        second.bind(bench.listening.getsockname())
    assert raised.value.errno == errno.EADDRINUSE
    second.close()


# What cannot be had from a real kernel at will


def test_a_client_is_refused_when_too_many_wait(simulated: SimulatedBench) -> None:
    for _ in range(16):
        simulated.opened.append(simulated.connect())
    with pytest.raises(ConnectionRefusedError):
        simulated.connect()


def test_accepting_fails_when_there_is_no_descriptor_and_the_client_waits_on(simulated: SimulatedBench) -> None:
    simulated.opened.append(simulated.connect())
    descriptors = simulated.machine.descriptors
    descriptors.most = len(descriptors.open()) + 3
    with pytest.raises(OSError) as raised:
        simulated.listening.accept()
    assert raised.value.errno == errno.EMFILE
    descriptors.most += 1
    accepted, peer = simulated.listening.accept()
    assert peer == ("127.0.0.1", 40_000)
    simulated.opened.append(accepted)


def test_a_peer_that_is_not_reached_is_told_as_such(simulated: SimulatedBench) -> None:
    simulated.opened.append(simulated.connect())
    (waiting, _), *_ = simulated.machine.kernel.listening["127.0.0.1", simulated.listening.getsockname()[1]].waiting
    server, _ = simulated.listening.accept()
    simulated.opened.append(server)
    waiting.fail(errno.ETIMEDOUT)
    assert waiting.ready() & (READ | WRITE) == READ | WRITE
    with pytest.raises(TimeoutError):
        server.recv(1)


def test_a_broken_output_leaves_the_input(simulated: SimulatedBench) -> None:
    client = simulated.connect()
    (waiting, _), *_ = simulated.machine.kernel.listening["127.0.0.1", simulated.listening.getsockname()[1]].waiting
    server, _ = simulated.listening.accept()
    simulated.opened += [client, server]
    waiting.break_output()
    with pytest.raises(BrokenPipeError):
        server.send(b"x")
    client.send(b"still")
    assert simulated.take(server, 5) == b"still"
