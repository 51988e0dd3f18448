"""JSON-RPC texts by RFC 8259 and JSON-RPC 2.0: what a text of a client asks for, and which answers it may get.

Numbers are kept as they were written, because an id comes back byte for byte.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from msgspec import Struct
from posthouse.core.values.config import Config

NULL: Final = "null"
"""The key of the id null."""

NOTHING: Final = ""
"""In place of a key: there is no answer."""

SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""A surrogate, escaped. Without its other half it is no character, and the text is refused."""

RESPONSE: Final = frozenset(("jsonrpc", "id", "result", "error"))
REQUEST: Final = frozenset(("jsonrpc", "method", "params", "id", "meta"))


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decoder: Final = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse)


def parse(text: bytes) -> Any:
    """The JSON value. Raises ValueError for a text that is not JSON in UTF-8, or has a byte order mark."""
    try:
        return _decoder.decode(text.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None


def key_of(id: object) -> str | None:
    """The key of an id: equal for equal ids. None for a value that is no id."""
    if isinstance(id, Number):
        return f"#{id}"
    if isinstance(id, str):
        return f"${id}"
    return NULL if id is None else None


class Asked(Struct):
    """What one text asks for: for each entry the keys that its answer may have, in order. `NOTHING` is among them if
    there may be no answer.

    `doubtful`: the text may be refused as a whole, with an error without an id. `end`: the offset of its end in the
    bytes of the client. `batch`: it is an array.
    """

    entries: list[tuple[str, ...]]
    doubtful: bool
    batch: bool
    end: int = 0

    @property
    def required(self) -> list[str]:
        """The ids of the requests that certainly have an answer."""
        return [keys[0] for keys in self.entries if len(keys) == 1]

    def is_answered_by(self, keys: list[str]) -> bool:
        """May answers with these ids, in this order, be the answer?"""
        read = [0]  # how many answers the entries so far may have
        for allowed in self.entries:
            longer = [at + 1 for at in read if at < len(keys) and keys[at] in allowed]
            read = longer + [at for at in read if at not in longer] if NOTHING in allowed else longer
        return len(keys) in read


def asked(text: bytes, config: Config) -> Asked:
    """What a text of a client asks for, within these limits."""
    try:
        message = parse(text)
    except ValueError:
        return Asked([(NULL,)], doubtful=True, batch=False)
    deep = text.count(b"[") + text.count(b"{") > config.max_depth or SURROGATE.search(text) is not None
    if not isinstance(message, list):
        keys = _answers_to(message, config)
        return Asked([keys] if keys else [], doubtful=deep or NULL in keys, batch=False)
    entries = [keys for keys in (_answers_to(entry, config) for entry in message) if keys]
    return Asked(entries, doubtful=deep or not 0 < len(message) <= config.max_batch, batch=True)


def _answers_to(entry: Any, config: Config) -> tuple[str, ...]:
    """The keys that the answer to this entry may have. None at all for a notification and for a response."""
    if not isinstance(entry, dict):
        return (NULL,)
    key = key_of(entry["id"]) if "id" in entry else None
    if "method" not in entry and ("result" in entry or "error" in entry):
        return () if entry.get("jsonrpc") == "2.0" and fault_of(entry) is None else (key or NULL, NULL, NOTHING)
    method, params = entry.get("method"), entry.get("params")
    if (
        entry.get("jsonrpc") != "2.0"
        or type(method) is not str
        or not 0 < len(method.encode("utf-8", "surrogatepass")) <= config.max_method_bytes
        or (params is not None and not isinstance(params, list | dict))
        or ("id" in entry and (key is None or _size_of(key) > config.max_id_bytes))
    ):
        return (key or NULL, NULL)
    if "meta" in entry:
        return (NULL, NOTHING) if key is None else (key, NULL)
    return () if key is None else (key,)


def _size_of(key: str) -> int:
    """The bytes of an id as it is written, at least: a string has two quotation marks, and its key one mark."""
    size = len(key.encode("utf-8", "surrogatepass"))
    return size + 1 if key.startswith("$") else size - 1


def fault_of(entry: Any) -> str | None:
    """What is wrong with a message of the server, None if it is right (JSON-RPC 2.0 sections 4 and 5)."""
    if not isinstance(entry, dict) or entry.get("jsonrpc") != "2.0" or type(entry["jsonrpc"]) is Number:
        return "it is not an object with the version 2.0"
    if "method" in entry:
        if type(entry["method"]) is not str or not entry.keys() <= REQUEST:
            return "it is not a request"
        if not isinstance(entry.get("params", []), list | dict):
            return "its params are neither an array nor an object"
        return None if "id" not in entry or type(entry["id"]) is Number else "its id is not a number"
    if not entry.keys() <= RESPONSE or "id" not in entry or key_of(entry["id"]) is None:
        return "it is neither a request nor a response"
    if ("result" in entry) is ("error" in entry):
        return "it has both a result and an error, or neither"
    return _fault_of_error(entry["error"]) if "error" in entry else None


def _fault_of_error(error: Any) -> str | None:
    if not isinstance(error, dict) or not error.keys() <= {"code", "message", "data"}:
        return "its error is not an error object"
    code = error.get("code")
    if type(code) is not Number or not code.removeprefix("-").isdigit():
        return "the code of its error is not an integer"
    if type(error.get("message")) is not str:
        return "its error has no message"
    return None if _says_when(int(code), error.get("data")) else "its error does not say when to try again"


def _says_when(code: int, data: Any) -> bool:
    """Does an error that is over after a time say when (docs/errors.md)?"""
    if code != -32029 or not isinstance(data, dict) or data.get("limit") != "call_rate":
        return True
    return type(data.get("retry_after_ms")) is Number


def error_code(entry: dict[str, Any]) -> int | None:
    """The code of the error in a response without a fault, None if it is a result."""
    return int(entry["error"]["code"]) if "error" in entry else None
