"""`posthouse stdio`: options, the order of its steps, and real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from posthouse.adapters.command.main import main
from posthouse.adapters.command.subcommands import stdio
from posthouse.core.service.service import Service

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
COMMAND = [sys.executable, "-m", "posthouse"]

pytestmark = pytest.mark.usefixtures("in_the_examples")


def test_stdio_takes_the_pipes_before_it_imports_the_service(
    ran: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[object] = []

    def take_pipes() -> tuple[int, int]:
        order.append("pipes")
        return 8, 9

    monkeypatch.setattr(stdio, "take_pipes", take_pipes)

    def load(target: str) -> Service:
        order.append(target)
        return Service("loaded")

    monkeypatch.setattr(stdio, "load_service", load)
    assert main(["stdio", "calculator:service", "--dev"]) == 0
    assert order == ["pipes", "calculator:service"]
    assert (ran["pipes"], ran["dev"], ran["backend"]) == ([(8, 9)], True, "asyncio")


# Real processes


def test_prints_of_the_service_do_not_mix_with_the_messages_of_stdio(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "print('imported')\nfrom posthouse.core import Service\nservice = Service('loud', public=True)\n"
        "@service.method\ndef shout(text: str) -> str:\n    print('called')\n    return text.upper()\n"
    )
    request = {"jsonrpc": "2.0", "method": "shout", "params": ["hi"], "id": 1}
    done = subprocess.run(
        [*COMMAND, "stdio", "loud:service"], cwd=tmp_path, input=json.encode(request) + b"\n", capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b'{"jsonrpc":"2.0","result":"HI","id":1}\n'), done.stderr
    assert b"imported\n" in done.stderr
    assert b"called\n" in done.stderr


@pytest.mark.parametrize(
    ("said", "code"), [(b"nonsense\n" * 12, 4400), (b"Content-Length: x\r\n\r\n", 1002), (b"nonsense\n", None)]
)
def test_stdio_is_exit_code_1_if_the_server_closed_the_connection(said: bytes, code: int | None) -> None:
    command = [*COMMAND, "stdio", "calculator:service"]
    done = subprocess.run(command, cwd=EXAMPLES, input=said, capture_output=True)
    assert done.returncode == (0 if code is None else 1)
    assert (f"closed the connection with code {code}\n".encode() in done.stderr) is (code is not None)
