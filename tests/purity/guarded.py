"""Import and run core and transports where no module of theirs may import the outside world or use `os.urandom`.

Run by `test_purity.py` in a process of its own: the root of the project, then the banned modules.
"""

from __future__ import annotations

import builtins
import os
import pkgutil
import sys
from types import ModuleType
from typing import Any, NoReturn

ROOT, *BANNED = sys.argv[1:]
for ring in ("core", "transports"):
    sys.path.insert(0, f"{ROOT}/{ring}")
ordinary_import = builtins.__import__


def guarded_import(
    name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
) -> ModuleType:
    """Refuse a banned module to everything in `posthouse`."""
    importer = (globals or {}).get("__name__", "")
    if level == 0 and importer.startswith("posthouse.") and name.partition(".")[0] in BANNED:
        raise ImportError(f"{importer} imports {name}")
    return ordinary_import(name, globals, locals, fromlist, level)


def no_entropy(size: int) -> NoReturn:
    """Stand in for `os.urandom`."""
    raise AssertionError("os.urandom was used: entropy is an argument")


builtins.__import__ = guarded_import

import posthouse.core
import posthouse.transports

for package in (posthouse.core, posthouse.transports):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        guarded_import(module.name)

os.urandom = no_entropy

from posthouse.core import Address, Gateway, Invoke, Service
from posthouse.transports import Switchboard, Write

service = Service("pure", public=True)


@service.method
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def counted(size: int) -> bytes:
    """Entropy that can be told in advance."""
    return bytes(range(size))


def perform(board: Switchboard) -> bytes:
    """What leaves the switchboard, with its handlers run."""
    out = b""
    for action in board.outbox:
        if isinstance(action, Invoke):
            board.complete(action.call, action.method.function(*action.args, **action.kwargs), 0.0)
        elif isinstance(action, Write):
            out += action.data
    board.outbox.clear()
    return out


board = Switchboard(Gateway(service, wall=0.0, entropy=counted))
request = b'{"jsonrpc":"2.0","method":"add","params":[1,2],"id":1}'

pipe = board.opened(Address(transport="pipe"), 0.0)
assert pipe is not None
board.received(pipe, request + b"\n", 0.0)
answer = perform(board)
assert b'"result":3' in answer, answer

http = board.opened(Address("127.0.0.1", 1), 0.0)
assert http is not None
head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
board.received(http, head % len(request) + request, 0.0)
answer = perform(board)
assert answer.startswith(b"HTTP/1.1 200 ") and b'"result":3' in answer, answer

websocket = board.opened(Address("127.0.0.1", 2), 0.0)
assert websocket is not None
handshake = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
frame = bytes((0x81, 0x80 | len(request))) + bytes(4) + request  # masked with noughts
board.received(websocket, handshake, 0.0)
assert perform(board).startswith(b"HTTP/1.1 101 ")
board.received(websocket, frame, 0.0)
answer = perform(board)
assert b'"result":3' in answer, answer

board.shut_down(1.0)
while (deadline := board.next_timeout()) is not None:
    board.handle_timeout(deadline)
    perform(board)
