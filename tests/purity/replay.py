"""Give a recorded run's inputs to a new switchboard and print every action that follows, one a line.

Run by `test_replay.py` in processes of their own: the root of the project, then the record. A record has one JSON text
a line: first the entropy as it was drawn, then each input's name and arguments; what handlers returned is there as the
bytes that it became.
"""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    for ring in ("core", "transports", "."):
        sys.path.insert(0, f"{sys.argv[1]}/{ring}")

import msgspec
from posthouse.core import Address, Config, Gateway, Identity, Invoke, RpcError
from posthouse.transports import Action, Policy, Switchboard

from tests.transports.board import calculator

POLICY = Policy(identity=Identity("ada", ("broadcast",)))


class Unencodable:
    """What a handler returned that no JSON can carry."""


def to_json(argument: Any) -> Any:
    """An argument of an input, as JSON can carry it."""
    if isinstance(argument, bytes):
        return {"bytes": b64encode(argument).decode()}
    if isinstance(argument, Address):
        return {"address": msgspec.structs.asdict(argument)}
    if isinstance(argument, RpcError):
        return {"error": [argument.code, argument.message, argument.data]}
    if isinstance(argument, msgspec.Raw):
        return {"result": b64encode(bytes(argument)).decode()}
    if isinstance(argument, Unencodable):
        return {"unencodable": None}
    return argument


def from_json(argument: Any) -> Any:
    """The other way round."""
    if not isinstance(argument, dict):
        return argument
    ((kind, value),) = argument.items()
    match kind:
        case "bytes":
            return b64decode(value)
        case "address":
            return Address(**value)
        case "error":
            return RpcError(*value)
        case "result":
            return msgspec.Raw(b64decode(value))
        case "unencodable":
            return Unencodable()
    return argument


def shown(action: Action) -> str:
    """An action as text, without what differs between any two processes: the functions of a method."""
    if isinstance(action, Invoke):
        return f"Invoke{(action.call, action.caller, action.method.name, action.args, action.kwargs, action.meta)}"
    return repr(action)


def replay(record: bytes) -> list[str]:
    """Every action that follows from a record, as text; at the end the counters."""
    config, drawn, *inputs = (msgspec.json.decode(line) for line in record.splitlines())
    entropy = iter([b64decode(piece) for piece in drawn])
    gateway = Gateway(
        calculator(), Config.from_mapping(config), wall=1_700_000_000.0, entropy=lambda size: next(entropy)
    )
    board = Switchboard(gateway, POLICY)
    lines: list[str] = []
    for name, arguments, keywords in inputs:
        getattr(board, name)(*map(from_json, arguments), **keywords)
        lines += map(shown, board.outbox)
        board.outbox.clear()
    return [*lines, repr(board.stats())]


if __name__ == "__main__":
    sys.stdout.write("\n".join(replay(Path(sys.argv[2]).read_bytes())))
