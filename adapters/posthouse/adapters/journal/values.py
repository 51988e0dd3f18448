"""How the arguments of an input are written in a journal, and how they are read.

Each parameter has one way, found by its name: the inputs of the switchboard and the gateway call the same thing by the
same name. Bytes become text with one character for each byte, so that what was sent can be read and searched. What
cannot be written at all is written as such, and read as an object that no JSON can carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, Final

from msgspec import Raw, Struct, convert, json, to_builtins
from posthouse.core.encoding.conversion import write_custom
from posthouse.core.encoding.ordering import ordered
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Address, Identity, Peer

BYTES: Final = "latin-1"
"""The encoding that gives every byte a character of its own."""

_encode = json.Encoder(enc_hook=write_custom).encode


class Unreadable:
    """Stands for an argument that could not be written, such as params that no JSON can carry."""


class Unfit(Struct, frozen=True):
    """What a handler returned was not of its method's declared type. `reason` is what was said of it."""

    reason: str


class Way(Struct, frozen=True):
    """How one parameter is written (as what JSON can carry) and read. `settle` makes of an argument what can be both
    written and passed on: what a user's conversion or a one-time iterator gives is asked for once."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    settle: Callable[[Any], Any] | None = None


def as_json(value: Any) -> Any:
    """A value as the bytes that it becomes; as it is where it becomes none, and will be refused."""
    if value is None or type(value) is Raw:
        return value
    try:
        return Raw(_encode(ordered(value)))
    except BaseException:  # a value's own conversion may raise anything
        return value


def _write_number(value: Any) -> Any:
    return value if value is None or isfinite(value) else str(value)


def _read_number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _write_bytes(data: Any) -> str:
    return bytes(data).decode(BYTES)


def _read_bytes(text: str) -> bytes:
    return text.encode(BYTES)


def _write_json(value: Any) -> str | None:
    if value is None:
        return None
    if type(value) is not Raw:
        raise TypeError("it becomes no JSON")
    return _write_bytes(value)


def _read_json(text: str | None) -> Raw | None:
    return None if text is None else Raw(_read_bytes(text))


def _write_error(error: RpcError) -> dict[str, Any]:
    written = {"code": error.code, "message": error.message}
    if error.data is not None:
        data = as_json(error.data)
        written["data"] = _write_bytes(data) if type(data) is Raw else unreadable(data)
    return written


def _read_error(written: dict[str, Any]) -> RpcError:
    data: Any = written.get("data")
    if isinstance(data, str):
        raw = _read_bytes(data)
        data = json.decode(raw)
        # Only an incident is looked at; everything else stays as exact as it left.
        if not (isinstance(data, dict) and "incident" in data):
            data = Raw(raw)
    elif data is not None:
        data = Unreadable()
    return RpcError(written["code"], written["message"], data, reserved=True)


def _write_result(result: Any) -> Any:
    return {"unfit": result.reason} if isinstance(result, Unfit) else _write_json(result)


def _read_result(written: Any) -> Any:
    return Unfit(written["unfit"]) if isinstance(written, dict) else _read_json(written)


def _settle_names(names: Iterable[str] | None) -> Any:
    # A text is no list of names: as it is it will be refused.
    return names if names is None or isinstance(names, str) else tuple(names)


def _same(value: Any) -> Any:
    return value


def _of(kind: Any) -> Way:
    return Way(to_builtins, lambda written: written if written is None else convert(written, kind))


PLAIN: Final = Way(_same, _same)
NUMBER: Final = Way(_write_number, _read_number)
DATA: Final = Way(_write_bytes, _read_bytes)
JSON: Final = Way(_write_json, _read_json, as_json)
NAMES: Final = Way(_same, _same, _settle_names)

WAYS: Final[dict[str, Way]] = {
    "socket": PLAIN,
    "connection": PLAIN,
    "to": PLAIN,
    "call": PLAIN,
    "request": PLAIN,
    "size": PLAIN,
    "code": PLAIN,
    "method": PLAIN,
    "now": NUMBER,
    "unix": NUMBER,
    "grace": NUMBER,
    "timeout": NUMBER,
    "data": DATA,
    "params": JSON,
    "value": JSON,
    "result": Way(_write_result, _read_result),
    "error": Way(_write_error, _read_error),
    "kinds": NAMES,
    "users": NAMES,
    "address": _of(Address),
    "identity": _of(Identity),
    "peer": _of(Peer),
}
"""For each name of a parameter of an input."""


def unreadable(value: object) -> dict[str, str]:
    """What is written in place of an argument that cannot be."""
    return {"unreadable": type(value).__name__}


def write_argument(name: str, value: Any) -> Any:
    """An argument as it is written. It raises nothing."""
    try:
        return WAYS[name].write(value)
    except Exception:
        return unreadable(value)


def encodable(written: Any) -> Any:
    """What was written, if JSON can carry it."""
    try:
        json.encode(written)
    except Exception:
        return unreadable(written)
    return written


def read_argument(name: str, written: Any) -> Any:
    """An argument as it is read. Raises what shows that it never was one."""
    if isinstance(written, dict) and "unreadable" in written:
        return Unreadable()
    return WAYS[name].read(written)
