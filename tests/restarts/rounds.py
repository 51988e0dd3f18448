"""A server with two workers, called without a pause over HTTP and WebSocket, while its workers are replaced and killed.

Each handler notes its call in a file, with its process, before anything else. So it is known which calls were accepted,
and by whom: a call without an outcome may only be one that no handler has seen, or one of a worker that was killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import Final, Literal

from msgspec import Struct, field
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from tests.adapters.loopback import ENVIRONMENT, PATIENCE

SERVICE: Final = """
import os, time
from posthouse.core import Service

service = Service("noted", public=True)
notes = os.open("notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


@service.method(blocking=True)
def note(id: str) -> int:
    os.write(notes, f"{id} {os.getpid()}\\n".encode())
    time.sleep(0.01)
    return os.getpid()
"""

HTTP_CLIENTS: Final = 4
WEBSOCKET_CLIENTS: Final = 4

Outcome = Literal["result", "error", "none", "refused"]
"""Of one call: it was answered, it was answered with an error, its connection ended before, or there was no connection:
the port was lost."""


class Found(Struct):
    """What has happened. `lost` must be empty: the calls that a handler has seen, in a worker that was not killed, and
    that have no outcome."""

    restarts: int
    kills: int
    outcomes: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    cut: int = 0
    lost: list[str] = field(default_factory=list)
    zombies: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    status: int | None = None

    def __str__(self) -> str:
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self.outcomes.items()))
        return (
            f"{self.restarts} restarts and {self.kills} kills under load: {self.outcomes.total()} calls ({told}); "
            f"{self.accepted} were accepted, {self.cut} of them were cut off with a worker that was killed, "
            f"{len(self.lost)} were lost; connections refused: {self.outcomes['refused']}; "
            f"zombies: {len(self.zombies)}; processes left: {len(self.left)}; exit code {self.status}"
        )


class Server:
    """The command, and what its log has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process: Final = process
        self._lines: Final[Queue[str]] = Queue()
        self._reader: Final = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port: Final = int(self.wait_for("listening on http://127.0.0.1:").rsplit(":", 1)[1])

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as log:
            for line in log:
                self._lines.put(line)
        self._lines.put("")

    def end(self) -> None:
        """Kill it, and read its log to the end: its workers end, too."""
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)

    def wait_for(self, part: str) -> str:
        """The next line with this part."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            assert line, "the server has ended"
            if part in line:
                return line

    def children(self) -> dict[int, str]:
        """The states of the workers, by process."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                pid, _, rest = stat.read_text().partition(" (")
                state, parent = rest.rpartition(") ")[2].split()[:2]
                if int(parent) == self.process.pid:
                    found[int(pid)] = state
        return found


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The server, with two workers."""
    (folder / "noted.py").write_text(SERVICE, encoding="utf-8")
    (folder / "limits.toml").write_text("drain_spread = 0.0\n", encoding="utf-8")
    words = "-m posthouse serve noted:service --workers 2 --port 0 --config limits.toml".split()
    process = subprocess.Popen([sys.executable, *words], cwd=folder, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    server = Server(process)
    try:
        yield server
    finally:
        server.end()


def rounds(folder: Path, restarts: int, kills: int) -> Found:
    """Replace the workers so often, then kill one so often, under load. Returns what was found."""
    found = Found(restarts, kills)
    outcomes: dict[str, Outcome] = {}
    numbers, ended = count(), Event()
    killed: list[int] = []
    with serving(folder) as server, ThreadPoolExecutor(HTTP_CLIENTS + WEBSOCKET_CLIENTS) as pool:

        def new_id() -> str:
            return f"c{next(numbers)}"

        def load(client: Callable[[int, Callable[[], str], dict[str, Outcome], Event], None]) -> Future[None]:
            return pool.submit(client, server.port, new_id, outcomes, ended)

        server.wait_for("worker=2")
        clients = [load(over_http) for _ in range(HTTP_CLIENTS)] + [
            load(over_websocket) for _ in range(WEBSOCKET_CLIENTS)
        ]
        try:
            for _ in range(restarts):
                server.process.send_signal(signal.SIGHUP)
                server.wait_for("all workers are replaced")
                found.zombies += zombies(server)
            for _ in range(kills):
                victim = next(pid for pid, state in sorted(server.children().items()) if state != "Z")
                killed.append(victim)
                os.kill(victim, signal.SIGKILL)
                server.wait_for("a worker died")
                server.wait_for("worker started")
                found.zombies += zombies(server)
        finally:
            ended.set()
        for each in clients:
            each.result(PATIENCE)
        workers = list(server.children())
        server.process.send_signal(signal.SIGTERM)
        found.status = server.process.wait(PATIENCE)
    found.left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    found.outcomes.update(outcomes.values())
    for line in (folder / "notes").read_text().splitlines():
        id, pid = line.split()
        found.accepted += 1
        if outcomes[id] in ("none", "refused"):
            if int(pid) in killed:
                found.cut += 1
            else:
                found.lost.append(id)
    return found


def zombies(server: Server) -> list[int]:
    """The workers that have ended and that nobody has waited for."""
    return [pid for pid, state in server.children().items() if state == "Z"]


def over_http(port: int, new_id: Callable[[], str], outcomes: dict[str, Outcome], ended: Event) -> None:
    """Call on one connection as long as it lasts, and then on the next one."""
    while not ended.is_set():
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.connect()
        except ConnectionRefusedError:
            outcomes[new_id()] = "refused"
            continue
        open_ = True
        while open_ and not ended.is_set():
            id = new_id()
            outcomes[id] = "none"
            with suppress(OSError, HTTPException):
                connection.request("POST", "/rpc", request(id), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                outcomes[id] = outcome_of(answer.read())
                open_ = not answer.will_close
            open_ = open_ and outcomes[id] != "none"
        connection.close()


def over_websocket(port: int, new_id: Callable[[], str], outcomes: dict[str, Outcome], ended: Event) -> None:
    """Call on one WebSocket as long as it lasts, and then on the next one."""
    while not ended.is_set():
        try:
            client = connect(f"ws://127.0.0.1:{port}/ws", open_timeout=PATIENCE, ping_interval=None)
        except ConnectionRefusedError:
            outcomes[new_id()] = "refused"
            continue
        except (OSError, EOFError, InvalidHandshake):
            continue  # its worker has ended, or is about to
        id = ""
        with client, suppress(ConnectionClosed):
            while not ended.is_set():
                id = new_id()
                outcomes[id] = "none"
                client.send(request(id))
                while outcomes[id] == "none":
                    text = client.recv(PATIENCE)
                    if json.loads(text).get("id") == id:
                        outcomes[id] = outcome_of(text)


def request(id: str) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": "note", "params": [id], "id": id})


def outcome_of(text: str | bytes) -> Outcome:
    return "result" if "result" in json.loads(text) else "error"
