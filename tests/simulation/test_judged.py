"""Worlds whose links and logs are judged: what a judge finds fails the world, and a correct server is not accused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.report import INFO, WARNING, report
from posthouse.adapters.simulation import Client, Conditions, LinkConditions, World
from posthouse.adapters.simulation.clients.protocols.http import HttpProtocol, PipeliningHttpProtocol
from posthouse.adapters.simulation.clients.protocols.pages import Page
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.judges.judge import Judge
from posthouse.adapters.simulation.judges.pipes import PipeJudge
from posthouse.adapters.simulation.judges.sockets import SocketJudge
from posthouse.core import Config

from .shop import every_transport, shop

LIMIT = 90
CALL = b'{"jsonrpc":"2.0","method":"add","params":[1,2],"id":%d'


def line(text: bytes) -> bytes:
    return text + b"\n"


def framed(text: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(text), text)


@pytest.mark.parametrize(("transport", "write"), [("lines", line), ("headers", framed)])
@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_a_message_of_a_size_near_the_limit_is_answered_wherever_it_is_cut(
    transport: Transport, write: Callable[[bytes], bytes], size: int
) -> None:
    config = Config(max_message_bytes=LIMIT, max_bad_messages=None)
    world = World(service=shop(), config=config, conditions=Conditions(links=LinkConditions(latency=0.0)))
    alice = world.client("alice", transport)
    whole = len(write(b" " * size))
    for cut in range(whole):
        data = write((CALL % cut).ljust(size - 1) + b"}")
        alice.send_bytes(data[:cut])
        world.run(0.01)
        alice.send_bytes(data[cut:])
        world.run(0.01)
    alice.half_close()
    world.run(1)
    assert alice.link is None
    assert world.server.stats()["calls.made"] == (whole if size <= LIMIT else 0)
    world.finish()


@pytest.mark.parametrize("offset", [-1, 0, 1])
@every_transport
def test_a_call_is_filled_to_a_size(transport: Transport, offset: int) -> None:
    config = Config(max_message_bytes=LIMIT, max_body_bytes=LIMIT)
    world = World(service=shop(), config=config)
    call = world.client("alice", transport).call_sized(LIMIT + offset, "add", a=1, b=2)
    world.run(1)
    if offset <= 0:
        assert call.result == 3
    elif transport == "websocket":
        assert call.status == "lost"
    else:
        assert call.error is not None and call.error.code == -32007
    world.finish()


def test_pipelined_requests_before_a_half_close_are_answered() -> None:
    world = World(service=shop())
    alice = world.client("alice", "http")
    alice.new_protocol = lambda stream, now: PipeliningHttpProtocol(Page(b"localhost"))
    calls = [alice.call("wait", 1.0) for _ in range(3)]
    alice.half_close()
    world.run(4)
    assert [call.result for call in calls] == [1.0] * 3
    world.finish()


@every_transport
def test_calls_that_run_when_the_input_ends_are_answered(transport: Transport) -> None:
    world = World(service=shop())
    alice = world.client("alice", transport)
    call = alice.call("wait", 1.0)
    world.run(0.5)
    alice.half_close()
    world.run(4)
    assert call.status == ("lost" if transport == "websocket" else "result")  # its connection ends with either side
    world.finish()


@pytest.mark.parametrize("asked", [(b"Connection", b"close"), (b"Expect", b"100-continue")])
@pytest.mark.parametrize("protocol", [HttpProtocol, PipeliningHttpProtocol])
def test_a_client_may_ask_for_the_end_or_for_a_continue(
    asked: tuple[bytes, bytes], protocol: type[HttpProtocol]
) -> None:
    world = World(service=shop())
    alice = world.client("alice", "http")
    alice.new_protocol = lambda stream, now: protocol(Page(b"localhost", asks=asked))
    for _ in range(3):
        call = alice.call("add", 1, 2)
        world.run(1)
        assert call.result == 3
    assert alice.connections == (2 if asked[0] == b"Connection" else 1)
    world.finish()


class Deceived(World):
    """A world whose judges see more bytes than the server has sent."""

    judges: Final[list[Judge]] = []

    def judge(self, client: Client) -> Judge:
        self.judges.append(super().judge(client))
        return Deceiving(self.judges[-1])


class Deceiving(Judge):
    """Passes on what a judge sees, and an empty line and more after each piece."""

    def __init__(self, judge: Judge) -> None:
        super().__init__(judge._facts)
        self._judge = judge

    def sent(self, data: bytes) -> None:
        self._judge.sent(data)

    def received(self, data: bytes) -> None:
        self._judge.received(data + b"\r\n\r\n\r\n")

    def received_end(self) -> None:
        self._judge.received_end()


@every_transport
def test_each_link_has_a_judge_who_fails_the_world(transport: Transport) -> None:
    world = Deceived(service=shop())
    world.client("alice", transport).call("add", 1, 2)
    with pytest.raises(Violation, match=r"(http|websocket|pipes): "):
        world.run(1)
    kinds = {"http": SocketJudge, "websocket": SocketJudge, "lines": PipeJudge, "headers": PipeJudge}
    assert isinstance(world.judges[-1], kinds[transport])


@pytest.mark.parametrize(
    ("level", "event", "sentence"),
    [
        (WARNING, "unknown", "log: a line has an event that is not documented"),
        (WARNING, "tls.failed", "log: a line has another level than documented"),
    ],
)
def test_the_log_of_the_server_is_judged(level: int, event: str, sentence: str) -> None:
    service = shop()

    @service.method
    def log() -> None:
        report(level, event, "a fact")

    world = World(service=service)
    world.client("alice").call("log")
    with pytest.raises(Violation, match=sentence):
        world.run(1)
    report(INFO, "unknown", "no process runs")
