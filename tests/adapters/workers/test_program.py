"""`run` with several processes: the program starts again for each worker."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import pytest
from posthouse.adapters import run
from posthouse.adapters.store import SqliteStore
from posthouse.core import Service, UsageError

from tests.adapters.command.test_workers import Run
from tests.adapters.loopback import ENVIRONMENT, PATIENCE

PROGRAM = """
import logging, os
from posthouse.adapters import run
from posthouse.core import Config, Service

logging.basicConfig(level="INFO")
service = Service("programmed", public=True)

@service.method
def pid() -> int:
    return os.getpid()

if __name__ == "__main__":
    places = {"host": "127.0.0.1", "port": 0, "unix": "socket", "metrics": "127.0.0.1:0"}
    run(service, processes=2, config=Config(drain_spread=0.0), started=print, **places)
"""


def test_a_program_serves_with_several_processes_and_replaces_them(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, "program.py"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        patience = Timer(PATIENCE, process.kill)
        patience.start()
        try:
            program = Run(process)
            found = re.search(
                r"listening on http://127.0.0.1:(\d+)", program.wait_for("listening on http://127.0.0.1:")
            )
            assert found
            program.port = int(found[1])
            program.wait_for("listening on unix:")
            before = {program.call("pid") for _ in range(20)} - {None}
            assert process.pid not in before
            process.send_signal(signal.SIGHUP)
            program.wait_for("all workers are replaced")
            after = {program.call("pid") for _ in range(20)} - {None}
            assert after and not before & after
            process.send_signal(signal.SIGTERM)
            reading = Thread(target=process.stderr.read if process.stderr else None)
            reading.start()
            assert process.wait(PATIENCE) == 0
            reading.join()
        finally:
            patience.cancel()
            process.kill()


def test_a_program_whose_service_cannot_be_served_exits_with_1(tmp_path: Path) -> None:
    program = PROGRAM.replace("started=print", "tls_cert='nowhere.pem'").replace('"unix": "socket", ', "")
    (tmp_path / "program.py").write_text(program)
    words = [sys.executable, "program.py"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE)
    assert ended.returncode == 1
    assert ended.stderr.count("nowhere.pem") >= 1


def mistake(service: Service = Service("plain", public=True), **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        run(service, **options)
    return str(caught.value)


def test_what_several_processes_cannot_have_is_a_mistake_with_a_remedy(tmp_path: Path) -> None:
    topical = Service("topical", public=True)
    topical.topic("news")
    assert mistake(processes=0) == "processes is 0, but must be a whole number of at least 1"
    assert mistake(processes=True).startswith("processes is True, but must be a whole number")
    assert mistake(Service("kept", sessions="on"), processes=2) == (
        "service kept has sessions or users, which one process keeps: leave out processes"
    )
    assert mistake(topical, processes=2) == ("service topical has topics, which one process keeps: leave out processes")
    assert mistake(processes=2, journal="j") == "journal is for one process: leave out processes"
    assert mistake(processes=2, store=SqliteStore(tmp_path / "s")) == "store is for one process: leave out processes"
    assert mistake(processes=2, host="10.0.0.1").startswith("10.0.0.1 is not a loopback address")
    assert mistake(processes=2, port="80").startswith("port is '80'")


def test_several_processes_need_the_main_thread() -> None:
    said: list[str] = []
    thread = Thread(target=lambda: said.append(mistake(processes=2)))
    thread.start()
    thread.join(PATIENCE)
    assert said == ["processes needs the main thread: call run there"]
