"""The ASGI application under granian, a server that is not written in Python: calls both ways, and the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

from websockets.sync.client import connect

from tests.adapters.asgi.programs import PROGRAM, free_port, wait_for
from tests.adapters.loopback import ENVIRONMENT, PATIENCE, text


def test_granian_serves_the_application_and_ends(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(PROGRAM)
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port), "small:app"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            wait_for(port, process)
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            for _ in range(3):  # the application knows the head from the second one on
                connection.request("POST", "/", text("add", [1, 2]), {"Content-Type": "application/json"})
                assert json.load(connection.getresponse())["result"] == 3
            connection.close()
            with connect(f"ws://127.0.0.1:{port}/ws", open_timeout=PATIENCE, close_timeout=PATIENCE) as client:
                client.send(text("add", [3, 4]).decode())
                assert json.loads(client.recv(PATIENCE))["result"] == 7
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.terminate()  # it ends its worker, which would outlive it otherwise
