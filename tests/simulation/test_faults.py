"""Worlds whose machine fails: what the real server does, and what the judges say."""

from __future__ import annotations

import signal
import socket
from typing import Final

import pytest
from msgspec.structs import asdict, replace
from posthouse.adapters.invariants import Violation
from posthouse.adapters.server.entrances.channel import Channel
from posthouse.adapters.server.entrances.tls_channel import TlsChannel
from posthouse.adapters.simulation import Conditions, HandlerFaults, Seeded, Storm, World
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.adapters.simulation.machine.signals import SimulatedSignals
from posthouse.adapters.simulation.served.exits import Exits
from posthouse.adapters.simulation.served.process import ServedProcess
from posthouse.adapters.simulation.storms.failures import kept_log
from posthouse.adapters.simulation.storms.scenario import HARMLESS_FAULTS, draw_machine_faults
from posthouse.core import Config, Context, Identity

from .shop import every_transport, shop

STREAMS: Final[tuple[Transport, ...]] = ("websocket", "http")


def world_with(faults: MachineFaults, config: Config = Config(), seed: int = 1) -> World:
    service = shop()

    @service.method
    def whoami(context: Context) -> str | None:
        return context.identity.user

    return World(seed, service=service, config=config, conditions=Conditions(machine=faults))


def process_of(world: World) -> ServedProcess:
    return world.process


@every_transport
@pytest.mark.parametrize(
    "faults",
    [
        MachineFaults(failing=1000, options=1000),
        MachineFaults(broken_output=1000),
        MachineFaults(hung_up=1000),
        MachineFaults(crowded=1000),
        MachineFaults(descriptors=14, accept=100),
        MachineFaults(backlog=1, secure=True, handshake_failing=300, handshake_stalling=300, unix=500),
    ],
)
def test_a_call_is_answered_or_lost_and_a_healed_server_answers(transport: Transport, faults: MachineFaults) -> None:
    world = world_with(faults)
    calls = []
    for turn in range(10):
        for number in range(6):
            client = world.client(f"client {number}", transport)
            calls.append(client.call("add", turn, number))
            if transport != "http":
                client.notify("add", 0, 0)
        world.run(0.5)
    world.settle()
    assert {call.status for call in calls} <= {"result", "lost"}
    world.finish()


def channels(world: World) -> list[Channel]:
    return [channel for channel in process_of(world).sockets.values() if isinstance(channel, Channel)]


@pytest.mark.parametrize("transport", STREAMS)
def test_clients_come_over_unix_sockets_and_over_tls_with_their_identities(transport: Transport) -> None:
    world = world_with(MachineFaults(unix=500, secure=True, handshake_writing=500, partial=500, reordered=500))
    clients = [world.client(f"{n}", transport, identity=Identity(f"user {n}")) for n in range(12)]
    calls = [client.call("whoami") for client in clients]
    world.run(1)
    kinds = {(type(channel).__name__, channel.socket.family) for channel in channels(world)}
    assert kinds == {("TlsChannel", socket.AF_INET), ("Channel", socket.AF_UNIX)}
    assert [call.result for call in calls] == [f"user {n}" for n in range(12)]
    world.finish()


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("faults", [MachineFaults(handshake_failing=1000), MachineFaults(handshake_stalling=1000)])
def test_a_handshake_that_fails_or_stalls_loses_the_calls(transport: Transport, faults: MachineFaults) -> None:
    world = world_with(replace(faults, secure=True), Config(tls_timeout=2.0))
    call = world.client("alice", transport).call("add", 1, 2)
    world.run(1.9)
    assert call.status == ("lost" if faults.handshake_failing else "pending")
    world.run(0.2)
    assert (call.status, channels(world)) == ("lost", [])
    world.finish()


# Signals


def test_a_signal_lets_calls_end_and_the_process_exits_by_itself() -> None:
    world = world_with(MachineFaults())
    call = world.client("alice").call("wait", 3.0)
    world.run(1)
    process = process_of(world)
    process.signal(signal.SIGTERM)
    world.run(10)
    assert (call.result, process.over, process.exited) == (3.0, True, False)
    process.signal(signal.SIGTERM)  # it comes too late
    world.run(1)
    assert not process.exited


@pytest.mark.parametrize("calls", [None, 0, 3])
def test_a_second_signal_ends_the_process_at_once_and_another_one_follows(calls: int | None) -> None:
    world = world_with(MachineFaults())
    alice = world.client("alice")
    call = alice.call("wait", 30.0)
    world.run(1)
    process = process_of(world)
    process.signal(signal.SIGINT)
    world.run(0.1)
    assert not process.exited
    process.signal(signal.SIGTERM, calls)
    for number in range(4):
        alice.call("add", number, 1)
        world.run(0.1)
    assert (process.exited, process.system.signals.code, call.status) == (True, 128 + signal.SIGTERM, "lost")
    assert alice.call("add", 1, 2).status == "lost"
    world.restart()
    again = alice.call("add", 1, 2)
    world.run(1)
    assert again.result == 3
    world.finish()


def test_a_process_that_is_stopped_gets_its_signal_when_it_continues() -> None:
    world = world_with(MachineFaults())
    process = process_of(world)
    process.sleep()
    process.signal(signal.SIGTERM)
    assert not process.system.signals.signalled
    process.wake()
    assert process.system.signals.signalled
    world.run(10)
    assert process.over


# The judges


def exits_of(world: World) -> tuple[Exits, SimulatedSignals]:
    signals = process_of(world).system.signals
    return Exits(signals, Config(drain_timeout=5.0)), signals


def test_a_second_signal_that_does_not_end_the_process_is_a_violation() -> None:
    exits, signals = exits_of(world_with(MachineFaults()))
    signals.handled.append(15)
    exits.signalled(1.0, ended=False)
    signals.handled.append(15)
    exits.signalled(1.5, ended=True)
    with pytest.raises(Violation, match="a second signal did not end the process"):
        exits.signalled(2.0, ended=False)


def test_a_shut_down_that_takes_too_long_is_a_violation_unless_the_process_was_held_up() -> None:
    exits, signals = exits_of(world_with(MachineFaults()))
    exits.check(100.0, ended=False)
    signals.handled.append(15)
    exits.signalled(1.0, ended=False)
    exits.check(8.0, ended=False)
    exits.check(9.0, ended=True)
    with pytest.raises(Violation, match="did not end in time"):
        exits.check(9.0, ended=False)
    exits.held_up = True
    exits.check(9.0, ended=False)


def test_the_exit_code_is_that_of_the_second_signal_or_1_if_the_process_was_held_up() -> None:
    exits, signals = exits_of(world_with(MachineFaults()))
    signals.handled.extend([15, 2])
    signals.code = 130
    exits.exited(resisted=False)
    signals.code = 1
    with pytest.raises(Violation, match="the exit code is wrong"):
        exits.exited(resisted=False)
    exits.exited(resisted=True)
    exits.held_up = True
    exits.exited(resisted=False)


def test_a_process_that_leaves_a_handler_behind_exits_with_1() -> None:
    world = World(
        service=shop(),
        config=Config(cleanup_grace=0.1, drain_grace=0.1, drain_timeout=1.0),
        conditions=Conditions(handlers=HandlerFaults(ignores_cancel=1000)),
    )
    world.client("alice").call("wait", 500.0)
    world.run(1)
    world.shut_down()
    world.run(10)
    assert world.process.system.signals.code == 1


def test_a_client_that_is_refused_without_need_is_a_violation() -> None:
    world = world_with(MachineFaults())
    (listening,) = process_of(world).system.kernel.listening.values()
    listening.backlog = 0
    with pytest.raises(Violation, match="lets more clients wait"):
        world.client("alice").call("add", 1, 2)


def test_a_socket_that_is_broken_must_be_closed_soon() -> None:
    world = world_with(MachineFaults())
    world.client("alice", "lines").call("wait", 30.0)
    world.run(1)
    process = process_of(world)
    (id,) = process.sockets
    process.watch.broken[id] = lambda: True
    process.check()
    process.watch.broken[id] = lambda: False
    process.check()
    process.watch.broken[id] = lambda: True
    process.check()
    world.run(0.1)
    process.check()
    with pytest.raises(Violation, match="a broken socket or pipe was not closed"):
        world.run(1)


def test_a_handshake_that_outlives_its_deadline_is_a_violation() -> None:
    world = world_with(MachineFaults(secure=True, handshake_stalling=1000), Config(tls_timeout=2.0))
    world.client("alice").call("add", 1, 2)
    world.run(0.1)
    (channel,) = channels(world)
    assert isinstance(channel, TlsChannel)
    world.process.watch.runner.timers.disarm(channel._timer)
    world.run(2.0)
    with pytest.raises(Violation, match="a TLS handshake takes longer than tls_timeout"):
        world.run(1.0)


def test_a_client_may_not_use_a_reserved_descriptor_and_speaks_tls_where_it_should() -> None:
    world = world_with(MachineFaults())
    world.client("alice").call("wait", 30.0)
    world.run(1)
    process = process_of(world)
    process.secure = True
    with pytest.raises(Violation, match="TLS is spoken where it should be"):
        process.check()
    process.system.descriptors.most = 10
    with pytest.raises(Violation, match="a client uses a descriptor that is reserved"):
        process.check()


# What storms draw


def test_a_fair_machine_lets_no_call_fail() -> None:
    drawn = [draw_machine_faults(Seeded(seed).stream("machine"), fair=True) for seed in range(200)]
    usual = asdict(MachineFaults())
    unusual = {name for faults in drawn for name, value in asdict(faults).items() if value != usual[name]}
    assert unusual == {*HARMLESS_FAULTS, "secure"}


def test_each_fault_of_the_machine_is_drawn_in_some_storms_and_not_in_others() -> None:
    drawn = [draw_machine_faults(Seeded(seed).stream("machine"), fair=False) for seed in range(200)]
    usual_values = asdict(MachineFaults())
    del usual_values["trio"]  # the part of a storm decides
    for name, usual in usual_values.items():
        times = sum(getattr(faults, name) != usual for faults in drawn)
        assert 20 < times < 120, name


def test_storms_send_signals_and_go_on_with_another_process() -> None:
    for seed in range(40):
        storm = Storm(seed)
        if storm.scenario.conditions.machine.signals:
            with kept_log():
                storm.run(5.0)
            if storm.world._processes > 1:
                return
    pytest.fail("in 40 storms no process was ended by a signal")
