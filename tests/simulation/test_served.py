"""The server of a world: what it answers on its simulated machine, and what it leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from posthouse.adapters import LifespanError
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Conditions, HandlerFaults, MachineFaults, World
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.machine.links import LinkSink
from posthouse.core import Config, Identity, Service, UsageError
from posthouse.transports.codec import Text
from posthouse.transports.switchboard.sockets import BACKLOG

from .shop import TRANSPORTS, every_transport, pushable_transports, shop


@every_transport
def test_the_real_server_answers_in_the_loop_in_tasks_and_in_threads(transport: Transport) -> None:
    service = shop()

    @service.method(blocking=True)
    def twice(number: int) -> int:
        return 2 * number

    world = World(service=service)
    alice = world.client("alice", transport)
    plain, task, thread = alice.call("add", 1, 2), alice.call("wait", 2.5), alice.call("twice", 4)
    world.run(10)
    assert (plain.result, task.result, thread.result) == (3, 2.5, 8)
    world.finish()


@pushable_transports
def test_the_real_server_calls_its_clients(transport: Transport) -> None:
    world = World(service=shop())
    alice = world.client("alice", transport, identity=Identity("ada"))
    alice.answers["number"] = lambda params: params[0] + 1
    asked, told = alice.call("ask"), alice.call("tell")
    world.run(1)
    assert (asked.result, told.result) == (2, True)
    assert alice.notifications[0] == ("told", {"user": "ada"})
    world.finish()


def test_nothing_is_left_of_a_server_that_has_ended() -> None:
    world = World(service=shop())
    for number, transport in enumerate(TRANSPORTS):
        world.client(f"client {number}", transport).call("add", 1, number)
    world.run(1)
    process = world.process
    assert process.system.descriptors.open() and process.system.threads.alive
    world.finish()
    assert (process.system.descriptors.open(), process.system.threads.alive, process.over) == ({}, [], True)


def test_a_descriptor_that_is_left_open_is_a_violation() -> None:
    world = World(service=shop())
    world.process.system.descriptors.null()
    with pytest.raises(Violation, match=r"no descriptor is left open \(Null\)"):
        world.finish()


def test_a_process_that_was_killed_is_followed_by_another() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    lost = alice.call("wait", 5.0)
    world.run(1)
    world.restart()
    assert lost.status == "lost"
    again = alice.call("add", 1, 2)
    world.run(1)
    assert again.result == 3
    world.finish()


def test_a_process_that_stops_for_a_while_loses_nothing() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    alice.call("add", 1, 2)
    world.run(1)
    call = alice.call("add", 3, 4)
    world.stall(20)
    assert call.status == "pending"
    world.run(1)
    assert call.result == 7
    world.finish()


def test_a_shutdown_ends_the_process_after_its_calls() -> None:
    world = World(service=shop())
    call = world.client("alice").call("wait", 3.0)
    world.run(1)
    world.shut_down()
    world.run(60)
    assert (call.result, world.process.over) == (3.0, True)
    assert world.client("alice").call("add", 1, 2).status == "lost"


def test_a_call_in_process_is_made_and_hung_up() -> None:
    world = World(service=shop())
    made = world.server.begin("add", [1, 2])
    left = world.server.begin("wait", [30.0])
    world.run(1)
    assert (made.outcome, left.outcome) == (b"3", None)
    world.server.hang_up(left)
    world.server.hang_up(left)
    assert not world.server.calls
    assert world.server.broadcast("news") == 0
    assert world.server.health().status == "healthy"
    assert world.server.stats()["connections.open"] == 0
    world.finish()


def test_a_broadcast_is_made_outside_of_the_event_loop_in_a_handler_and_in_a_thread() -> None:
    service = shop()
    worlds: list[World] = []

    def tell(text: str) -> int:
        return worlds[0].server.broadcast("news", [text])

    @service.method
    async def in_loop() -> int:
        return tell("in the loop")

    @service.method(blocking=True)
    def in_thread() -> int:
        return tell("in a thread")

    world = World(service=service)
    worlds.append(world)
    alice = world.client("alice")
    for method in ("in_loop", "in_thread"):
        call = alice.call(method)
        world.run(1)
        assert call.result == 1
    assert tell("outside") == 1
    assert len(alice.notifications) == 2
    world.run(1)
    assert list(alice.notifications) == [("news", ["in the loop"]), ("news", ["in a thread"]), ("news", ["outside"])]
    world.finish()


def test_the_end_that_breaks_without_a_reason_is_a_violation() -> None:
    world = World(service=shop())
    world.client("alice").call("wait", 30.0)
    world.run(1)
    for endpoint in list(world.process.watch.endpoints.by_id.values()):
        with pytest.raises(Violation, match="closed that nobody asked to close"):
            endpoint.close()
    world.close()


def test_a_text_that_overtakes_one_that_waits_is_a_violation() -> None:
    world = World(service=shop())
    world.client("alice", "lines").call("add", 1, 2)
    world.run(1)
    board = world.process.board
    (state,) = board._sockets.records.values()
    state.codec.output.append(Text(b"{}"))
    board._outputs.tell[Text](state, Text(b"{}"), world.now)
    with pytest.raises(Violation, match="order: a text is handed on before an earlier one"):
        world.run(1)


def test_a_text_of_a_peer_that_takes_no_answers_is_a_violation() -> None:
    world = World(service=shop())
    world.client("alice", "lines").call("add", 1, 2)
    world.run(1)
    board = world.process.board
    (state,) = board._sockets.records.values()
    state.stopped = BACKLOG
    board._outputs.tell[Text](state, Text(b"{}"), world.now)
    with pytest.raises(Violation, match="flow: a text is handed on although its peer takes no answers"):
        world.run(1)


def test_a_pipe_is_refused_if_there_is_no_room_for_its_descriptors() -> None:
    world = World(service=shop())
    world.process.system.descriptors.most = len(world.process.system.descriptors.open()) + 6
    assert world.client("alice", "lines").call("add", 1, 2).status == "lost"
    world.process.system.descriptors.most += 1
    call = world.client("bob", "lines").call("add", 1, 2)
    world.run(1)
    assert call.result == 3


def test_clients_hear_nothing_of_the_end_of_their_world() -> None:
    world = World(service=shop())
    call = world.client("alice").call("wait", 30.0)
    piped = world.client("bob", "lines").call("wait", 30.0)
    world.run(1)
    world.close()
    assert (call.status, piped.status) == ("pending", "pending")
    assert world.process.system.threads.alive == []


def test_a_server_whose_accepting_fails_answers_all_the_same() -> None:
    faults = MachineFaults(accept=500, spurious=300, partial=500)
    world = World(3, service=shop(), conditions=Conditions(machine=faults))
    calls = [world.client(f"client {number}").call("add", 1, number) for number in range(20)]
    world.settle()
    assert {call.status for call in calls} <= {"result", "lost"}
    assert sum(call.status == "result" for call in calls) > 5
    world.finish()


def test_faults_have_weights_of_a_thousand() -> None:
    with pytest.raises(UsageError, match="how often in a thousand"):
        MachineFaults(accept=1001)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (HandlerFaults(late=1000, max_delay=30.0), "error"),
        (HandlerFaults(never=1000), "error"),
        (HandlerFaults(never=1000, ignores_cancel=1000), "error"),
        (HandlerFaults(raises=1000), "error"),
        (HandlerFaults(), "result"),
    ],
)
def test_handlers_fail_as_often_as_was_asked_for(faults: HandlerFaults, expected: str) -> None:
    conditions = Conditions(handlers=faults)
    world = World(service=shop(), conditions=conditions, config=Config(cleanup_grace=0.1))
    alice = world.client("alice")
    calls = [alice.call("add", 1, 2, timeout_ms=500), alice.call("wait", 0.0, timeout_ms=500)]
    world.run(1)
    assert expected in [call.status for call in calls]
    world.finish()


def test_the_exception_of_a_handler_of_the_real_server_is_the_cause_of_the_error() -> None:
    world = World(service=shop())
    broken = world.client("alice").call("breaks")
    world.run(1)
    assert broken.error is not None
    assert isinstance(broken.error.__cause__, KeyError)
    world.finish()


def test_a_client_of_a_pipe_is_told_that_the_server_aborts_it() -> None:
    world = World(service=shop())
    alice = world.client("alice", "lines")
    call = alice.call("wait", 30.0)
    world.run(1)
    process = world.process
    process.watch.dead = True  # the switchboard has not asked for it
    (pipes,) = process.sockets.values()
    (sink,) = [file for file in process.system.descriptors.open().values() if isinstance(file, LinkSink)]
    pipes.close(abort=True)
    world.run(1)
    assert (sink.torn, call.status) == (True, "lost")


def test_the_exception_of_a_hook_is_kept() -> None:
    world = World(service=shop())
    world.client("alice").call("add", 1, 2)
    world.run(1)
    assert [type(error) for error in world.hook_errors] == [ValueError]
    world.finish()


def test_a_service_that_does_not_start_is_told() -> None:
    service = Service("fails", public=True)

    @service.lifespan
    async def fail() -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    with pytest.raises(LifespanError, match="failed to start"):
        World(service=service)
