"""How the arguments of an input are written in a journal, and how they are read.

Each parameter has one notation, found by its name, since all inputs use the same name for the same thing. Bytes become
text with one character per byte, so that a journal can be read and searched. An argument that cannot be written is
marked as unreadable, and is read as an object that cannot be encoded as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import isfinite
from typing import Any, Final

from msgspec import Raw, Struct, convert, json, to_builtins
from msgspec.structs import replace
from posthouse.core.encoding.conversion import write_custom
from posthouse.core.encoding.ordering import ordered
from posthouse.core.operations.operations import Busy, Failed, Hashed, Matched, Refused
from posthouse.core.service.authenticators import (
    Basic,
    Bearer,
    Cookie,
    CrossSiteCredentials,
    SessionToken,
    UnreadableCredentials,
)
from posthouse.core.sessions.keys import read_key, read_secret, text_of
from posthouse.core.store.outcomes import Done, MaybeApplied
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Address, Identity, Peer

from .stored import read_value, write_value

OUTCOMES: Final[dict[type, str]] = {
    Identity: "identity",
    Refused: "refused",
    Failed: "failed",
    Busy: "busy",
    MaybeApplied: "maybe_applied",
    Hashed: "hashed",
    Matched: "matched",
}
CREDENTIALS: Final[dict[type, str]] = {
    Bearer: "bearer",
    Basic: "basic",
    UnreadableCredentials: "unreadable",
    Cookie: "cookie",
    CrossSiteCredentials: "cross_site",
    SessionToken: "session",
}

BYTES: Final = "latin-1"
"""An encoding in which every byte is one character."""

_encode = json.Encoder(enc_hook=write_custom).encode


class Unreadable:
    """Stands for an argument that could not be written, such as params that cannot be encoded as JSON."""


class InvalidResult(Struct, frozen=True):
    """Stands for a result that was not of its method's declared type. `reason` is the reason that was logged."""

    reason: str


class Notation(Struct, frozen=True):
    """How one parameter is written (as values of JSON) and read. `settle` turns an argument into one that can be both
    written and passed on, so that a user's conversion or a one-time iterator runs only once."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    settle: Callable[[Any], Any] | None = None


def as_json(value: Any) -> Any:
    """A value encoded as JSON. If that fails, the value itself: the machine will refuse it."""
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
        # Only an incident is used by the machine. All other data stays byte for byte.
        if not (isinstance(data, dict) and "incident" in data):
            data = Raw(raw)
    elif data is not None:
        data = Unreadable()
    return RpcError(written["code"], written["message"], data, reserved=True)


def _write_result(result: Any) -> Any:
    return {"unfit": result.reason} if isinstance(result, InvalidResult) else _write_json(result)


def _read_result(written: Any) -> Any:
    return InvalidResult(written["unfit"]) if isinstance(written, dict) else _read_json(written)


def _settle_names(names: Iterable[str] | None) -> Any:
    # A text is not a list of names. It is passed on as it is, and refused.
    return names if names is None or isinstance(names, str) else tuple(names)


def _write_peer(peer: Peer) -> Any:
    # Headers, and what a host says, are for handlers only, which do not run in a replay. Some are credentials.
    written = to_builtins(replace(peer, headers=(), host_scope=None))
    del written["host_scope"]
    return written


def _write_named(names: dict[type, str], value: Any) -> dict[str, Any] | None:
    """A value of one of these types, by the name of its type."""
    return None if value is None else {names[type(value)]: to_builtins(value)}


def _read_named(names: dict[type, str], written: dict[str, Any] | None) -> Any:
    if written is None:
        return None
    ((name, value),) = written.items()
    return convert(value, next(kind for kind, known in names.items() if known == name))


def _write_outcome(outcome: Any) -> Any:
    """The outcome of an external operation. Those of a store have values of several types."""
    return {"done": write_value(outcome.value)} if type(outcome) is Done else _write_named(OUTCOMES, outcome)


def _read_outcome(written: Any) -> Any:
    return Done(read_value(written["done"])) if "done" in (written or ()) else _read_named(OUTCOMES, written)


def _write_credentials(given: Any) -> Any:
    """One kind of credentials, or a list of several."""
    if isinstance(given, tuple):
        return [_write_named(CREDENTIALS, each) for each in given]
    return _write_named(CREDENTIALS, given)


def _read_credentials(written: Any) -> Any:
    if isinstance(written, list):
        return tuple(_read_named(CREDENTIALS, each) for each in written)
    return _read_named(CREDENTIALS, written)


def hide_credentials(credentials: Any, hide: Callable[[str], str], stand_in: Callable[[bytes], bytes]) -> Any:
    """The same kind of credentials, with other secrets. `stand_in` gives those that a replay mints for cookies."""
    if isinstance(credentials, tuple):
        return tuple(hide_credentials(each, hide, stand_in) for each in credentials)
    if isinstance(credentials, Cookie):
        return Cookie(_hide_key(credentials.secret, hide, stand_in))
    if isinstance(credentials, SessionToken):
        return SessionToken(_hide_key(credentials.key, hide, stand_in))
    if isinstance(credentials, Bearer):
        return Bearer(hide(credentials.token))
    return Basic(credentials.user, hide(credentials.password)) if isinstance(credentials, Basic) else credentials


def _hide_key(text: str, hide: Callable[[str], str], stand_in: Callable[[bytes], bytes]) -> str:
    """A secret that the gateway has made, or a session with its secret."""
    key = read_key(text)
    minted = read_secret(text if key is None else key.secret)
    if minted is None:
        return hide(text)
    return text_of(stand_in(minted)) if key is None else f"{key.session}.{text_of(stand_in(minted))}"


def _same(value: Any) -> Any:
    return value


def _of(kind: Any) -> Notation:
    def read(written: Any) -> Any:
        return written if written is None else convert(written, kind)

    def write(value: Any) -> Any:
        written = to_builtins(value)
        read(written)  # a value of another type, which is misuse, could not be read again
        return written

    return Notation(write, read)


PLAIN: Final = Notation(_same, _same)
NUMBER: Final = Notation(_write_number, _read_number)
DATA: Final = Notation(_write_bytes, _read_bytes)
JSON: Final = Notation(_write_json, _read_json, as_json)
NAMES: Final = Notation(_same, _same, _settle_names)

NOTATIONS: Final[dict[str, Notation]] = {
    "socket": PLAIN,
    "connection": PLAIN,
    "to": PLAIN,
    "call": PLAIN,
    "after": PLAIN,
    "request": PLAIN,
    "operation": PLAIN,
    "namespace": PLAIN,
    "trusted": PLAIN,
    "probes": PLAIN,
    "ahead": PLAIN,
    "user": PLAIN,
    "size": PLAIN,
    "code": PLAIN,
    "reason": PLAIN,
    "method": PLAIN,
    "topic": PLAIN,
    "session": PLAIN,
    "now": NUMBER,
    "unix": NUMBER,
    "not_before": NUMBER,
    "grace": NUMBER,
    "timeout": NUMBER,
    "data": DATA,
    "params": JSON,
    "value": JSON,
    "result": Notation(_write_result, _read_result),
    "error": Notation(_write_error, _read_error),
    "outcome": Notation(_write_outcome, _read_outcome),
    "credentials": Notation(_write_credentials, _read_credentials),
    "kinds": NAMES,
    "users": NAMES,
    "address": _of(Address),
    "identity": _of(Identity),
    "peer": Notation(_write_peer, partial(convert, type=Peer)),
}
"""The notation of each parameter of an input, by name."""


def unreadable(value: object) -> dict[str, str]:
    """Written in place of an argument that cannot be written."""
    return {"unreadable": type(value).__name__}


def write_argument(name: str, value: Any) -> Any:
    """An argument as it is written. Never raises."""
    try:
        return NOTATIONS[name].write(value)
    except Exception:
        return unreadable(value)


def encodable(written: Any) -> Any:
    """A written argument, or the mark for an unreadable one if JSON cannot carry it."""
    try:
        json.encode(written)
    except Exception:
        return unreadable(written)
    return written


def read_argument(name: str, written: Any) -> Any:
    """An argument as it is read. Raises if the journal was changed and this is not an argument."""
    if isinstance(written, dict) and "unreadable" in written:
        return Unreadable()
    return NOTATIONS[name].read(written)
