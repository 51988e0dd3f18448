"""Where an attack takes place: a server, our own or another's, and what can be known of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import asdict
from posthouse.core import Config

from tests.adapters.loopback import ENVIRONMENT, ROOT

from .peer import PATIENCE, Peer, Place

Backend = Literal["asyncio", "trio"]


class Failed(Exception):
    """The server did not do what it must: what it did."""


def require(condition: bool, seen: str) -> None:
    """Raise Failed with what was seen, unless the condition holds."""
    if not condition:
        raise Failed(seen)


class Field:
    """A server that is attacked. `own` is the process of our reference server, None for anybody else's."""

    def __init__(self, place: Place, own: subprocess.Popen[str] | None = None, log: Path | None = None) -> None:
        self.place: Final = place
        self.own: Final = own
        self._log: Final = log

    def connect(self, *, window: int | None = None) -> Peer:
        """A connection."""
        return Peer(self.place, window=window)

    def websocket(self, *, deflate: bool = False) -> Peer:
        """A WebSocket."""
        peer = self.connect()
        try:
            peer.upgrade(deflate=deflate)
        except BaseException:
            peer.socket.close()
            raise
        return peer

    def ask(self, method: str, params: object = ()) -> Any:
        """The result of one call over a connection of its own."""
        with self.connect() as peer:
            return peer.result(method, params)

    def logged(self) -> str:
        """What our reference server has written to its log."""
        return "" if self._log is None else self._log.read_text(encoding="utf-8")

    def terminate(self) -> None:
        """Tell our reference server to leave, as the system does."""
        assert self.own is not None
        self.own.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """That of our reference server, when it has left."""
        assert self.own is not None
        return self.own.wait(PATIENCE)


class Terms(Struct, frozen=True):
    """What a reference server is started with: its limits, and how many descriptors it may have (None: as we)."""

    limits: Config = Config()
    descriptors: int | None = None


@contextmanager
def reference_server(terms: Terms, backend: Backend = "asyncio") -> Iterator[Field]:
    """Our own server in a process of its own, on a free port of 127.0.0.1. Ended by its id if it still runs."""
    defaults = asdict(Config())
    changed = {name: value for name, value in asdict(terms.limits).items() if value != defaults[name]}
    bound = "" if terms.descriptors is None else f"ulimit -n {terms.descriptors} && "
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder, "config.json"), Path(folder, "log")
        config.write_text(json.dumps(changed), encoding="utf-8")
        command = ["/bin/sh", "-c", f'{bound}exec "$@"', "sh", sys.executable, "-m", "tests.attack.target"]
        environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join((ENVIRONMENT["PYTHONPATH"], str(ROOT)))}
        with (
            log.open("w") as errors,
            subprocess.Popen(
                [*command, str(config), backend],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                url = process.stdout.readline().strip()
                require(url.startswith("http://"), f"our reference server did not start: {log.read_text()}")
                yield Field(place_of(url), process, log)
            finally:
                process.kill()


def place_of(url: str) -> Place:
    """Where a URL points. ValueError for one that is not http://HOST[:PORT]."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"{url!r} is no address that can be attacked: it must be http://HOST:PORT")
    return Place(parts.hostname, 80 if parts.port is None else parts.port, parts.netloc.encode())


# Attacks


class Attack(Struct, frozen=True):
    """How a row of the table of abuses is tried out. `sends` is what the attacker does, in words. `run` tells what was
    seen, in words that are the same every time, or raises Failed. `terms` are those of the reference server; `own`: it
    takes one. `beside`: a good client is there meanwhile, and must not notice."""

    row: int
    sends: str
    run: Callable[[Field], str]
    terms: Terms
    own: bool
    beside: bool


ATTACKS: Final[dict[int, Attack]] = {}
"""All of them, by the numbers of their rows, once the modules that hold them are imported."""


def attack(
    row: int,
    sends: str,
    *,
    limits: Config = Config(),
    descriptors: int | None = None,
    own: bool = False,
    beside: bool = True,
) -> Callable[[Callable[[Field], str]], Callable[[Field], str]]:
    """Enter a function as the attack of a row."""

    def enter(run: Callable[[Field], str]) -> Callable[[Field], str]:
        ATTACKS[row] = Attack(row, sends, run, Terms(limits, descriptors), own, beside)
        return run

    return enter
