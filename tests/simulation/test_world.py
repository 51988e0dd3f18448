"""Worlds: services behind simulated links, and the faults that their clients meet."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Conditions, HandlerFaults, LinkConditions, Monitoring, World
from posthouse.adapters.simulation.clients.protocols.http import PipeliningHttpProtocol
from posthouse.adapters.simulation.clients.protocols.pages import Page
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.engine import SPARE_INCIDENTS
from posthouse.core import Config, Identity, RpcError, Service

from .shop import TRANSPORTS, every_transport, pushable_transports, shop


@every_transport
def test_calls_are_answered_over_every_transport(transport: Transport) -> None:
    world = World(service=shop())
    alice = world.client("alice", transport)
    three, batch, wrong = (
        alice.call("add", 1, b := 2),
        alice.batch([("add", [3, 4]), ("no", [])]),
        alice.call("add", "x"),
    )
    alice.notify("add", a=1, b=b)
    world.run(1)
    assert (three.result, batch[0].result) == (3, 7)
    assert [call.error.code for call in (batch[1], wrong) if call.error] == [-32601, -32602]
    with pytest.raises(RpcError):
        _ = wrong.result
    world.finish()


def test_handlers_await_on_the_virtual_clock() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    slow, quick = alice.call("wait", 20.0), alice.call("wait", 0.5)
    world.run(1)
    assert (slow.status, quick.status) == ("pending", "result")
    with pytest.raises(LookupError):
        _ = slow.result
    world.run(20)
    assert slow.result == 20.0
    assert slow.ended_at == pytest.approx(20.0, abs=0.1)
    assert world.now == 21.0


@pushable_transports
def test_handlers_can_call_and_notify_their_clients(transport: Transport) -> None:
    world = World(service=shop())
    alice = world.client("alice", transport, identity=Identity("ada"))
    alice.answers["number"] = lambda params: params[0] + 1
    asked, told = alice.call("ask"), alice.call("tell")
    world.run(1)
    assert (asked.result, told.result) == (2, True)
    assert world.broadcast("news", [1]) == 1
    world.run(1)
    assert list(alice.notifications) == [("told", {"user": "ada"}), ("news", [1])]
    del alice.answers["number"]
    refused = alice.call("ask")
    alice.reads = False
    silent = alice.call("ask")
    world.run(3)
    alice.reads = True
    world.run(1)
    assert refused.error is not None
    assert silent.error is not None
    world.finish()


def test_sequential_calls_run_one_after_another() -> None:
    world = World(service=shop())
    alice, bob = world.client("alice"), world.client("bob", "lines")
    calls = [alice.call("one_by_one", "a"), alice.call("one_by_one", "b"), bob.call("one_by_one", "c")]
    world.run(1.5)
    assert [call.status for call in calls] == ["result", "pending", "result"]
    alice.cancel(calls[1])
    last = alice.call("one_by_one", "d")
    world.run(2)
    assert calls[1].error is not None
    assert (calls[1].error.code, last.result) == (-32800, "d")


def test_the_exception_of_a_handler_is_not_sent() -> None:
    world = World(service=shop())
    broken = world.client("alice").call("breaks")
    world.run(1)
    assert broken.error is not None
    assert broken.error.code == -32603
    assert "secret" not in str(broken.error.data)


def test_an_incident_is_kept_until_its_batch_is_answered() -> None:
    world = World(service=shop())
    alice, bob = world.client("alice"), world.client("bob", "lines")
    broken, _ = alice.batch([("breaks", []), ("wait", [10.0])])
    others = []
    for _ in range(2 * SPARE_INCIDENTS // 50):
        others += [bob.call("breaks") for _ in range(50)]
        world.run(0.1)
    assert all(isinstance(call.error and call.error.__cause__, KeyError) for call in others)
    world.run(10)
    assert broken.error is not None
    assert isinstance(broken.error.__cause__, KeyError)


def test_incidents_are_forgotten_when_no_call_can_get_them() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    broken = alice.call("breaks")
    world.run(0.1)
    assert broken.error is not None
    assert isinstance(broken.error.data, dict)
    incident = broken.error.data["incident"]
    assert isinstance(world.incident(incident), KeyError)
    for _ in range(SPARE_INCIDENTS):
        alice.notify("breaks")
        world.run(0.01)
    assert world.incident(incident) is None


def test_a_cut_loses_pending_calls_and_the_next_call_makes_a_new_link() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    lost, finishing = alice.call("wait", 10.0), alice.call("finish")
    world.run(1)
    world.cut("alice")
    assert (lost.status, finishing.status) == ("lost", "lost")
    again = alice.call("add", 1, 1)
    world.run(10)
    seen = alice.call("seen")
    world.run(1)
    assert (again.result, alice.connections) == (2, 2)
    assert "finished" in seen.result


def test_nothing_moves_on_a_blocked_link() -> None:
    world = World(service=shop(), config=Config(heartbeat_interval=None))
    alice = world.client("alice", "lines")
    world.run(1)
    alice.connect()
    world.block("alice")
    call = alice.call("add", 1, 1)
    world.run(60)
    assert call.status == "pending"
    world.unblock("alice")
    world.run(1)
    assert call.result == 2


def test_a_close_on_a_blocked_link_arrives_after_unblock() -> None:
    world = World(service=shop(), config=Config(heartbeat_interval=None))
    alice = world.client("alice")
    alice.call("add", 1, 1)
    world.run(1)
    world.block("alice")
    alice.close()
    world.run(10)
    assert (alice.link, len(world.process.sockets)) == (None, 1)
    world.finish()
    assert not world.process.sockets


def test_a_client_that_does_not_read_is_closed_with_a_code() -> None:
    world = World(
        service=shop(), config=Config(write_timeout=2.0), conditions=Conditions(links=LinkConditions(capacity=200))
    )
    alice = world.client("alice")
    alice.call("add", 1, 1)
    world.run(1)
    alice.reads = False
    calls = [alice.call("add", 1, 1) for _ in range(20)]
    world.run(10)
    alice.reads = True
    world.run(10)
    assert "lost" in {call.status for call in calls}
    world.finish()


def test_a_client_can_half_close_and_close() -> None:
    world = World(service=shop())
    for transport in TRANSPORTS:
        client = world.client(transport, transport)
        call = client.call("add", 1, 1)
        world.run(0.1)
        client.half_close()
        world.run(10)
        assert (call.result, client.link) == (2, None)


def test_a_restart_loses_pending_calls_and_a_shutdown_loses_none() -> None:
    world = World(service=shop(), config=Config(drain_grace=5.0))
    alice, bob = world.client("alice"), world.client("bob", "http")
    calls = [alice.call("wait", 3.0), bob.call("wait", 3.0)]
    world.run(1)
    world.shut_down()
    world.run(5)
    assert [call.result for call in calls] == [3.0, 3.0]
    refused = world.client("carol").call("add", 1, 1)
    world.run(10)
    assert refused.status == "lost"
    assert world.process.drained
    world.restart()
    back, gone = alice.call("add", 1, 1), bob.call("wait", 3.0)
    world.run(1)
    world.restart()
    assert (back.result, gone.status) == (2, "lost")
    world.finish()


def test_handlers_of_a_killed_process_send_nothing() -> None:
    world = World(service=shop(), conditions=Conditions(links=LinkConditions(latency=1.0)))
    asked = world.client("ann").call("ask")
    world.run(seconds=3.5)
    killed = world.process
    world.restart()
    assert asked.status == "lost"
    assert killed.board.outbox == []  # it asked the client to forget what it was asked


def test_a_stalled_process_closes_no_connection() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    alice.call("add", 1, 1)
    world.run(1)
    world.stall(300)
    call = alice.call("add", 2, 2)
    world.run(1)
    assert (call.result, alice.connections) == (4, 1)


def test_handler_faults_break_no_invariant() -> None:
    world = World(
        service=shop(),
        conditions=Conditions(handlers=HandlerFaults(late=300, never=300, twice=500, raises=100, ignores_cancel=500)),
    )
    clients = [world.client(f"{kind} {number}", kind) for kind in TRANSPORTS for number in range(3)]
    calls = [client.call("add", 1, number, timeout_ms=2000) for client in clients for number in range(10)]
    world.run(40)
    ends = {call.error.code if call.error else call.status for call in calls}
    assert ends == {"result", -32030, -32603}
    world.finish()


def test_equal_seeds_make_equal_worlds_and_different_seeds_do_not() -> None:
    def trace(seed: int) -> str:
        world = World(seed, service=shop(), conditions=Conditions(links=LinkConditions(jitter=0.5, fragment=500)))
        for kind in TRANSPORTS:
            world.client(kind, kind).call("wait", 0.3)
        world.run(3)
        return world.trace

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_a_wrong_reply_is_a_violation() -> None:
    world = World(service=shop(), monitoring=Monitoring(check_every=1))
    world.client("alice").call("wait", 5.0)
    world.run(1)
    world.process.gateway._calls.handlers += 1
    with pytest.raises(Violation, match="calls: a slot for each handler"):
        world.run(1)


def test_a_missing_reply_is_a_violation() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    alice.call("add", 1, 1)
    world.run(1)
    alice._calls._calls["never said"] = alice.call("add", 1, 1)
    with pytest.raises(Violation, match="liveness: every call gets an outcome"):
        world.finish()


def test_parameters_are_by_position_or_by_name() -> None:
    alice = World(service=shop()).client("alice")
    with pytest.raises(TypeError):
        alice.call("add", 1, b=2)


def test_pipelined_requests_are_answered_in_order() -> None:
    world = World(service=shop(), conditions=Conditions(links=LinkConditions(fragment=500)))
    alice = world.client("alice", "http")
    alice.new_protocol = lambda stream, now: PipeliningHttpProtocol(Page(b"localhost"))
    ended: list[str] = []
    calls = [alice.call("wait", seconds) for seconds in (0.3, 0.1, 0.2)]
    calls += [alice.call("add", 1, number) for number in range(9)]
    for call in calls:
        call.then(lambda call: ended.append(call.id))
    world.run(5)
    assert ended == [call.id for call in calls]
    assert [call.result for call in calls[3:]] == list(range(1, 10))
    assert alice.connections == 1
    world.finish()


def test_handlers_that_ignore_cancellation_stop_when_the_world_heals() -> None:
    world = World(service=shop(), conditions=Conditions(handlers=HandlerFaults(ignores_cancel=1000)))
    alice = world.client("alice")
    call = alice.call("many")
    world.run(1)
    alice.cancel(call)
    world.run(1)
    assert call.status == "error"
    assert [invoke.method.name for invoke in world.process.handlers.running] == ["many"]
    world.finish()


def test_tasks_are_cancelled_in_the_same_order_in_every_run() -> None:
    traces = []
    for _ in range(3):
        world = World(service=shop())
        alice = world.client("alice")
        call = alice.call("many")
        world.run(1)
        alice.cancel(call)
        world.run(1)
        traces.append((world.trace, list(alice.notifications)))
    assert traces[0] == traces[1] == traces[2]


def test_a_cancelled_call_in_a_queue_frees_its_slot_at_once() -> None:
    world = World(service=shop(), config=Config(max_calls_per_connection=2))
    alice = world.client("alice")
    alice.call("one_by_one", "a")
    second, third = alice.call("one_by_one", "b"), alice.call("add", 1, 1)
    world.run(0.1)
    alice.cancel(second)
    world.run(0.1)
    assert third.result == 2


def test_a_handler_that_yields_forever_is_a_violation() -> None:
    world = World(service=shop())
    world.client("alice").call("spins")
    with pytest.raises(Violation, match="time: the loop never waits and the clock does not advance") as raised:
        world.run(1)
    assert "spins does not wait" in str(raised.value)
    assert "seed 0, at " in raised.value.__notes__[0]


def test_the_exception_of_a_handler_is_the_cause_of_the_error() -> None:
    world = World(service=shop())
    broken = world.client("alice").call("breaks")
    world.run(1)
    assert broken.error is not None
    assert isinstance(broken.error.__cause__, KeyError)


def test_settings_of_a_client_before_its_first_link_are_kept() -> None:
    world = World(service=shop())
    deaf, blocked = world.client("deaf"), world.client("blocked")
    deaf.reads = False
    world.block("blocked")
    calls = [deaf.call("add", 1, 1), blocked.call("add", 1, 1)]
    world.run(1)
    assert [call.status for call in calls] == ["pending", "pending"]
    deaf.reads = True
    world.unblock("blocked")
    world.run(1)
    assert [call.result for call in calls] == [2, 2]


def test_a_client_can_answer_with_an_error() -> None:
    world = World(service=shop())
    alice = world.client("alice")

    def refuses(params: object) -> object:
        raise RpcError(7, "No")

    alice.answers["number"] = refuses
    call = alice.call("ask")
    world.run(1)
    assert call.error is not None
    assert call.error.code == 7


def test_a_client_can_answer_late_too_late_or_never_after_a_cut() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    alice.answers["number"] = lambda params: params[0] + 1
    alice.answer_delay = 1.0
    late = alice.call("ask")
    world.run(5)
    assert late.result == 2
    assert late.ended_at == pytest.approx(1.0, abs=0.1)
    alice.answer_delay = 5.0
    too_late = alice.call("ask")
    world.run(10)
    assert too_late.error is not None
    lost = alice.call("ask")
    world.run(1)
    world.cut("alice")
    alice.call("tell")
    world.run(10)
    assert lost.status == "lost"
    world.finish()
    assert alice.answer_delay == 0.0


def test_a_client_sends_no_answer_after_its_link_is_lost() -> None:
    world = World(service=shop())
    alice = world.client("alice")

    def leaves(params: object) -> object:
        world.cut("alice")
        return 1

    alice.answers["number"] = leaves
    call = alice.call("ask")
    world.run(5)
    assert (call.status, alice.connections) == ("lost", 1)
    world.finish()


@pytest.mark.parametrize("seed", range(4))  # some of them compress
def test_a_client_accepts_large_replies_and_can_send_what_compresses_too_well(seed: int) -> None:
    service = Service("large", public=True)

    @service.method
    def blob(size: int, given: str = "") -> str:
        return "x" * size

    world = World(seed, service=service)
    alice = world.client("alice")
    large = alice.call("blob", 2_000_000)
    world.run(30)
    assert len(large.result) == 2_000_000
    given = alice.call("blob", 1, "x" * 900_000)
    world.run(30)
    assert given.status in ("result", "lost")
    world.finish()


@pytest.mark.parametrize("way", ["threadsafe", "later", "coroutine"])
def test_a_waiting_task_is_woken_from_outside_of_a_turn(way: str) -> None:
    service = Service("waking", public=True)
    waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @service.method
    async def waits() -> str:
        event = asyncio.Event()
        waiting.append((asyncio.get_running_loop(), event))
        await event.wait()
        return "woken"

    @service.method
    def wakes() -> None:
        loop, event = waiting.pop()
        if way == "threadsafe":
            loop.call_soon_threadsafe(event.set)
        elif way == "later":
            loop.call_later(0.5, event.set)
        else:
            asyncio.run_coroutine_threadsafe(anyio.sleep(0.5), loop).add_done_callback(lambda _: event.set())

    world = World(service=service)
    alice = world.client("alice")
    waits_for = alice.call("waits")
    world.run(1)
    alice.call("wakes")
    world.run(1)
    assert waits_for.result == "woken"


def test_a_server_that_refuses_every_client_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(service=shop())
    world.client("alice")
    monkeypatch.setattr(world.process, "open", lambda *rest: False)
    with pytest.raises(Violation, match="liveness: every client gets an answer"):
        world.finish()


@pytest.mark.parametrize(
    ("transport", "late"),
    [("websocket", 0.0), ("lines", 0.1)],  # the thread that reads a pipe takes up to 3 ms for each read
)
def test_bytes_that_arrive_during_a_stall_are_read_at_once_after_it(transport: Transport, late: float) -> None:
    world = World(
        service=shop(), conditions=Conditions(links=LinkConditions(latency=0.5)), config=Config(read_bytes=100)
    )
    alice = world.client("alice", transport)
    alice.call("add", 1, 1)
    world.run(5)
    calls = [alice.call("add", 1, number) for number in range(50)]
    world.stall(10)
    world.run(1)
    assert world.now == 16
    assert {call.status for call in calls} == {"result"}
    assert [call.ended_at for call in calls] == pytest.approx([15.5] * 50, abs=late)


def test_a_process_killed_during_a_stall_is_replaced_by_one_that_runs() -> None:
    world = World(service=shop())
    alice = world.client("alice")
    world.after(1.0, world.restart)
    calls: list[Any] = []
    world.after(2.0, lambda: calls.append(alice.call("add", 1, 2)))
    world.stall(5.0)
    assert world.now < 1.5
    world.run(1.5)
    assert calls[0].result == 3
