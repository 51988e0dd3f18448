"""`serve` as a process whose service has a lifespan: what the log says, and the exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.adapters.loopback import ENVIRONMENT, PATIENCE

SERVICE = """
import sys
import anyio
from posthouse.core import Service

slow_start = Service("slow_start", public=True)
bad_start = Service("bad_start", public=True)
bad_end = Service("bad_end", public=True)
resists = Service("resists", public=True)

@slow_start.lifespan
async def starts_slowly():
    print("starting", file=sys.stderr, flush=True)
    try:
        await anyio.sleep_forever()
    finally:
        print("closed", file=sys.stderr, flush=True)
    yield

@bad_start.lifespan
async def fails():
    raise ConnectionRefusedError("the database is down")
    yield

@bad_end.lifespan
async def fails_at_its_end():
    yield
    raise ValueError("the disk is full")

@resists.lifespan
async def goes_on():
    yield
    while True:
        try:
            await anyio.sleep_forever()
        except BaseException:
            pass
"""


@contextmanager
def served(folder: Path, name: str, backend: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    (folder / "services.py").write_text(SERVICE)
    (folder / "limits.toml").write_text("drain_timeout = 0.2\ndrain_grace = 0.0\ncleanup_grace = 0.1\n")
    command = [sys.executable, "-m", "posthouse", "serve", f"services:{name}", "--port", "0"]
    with subprocess.Popen(
        [*command, "--backend", backend, "--config", "limits.toml", *options],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ends(process: subprocess.Popen[str], after: str | None) -> tuple[int, str]:
    """The exit code and the rest of stderr. SIGTERM is sent when a line contains `after`."""
    assert process.stderr is not None
    if after is not None:
        for line in process.stderr:
            if after in line:
                break
        process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=PATIENCE)
    return process.returncode, rest


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_a_failing_start_is_one_line_with_the_service_and_the_exception_and_exit_code_1(
    tmp_path: Path, backend: str
) -> None:
    with served(tmp_path, "bad_start", backend) as process:
        status, lines = ends(process, None)
    assert status == 1
    first, *rest = lines.splitlines()
    text = "the lifespan of service 'bad_start' failed to start: ConnectionRefusedError: the database is down"
    assert text in first
    assert rest[0].strip().startswith("Traceback")
    assert rest[-1].strip() == "ConnectionRefusedError: the database is down"
    assert "listening" not in lines


def test_in_a_json_log_a_failing_start_is_one_object(tmp_path: Path) -> None:
    with served(tmp_path, "bad_start", "asyncio", "--log-format", "json") as process:
        status, lines = ends(process, None)
    (line,) = lines.splitlines()
    assert (status, json.loads(line)["event"]) == (1, "lifespan.failed")


@BACKENDS
def test_a_signal_during_a_slow_start_ends_it(tmp_path: Path, backend: str) -> None:
    with served(tmp_path, "slow_start", backend) as process:
        status, lines = ends(process, "starting")
    assert status == 0
    assert "closed" in lines
    assert "Traceback" not in lines


@BACKENDS
def test_a_failing_end_is_logged_and_exit_code_1(tmp_path: Path, backend: str) -> None:
    with served(tmp_path, "bad_end", backend) as process:
        status, lines = ends(process, "listening")
    assert status == 1
    assert "the lifespan of service 'bad_end' failed at its end: ValueError: the disk is full" in lines


@BACKENDS
def test_a_lifespan_that_does_not_end_does_not_hold_up_the_process(tmp_path: Path, backend: str) -> None:
    with served(tmp_path, "resists", backend) as process:
        status, lines = ends(process, "listening")
    assert status == 1
    assert "the lifespan of service resists was cancelled, but goes on: the server ends without it" in lines
