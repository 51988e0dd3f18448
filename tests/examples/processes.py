"""Programs that serve, as processes of their own, and what a client needs to reach them. Ended by their own id."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, ROOT

EXAMPLES = ROOT / "examples"


class Program:
    """A running program and the port on which it listens."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def post(self, method: str, params: object) -> Any:
        """One call over HTTP, by the standard library's client: the response."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
            connection.request("POST", "/rpc", body, {"Content-Type": "application/json"})
            return json.load(connection.getresponse())
        finally:
            connection.close()

    def ended(self) -> int:
        """Its exit code, when it has ended."""
        return self.process.wait(PATIENCE)


@contextmanager
def running(script: Path, cwd: Path = ROOT) -> Iterator[Program]:
    """A program that takes a port as its argument (0 picks one) and says in its first line which one it got."""
    command = [sys.executable, "-W", "error", str(script), "0"]
    with subprocess.Popen(
        command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"(\d+)$", said.strip())
            assert found, said + process.stdout.read()
            yield Program(process, int(found[1]))
        finally:
            process.kill()
