"""What peers and the gateway say to each other, read by the rules of JSON-RPC 2.0 alone.

The model must not believe what the gateway's own reader believes: here texts are read a second time, by other means and
without regard for speed where a text is wrong. It may not know connections or calls.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType
from msgspec.json import Decoder, decode
from posthouse.core.values.config import Config
from posthouse.core.values.errors import BATCH_TOO_LARGE, INVALID_REQUEST, PARSE_ERROR

Codes: TypeAlias = tuple[int | None, ...]
"""How a request may be answered: with one of these error codes, or, where None is among them, with a result."""

NULL: Final = b"null"
STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
WHOLE: Final = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
TOKEN: Final = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class Asked(Struct, gc=False):
    """A request, or with `id` None a notification. `id` and `params` are JSON text."""

    method: str
    id: bytes | None
    params: bytes | None
    timeout_ms: int | None = None
    progress_token: str | int | None = None


class Told(Struct, gc=False):
    """A response to a request of the gateway's: a result, or an error with this code."""

    id: bytes
    code: int | None


class Wrong(Struct, gc=False):
    """Neither. It is answered to `id`, unless that is None: it was meant as a response."""

    id: bytes | None
    codes: Codes


class Members(Struct, gc=False):
    """Any object, its members unread."""

    jsonrpc: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class MetaMembers(Struct, gc=False):
    """The member `meta`, its members unread."""

    idempotency_key: Raw = Raw(NULL)
    timeout_ms: Raw = Raw(NULL)
    traceparent: Raw = Raw(NULL)
    progress_token: Raw = Raw(NULL)


class ErrorObject(Struct, gc=False):
    """An error (section 5.1)."""

    code: int
    message: str
    data: Any = None


class Reply(Struct, gc=False):
    """What the gateway sends. `method`: it speaks first."""

    jsonrpc: Literal["2.0"]
    id: Raw = Raw(b"")
    method: str | None = None
    result: Raw | UnsetType = UNSET
    error: ErrorObject | UnsetType = UNSET

    @property
    def whole(self) -> bool:
        """Has it a result or an error, and not both (section 5)?"""
        return (self.result is UNSET) != (self.error is UNSET)

    @property
    def code(self) -> int | None:
        """The error's, or None for a result."""
        return None if self.error is UNSET else self.error.code


text_of = b"".join
"""`text_of((raw,))`: what `bytes(raw)` says, at a quarter of the cost."""

_read_raw = Decoder(Raw).decode
_read_entries = Decoder(list[Raw]).decode
_read_members = Decoder(Members).decode
_read_name = Decoder(str).decode
_read_reply = Decoder(Reply).decode
_read_replies = Decoder(list[Reply]).decode


def read(text: bytes, config: Config) -> Asked | Told | Wrong | list[Asked | Told | Wrong]:
    """One text of a peer's: one message, or a batch of them."""
    try:
        if not text.isascii():
            text.decode()
        members = _read_members(text)
    except (UnicodeDecodeError, DecodeError, RecursionError):
        return _other(text, config)
    if len(text) > 2 * config.max_depth and depth(text, config.max_depth) > config.max_depth:
        return Wrong(NULL, (PARSE_ERROR,))
    return _entry(members, config)


def _other(text: bytes, config: Config) -> Wrong | list[Asked | Told | Wrong]:
    """What is no object."""
    try:
        text.decode()
        if text.strip(b" \t\r\n")[:1] == b"[":
            return _batch(text, config)
        _read_raw(text)
    except (UnicodeDecodeError, DecodeError, RecursionError):
        return Wrong(NULL, (PARSE_ERROR,))
    return Wrong(NULL, (INVALID_REQUEST,))


def _batch(text: bytes, config: Config) -> Wrong | list[Asked | Told | Wrong]:
    too_large = text.count(b",") >= config.max_batch
    try:
        entries = _read_entries(text)
    except (DecodeError, RecursionError):
        # Of what is too large no more is read than shows it: nobody can say whether that comes before the fault.
        return Wrong(NULL, (PARSE_ERROR, BATCH_TOO_LARGE) if too_large else (PARSE_ERROR,))
    if len(entries) > config.max_batch:
        return Wrong(NULL, (BATCH_TOO_LARGE, PARSE_ERROR))
    if depth(text, config.max_depth) > config.max_depth:
        return Wrong(NULL, (PARSE_ERROR,))
    return [_one(raw, config) for raw in entries] or Wrong(NULL, (INVALID_REQUEST,))


def _one(raw: Raw, config: Config) -> Asked | Told | Wrong:
    try:
        return _entry(_read_members(raw), config)
    except DecodeError:
        return Wrong(NULL, (INVALID_REQUEST,))


def depth(text: bytes, enough: int) -> int:
    """How deep it nests; 0 where there are too few brackets for more than `enough`."""
    if text.count(b"[") + text.count(b"{") <= enough:
        return 0
    deepest = level = 0
    for byte in STRINGS.sub(b"", text):
        if byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def _entry(members: Members, config: Config) -> Asked | Told | Wrong:
    response = members.method is UNSET and not (members.result is UNSET and members.error is UNSET)
    id = None if members.id is UNSET else text_of((members.id,))
    if id is not None and (id[0] not in b'"-0123456789n' or len(id) > config.max_id_bytes):
        return Wrong(None if response else NULL, (INVALID_REQUEST,))
    try:
        if members.jsonrpc is UNSET or _read_name(members.jsonrpc) != "2.0":
            raise DecodeError
        return _response(members, id) if response else _request(members, id, config)
    except DecodeError:
        return Wrong(None if response else id or NULL, (INVALID_REQUEST,))


def _response(members: Members, id: bytes | None) -> Told:
    if id is None or (members.result is UNSET) == (members.error is UNSET):
        raise DecodeError
    return Told(id, None if members.error is UNSET else decode(members.error, type=ErrorObject).code)


def _request(members: Members, id: bytes | None, config: Config) -> Asked:
    if members.method is UNSET:
        raise DecodeError
    method = _read_name(members.method)
    if not 0 < len(method if method.isascii() else method.encode()) <= config.max_method_bytes:
        raise DecodeError
    params = None if members.params is UNSET else text_of((members.params,))
    if params is not None and params[0] not in b"[{":
        raise DecodeError
    if members.meta is UNSET:
        return Asked(method, id, params)
    meta = decode(members.meta, type=MetaMembers)
    for member in (meta.idempotency_key, meta.timeout_ms, meta.traceparent, meta.progress_token):
        if len(bytes(member)) > config.max_id_bytes:
            raise DecodeError
    decode(meta.idempotency_key, type=str | None)
    decode(meta.traceparent, type=str | None)
    timeout_ms: int | None = decode(meta.timeout_ms, type=WHOLE | None)
    return Asked(method, id, params, timeout_ms, decode(meta.progress_token, type=str | TOKEN | None))


def read_replies(text: bytes) -> list[Reply] | Reply:
    """What the gateway says: one message, or an array of replies. Raises msgspec.DecodeError for anything else."""
    return _read_replies(text) if text[:1] == b"[" else _read_reply(text)
