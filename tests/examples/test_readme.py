"""The service of the README and the loop of docs/embedding.md work together, and are as short as they should be."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, RINGS, ROOT, text

from .processes import Program, running

README = (ROOT / "README.md").read_text()
EMBEDDING = (ROOT / "docs" / "embedding.md").read_text()

PYTHON = re.compile(r"```python(?: [^\n]*)?\n(.*?)```", re.DOTALL)


def lines(source: str) -> int:
    """How many lines say something."""
    return sum(bool(line.strip()) for line in source.splitlines())


def service() -> str:
    match = PYTHON.search(README, README.index("## A service"))
    assert match is not None
    return match[1]


def loop() -> str:
    match = PYTHON.search(EMBEDDING[: EMBEDDING.index("<!-- loop:end -->")], EMBEDDING.index("<!-- loop:begin -->"))
    assert match is not None
    return match[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greeter.py").write_text(service())
    (tmp_path / "loop.py").write_text(loop())
    return tmp_path


@pytest.fixture
def looping(folder: Path) -> Iterator[Program]:
    with running(folder / "loop.py", folder) as program:
        yield program


def posthouse(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "posthouse", *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_they_are_as_short_as_they_should_be() -> None:
    assert lines(service()) <= 15
    assert lines(loop()) <= 20


def test_a_type_checker_has_nothing_against_them(folder: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "greeter.py", "loop.py"]
    done = subprocess.run(
        [*command, f"--cache-dir={os.devnull}"],
        cwd=folder,
        env={**ENVIRONMENT, "MYPYPATH": RINGS},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_service_declares_what_it_says(folder: Path) -> None:
    said = posthouse(folder, "check", "greeter:service")
    assert "greet" in said
    assert "report.build" in said


def test_the_service_is_called_over_a_pipe(folder: Path) -> None:
    stdio = f"stdio:{shlex.quote(sys.executable)} -m posthouse stdio greeter:service"
    said = posthouse(folder, "call", stdio, "greet", "name=Ada", "times:=2")
    assert json.loads(said) == ["Hello, Ada!", "Hello, Ada!"]
    assert json.loads(posthouse(folder, "call", stdio, "report.build", "year:=2026")) == {"year": 2026}


def test_the_loop_serves_one_client_after_another(looping: Program) -> None:
    for name in ("Ada", "Grace"):
        assert looping.post("greet", {"name": name})["result"] == [f"Hello, {name}!"]


def test_the_loop_answers_every_method_of_the_service_and_goes_on(looping: Program) -> None:
    for _ in range(2):
        assert looping.post("greet", {"name": "Ada", "times": 2})["result"] == ["Hello, Ada!"] * 2
        error = {"code": -32000, "message": "this loop runs plain functions"}
        assert looping.post("report.build", {"year": 2026})["error"] == error
        methods = looping.post("rpc.discover", {})["result"]["methods"]
        assert [method["name"] for method in methods if "." not in method["name"]] == ["greet"]


def test_the_loop_speaks_websocket(looping: Program) -> None:
    for _ in range(2):
        with connect(f"ws://127.0.0.1:{looping.port}/ws", open_timeout=PATIENCE) as client:
            client.send(text("greet", ["Ada"]).decode())
            assert json.loads(client.recv(PATIENCE))["result"] == ["Hello, Ada!"]
