"""One JSON text as JSON-RPC: held against the standard library's parser and a reader that is slow and plain."""

from __future__ import annotations

import json
import re
from typing import Any

from posthouse.core.jsonrpc.messages import (
    Decoder,
    Invalid,
    Message,
    Request,
    Response,
    encode_error,
    encode_result,
    join_batch,
)
from posthouse.core.values.config import Config
from posthouse.core.values.errors import BATCH_TOO_LARGE, INVALID_REQUEST, PARSE_ERROR
from posthouse.core.values.peers import Meta

from tests.fuzz.target import Planted, Target

CONFIG = Config(max_depth=6, max_batch=4, max_method_bytes=12, max_id_bytes=16)
DECODER = Decoder(CONFIG)

EXACT = 2**53
META = ("idempotency_key", "timeout_ms", "traceparent", "progress_token")


class Missing:
    """No such member."""


MISSING = Missing()


class Number(str):
    """A number as it was written: neither rounded nor refused for its size."""

    __slots__ = ()


class Object(dict[str, Any]):
    """An object as `json` reads it, the last of duplicates. `pairs` are all."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class Unsure(Exception):
    """The plain reader cannot tell, and either verdict is right."""


def run(data: bytes) -> None:
    """Any bytes are a `Request`, a `Response`, an `Invalid`, or a list of one to `max_batch` of them. Nothing raises.

    What the standard library, made strict (UTF-8 alone, no NaN, no BOM), takes for no JSON is -32700 with the id null,
    and so is what nests too deep; nothing else is. Method, params and id are the ones that it reads, the last of
    duplicates. RFC 8259 section 4 leaves open which of them counts: in a response's error object each must be right,
    or the response is refused. An id is echoed as JSON of the same value, every answer that could be given is JSON, and
    a -32600 says what is wrong.
    """
    message = DECODER.decode(data)
    echo(message)
    code = message.error.code if isinstance(message, Invalid) else None
    if code == BATCH_TOO_LARGE:
        assert begins_with_too_many(data), "no more entries than may be"
        return
    try:
        value = parsed(data.decode("utf-8"))
    except RecursionError:
        assert code == PARSE_ERROR, "endless nesting is let through"
        return
    except ValueError:
        assert code == PARSE_ERROR, "what is no JSON is let through"
        return
    if re.search(r"\\u[dD][89a-fA-F]", data.decode()) and has_surrogate(value, data.decode()):
        return  # RFC 8259 section 8.2 leaves it open, where a string is not read
    if depth(data.decode()) > CONFIG.max_depth:
        assert code == PARSE_ERROR, "it nests too deep and is let through"
        return
    if isinstance(value, list):
        compare_batch(message, value)
    else:
        assert not isinstance(message, list)
        compare(message, value)


def refuse(constant: str) -> None:
    """NaN, Infinity and -Infinity are no JSON."""
    raise ValueError(constant)


def has_surrogate(value: Any, text: str) -> bool:
    """Is there half of a pair anywhere, names of members and dropped duplicates included?"""
    pairs = re.sub(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", "", re.sub(r"\\\\", "", text))
    return re.search(r"\\u[dD][89a-fA-F]", pairs) is not None or "\\" in str(value)


def depth(text: str) -> int:
    """How deep valid JSON nests, character by character."""
    deepest = level = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def begins_with_too_many(data: bytes) -> bool:
    """Is it an array with more entries than a batch may have, as far as that can be seen?"""
    text = data.decode("utf-8").lstrip(" \t\r\n")
    assert text[0] == "["
    decoder = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=refuse)
    at = 1
    for _ in range(CONFIG.max_batch):
        while text[at] in " \t\r\n":
            at += 1
        try:
            _, at = decoder.raw_decode(text, at)
        except RecursionError:
            return True
        while text[at] in " \t\r\n":
            at += 1
        if text[at] != ",":
            return False
        at += 1
    return True


def compare_batch(message: Message | list[Message], values: list[Any]) -> None:
    """Entry by entry."""
    if not values:
        assert isinstance(message, Invalid)
        assert (message.error.code, message.id) == (INVALID_REQUEST, b"null")
        return
    assert isinstance(message, list), "a batch is none"
    assert len(message) == len(values) <= CONFIG.max_batch, "entries are lost"
    for entry, value in zip(message, values, strict=True):
        compare(entry, value)


def compare(message: Message, value: Any) -> None:
    """One entry against what the plain reader says of it."""
    try:
        wanted = understand(value)
    except Unsure:
        return
    if wanted is None:
        assert isinstance(message, Invalid), f"{message!r} is no request and no response"
        assert message.error.code == INVALID_REQUEST
        answered = not (isinstance(value, dict) and "method" not in value and ("result" in value or "error" in value))
        assert message.answer == answered, "an error is answered to a response, or none to a request"
        return
    assert type(message) is wanted, f"{message!r} is valid, and not taken for it"
    assert isinstance(message, Request | Response)
    id = value.get("id", MISSING)
    assert (message.id is None) == (id is MISSING)
    assert message.id is None or parsed(message.id) == id, "the id is another"
    if isinstance(message, Request):
        assert message.method == value["method"]
        assert (message.params is None) == (value.get("params") is None)
        assert message.params is None or parsed(bytes(message.params)) == value["params"]
        meta = value.get("meta", {})
        told = message.meta or Meta()
        assert all(str(getattr(told, name)) == str(meta.get(name)) for name in META)
    elif isinstance(message.outcome, bytes):
        assert parsed(message.outcome) == value["result"]


def parsed(text: bytes | str) -> Any:
    """JSON with its numbers as they are written, and its objects with all that they say."""
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=refuse, object_pairs_hook=Object, strict=True
    )


def understand(value: Any) -> type[Request] | type[Response] | None:
    """A request, a response or neither, by every rule; Unsure where the text, and not the value, decides."""
    if not isinstance(value, dict):
        return None
    id = value.get("id", MISSING)
    if isinstance(id, bool | list | dict):
        return None
    most = CONFIG.max_id_bytes
    if isinstance(id, str) and fits(id, most) is False:
        return None
    if value.get("jsonrpc") != "2.0" or isinstance(value.get("jsonrpc"), Number):
        return None
    if "method" not in value:
        return understand_response(value) if "result" in value or "error" in value else None
    method = value["method"]
    if not isinstance(method, str) or isinstance(method, Number):
        return None
    if not 0 < len(method.encode("utf-8", "surrogatepass")) <= CONFIG.max_method_bytes:
        return None
    if not isinstance(value.get("params"), list | dict | None):
        return None
    return Request if "meta" not in value or meta_is_valid(value["meta"]) else None


def understand_response(value: dict[str, Any]) -> type[Response] | None:
    """A response has an id, and a result or an error."""
    if "id" not in value or ("result" in value and "error" in value):
        return None
    if "result" in value:
        return Response
    error = value["error"]
    if not isinstance(error, Object) or not {"code", "message"} <= error.keys():
        return None
    codes = [said for name, said in error.pairs if name == "code"]
    messages = [said for name, said in error.pairs if name == "message"]
    if not all(isinstance(code, Number) for code in codes):
        return None
    if not all(isinstance(message, str) and not isinstance(message, Number) for message in messages):
        return None
    if not all(re.fullmatch(r"-?[0-9]{1,15}", code) for code in codes) or "data" in error:
        raise Unsure
    return Response


def fits(text: str, most: int) -> bool:
    """Is it within a limit of bytes as it was written? Unsure where escapes decide."""
    if isinstance(text, Number):
        return len(text) <= most
    shortest = len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if shortest > most:
        return False
    if 6 * len(text.encode("utf-16-le", "surrogatepass")) // 2 + 2 > most:
        raise Unsure
    return True


def meta_is_valid(meta: Any) -> bool:
    """Is every known member of it what it may be?"""
    if not isinstance(meta, dict):
        return False
    return all(member_is_valid(name, meta[name]) for name in META if name in meta)


def member_is_valid(name: str, value: Any) -> bool:
    """One member of meta."""
    if value is None:
        return True
    if isinstance(value, Number):
        if re.search("[.eE]", value):
            raise Unsure
        low, high = (1, EXACT) if name == "timeout_ms" else (-EXACT, EXACT)
        return (
            name in ("timeout_ms", "progress_token") and fits(value, CONFIG.max_id_bytes) and low <= int(value) <= high
        )
    return isinstance(value, str) and name != "timeout_ms" and fits(value, CONFIG.max_id_bytes)


def echo(message: Message | list[Message]) -> None:
    """Everything that it could be answered is JSON."""
    entries = message if isinstance(message, list) else [message]
    replies = []
    for entry in entries:
        if isinstance(entry, Invalid):
            bare = entry.error.code == INVALID_REQUEST and not entry.error.data
            assert not bare or entry.id == b"null", "it is wrong, and who waits is not told why"
            replies.append(encode_error(entry.id, entry.error))
        elif isinstance(entry, Request) and entry.id is not None:
            replies.append(encode_result(entry.id, b"null"))
    answer = parsed(join_batch(replies))
    assert len(answer) == len(replies)
    assert all(entry["jsonrpc"] == "2.0" for entry in answer)


TARGET = Target(
    name="jsonrpc",
    run=run,
    seeds=(
        b'{"jsonrpc":"2.0","method":"a","params":[1,{"b":null}],"id":1}',
        b'[{"jsonrpc":"2.0","method":"a","id":"x"},{"jsonrpc":"2.0","result":[],"id":null},1,[]]',
        b'{"jsonrpc":"2.0","error":{"code":-1,"message":"no"},"id":-1.5e3}',
        b'{"jsonrpc":"2.0","method":"a","meta":{"timeout_ms":5,"progress_token":"t","traceparent":null}}',
        b'{"id":2,"method":"\\u00e9\\ud83d\\ude00","jsonrpc":"2.0","id":3,"other":{"a":[[[[1]]]]}}',
        b"[1,2,3,4,5]",
    ),
    tokens=(
        b'"jsonrpc":"2.0"',
        b'"method":',
        b'"params":',
        b'"id":',
        b'"result":',
        b'"error":',
        b'"code":',
        b'"message":"m"',
        b'"data":',
        b'"meta":',
        b'"timeout_ms":',
        b'"idempotency_key":',
        b'"traceparent":',
        b'"progress_token":',
        b"9007199254740993",
        b"1e999",
        b"-0",
        b"01",
        b"NaN",
        b"Infinity",
        b"true",
        b"false",
        b"null",
        b"\\ud800",
        b"\\udc00",
        b"\\u0000",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xc3\xa9",
        b"[[[[[[[",
        b"]]]]]]]",
        b'"[',
        b'\\"',
        b"{}",
        b"[]",
        b",",
        b'"aaaaaaaaaaaaaa"',
        b"1234567890123456",
    ),
    planted=Planted(
        what="only one of the two brackets counts for the depth of a small text",
        file="core/posthouse/core/encoding/text.py",
        before='text.count(b"[") + text.count(b"{") <= limit',
        after='max(text.count(b"["), text.count(b"{")) <= limit',
    ),
    boundary=re.compile(rb'[\[\]{},:]|"'),
    wraps=((b"[", b"]"), (b'{"a":', b"}"), (b'[1,{"params":', b"}]"), (b'"', b'"'), (b'{"jsonrpc":"2.0",', b"}")),
    max_len=600,
)
