"""What JSON-RPC 2.0 asks, as one table: a text and what must come back, whatever it travels over.

The examples are those of section 7 of the specification (https://www.jsonrpc.org/specification, copyright the JSON-RPC
Working Group, which allows copying for use with JSON-RPC); the rest are edges of its sections 4 to 6. `data` members of
errors are ours and not compared. Expected None: there is no reply at all.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from posthouse.core import Config


class Case(Struct, frozen=True):
    """`sent` bytes, and the reply as JSON: a value, or None for none. `limits` are those of the server."""

    name: str
    sent: bytes
    reply: Any
    limits: Config = Config()


def error(code: int, message: str, id: Any = None) -> dict[str, Any]:
    """An error response, without its data."""
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": id}


def result(value: Any, id: Any) -> dict[str, Any]:
    """A successful response."""
    return {"jsonrpc": "2.0", "result": value, "id": id}


PARSE: Final = error(-32700, "Parse error")
INVALID: Final = error(-32600, "Invalid Request")

EXAMPLES: Final = (
    Case("positional 1", b'{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', result(19, 1)),
    Case("positional 2", b'{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', result(-19, 2)),
    Case(
        "named 1",
        b'{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
        result(19, 3),
    ),
    Case(
        "named 2",
        b'{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
        result(19, 4),
    ),
    Case("notification", b'{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    Case("notification of nothing known", b'{"jsonrpc": "2.0", "method": "foobar"}', None),
    Case(
        "no such method",
        b'{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
        error(-32601, "Method not found", "1"),
    ),
    Case("invalid JSON", b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', PARSE),
    Case("invalid request", b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID),
    Case(
        "batch of invalid JSON",
        b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
        PARSE,
    ),
    Case("empty batch", b"[]", INVALID),
    Case("batch of one invalid", b"[1]", [INVALID]),
    Case("batch of invalid", b"[1,2,3]", [INVALID, INVALID, INVALID]),
    Case(
        "mixed batch",
        b"""[
            {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]""".replace(b"\n", b""),
        [
            result(7, "1"),
            result(19, "2"),
            INVALID,
            error(-32601, "Method not found", "5"),
            result(["hello", 5], "9"),
        ],
    ),
    Case(
        "batch of notifications",
        b'[{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},'
        b'{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]',
        None,
    ),
)
"""The examples of section 7, in its order."""


def echoed(id: bytes) -> bytes:
    """A request whose id is this JSON text."""
    return b'{"jsonrpc":"2.0","method":"echo","params":[0],"id":' + id + b"}"


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


EDGES: Final = (
    Case("id null is answered", echoed(b"null"), result(0, None)),
    Case("id of text", echoed(b'"a-\\u00e9"'), result(0, "a-é")),
    Case("id of a fraction", echoed(b"1.5"), result(0, 1.5)),
    Case("id below nought", echoed(b"-7"), result(0, -7)),
    Case("id true", echoed(b"true"), INVALID),
    Case("id of a list", echoed(b"[1]"), INVALID),
    Case("id of an object", echoed(b"{}"), INVALID),
    Case("id at its limit", echoed(b'"' + b"i" * 126 + b'"'), result(0, "i" * 126)),
    Case("id beyond its limit", echoed(b'"' + b"i" * 127 + b'"'), INVALID),
    Case("no version", b'{"method":"echo","params":[1],"id":1}', error(-32600, "Invalid Request", 1)),
    Case("another version", b'{"jsonrpc":"1.0","method":"echo","id":1}', error(-32600, "Invalid Request", 1)),
    Case("version of a number", b'{"jsonrpc":2.0,"method":"echo","id":1}', error(-32600, "Invalid Request", 1)),
    Case("no method", b'{"jsonrpc":"2.0","id":1}', error(-32600, "Invalid Request", 1)),
    Case("params null", b'{"jsonrpc":"2.0","method":"echo","params":null,"id":1}', error(-32602, "Invalid params", 1)),
    Case(
        "params of text", b'{"jsonrpc":"2.0","method":"echo","params":"x","id":1}', error(-32600, "Invalid Request", 1)
    ),
    Case("unknown members", b'{"jsonrpc":"2.0","method":"echo","params":[1],"id":1,"more":{}}', result(1, 1)),
    Case(
        "the last of two members wins",
        b'{"jsonrpc":"2.0","method":"x","method":"echo","params":[1],"id":1}',
        result(1, 1),
    ),
    Case(
        "too few params",
        b'{"jsonrpc":"2.0","method":"subtract","params":[1],"id":1}',
        error(-32602, "Invalid params", 1),
    ),
    Case(
        "too many params",
        b'{"jsonrpc":"2.0","method":"subtract","params":[1,2,3],"id":1}',
        error(-32602, "Invalid params", 1),
    ),
    Case(
        "an unknown parameter",
        b'{"jsonrpc":"2.0","method":"subtract","params":{"minuend":1,"subtrahend":2,"user":"root"},"id":1}',
        error(-32602, "Invalid params", 1),
    ),
    Case(
        "a parameter of the wrong type",
        b'{"jsonrpc":"2.0","method":"subtract","params":["1",2],"id":1}',
        error(-32602, "Invalid params", 1),
    ),
    Case("an error of the service's own", b'{"jsonrpc":"2.0","method":"fail","id":1}', error(7, "seven", 1)),
    Case(
        "a handler that breaks", b'{"jsonrpc":"2.0","method":"break_down","id":1}', error(-32603, "Internal error", 1)
    ),
    Case("a response to nothing", b'{"jsonrpc":"2.0","result":1,"id":77}', None),
    Case("white space around", b' \t{"jsonrpc":"2.0","method":"echo","params":[1],"id":1} ', result(1, 1)),
)
"""Sections 4 and 5, where the examples are silent; the limits of ids."""


def batch(*entries: bytes) -> bytes:
    """An array of these texts."""
    return b"[" + b",".join(entries) + b"]"


BATCHES: Final = (
    Case("replies come in the order of the requests", batch(echoed(b"2"), echoed(b"1")), [result(0, 2), result(0, 1)]),
    Case("one request is answered with an array", batch(echoed(b"1")), [result(0, 1)]),
    Case(
        "an id twice: its entries are in flight together",
        batch(echoed(b"1"), echoed(b"1")),
        [result(0, 1), error(-32013, "Id already in flight", 1)],
    ),
    Case("a batch in a batch", batch(batch(echoed(b"1"))), [INVALID]),
    Case(
        "what is invalid does not hold up the rest", batch(b"1", echoed(b"1"), b"{}"), [INVALID, result(0, 1), INVALID]
    ),
    Case("a response among requests", batch(b'{"jsonrpc":"2.0","result":1,"id":7}', echoed(b"1")), [result(0, 1)]),
    Case("of responses alone", batch(b'{"jsonrpc":"2.0","result":1,"id":7}'), None),
    Case(
        "a notification that fails says nothing",
        batch(b'{"jsonrpc":"2.0","method":"fail"}', echoed(b"1")),
        [result(0, 1)],
    ),
    Case("as large as may be", batch(*[echoed(b"null")] * 3), [result(0, None)] * 3, Config(max_batch=3)),
    Case("too large", batch(*[echoed(b"1")] * 4), error(-32010, "Batch too large"), Config(max_batch=3)),
    Case("too large, and all of it invalid", batch(*[b"1"] * 4), error(-32010, "Batch too large"), Config(max_batch=3)),
    Case(
        "answered with too much",
        batch(b'{"jsonrpc":"2.0","method":"blob","params":[400],"id":1}', echoed(b"2")),
        [error(-32011, "Batch reply too large", 1), result(0, 2)],
        Config(max_batch_reply_bytes=400),
    ),
)
"""Section 6, where the examples are silent; the limits of batches."""

IDS: Final = (
    *(b"0", b"-0", b"1.50", b"1e2", b"9007199254740993", b"-170141183460469231731687303715884105728"),
    *(b'""', b'"1"', b'"\\u0041"', '"é"'.encode(), b'"\\ud83d\\ude00"', b'"\\/"', b'" "', b"null"),
)
"""Ids that must come back byte for byte: section 5, "It MUST be the same as the value of the id member"."""

ROW_18: Final = (
    Case("not JSON", b"hello", PARSE),
    Case("text", b'"hello"', INVALID),
    Case("a number", b"1", INVALID),
    Case("null", b"null", INVALID),
    Case("NaN", b'{"jsonrpc":"2.0","method":"echo","params":[NaN],"id":1}', PARSE),
    Case("infinity", b'{"jsonrpc":"2.0","method":"echo","params":[Infinity],"id":1}', PARSE),
    Case("a lone surrogate", b'{"jsonrpc":"2.0","method":"echo","params":["\\ud800"],"id":1}', PARSE),
    Case("a byte order mark", b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"echo","params":[1],"id":1}', PARSE),
    Case("trailing garbage", b'{"jsonrpc":"2.0","method":"echo","params":[1],"id":1} x', PARSE),
    Case("two texts", b'{"jsonrpc":"2.0","method":"echo","id":1}{"jsonrpc":"2.0","method":"echo","id":2}', PARSE),
    Case("at the depth limit", echoed(b"1").replace(b"[0]", b"[" * 63 + b"]" * 63), result(nested(62), 1)),
    Case("too deep", echoed(b"1").replace(b"[0]", b"[" * 64 + b"]" * 64), PARSE),
    Case("far too deep", b"[" * 10_000 + b"]" * 10_000, PARSE),
    Case("a comment", b'{"jsonrpc":"2.0",/**/"method":"echo","id":1}', PARSE),
    Case("a comma too many", b'{"jsonrpc":"2.0","method":"echo","id":1,}', PARSE),
)
"""Row 18 of docs/limits.md: what is no JSON-RPC, with `id: null`; the connection stays."""
