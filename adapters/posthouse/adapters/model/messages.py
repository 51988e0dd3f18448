"""The messages of peers and of the gateway, parsed by the rules of JSON-RPC 2.0.

This is a second parser on purpose: the model must not repeat mistakes of the gateway's own. It need not be fast for
invalid texts. It does not know connections or calls.
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
"""The allowed answers to a request: an error with one of these codes, or for None a result."""

NULL: Final = b"null"
STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
TIMEOUT: Final = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
TOKEN: Final = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class Request(Struct, gc=False):
    """A request, or a notification if `id` is None. `id` and `params` are JSON texts. `key` is its idempotency key."""

    method: str
    id: bytes | None
    params: bytes | None
    timeout_ms: int | None = None
    progress_token: str | int | None = None
    request_id: str | None = None
    key: str | None = None


class Response(Struct, gc=False):
    """A response to a request of the gateway: an error with this code, or a result."""

    id: bytes
    code: int | None


class Invalid(Struct, gc=False):
    """An invalid message. It is answered with `id`, or not at all if that is None: it was meant as a response."""

    id: bytes | None
    codes: Codes


Entry: TypeAlias = Request | Response | Invalid


class Members(Struct, gc=False):
    """An object whose members are not parsed yet."""

    jsonrpc: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class MetaMembers(Struct, gc=False):
    """The member `meta`, whose members are not parsed yet."""

    idempotency_key: Raw = Raw(NULL)
    timeout_ms: Raw = Raw(NULL)
    traceparent: Raw = Raw(NULL)
    progress_token: Raw = Raw(NULL)
    request_id: Raw = Raw(NULL)


class ErrorObject(Struct, gc=False):
    """An error object (section 5.1)."""

    code: int
    message: str
    data: Any = None


class Sent(Struct, gc=False):
    """A message of the gateway: a reply, or with `method` a push."""

    jsonrpc: Literal["2.0"]
    id: Raw = Raw(b"")
    method: str | None = None
    result: Raw | UnsetType = UNSET
    error: ErrorObject | UnsetType = UNSET

    @property
    def valid(self) -> bool:
        """Has it either a result or an error (section 5)?"""
        return (self.result is UNSET) != (self.error is UNSET)

    @property
    def code(self) -> int | None:
        """The code of the error, or None for a result."""
        return None if self.error is UNSET else self.error.code


text_of = b"".join
"""`text_of((raw,))` equals `bytes(raw)` at a quarter of the cost."""

_parse_raw = Decoder(Raw).decode
_parse_entries = Decoder(list[Raw]).decode
_parse_members = Decoder(Members).decode
_parse_string = Decoder(str).decode
_read_sent = Decoder(Sent).decode
_read_sent_array = Decoder(list[Sent]).decode


def read_message(text: bytes, config: Config) -> Entry | list[Entry]:
    """The text of a peer: one message, or a batch."""
    try:
        if not text.isascii():
            text.decode()
        members = _parse_members(text)
    except (UnicodeDecodeError, DecodeError, RecursionError):
        return _read_non_object(text, config)
    if len(text) > 2 * config.max_depth and depth(text, config.max_depth) > config.max_depth:
        return Invalid(NULL, (PARSE_ERROR,))
    return _entry(members, config)


def _read_non_object(text: bytes, config: Config) -> Invalid | list[Entry]:
    try:
        text.decode()
        if text.strip(b" \t\r\n")[:1] == b"[":
            return _read_batch(text, config)
        _parse_raw(text)
    except (UnicodeDecodeError, DecodeError, RecursionError):
        return Invalid(NULL, (PARSE_ERROR,))
    return Invalid(NULL, (INVALID_REQUEST,))


def _read_batch(text: bytes, config: Config) -> Invalid | list[Entry]:
    too_large = text.count(b",") >= config.max_batch
    try:
        entries = _parse_entries(text)
    except (DecodeError, RecursionError):
        # The gateway stops reading at the first excess entry. It may or may not reach the syntax error.
        return Invalid(NULL, (PARSE_ERROR, BATCH_TOO_LARGE) if too_large else (PARSE_ERROR,))
    if len(entries) > config.max_batch:
        return Invalid(NULL, (BATCH_TOO_LARGE, PARSE_ERROR))
    if depth(text, config.max_depth) > config.max_depth:
        return Invalid(NULL, (PARSE_ERROR,))
    return [_read_entry(raw, config) for raw in entries] or Invalid(NULL, (INVALID_REQUEST,))


def _read_entry(raw: Raw, config: Config) -> Entry:
    try:
        return _entry(_parse_members(raw), config)
    except DecodeError:
        return Invalid(NULL, (INVALID_REQUEST,))


def depth(text: bytes, limit: int) -> int:
    """The depth of nesting, or 0 if the text has too few brackets to be deeper than `limit`."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return 0
    deepest = level = 0
    for byte in STRINGS.sub(b"", text):
        if byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def _entry(members: Members, config: Config) -> Entry:
    response = members.method is UNSET and not (members.result is UNSET and members.error is UNSET)
    id = None if members.id is UNSET else text_of((members.id,))
    if id is not None and (id[0] not in b'"-0123456789n' or len(id) > config.max_id_bytes):
        return Invalid(None if response else NULL, (INVALID_REQUEST,))
    try:
        if members.jsonrpc is UNSET or _parse_string(members.jsonrpc) != "2.0":
            raise DecodeError
        return _response(members, id) if response else _request(members, id, config)
    except DecodeError:
        return Invalid(None if response else id or NULL, (INVALID_REQUEST,))


def _response(members: Members, id: bytes | None) -> Response:
    if id is None or (members.result is UNSET) == (members.error is UNSET):
        raise DecodeError
    return Response(id, None if members.error is UNSET else decode(members.error, type=ErrorObject).code)


def _request(members: Members, id: bytes | None, config: Config) -> Request:
    if members.method is UNSET:
        raise DecodeError
    method = _parse_string(members.method)
    if not 0 < len(method if method.isascii() else method.encode()) <= config.max_method_bytes:
        raise DecodeError
    params = None if members.params is UNSET else text_of((members.params,))
    if params == b"null":
        params = None
    if params is not None and params[0] not in b"[{":
        raise DecodeError
    if members.meta is UNSET:
        return Request(method, id, params)
    meta = decode(members.meta, type=MetaMembers)
    for member in (meta.idempotency_key, meta.timeout_ms, meta.traceparent, meta.progress_token):
        if len(bytes(member)) > config.max_id_bytes:
            raise DecodeError
    key: str | None = decode(meta.idempotency_key, type=str | None)
    decode(meta.traceparent, type=str | None)
    timeout_ms: int | None = decode(meta.timeout_ms, type=TIMEOUT | None)
    request_id: str | None = decode(meta.request_id, type=str | None)
    if request_id is not None and not (0 < len(request_id) <= 128 and all("!" <= char <= "~" for char in request_id)):
        raise DecodeError
    token: str | int | None = decode(meta.progress_token, type=str | TOKEN | None)
    return Request(method, id, params, timeout_ms, token, request_id, key)


def read_sent(text: bytes) -> list[Sent] | Sent:
    """The text of the gateway: one message, or an array of replies. Raises msgspec.DecodeError for anything else."""
    return _read_sent_array(text) if text[:1] == b"[" else _read_sent(text)
