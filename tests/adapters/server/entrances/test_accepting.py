"""Accepting clients, and what becomes of them when descriptors run out: on a simulated machine."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any

import pytest
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.server.entrances.accepting import Acceptor
from posthouse.adapters.server.entrances.certificates import CertificateFiles, Certificates
from posthouse.adapters.server.entrances.channel import Channel
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.adapters.server.entrances.listeners import Bound, Listener
from posthouse.adapters.server.entrances.tls_channel import TlsChannel
from posthouse.adapters.simulation.machine.sockets import ListeningSocket, StreamSocket
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address, SocketId
from posthouse.transports.switchboard.switchboard import Switchboard

from tests.adapters.simulated import SimulatedMachine, logged

TOLD = "no file descriptors left, new connections are closed: to allow more, raise `ulimit -n`"


class Bench(SimulatedMachine):
    """An acceptor with some listening sockets. Nothing runs but what the test runs: `look` finds the ready sockets, and
    `wait` lets time pass until the acceptor's deadlines."""

    def __init__(
        self, *, config: Config = Config(), listening: int = 1, family: int = socket.AF_INET, **rest: Any
    ) -> None:
        super().__init__()
        self.board = Switchboard(Gateway(Service("accepting"), config, wall=0.0, entropy=bytes))
        self.runner = Runner(self.board, self.system)
        self.endpoints = Endpoints()
        listeners = []
        for port in range(8000, 8000 + listening):
            opened = ListeningSocket(self.system.kernel, family)
            opened.number()
            opened.bind(("127.0.0.1", port))
            opened.listen(1024)
            listeners.append(Listener(opened, Bound("127.0.0.1", port)))
        self.before = len(self.system.descriptors.open())
        self.acceptor = Acceptor(listeners, self.runner, self.endpoints, **rest)
        self.resets = 0
        self.acceptor.start()

    def connect(self, count: int = 1, port: int = 8000) -> list[StreamSocket]:
        made = [
            self.system.kernel.connect(("127.0.0.1", port), self.link(), ("10.0.0.9", 4321), self._reset)
            for _ in range(count)
        ]
        assert None not in made
        return [each for each in made if each is not None]

    def _reset(self) -> None:
        self.resets += 1

    def look(self) -> int:
        """Find the ready sockets, once. Returns how many clients are open."""
        for ready, events in self.runner.poller.poll():
            ready(events)
        return len(self.endpoints.by_id)

    def wait(self, seconds: float) -> None:
        """Let time pass, and fire the deadlines that have come."""
        self.schedule.at(self.schedule.now + seconds, lambda: None)
        while self.schedule.next() is not None:
            self.schedule.pop()()
        while (timer := self.runner.timers.pop(self.runner.now())) is not None:
            self.runner.on_due[timer.reason](timer.key)

    def exhaust(self) -> None:
        """Leave no free descriptor."""
        self.system.descriptors.most = max(self.system.descriptors.open()) + 1


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The errors of the next calls of `accept`."""
    errors: list[int] = []
    accept = ListeningSocket.accept

    def failing(self: ListeningSocket) -> Any:
        if errors:
            raise OSError(errors.pop(0), "failed")
        return accept(self)

    monkeypatch.setattr(ListeningSocket, "accept", failing)
    return errors


def certificates(bench: Bench) -> Certificates:
    """A certificate of the simulated machine."""
    return Certificates(bench.system.sockets.tls, CertificateFiles("cert.pem"), bench.system.now)


def told_addresses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[Address]:
    """The addresses of the clients that the board is told from now on."""
    addresses: list[Address] = []
    opened = bench.board.opened

    def note(address: Address, now: float) -> SocketId | None:
        addresses.append(address)
        return opened(address, now)

    monkeypatch.setattr(bench.board, "opened", note)
    return addresses


def test_at_most_sixteen_clients_are_accepted_at_once_and_then_the_others() -> None:
    bench = Bench()
    bench.connect(20)
    assert [bench.look(), bench.look(), bench.look()] == [16, 20, 20]


def test_each_listening_socket_is_accepted_from_until_it_is_closed() -> None:
    bench = Bench(listening=2)
    bench.connect(port=8000)
    bench.connect(2, port=8001)
    assert bench.look() == 3
    bench.acceptor.close()
    assert bench.system.kernel.listening == {}
    bench.acceptor.close()
    assert len(bench.system.descriptors.open()) == bench.before - 2 + 3


def test_a_client_is_told_by_its_address_and_begins_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[tuple[Any, ...]] = []
    monkeypatch.setattr(StreamSocket, "setsockopt", lambda self, *option: options.append(option))
    blocking: list[bool] = []
    monkeypatch.setattr(StreamSocket, "setblocking", lambda self, flag: blocking.append(flag))
    bench = Bench()
    opened = told_addresses(bench, monkeypatch)
    (client,) = bench.connect()
    assert bench.look() == 1
    assert opened == [Address("10.0.0.9", 4321)]
    assert options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    assert blocking == [False]
    (channel,) = bench.endpoints.by_id.values()
    assert type(channel) is Channel and channel.socket is client
    assert bench.endpoints.by_id == {channel.id: channel}
    client.fail()
    assert bench.look() == 0


def test_with_tls_every_client_shakes_hands_first() -> None:
    bench = Bench()
    bench = Bench(tls=certificates(bench))
    bench.connect()
    assert bench.look() == 1
    (channel,) = bench.endpoints.by_id.values()
    assert isinstance(channel, TlsChannel)
    assert bench.runner.timers.next() == Config().tls_timeout
    bench.wait(Config().tls_timeout)
    assert (bench.endpoints.by_id, bench.resets) == ({}, 0)
    bench.wait(0.0)
    assert bench.resets == 1
    bench.acceptor._tls_expires(channel.id)
    bench.connect()


def test_a_deadline_of_a_socket_without_tls_means_nothing() -> None:
    bench = Bench()
    bench.connect()
    bench.look()
    (id,) = bench.endpoints.by_id
    bench.acceptor._tls_expires(id)
    assert [*bench.endpoints.by_id] == [id]


def test_tls_clients_are_told_as_secure_and_those_of_a_unix_socket_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Address] = []
    options: list[tuple[Any, ...]] = []
    monkeypatch.setattr(StreamSocket, "setsockopt", lambda self, *option: options.append(option))
    for family in (socket.AF_INET, socket.AF_UNIX):
        bench = Bench()
        bench = Bench(family=family, tls=certificates(bench))
        told = told_addresses(bench, monkeypatch)
        bench.connect()
        assert bench.look() == 1
        opened += told
        (channel,) = bench.endpoints.by_id.values()
        assert isinstance(channel, TlsChannel) is (family == socket.AF_INET)
    assert opened == [Address("10.0.0.9", 4321, secure=True), Address()]
    assert options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


def test_a_client_that_the_limits_refuse_is_closed() -> None:
    bench = Bench(config=Config(max_connections=1))
    bench.connect(2)
    assert bench.look() == 1
    assert len(bench.system.descriptors.open()) == bench.before + 2
    assert bench.board.health(0.0).sockets == 1


def test_a_client_that_has_reset_its_socket_already_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: StreamSocket, *option: Any) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    bench = Bench()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamSocket, "setsockopt", failing)
        bench.connect()
        assert bench.look() == 0
    assert (bench.board.health(0.0).sockets, len(bench.system.descriptors.open())) == (0, bench.before + 1)


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EINTR, errno.EPERM])
def test_a_client_that_has_gone_before_it_was_accepted_does_not_keep_others_waiting(
    number: int, fails: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    bench.connect(2)
    fails += [number, number]
    assert (bench.look(), fails, logged(caplog)) == (2, [], [])


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_when_descriptors_run_out_the_client_that_waits_is_closed_and_accepting_pauses(
    number: int, fails: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    bench.connect(3)
    fails.append(number)
    assert bench.look() == 0
    assert logged(caplog) == [(logging.WARNING, "accept.exhausted", TOLD)]
    assert bench.acceptor._reserve is not None
    assert bench.look() == 0, "it pauses"
    bench.wait(0.049)
    assert (bench.look(), bench.resets) == (0, 0)
    bench.wait(0.002)
    assert bench.look() == 2, "one of the three was closed"
    assert len(bench.system.descriptors.open()) == bench.before + 1 + 2


def test_each_listening_socket_pauses_by_itself(fails: list[int]) -> None:
    bench = Bench(listening=2)
    bench.connect(2, port=8001)
    fails.append(errno.EMFILE)
    assert bench.look() == 0
    bench.connect(1, port=8000)
    assert bench.look() == 1
    bench.wait(0.051)
    assert bench.look() == 2


def test_pauses_grow_up_to_a_second_until_a_client_was_accepted(fails: list[int]) -> None:
    bench = Bench()
    pauses = []
    bench.connect(20)

    def pause() -> float:
        fails.append(errno.EMFILE)
        bench.look()
        due = bench.runner.timers.next()
        assert due is not None
        return round(due - bench.runner.now(), 6)

    for _ in range(7):
        pauses.append(pause())
        bench.wait(2.0)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert bench.look() == 13
    bench.connect(2)
    assert pause() == 0.05


def test_one_line_stands_for_all_of_ten_seconds(fails: list[int], caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.connect(9)
    lines = []
    for seconds in (9.9, 0.1, 9.9, 10.0, 0.0):
        fails.append(errno.EMFILE)
        bench.look()
        lines.append(len(caplog.records))
        bench.wait(seconds)
    assert lines == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("reserve", "limit", "highest"),
    [
        pytest.param(2, 40, 37, id="the reserve"),
        pytest.param(9, 40, 30, id="the reserve, almost a quarter"),
        pytest.param(1000, 40, 29, id="a quarter at most"),
        pytest.param(1000, 43, 32, id="a quarter, rounded down"),
    ],
)
def test_descriptors_are_left_for_the_service_itself(reserve: int, limit: int, highest: int) -> None:
    bench = Bench(config=Config(descriptor_reserve=reserve))
    bench.system.descriptors.most = limit
    bench.connect(100)
    while (before := len(bench.endpoints.by_id)) < bench.look():
        assert before < 100
    assert max(bench.system.descriptors.open()) == highest


def test_a_client_above_the_ceiling_is_closed_and_accepting_pauses(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(config=Config(descriptor_reserve=1))
    opened = bench.system.descriptors.open()
    bench.system.descriptors.most = max(opened) + 3
    bench.connect(3)
    assert (bench.look(), len(logged(caplog))) == (1, 1)
    assert len(bench.system.descriptors.open()) == len(opened) + 1
    bench.wait(0.0)
    assert bench.look() == 1
    (channel,) = bench.endpoints.by_id.values()
    channel.close()
    bench.wait(0.06)
    assert bench.look() == 1


def test_without_a_reserve_nobody_is_closed_and_the_reserve_comes_back(fails: list[int]) -> None:
    bench = Bench()
    bench.connect(2)
    most = bench.system.descriptors.most
    fails += [errno.EMFILE, errno.EMFILE]  # another thread takes the descriptor of the reserve
    bench.look()
    assert bench.acceptor._reserve is None
    assert len(bench.system.descriptors.open()) == bench.before
    fails.append(errno.EMFILE)
    bench.exhaust()
    bench.wait(0.06)
    assert bench.acceptor._reserve is None, "there is still none"
    bench.look()
    assert fails == []
    bench.system.descriptors.most = most
    bench.wait(0.11)
    assert bench.acceptor._reserve is not None
    assert bench.look() == 2


def test_the_end_of_a_pause_opens_no_acceptor_that_is_closed(fails: list[int]) -> None:
    bench = Bench()
    bench.connect()
    fails += [errno.EMFILE, errno.EMFILE]
    bench.look()
    bench.acceptor.close()
    bench.wait(1.0)
    assert (bench.look(), bench.acceptor._reserve) == (0, None)
    assert len(bench.system.descriptors.open()) == bench.before - 1


def test_the_reserve_is_given_back_when_the_acceptor_is_closed() -> None:
    bench = Bench()
    bench.acceptor.close()
    assert len(bench.system.descriptors.open()) == bench.before - 1
