"""What goes wrong in a simulated machine, as its process sees it."""

from __future__ import annotations

import errno
import socket

import pytest
from posthouse.adapters.simulation.machine.faults import CROWDED, NETWORK_ERRORS, MachineFaults
from posthouse.adapters.simulation.machine.links import LinkSink, LinkSource
from posthouse.adapters.system.system import Socket
from posthouse.core.values.errors import UsageError

from tests.simulation.machine.systems import READ, SimulatedBench


def pair_with(simulated: SimulatedBench, faults: MachineFaults) -> tuple[Socket, Socket]:
    simulated.machine.kernel.faults = faults
    return simulated.pair()


def test_weights_are_of_a_thousand() -> None:
    with pytest.raises(UsageError, match="how often in a thousand"):
        MachineFaults(failing=1001)
    with pytest.raises(UsageError, match="how often in a thousand"):
        MachineFaults(reordered=-1)


def test_the_network_cuts_a_connection_at_one_of_its_first_calls(simulated: SimulatedBench) -> None:
    server, client = pair_with(simulated, MachineFaults(failing=1000))
    with pytest.raises(OSError) as raised:
        for _ in range(30):
            server.send(b"x")
    assert raised.value.errno in NETWORK_ERRORS
    while True:  # the client notices it later
        try:
            client.recv(100)
        except BlockingIOError:
            simulated.pass_time()
        except OSError:
            break


def test_an_output_breaks_while_the_input_still_comes(simulated: SimulatedBench) -> None:
    server, client = pair_with(simulated, MachineFaults(broken_output=1000))
    with pytest.raises(BrokenPipeError):
        for _ in range(31):
            server.send(b"x")
    client.send(b"still")
    assert simulated.take(server, 5) == b"still"
    server.close()
    simulated.until(client, READ)
    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_nothing_breaks_in_a_machine_that_has_healed(simulated: SimulatedBench) -> None:
    for faults in (MachineFaults(failing=1000), MachineFaults(broken_output=1000)):
        server, _ = pair_with(simulated, faults)
        simulated.machine.heal()
        assert [server.send(b"x") for _ in range(40)] == [1] * 40


def test_other_processes_take_all_files_for_a_while(simulated: SimulatedBench) -> None:
    simulated.machine.kernel.faults = MachineFaults(crowded=1000)
    kernel, descriptors = simulated.machine.kernel, simulated.machine.descriptors
    assert kernel.connect(simulated.listening.getsockname(), simulated.link(), "alice", print) is not None
    with pytest.raises(OSError) as raised:
        descriptors.null()
    assert (raised.value.errno, descriptors.has_room(1)) == (errno.ENFILE, False)
    while descriptors.crowded:
        simulated.pass_time()
    assert simulated.schedule.now in CROWDED
    assert descriptors.has_room(1)
    simulated.machine.kernel.crowd()
    simulated.machine.heal()
    descriptors.close(descriptors.null())


def test_the_options_of_a_connection_that_has_ended_cannot_be_set(simulated: SimulatedBench) -> None:
    server, client = pair_with(simulated, MachineFaults(options=1000))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
    client.close()
    simulated.until(server, READ)
    with pytest.raises(OSError) as raised:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert raised.value.errno == errno.EINVAL


def test_a_unix_socket_has_a_path_and_no_options_of_tcp(simulated: SimulatedBench) -> None:
    kernel = simulated.machine.kernel
    listening = simulated.machine.sockets.open(socket.AF_UNIX)
    listening.bind("/simulated/socket")
    listening.listen(5)
    assert kernel.connect("/simulated/socket", simulated.link(), "alice", print) is not None
    accepted, peer = listening.accept()
    assert (peer, kernel.accepted, accepted.family) == ("", "alice", socket.AF_UNIX)
    with pytest.raises(OSError) as raised:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert raised.value.errno == errno.EOPNOTSUPP
    accepted.close()
    listening.close()
    assert kernel.connect("/simulated/socket", simulated.link(), "alice", print) is None


def test_the_machine_bounds_the_clients_that_wait(simulated: SimulatedBench) -> None:
    simulated.machine.kernel.faults = MachineFaults(backlog=1)
    simulated.opened.append(simulated.connect())
    with pytest.raises(ConnectionRefusedError):
        simulated.connect()
    simulated.machine.heal()
    simulated.opened.append(simulated.connect())


def test_a_pipe_hangs_up_or_breaks_at_one_of_its_first_calls(simulated: SimulatedBench) -> None:
    kernel, descriptors, link = simulated.machine.kernel, simulated.machine.descriptors, simulated.link()
    source, sink = LinkSource(link.up, descriptors.changed), LinkSink(link.down, descriptors.changed, print)
    source.fate = kernel.draw_fate(1000, source.hang_up)
    sink.fate = kernel.draw_fate(1000, sink.end)
    with pytest.raises(OSError) as raised:
        for _ in range(31):
            assert source.take(10) is None
    assert (raised.value.errno, source.ready()) == (errno.EIO, READ)
    with pytest.raises(BrokenPipeError):
        for _ in range(31):
            assert sink.give(b"x") == 1
    assert sink.told
    assert kernel.draw_fate(0, print) is None
