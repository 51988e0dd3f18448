"""A server's last moments: one signal asks, two insist."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Never

import pytest
import trustme
from posthouse.adapters.server.signals import on_signals
from posthouse.adapters.simulation.machine.threads import Exited

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, post, text
from tests.adapters.simulated import SimulatedMachine, logged

SERVER = """
import signal, sys, threading
from posthouse.adapters import run
from posthouse.core.values.config import Config
from posthouse.core.service.service import Service

service = Service("mortal", public=True)

@service.method(blocking=True)
def stick() -> None:
    print("stuck", flush=True)
    threading.Event().wait()

@service.on("gateway.draining")
def draining(event) -> None:
    print("draining", flush=True)

def signal_another_thread() -> None:
    for line in sys.stdin:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

def started(server) -> None:
    threading.Thread(target=signal_another_thread, daemon=True).start()
    print("started", server.bound[0].port, flush=True)

config = Config(drain_spread=0.0, drain_notice=float(sys.argv[2]), drain_grace=0.1, drain_timeout=float(sys.argv[3]))
run(service, port=0, backend=sys.argv[1], config=config, started=started)
print("over", flush=True)
"""


@contextmanager
def server(backend: str, notice: float, drain_timeout: float = 26.0) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, backend, str(notice), str(drain_timeout)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_the_exit_code_is_zero(anyio_backend: str, number: signal.Signals) -> None:
    with server(anyio_backend, 0.0) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("started ")
        process.send_signal(number)
        assert process.stdout.read() == "draining\nover\n"
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_a_signal_that_does_not_interrupt_the_sleep_of_the_loop_is_noticed(backend: str) -> None:
    with server(backend, 0.0) as process:
        assert process.stdin is not None and process.stdout is not None
        port = int(process.stdout.readline().split()[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(post(text("connection.ping")))
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        process.stdin.write("now\n")
        process.stdin.flush()
        assert process.stdout.read() == "draining\nover\n"
        assert process.wait(PATIENCE) == 0


HANGS_UP = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it may be ignored where the tests run
from posthouse.adapters import serve
from posthouse.core import Config, Service
import anyio, sys

async def main() -> None:
    def started(server) -> None:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)

    files = {"tls_cert": sys.argv[1]} if sys.argv[1:] else {}
    await serve(Service("mortal"), port=0, signals=True, config=Config(drain_spread=0.0), started=started, **files)
    print(signal.getsignal(signal.SIGHUP) == signal.SIG_DFL)

import logging
logging.basicConfig(level="INFO", format="%(event)s")
anyio.run(main)
"""


def test_sighup_reads_the_certificate_again_and_without_one_it_ends_the_process(tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    run = partial(subprocess.run, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    with_tls = run([sys.executable, "-c", HANGS_UP, str(pem)])
    assert (with_tls.returncode, with_tls.stdout) == (0, "True\n")
    assert "tls.read" in with_tls.stderr.splitlines()
    assert run([sys.executable, "-c", HANGS_UP]).returncode == -signal.SIGHUP


HANDLERS = """
import asyncio, signal, sys
from posthouse.adapters import serve
from posthouse.core import Config, Service

async def main() -> None:
    signalled = asyncio.Event()
    if sys.argv[1] == "before":
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, signalled.set)
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)

    def started(server) -> None:
        if sys.argv[1] == "while":
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, signalled.set)
        signal.raise_signal(signal.SIGTERM)

    await serve(Service("mortal"), port=0, signals=True, config=Config(drain_spread=0.0), started=started)
    after = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(after)
    print(after != -1 if sys.argv[1] == "while" else after == descriptor)
    if sys.argv[1] != "none":
        signal.raise_signal(signal.SIGUSR1)
        await signalled.wait()
        print("signalled")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("when", "printed"), [("none", "True\n"), ("before", "True\nsignalled\n"), ("while", "True\nsignalled\n")]
)
def test_signal_handlers_of_asyncio_are_left_as_they_are(when: str, printed: str) -> None:
    command = [sys.executable, "-c", HANDLERS, when]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.stdout == printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_exits_at_once(anyio_backend: str, number: signal.Signals) -> None:
    with server(anyio_backend, 25.0) as process:  # a notice longer than anybody's patience
        assert process.stdout is not None
        assert process.stdout.readline().startswith("started ")
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        assert process.stdout.read() == ""
        assert process.stderr is not None
        assert process.stderr.read() == "exits now: a second signal came before the shut-down had ended\n"


def test_a_handler_that_is_stuck_in_its_thread_does_not_hold_up_the_exit(anyio_backend: str) -> None:
    with server(anyio_backend, 0.0, 0.2) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(post(text("stick")))
            assert process.stdout.readline() == "stuck\n"
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read() == "draining\nover\n"
            assert process.wait(PATIENCE) == 0


# On a simulated machine


class Bench(SimulatedMachine):
    """A server that takes 3 seconds to shut down, and notes each request for it."""

    def __init__(self) -> None:
        super().__init__()
        self.signals = self.system.signals
        self.asked: list[str] = []
        self.waker, _ = self.system.sockets.pair()
        self.codes: list[int] = []
        vars(self.signals)["exit"] = self.exit
        self.entered = on_signals(self.system, lambda: self.asked.append("shut down"), self.waker.fileno(), 3.0)

    def send(self, number: int) -> None:
        self.signals.send(number)
        self.signals.call_handlers()

    def exit(self, code: int) -> Never:
        self.codes.append(code)
        raise Exited(code)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_for_a_shut_down_and_wakes_the_loop(number: int) -> None:
    bench = Bench()
    with bench.entered:
        assert bench.signals.waker == bench.waker.fileno()
        assert bench.system.threads.alive == ["posthouse-shut-down"]
        bench.send(number)
        assert bench.asked == ["shut down"]
        bench.pass_time(4.9)
    assert bench.signals.untouched
    bench.pass_time(10.0)
    assert bench.system.threads.alive == []
    assert bench.signals.slept == 0.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_exits_when_the_last_line_was_logged(number: int, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with bench.entered:
        bench.send(signal.SIGTERM)
        bench.pass_time(1.0)
        with pytest.raises(Exited):
            bench.send(number)
        assert (bench.codes, bench.signals.slept, bench.asked) == ([128 + number], 0.2, ["shut down"])
        bench.pass_time(0.1)
        assert bench.codes == [128 + number] * 2, "the thread that has written the line exits, too"
    text = "exits now: a second signal came before the shut-down had ended"
    assert logged(caplog) == [(logging.WARNING, "server.stopped", text)]


def test_a_shut_down_that_takes_two_seconds_too_long_ends_the_process(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    flushed: list[bool] = []
    monkeypatch.setattr(bench.signals, "flush", lambda: flushed.append(True))
    with bench.entered:
        bench.pass_time(100.0)
        bench.send(signal.SIGTERM)
        bench.pass_time(4.99)
        assert (logged(caplog), flushed) == ([], [])
        bench.pass_time(0.05)
        assert bench.codes == [1]
    text = "the event loop is blocked and the time to shut down is over: exits now"
    assert (logged(caplog), flushed) == ([(logging.ERROR, "shutdown.overrun", text)], [True])


def test_without_a_signal_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.signals.handle(signal.SIGTERM, signal.SIG_IGN)
    with bench.entered:
        bench.pass_time(100.0)
    bench.pass_time(1.0)
    assert (bench.system.threads.alive, bench.asked, logged(caplog)) == ([], [], [])
    assert bench.signals.handle(signal.SIGTERM, None) == signal.SIG_IGN
    assert bench.signals.handle(signal.SIGINT, None) == signal.SIG_DFL


def test_a_loop_that_wakes_up_by_itself_keeps_its_descriptor() -> None:
    bench = Bench()
    bench.signals.waker = 77
    with bench.entered:
        assert bench.signals.waker == 77
    assert bench.signals.waker == 77


def test_a_descriptor_that_was_set_meanwhile_stays() -> None:
    bench = Bench()
    with bench.entered:
        bench.signals.waker = 88
    assert bench.signals.waker == 88
