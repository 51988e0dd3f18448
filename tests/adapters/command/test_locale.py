"""The command in locales that are not UTF-8: what it prints, the texts that it takes, and its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.loopback import ENVIRONMENT, PATIENCE

SERVICE = """
import logging
from posthouse.core import Service
service = Service("Größe", public=True)

@service.method("grüße")
def greet(name: str) -> str:
    "Grüße jemanden — auch so: ☃."
    print("für", name)
    logging.warning("größer ☃")
    return f"Grüße, {name}!"
"""

LOCALES: dict[str, dict[str, str]] = {
    "C": {"LC_ALL": "C"},
    "C, not coerced": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "ascii streams": {"PYTHONIOENCODING": "ascii"},
    "latin-1 streams": {"PYTHONIOENCODING": "latin-1"},
}

STDIO = f"stdio:{sys.executable} -m posthouse stdio app:service"


@pytest.fixture(params=LOCALES)
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    named = ("LANG", "LC_ALL", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE")
    return {name: value for name, value in ENVIRONMENT.items() if name not in named} | LOCALES[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(SERVICE, encoding="utf-8")
    (tmp_path / "limits.toml").write_text("# Größe\ncall_timeout = 5.0\n", encoding="utf-8")
    return tmp_path


def posthouse(
    folder: Path, environment: dict[str, str], *words: str, given: str = ""
) -> subprocess.CompletedProcess[bytes]:
    command: list[str | bytes] = [sys.executable, "-m", "posthouse", *(word.encode() for word in words)]
    return subprocess.run(
        command, cwd=folder, env=environment, input=given.encode(), capture_output=True, timeout=PATIENCE
    )


def test_what_cannot_be_printed_is_escaped(folder: Path, environment: dict[str, str]) -> None:
    done = posthouse(folder, environment, "check", "app:service")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8"))
    assert shown.startswith(("Größe 0.0.0: 1 method", "Gr\\xf6\\xdfe 0.0.0: 1 method"))
    assert any(text in shown for text in ("auch so: ☃", "auch so: \\u2603"))


def test_arguments_are_utf_8_and_so_are_results(folder: Path, environment: dict[str, str]) -> None:
    done = posthouse(folder, environment, "call", STDIO, "grüße", "name=Ödön ☃")
    assert (done.returncode, done.stdout.decode()) == (0, '"Grüße, Ödön ☃!"\n'), done.stderr


def test_pipes_speak_utf_8_and_a_service_prints(folder: Path, environment: dict[str, str]) -> None:
    request = '{"jsonrpc":"2.0","method":"grüße","params":["Ödön"],"id":"ß"}\n'
    options = ("--config", "limits.toml", "--journal", "größe.journal", "--log-format", "json")
    done = posthouse(folder, environment, "stdio", "app:service", *options, given=request)
    assert done.stdout.decode() == '{"jsonrpc":"2.0","result":"Grüße, Ödön!","id":"ß"}\n', done.stderr
    logged = [line for line in done.stderr.splitlines() if line.startswith(b"{")]
    (printed,) = [line for line in done.stderr.splitlines() if line not in logged]
    assert printed.startswith(b"f")
    assert "größer ☃" in [json.loads(line)["message"] for line in logged]
    assert os.listdir(folder).count("größe.journal") == 1
    replayed = posthouse(folder, environment, "replay", "größe.journal", "app:service", "--check")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stderr.endswith(b"no invariant is violated\n")
