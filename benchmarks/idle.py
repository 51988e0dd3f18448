"""The bytes of an idle WebSocket, part by part, and how they compare with the growth of the server's process.

    python -m benchmarks.idle [--connections 2000] [--used]

The server runs in a process of its own. Three groups of WebSockets are opened. Between the first and the second, the
resident memory of the process is compared. After the second and after the third, the server walks over all objects that
it can reach from its own parts, and sums their sizes by the place where they were found. A difference, divided by the
connections of a group, is the cost of one connection.

With `--used`, each client calls once and sends a pong before it falls silent, as one that has lived for a while.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import msgspec
from posthouse.adapters import run

from benchmarks.load.framing import masked
from benchmarks.load.plain import PONG, Plain, open_websockets
from benchmarks.machine import allow_descriptors, resident_bytes
from benchmarks.servers.posthouse import CONFIG, service

GRAIN: Final = 16
"""Python's allocator gives multiples of so many bytes."""

CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque)
"""Their members belong to the place where the container was found."""

CALL: Final = b'{"jsonrpc":"2.0","method":"echo","params":["What hath God wrought"],"id":1}'

Places = dict[str, tuple[int, int]]
"""Objects and bytes, by the place of the objects: the attribute and the type."""


def census(root: object) -> Places:
    """Count everything that can be reached from `root`, each object at the first place where it is found."""
    found: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    seen: set[int] = {id(found)}
    waiting: deque[tuple[str, object]] = deque([("", root)])
    alive: list[object] = []  # so that no two objects have the same id
    while waiting:
        place, value = waiting.popleft()
        if id(value) in seen or isinstance(value, (type, ModuleType)) or (type(value).__module__ == "enum"):
            continue
        seen.add(id(value))
        alive.append(value)
        entry = found[f"{place}: {type(value).__name__}"]
        entry[0] += 1
        entry[1] += -(-sys.getsizeof(value) // GRAIN) * GRAIN
        waiting.extend(members(place, value))
    return {place: (count, size) for place, (count, size) in found.items()}


def members(place: str, value: object) -> Iterator[tuple[str, object]]:
    """What an object refers to, and where that is found."""
    if isinstance(value, (MethodType, BuiltinFunctionType)):
        yield place, value.__self__
    elif isinstance(value, FunctionType):
        yield from ((place, cell.cell_contents) for cell in value.__closure__ or ())
    elif isinstance(value, CONTAINERS):
        yield from ((place, member) for member in gc.get_referents(value) or _untracked(value))
    else:
        named = {id(member): f"{type(value).__name__}.{name}" for name, member in _attributes(value)}
        for name, member in _attributes(value):
            yield f"{type(value).__name__}.{name}", member
        for member in gc.get_referents(value):
            yield named.get(id(member), type(value).__name__), member


def _untracked(value: Any) -> Iterable[object]:
    """The members of a container that the collector does not track."""
    return (*value, *value.values()) if isinstance(value, dict) else tuple(value)


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    """The attributes in slots. Those in a `__dict__` are not asked for: Python makes the dict when it is asked for."""
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            private = name.startswith("__") and not name.endswith("__")
            if name in ("__dict__", "__weakref__"):
                continue
            try:
                yield name, getattr(value, f"_{kind.__name__.lstrip('_')}{name}" if private else name)
            except AttributeError:
                pass  # never set
    for name in getattr(type(value), "__struct_fields__", ()):
        yield name, getattr(value, name)


def difference(before: Places, after: Places, connections: int) -> list[tuple[str, float, float]]:
    """Objects and bytes of one connection by place, the largest first."""
    rows = []
    for place, (count, size) in after.items():
        was_count, was_size = before.get(place, (0, 0))
        rows.append((place, (count - was_count) / connections, (size - was_size) / connections))
    return sorted((row for row in rows if row[2] >= 0.5), key=lambda row: (-row[2], row[0]))


def host() -> None:
    """A server that prints its port, then for each line of input its resident bytes (`resident`) or a census. The end
    of its input ends it."""

    def started(server: Any) -> None:
        def answer() -> None:
            for line in sys.stdin:
                answer: object = resident_bytes(os.getpid())
                if line != "resident\n":
                    gc.collect()
                    answer = census(server)
                print(msgspec.json.encode(answer).decode(), flush=True)
            server.shut_down(0.0)

        print(server.bound[0].port, flush=True)
        threading.Thread(target=answer, daemon=True).start()

    run(service, port=0, config=CONFIG, started=started)


def use(client: Plain) -> None:
    """A pong, and one call with its answer."""
    client.socket.sendall(masked(b"", PONG))
    client.send(CALL)
    while not client.texts():
        pass


def measure(connections: int, *, used: bool) -> tuple[list[tuple[str, float, float]], float]:
    """The bytes of one connection by place, and the growth of the process for each."""
    command = [sys.executable, "-m", "benchmarks.idle", "--host"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        ExitStack() as stack,
    ):
        assert process.stdin is not None and process.stdout is not None
        questions, answers = process.stdin, process.stdout
        port = int(answers.readline())

        def ask(question: str, kind: Any) -> Any:
            questions.write(f"{question}\n")
            questions.flush()
            return msgspec.json.decode(answers.readline(), type=kind)

        def connect() -> None:
            for client in open_websockets(port, connections):
                stack.enter_context(closing(client.socket))
                if used:
                    use(client)

        connect()
        resident = ask("resident", int)
        connect()
        growth = (ask("resident", int) - resident) / connections
        before = ask("census", Places)
        connect()
        after = ask("census", Places)
        questions.close()
    return difference(before, after, connections), growth


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=2_000, help="how many are compared (default: 2000)")
    parser.add_argument("--used", action="store_true", help="clients that have called once and sent a pong")
    parser.add_argument("--host", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    allow_descriptors()
    if arguments.host:
        host()
        return
    rows, growth = measure(arguments.connections, used=arguments.used)
    for place, count, size in rows:
        print(f"{size:8.0f} bytes {count:6.2f} objects  {place}")
    counted = sum(size for _, _, size in rows)
    print(f"{counted:8.0f} bytes {sum(count for _, count, _ in rows):6.2f} objects  in all")
    print(f"{growth:8.0f} bytes of resident memory: the growth of the process for each connection")


if __name__ == "__main__":
    main()
