"""The ASGI application under uvicorn as a process: a signal closes its WebSockets, and then ends the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.adapters.asgi.programs import PROGRAM, free_port, wait_for
from tests.adapters.loopback import ENVIRONMENT, PATIENCE, text

BARE = """
async def app(scope, receive, send):
    raise NotImplementedError
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with our application, and with one that has nothing of ours."""
    (tmp_path / "small.py").write_text(PROGRAM)
    (tmp_path / "bare.py").write_text(BARE)
    return tmp_path


@pytest.mark.parametrize(("app", "lifespan"), [("small:app", "on"), ("small:app", "off"), ("bare:app", "auto")])
def test_uvicorn_ends_by_its_signal_whatever_its_application_and_websockets_are_closed_before(
    place: Path, app: str, lifespan: str
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--lifespan", lifespan, app]
    with subprocess.Popen(
        command, cwd=place, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            wait_for(port, process)
            if app == "small:app":
                with connect(f"ws://127.0.0.1:{port}/ws", open_timeout=PATIENCE, close_timeout=PATIENCE) as client:
                    client.send(text("add", [3, 4]).decode())
                    assert json.loads(client.recv(PATIENCE))["result"] == 7
                    process.send_signal(signal.SIGTERM)
                    with pytest.raises(ConnectionClosed) as closed:
                        while True:
                            client.recv(PATIENCE)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
            else:
                process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == -signal.SIGTERM
        finally:
            process.kill()
