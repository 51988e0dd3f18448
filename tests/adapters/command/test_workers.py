"""`serve --workers` and `--reload`, as processes: under load, with workers that are replaced and killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Timer
from typing import Any
from urllib.request import urlopen

import pytest
from posthouse.adapters.command import workers
from posthouse.adapters.command.main import main
from prometheus_client.parser import text_string_to_metric_families

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, post, text

SERVICE = """
import os
from posthouse.core import Service

service = Service("counted", public=True)

@service.method
def pid() -> int:
    return os.getpid()

@service.method
def version() -> int:
    return 1
"""


class Run:
    """A command in a process of its own, with its log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = 0
        self.lines: list[str] = []

    def wait_for(self, *parts: str) -> str:
        """Read the log until a line has all of these parts."""
        assert self.process.stderr is not None
        while True:
            line = self.process.stderr.readline()
            assert line, f"it has ended: {self.lines}"
            self.lines.append(line)
            if all(part in line for part in parts):
                return line

    def ask(self, request: bytes) -> Any:
        """The JSON body of the answer on a new connection. None: the connection was closed or reset before one came."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
                client.sendall(request.replace(b"Host: localhost\r\n", b"Host: localhost\r\nConnection: close\r\n"))
                answer = b""
                while more := client.recv(65_536):
                    answer += more
        except (ConnectionResetError, BrokenPipeError):
            return None
        return json.loads(answer.partition(b"\r\n\r\n")[2]) if answer else None

    def call(self, method: str) -> Any:
        """The result of a call on a new connection. None: the worker ended, or told that it is about to."""
        answer = self.ask(post(text(method)))
        if answer is None or answer.get("error", {}).get("code") == -32050:
            return None
        return answer["result"]


@contextmanager
def command(folder: Path, *words: str) -> Iterator[Run]:
    (folder / "counted.py").write_text(SERVICE)
    (folder / "limits.toml").write_text("drain_spread = 0.0\n")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "posthouse",
            "serve",
            "counted:service",
            "--port",
            "0",
            "--config",
            "limits.toml",
            *words,
        ],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    run = Run(process)
    patience = Timer(PATIENCE, process.kill)  # then its log ends
    patience.start()
    try:
        run.port = int(run.wait_for("listening on http://127.0.0.1:").rsplit(":", 1)[1])
        yield run
    finally:
        patience.cancel()
        process.kill()
        process.communicate()


def test_no_call_is_lost_while_workers_are_replaced_and_killed(tmp_path: Path) -> None:
    with command(tmp_path, "--workers", "2") as run, ThreadPoolExecutor() as pool:
        ended = Event()

        def calls() -> list[Any]:
            results = []
            while not ended.is_set():
                results.append(run.call("pid"))
            return results

        clients = [pool.submit(calls) for _ in range(2)]
        try:
            run.wait_for("worker started, worker=2")
            run.process.send_signal(signal.SIGHUP)
            run.wait_for("all workers are replaced")
            os.kill(run.call("pid"), signal.SIGKILL)
            run.wait_for("a worker died", "status=-9")
            run.wait_for("worker started, worker=5")
        finally:
            ended.set()
        results = [result for client in clients for result in client.result(PATIENCE)]
        assert len(set(results) - {None}) >= 4
        assert results.count(None) <= 20  # sockets that a worker had accepted just before it ended
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == 0


def test_health_tells_of_all_workers(tmp_path: Path) -> None:
    with command(tmp_path, "--workers", "2") as run:
        workers: list[dict[str, Any]] = []
        while [worker["status"] for worker in workers] != ["healthy", "healthy"]:
            workers = run.ask(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").get("workers", [])
        assert [(worker["worker"], worker["place"]) for worker in workers] == [(1, 0), (2, 1)]
        assert set(workers[0]) == {"worker", "place", "status", "connections", "calls", "memory"}


def test_metrics_tell_of_all_workers_whichever_answers(tmp_path: Path) -> None:
    with command(tmp_path, "--workers", "2", "--metrics", "127.0.0.1:0") as run:
        port = int(run.wait_for("metrics are at http://127.0.0.1:").split("//")[1].split("/")[0].split(":")[1])
        for _ in range(6):
            assert isinstance(run.call("pid"), int)
        calls = 0.0
        while calls < 6:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
                families = {each.name: each for each in text_string_to_metric_families(answer.read().decode())}
            samples = [each for each in families["posthouse_calls_made"].samples if each.name.endswith("_total")]
            calls = sum(sample.value for sample in samples)
            if calls == 6:
                assert [sample.labels["worker"] for sample in samples] == ["0", "1"]


def test_a_changed_file_is_loaded_and_a_broken_one_is_not(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    with command(tmp_path, "--reload") as run:
        assert run.call("version") == 1
        (tmp_path / "counted.py").write_text(SERVICE.replace("return 1", "return 2"))
        run.wait_for("all workers are replaced")
        assert run.call("version") == 2
        (tmp_path / "counted.py").write_text("this is no Python")
        run.wait_for("a new worker ended before it served: the old ones go on")
        assert run.call("version") == 2


def test_a_worker_whose_store_is_a_file_ends_before_its_successor_opens_it(tmp_path: Path) -> None:
    with command(tmp_path, "--workers", "1", "--store", "rows.sqlite") as run:
        before = run.call("pid")
        run.process.send_signal(signal.SIGHUP)
        run.wait_for("all workers are replaced")
        assert run.call("pid") != before
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == 0


def test_a_service_that_does_not_exist_is_reported_once(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "posthouse", "serve", "nowhere:service", "--workers", "3", "--port", "0"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE)
    assert ended.returncode == 2
    assert ended.stderr.count("no module named nowhere") == 1


def test_an_address_in_use_is_an_error_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--workers", "2", "--port", str(taken.getsockname()[1])]) == 1
    assert "another program listens there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--workers", "2", "--journal", "j"], "--journal records one process: leave out --workers and --reload"),
        (["--reload", "--journal", "j"], "--journal records one process"),
        (["--reload", "--workers", "2"], "--reload is for development, with one worker: leave out --workers"),
        (["--workers", "0"], "'0' is not a whole number of at least 1"),
    ],
)
def test_options_that_exclude_each_other_are_a_mistake(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words]) == 2
    assert problem in capsys.readouterr().err


def test_a_service_with_sessions_needs_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keeping.py").write_text(
        "from posthouse.core import Service\nservice = Service('kept', sessions='on')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["serve", "keeping:service", "--workers", "2"]) == 2
    assert "service kept has sessions or users, which one process keeps" in capsys.readouterr().err


def test_reload_names_the_extra_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    assert main(["serve", "--reload"]) == 2
    said = capsys.readouterr().err
    assert "watchfiles is not installed" in said and "pip install 'posthouse[reload]'" in said


def test_a_worker_gets_the_options_that_do_not_concern_the_addresses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[tuple[list[str], list[int]]] = []

    class Noted:
        """A supervisor that starts nothing."""

        def __init__(self, roster: Any, command: Any, descriptors: Any, *, serves: Any) -> None:
            commands.extend((command(place), descriptors(place)) for place in range(2))

        def run(self) -> int:
            return 7

    monkeypatch.setattr(workers, "Supervisor", Noted)
    path = tmp_path / "s"
    given = (
        f"serve calculator:service --workers 2 --host 127.0.0.1 --port 0 --unix {path} --allow-host a --allow-host b"
    )
    assert main([*given.split(), "--dev", "--backend", "trio", "--access-log"]) == 7
    for words, fds in commands:
        assert words[:4] == [sys.executable, "-m", "posthouse", "serve"]
        rest = "calculator:service --allow-host a --allow-host b --dev --backend trio --access-log"
        assert " ".join(words[4:]) == f"{rest} --fd {fds[0]} --fd {fds[1]}"
    assert commands[0][1][0] != commands[1][1][0] and commands[0][1][1] == commands[1][1][1]
    assert not path.exists()
