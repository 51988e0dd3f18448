"""A process ends in time, whatever its handlers do: resist their cancellation, or block the loop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from posthouse.adapters import Server, run
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, post, text

SERVER = """
import sys, time, anyio
from posthouse.adapters import run
from posthouse.adapters.server import signals
from posthouse.core import Config, Service
signals.SPARE = 0.2
service = Service("resisting", public=True)

@service.method
async def resists() -> None:
    print("begun", flush=True)
    while True:
        try:
            await anyio.sleep_forever()
        except BaseException:
            pass

@service.method
def blocks() -> None:
    print("begun", flush=True)
    while True:
        time.sleep(0.01)

config = Config(drain_grace=0.0, drain_timeout=0.2, drain_spread=0.0, close_timeout=0.2, watchdog_warn=60.0)
run(service, backend=sys.argv[1], port=0, config=config,
    started=lambda server: print(server.bound[0].port, flush=True))
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("method", "said"), [("resists", "resists was cancelled"), ("blocks", "loop is blocked")])
def test_a_process_ends_whatever_a_handler_does(backend: str, method: str, said: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, backend],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as client:
            client.sendall(post(text(method)))
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 1
        logged = process.stderr.read()
    assert logged.count(said) == 1 and "Traceback" not in logged


def test_run_serves_in_a_thread_which_has_no_signals() -> None:
    service = Service("threaded", public=True)
    servers: list[Server] = []
    begun = threading.Event()

    def started(server: Server) -> None:
        servers.append(server)
        begun.set()

    thread = threading.Thread(target=lambda: run(service, port=0, config=Config(drain_spread=0.0), started=started))
    thread.start()
    assert begun.wait(PATIENCE)
    with socket.create_connection(("127.0.0.1", servers[0].bound[0].port)) as client:
        client.sendall(post(text("connection.ping")))
        assert json.loads(client.recv(4096).partition(b"\r\n\r\n")[2])["id"] == 1
    servers[0].shut_down()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_signals_in_another_thread_are_refused_with_the_remedy() -> None:
    raised: list[BaseException] = []

    def main(serving: Callable[[], None]) -> None:
        try:
            serving()
        except UsageError as error:
            raised.append(error)

    thread = threading.Thread(target=main, args=(lambda: run(Service("threaded"), port=0, signals=True),))
    thread.start()
    thread.join(PATIENCE)
    assert str(raised[0]) == "signals=True needs the main thread: use signals=False, and end the server with shut_down"
