"""The real machine. tests/simulation/machine compares the simulated one with it."""

from __future__ import annotations

import logging
import math
import os
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from posthouse.adapters.system.clock import Clock
from posthouse.adapters.system.collector import tuned_collector
from posthouse.adapters.system.machine import Machine
from posthouse.adapters.system.selector import PortableSelector

from tests.adapters.loopback import ENVIRONMENT, PATIENCE


def test_it_has_the_clock_that_it_is_given() -> None:
    clock = Clock(lambda: 1.0, lambda: 2.0, lambda size: b"x" * size)
    machine = Machine(clock)
    assert (machine.now(), machine.wall(), machine.entropy(3)) == (1.0, 2.0, b"xxx")
    assert machine.collector is tuned_collector
    usual = Machine()
    assert usual.now() <= usual.now() < usual.wall()
    assert len(usual.entropy(6)) == 6 and usual.entropy(6) != usual.entropy(6)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_its_selector_is_that_of_the_kernel_where_that_is_epoll(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    selector = Machine().sockets.selector()
    assert isinstance(selector, select.epoll if platform == "linux" else PortableSelector)
    selector.close()


def test_its_sockets_are_streams_and_a_pair_is_connected() -> None:
    sockets = Machine().sockets
    one, other = sockets.pair()
    one.send(b"x")
    assert other.recv(9) == b"x"
    opened = sockets.open(socket.AF_INET6)
    assert isinstance(opened, socket.socket)
    assert (opened.family, opened.type) == (socket.AF_INET6, socket.SOCK_STREAM)
    for each in (one, other, opened):
        each.close()


def test_a_host_has_each_address_once_for_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = Machine().sockets
    assert sockets.addresses("127.0.0.1", 8000) == [(socket.AF_INET, ("127.0.0.1", 8000))]
    v4, v6 = (socket.AF_INET, ("127.0.0.1", 80)), (socket.AF_INET6, ("::1", 80, 0, 0))
    asked: list[object] = []

    def getaddrinfo(*arguments: object, **named: object) -> list[tuple[object, ...]]:
        asked.append((arguments, named))
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in (v6, v4, v6)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert sockets.addresses("localhost", 80) == [v6, v4]
    assert asked == [(("localhost", 80), {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE})]


def test_it_has_contexts_for_tls(tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    assert isinstance(Machine().sockets.tls(pem, None), ssl.SSLContext)


@pytest.mark.parametrize(("limit", "expected"), [(99, 99), (resource.RLIM_INFINITY, math.inf)])
def test_the_limit_of_descriptors_is_that_of_now(limit: int, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def getrlimit(kind: int) -> tuple[int, int]:
        asked.append(kind)
        return limit, 7

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    assert Machine().descriptors.limit() == expected
    assert asked == [resource.RLIMIT_NOFILE]


def test_the_null_device_is_for_reading_and_for_this_process_alone() -> None:
    descriptors = Machine().descriptors
    null = descriptors.null()
    assert (descriptors.read(null, 9), os.get_inheritable(null)) == (b"", False)
    with pytest.raises(OSError, match="Bad file descriptor"):
        descriptors.write(null, b"x")
    descriptors.close(null)


def test_a_thread_waits_for_descriptors_until_one_is_ready() -> None:
    descriptors = Machine().descriptors
    source, sink = descriptors.pipe()
    other, idle = descriptors.pipe()
    copy = descriptors.dup(sink)
    assert descriptors.waiting(write=(sink,))() == [(sink, select.POLLOUT)]
    assert descriptors.waiting(read=(other, source), write=(copy,))() == [(copy, select.POLLOUT)]
    descriptors.write(sink, b"x")
    assert descriptors.waiting(read=(other, source))() == [(source, select.POLLIN)]
    for descriptor in (source, sink, other, idle, copy):
        descriptors.close(descriptor)


def test_a_thread_is_named_and_delays_no_exit() -> None:
    threads = Machine().threads
    seen: list[tuple[str, bool]] = []
    ended = threading.Event()

    def work() -> None:
        seen.append((threading.current_thread().name, threading.current_thread().daemon))
        ended.set()

    threads.start(work, "posthouse-test")
    assert ended.wait(PATIENCE)
    assert seen == [("posthouse-test", True)]


def test_a_function_is_called_again_and_again_until_it_is_stopped() -> None:
    threads = Machine().threads
    seen: list[tuple[str, bool]] = []
    called = threading.Semaphore(0)

    def call() -> None:
        seen.append((threading.current_thread().name, threading.current_thread().daemon))
        called.release()

    stop = threads.every(0.001, call, "posthouse-test")
    assert called.acquire(timeout=PATIENCE) and called.acquire(timeout=PATIENCE)
    stop()
    count = len(seen)
    assert {*seen} == {("posthouse-test", True)}
    assert "posthouse-test" not in [thread.name for thread in threading.enumerate()]
    assert len(seen) == count
    threads.every(PATIENCE, call, "posthouse-test")()
    assert len(seen) == count, "it waits first"


def test_threads_wait_for_each_other() -> None:
    threads = Machine().threads
    queue, future = threads.queue(), threads.future()
    queue.put(7)
    assert queue.get(timeout=0.0) == 7
    future.set_result(8)
    assert future.result() == 8
    with threads.condition() as condition:
        assert condition
    assert isinstance(threads.condition(), threading.Condition)


@pytest.fixture
def signals() -> Iterator[None]:
    handler, waker = signal.getsignal(signal.SIGUSR1), signal.set_wakeup_fd(-1)
    yield
    signal.signal(signal.SIGUSR1, handler)
    signal.set_wakeup_fd(waker)


@pytest.mark.usefixtures("signals")
def test_signals_are_handled_in_the_main_thread_and_wake_the_loop() -> None:
    signals = Machine().signals
    assert signals.available()
    available: list[bool] = []
    thread = threading.Thread(target=lambda: available.append(signals.available()))
    thread.start()
    thread.join()
    assert available == [False]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        got: list[int] = []
        before = signals.handle(signal.SIGUSR1, lambda number, frame: got.append(number))
        assert signals.wake_up(ours.fileno()) == -1
        signal.raise_signal(signal.SIGUSR1)
        assert (got, theirs.recv(9)) == ([signal.SIGUSR1], bytes([signal.SIGUSR1]))
        try:
            while True:
                ours.send(b"x" * 65536)  # until it is full
        except BlockingIOError:
            pass
        signal.raise_signal(signal.SIGUSR1)  # and says nothing on standard error
        assert signals.wake_up(-1) == ours.fileno()
        assert signals.handle(signal.SIGUSR1, before) is not before
    signals.sleep(0.0)


EXIT = """
import atexit, logging, sys
from posthouse.adapters.system.machine import Machine

class Log(logging.Handler):
    def flush(self):
        print("log flushed", file=sys.stderr)

handler = Log()
atexit.register(print, "never printed")
print("printed", end="")
Machine().signals.flush()
Machine().signals.exit(7)
"""


def test_the_process_exits_at_once_and_what_was_flushed_is_written() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EXIT], capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "printed", "log flushed\n")


def test_the_log_and_the_streams_are_flushed_and_an_error_of_theirs_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def flush(self) -> None:
            done.append(self.name)

    monkeypatch.setattr(logging, "shutdown", lambda: done.append("log"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Stream("out"))
        patch.setattr(sys, "stderr", Stream("err"))
        Machine().signals.flush()
    assert done == ["log", "out", "err"]

    def fail() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(logging, "shutdown", fail)
    Machine().signals.flush()
