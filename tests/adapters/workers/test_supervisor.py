"""The supervisor with real processes: small workers that do what their place says."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from tests.adapters.loopback import ENVIRONMENT, PATIENCE

SUPERVISOR = """
import logging, os, sys
from posthouse.adapters.workers.roster import Patience, Roster
from posthouse.adapters.workers.supervisor import Supervisor

logging.basicConfig(level="INFO", format="%(event)s", stream=sys.stdout)
code, count = sys.argv[1], int(sys.argv[2])
roster = Roster(count, Patience(start=float(sys.argv[3]), stop=float(sys.argv[3]), silence=float(sys.argv[3])))
supervisor = Supervisor(
    roster,
    lambda place: [sys.executable, "-u", "-c", code, str(place)],
    lambda place: [],
    serves=lambda: sys.stdout.write("serves\\n"),
)
sys.exit(supervisor.run())
"""

WORKER = """
import os, select, signal, socket, sys, time
from posthouse.adapters.workers.wire import VARIABLE, Wire

wire = Wire(socket.socket(fileno=int(os.environ[VARIABLE])))
ended, known = False, 0

def end(number, frame):
    global ended
    ended = True

signal.signal(signal.SIGTERM, end)
place = sys.argv[1]
assert os.environ.get("NOTIFY_SOCKET") is None
wire.tell({"status": "healthy", "connections": int(place), "pid": os.getpid()})
sys.stdout.write(f"worker {place} {os.getpid()}\\n")  # in one piece
while not ended:
    try:
        ready = select.select([wire.socket], [], [], 0.05)[0]
    except InterruptedError:
        continue
    heard = wire.hear() if ready else []
    if heard is None:
        sys.exit(0)
    if heard and len(heard[-1]) != known:
        known = len(heard[-1])
        sys.stdout.write(f"heard {known}\\n")
    wire.tell({"status": "healthy"})
"""

FAILS = "import sys; sys.stdout.write('the service is wrong\\n'); sys.exit(2)"

SILENT = WORKER.replace('    wire.tell({"status": "healthy"})\n', "").replace(
    "signal.SIGTERM, end", "signal.SIGTERM, signal.SIG_IGN"
)


class Supervised:
    """A supervisor in a process of its own, and the lines that it and its workers have printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def read(self) -> str:
        """The next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it has ended: {self.lines}"
        self.lines.append(line.rstrip("\n"))
        return self.lines[-1]

    def wait_for(self, start: str, count: int = 1) -> None:
        """Read until so many lines have started so, from the first one on."""
        while sum(line.startswith(start) for line in self.lines) < count:
            self.read()

    def pids(self, count: int) -> dict[str, int]:
        """The process of each place, of the next so many workers that serve."""
        found: dict[str, int] = {}
        while len(found) < count:
            word, *rest = self.read().split()
            if word == "worker":
                found[rest[0]] = int(rest[1])
        return found

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def supervised(worker: str, count: int, patience: float = PATIENCE) -> Iterator[Supervised]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, worker, str(count), str(patience)],
        stdout=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, "NOTIFY_SOCKET": "/nowhere", "PYTHONUNBUFFERED": "1"},
    )
    killing = Timer(PATIENCE, process.kill)  # then its output ends
    killing.start()
    try:
        yield Supervised(process)
    finally:
        killing.cancel()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_with_so_many_workers_and_ends_with_the_last(number: signal.Signals) -> None:
    with supervised(WORKER, 2) as run:
        assert sorted(run.pids(2)) == ["0", "1"]
        assert run.lines.count("serves") == 1
        run.wait_for("heard 2", 2)
        assert run.end(number) == 0


def test_a_worker_that_dies_is_followed(tmp_path: Path) -> None:
    with supervised(WORKER, 2) as run:
        before = run.pids(2)
        os.kill(before["1"], signal.SIGKILL)
        run.wait_for("worker.died")
        after = run.pids(1)
        assert list(after) == ["1"] and after["1"] != before["1"]
        assert run.end(signal.SIGTERM) == 0


def test_a_hang_up_replaces_all_of_them() -> None:
    with supervised(WORKER, 2) as run:
        before = run.pids(2)
        run.process.send_signal(signal.SIGHUP)
        after = run.pids(2)
        run.wait_for("workers.replaced")
        assert sorted(after) == ["0", "1"]
        assert not set(before.values()) & set(after.values())
        for pid in before.values():
            with pytest.raises(ProcessLookupError):  # it has ended, and was waited for
                os.kill(pid, 0)
        assert run.end(signal.SIGTERM) == 0


def test_a_service_that_is_wrong_is_reported_once_and_its_exit_code_kept() -> None:
    with supervised(FAILS, 3) as run:
        run.wait_for("workers.failed")
        assert run.process.wait(PATIENCE) == 2
        assert run.lines.count("the service is wrong") == 1


def test_a_worker_that_keeps_silent_is_killed() -> None:
    with supervised(SILENT, 1, patience=0.5) as run:
        before = run.pids(1)
        run.wait_for("worker.overdue")
        assert run.pids(1) != before
        assert run.end(signal.SIGTERM) == 1  # it ignores that, and is killed


def test_a_command_that_cannot_be_run_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    from posthouse.adapters.workers.roster import Roster
    from posthouse.adapters.workers.supervisor import Supervisor

    caplog.set_level(logging.INFO)
    supervisor = Supervisor(Roster(2), lambda place: ["/nowhere/posthouse"], lambda place: [])
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)]
    assert supervisor.run() == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)] == handlers
    assert [vars(record)["event"] for record in caplog.records] == ["worker.not_started", "workers.failed"]


def test_the_workers_end_with_a_supervisor_that_is_killed() -> None:
    with supervised(WORKER, 1) as run:
        run.pids(1)
        run.process.kill()
        assert run.process.stdout is not None
        run.process.stdout.read()  # ends when the worker has closed its end, too
