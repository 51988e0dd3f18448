"""Does the time of a refusal tell who exists? `python tools/timing.py [TRIES]`, as `make timing`.

A server in a process of its own has the ready-made password file and token file. Requests with each kind of credentials
are sent in turn, so that a busy machine slows all of them alike, each on a connection of its own. The budgets and the
cache are off: each request is verified.

The noise is that of one kind compared with itself: `repeats` is a second series of the first kind. The differences
between medians are compared with it and with the spread of the medians that chance alone would give (a bootstrap).
Exits with 1 if a difference is above both.
"""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final

from argon2 import PasswordHasher
from posthouse.core.values.config import KIB, MIB

TRIES: Final = 200
RESAMPLES: Final = 1_000

SERVICE: Final = """
from posthouse.adapters.authenticators import Passwords, StaticTokens
from posthouse.core import Service

service = Service("timed", public=True)
Passwords("passwords.toml").declare(service, namespace="passwords")
StaticTokens("tokens.toml").declare(service, namespace="tokens")
"""

LIMITS: Final = {
    "credential_cache": 0.0,
    "max_auth_failures": 10**9,
    "max_auth_failures_per_address": 10**9,
    "max_auth_failures_per_user": 10**9,
    "argon2_memory": 8 * MIB,
    "argon2_passes": 1,
    "argon2_lanes": 1,
}
"""Hashes are small, so that they hide no difference behind their own noise."""

TELLS: Final = "right token (a call runs)"
"""Not judged: the answer itself tells that the token is right, and a token is verified faster than a call runs."""

TOKEN: Final = "a-token-that-is-right-7f3a91bc"


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


PASSWORD_KINDS: Final = {
    "known user, right password": basic("ada", "correct horse"),
    "repeats": basic("ada", "correct horse"),
    "known user, wrong password": basic("ada", "battery staple"),
    "unknown user": basic("nobody", "correct horse"),
    "unknown user of the longest name": basic("n" * 200, "correct horse"),
}
TOKEN_KINDS: Final = {
    "wrong token": "Bearer x-token-that-is-wrong-7f3a91bc",
    "repeats": "Bearer x-token-that-is-wrong-7f3a91bc",
    "token that is wrong at its end": f"Bearer {TOKEN[:-1]}d",
    "token that is wrong at its beginning": f"Bearer b{TOKEN[1:]}",
    TELLS: f"Bearer {TOKEN}",
}


@contextmanager
def serving() -> Iterator[int]:
    """A server on a free port, which ends with the block."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8 * MIB // KIB, parallelism=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "timed.py").write_text(SERVICE)
        (folder / "limits.toml").write_text("".join(f"{name} = {value}\n" for name, value in LIMITS.items()))
        (folder / "passwords.toml").write_text(f'ada = "{hasher.hash("correct horse")}"\n')
        (folder / "tokens.toml").write_text(
            f'[[token]]\nsha256 = "{sha256(TOKEN.encode()).hexdigest()}"\nuser = "ada"\n'
        )
        command = [str(Path(sys.executable).with_name("posthouse")), "serve", "timed:service", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--config", "limits.toml"],
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                    yield int(found[1])
                    break
            else:
                raise RuntimeError("the server has not started")
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def seconds(port: int, authorization: str) -> float:
    """The time from the last byte of a request to the first byte of its answer."""
    body = b'{"jsonrpc":"2.0","method":"connection.ping","id":1}'
    head = "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    head += f"Authorization: {authorization}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = perf_counter()
        client.sendall(head.encode() + body)
        answer = client.recv(1 << 16)
        took = perf_counter() - began
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 401")), answer
    return took


def measure(port: int, kinds: dict[str, str], tries: int) -> dict[str, list[float]]:
    """The times of each kind, tried in turn and in another order each time."""
    times: dict[str, list[float]] = {name: [] for name in kinds}
    order = list(kinds)
    for _ in range(3):
        seconds(port, kinds[order[0]])  # warm
    for _ in range(tries):
        random.shuffle(order)
        for name in order:
            times[name].append(seconds(port, kinds[name]))
    return times


def chance(one: list[float], two: list[float]) -> float:
    """The difference of medians that chance alone exceeds in one of a hundred samples."""
    both = one + two
    found = sorted(
        abs(median(random.choices(both, k=len(one))) - median(random.choices(both, k=len(two))))
        for _ in range(RESAMPLES)
    )
    return found[RESAMPLES * 99 // 100]


def report(times: dict[str, list[float]]) -> bool:
    """Print a table. Returns whether all differences are within the noise."""
    first, *others = times
    noise = abs(median(times[first]) - median(times["repeats"]))
    within = True
    sys.stdout.write(f"\n{'':38}{'median':>10}{'quartiles':>20}{'difference':>12}{'chance':>10}   (milliseconds)\n")
    for name, taken in times.items():
        low, middle, high = (1000 * each for each in quantiles(taken, n=4))
        line = f"{name:38}{middle:10.3f}{f'{low:.3f} – {high:.3f}':>20}"
        if name in others:
            difference, allowed = median(taken) - median(times[first]), chance(times[first], taken)
            fits = name == TELLS or abs(difference) <= max(noise, allowed)
            within = within and fits
            line += f"{1000 * difference:+12.3f}{1000 * allowed:10.3f}{'' if fits else '   above the noise'}"
        sys.stdout.write(line + "\n")
    return within


def main(tries: int) -> int:
    """Measure passwords, then tokens."""
    with serving() as port:
        results = [report(measure(port, kinds, tries)) for kinds in (PASSWORD_KINDS, TOKEN_KINDS)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else TRIES))
