"""JSON-RPC 2.0: bytes to requests, responses and batches, and back.

Texts are decoded strictly (RFC 8259, UTF-8 only), and ids are echoed byte for byte. An invalid message from a peer
becomes an `Invalid`, never an exception.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType, ValidationError
from msgspec.json import Encoder
from msgspec.structs import astuple
from posthouse.core.encoding.conversion import write_custom
from posthouse.core.encoding.ordering import ordered
from posthouse.core.encoding.text import is_utf8, nests_deeper
from posthouse.core.values.config import Config
from posthouse.core.values.errors import (
    BATCH_TOO_LARGE,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorObject,
    RpcError,
    UsageError,
)
from posthouse.core.values.peers import Meta, WireId

from .envelope import (
    ID_BEGINS,
    PARAMS_BEGIN,
    Envelope,
    batch_reader,
    first_byte,
    invalid_id,
    invalid_request,
    limit,
    read_any,
    read_envelope,
    read_members,
    read_meta,
    read_outcome,
    text_of,
    to_envelope,
    wire_id_of,
)

NULL: Final = WireId(b"null")

LOCAL: Final = 1
"""The id of a request that this process makes itself, on a connection of its own."""

RESULT_BEGINS: Final = b'{"jsonrpc":"2.0","result":'
LOCAL_ENDS: Final = b',"id":%d}' % LOCAL

NO_PARAMS: Final = b"null"
"""Many clients write it for absent params."""

_begins_array = re.compile(rb"[\t\n\r ]*+\[").match


class Request(Struct, frozen=True, gc=False):
    """A request, or a notification if `id` is None (sections 4 and 4.1). `params` is the JSON text of an array or
    object, None if absent."""

    method: str
    params: Raw | None = None
    id: WireId | None = None
    meta: Meta | None = None


class Response(Struct, frozen=True, gc=False):
    """A response to a request of the gateway (section 5). `outcome` is the result's JSON text, or the error."""

    id: WireId
    outcome: bytes | ErrorObject


class Invalid(Struct, frozen=True, gc=False):
    """Neither a valid request nor a valid response. `id` is for the answer: the peer's if it is readable, else null.

    `answer` is False for a malformed response: answering errors with errors could loop forever.
    """

    id: WireId
    error: ErrorObject
    answer: bool = True


Message: TypeAlias = Request | Response | Invalid

MALFORMED: Final = Invalid(NULL, ErrorObject.of(PARSE_ERROR))
NO_REQUEST: Final = Invalid(NULL, ErrorObject.of(INVALID_REQUEST))
"""A value that is not a request and has no id. Its answer has no data, as in section 7."""


class Decoder:
    """Reads texts within the limits of a Config: `max_depth`, `max_batch`, `max_method_bytes`, `max_id_bytes`."""

    def __init__(self, config: Config) -> None:
        self._max_depth = config.max_depth
        self._max_method_bytes = config.max_method_bytes
        self._max_id_bytes = config.max_id_bytes
        self._read_batch = batch_reader(config.max_batch)
        self._shallow = 2 * config.max_depth
        self._too_deep = Invalid(NULL, ErrorObject.of(PARSE_ERROR, limit("max_depth", config.max_depth)))
        self._too_large = Invalid(NULL, ErrorObject.of(BATCH_TOO_LARGE, limit("max_batch", config.max_batch)))

    def decode(self, data: bytes) -> Message | list[Message]:
        """Decode one whole JSON text. It never raises.

        A batch is a list with at least one entry. A batch that is empty or too large is a single `Invalid`.
        """
        # RFC 8259 section 8.1: JSON "MUST be encoded using UTF-8". msgspec does not check skipped and Raw values.
        if not data.isascii() and not is_utf8(data):
            return MALFORMED
        try:
            envelope = read_envelope(data)
        except Exception:
            return self._decode_other(data)
        if len(data) > self._shallow and nests_deeper(data, self._max_depth):
            return self._too_deep
        return self._request(envelope)

    def _decode_other(self, data: bytes) -> Message | list[Message]:
        """Decode a text that is not a valid request: a batch, a response, or invalid."""
        batch = None
        try:
            if _begins_array(data):
                batch = self._read_batch(data)
            else:
                read_any(data)
        except ValidationError:
            return self._too_large  # entries are Raw, so only their number can be invalid
        except RecursionError:
            return self._too_deep
        except Exception:
            return MALFORMED
        if batch is not None:
            return self._decode_batch(astuple(batch))
        return self._too_deep if nests_deeper(data, self._max_depth) else self._examine(data)

    def _decode_batch(self, entries: tuple[Raw | UnsetType, ...]) -> Message | list[Message]:
        """Decode the entries of an array. Those that are UNSET, the last ones, are not there."""
        messages: list[Message] = []
        within = self._max_depth - 1
        for raw in entries:
            if raw is UNSET:
                break
            # Each by itself: most are so short that they cannot nest too deep.
            text = text_of((raw,))
            if len(text) > 2 * within and nests_deeper(text, within):
                return self._too_deep
            try:
                envelope = read_envelope(raw)
            except Exception:
                messages.append(self._examine(raw))
            else:
                messages.append(self._request(envelope))
        # Section 6: if it is not "an Array with at least one value, the response from the Server MUST be a single
        # Response object".
        return messages or NO_REQUEST

    def _request(self, envelope: Envelope) -> Request | Invalid:
        """Check the rules of a request that the types of its members do not express."""
        id: WireId | None = None
        if envelope.id is not UNSET:
            id = wire_id_of((envelope.id,))
            if id[0] not in ID_BEGINS or len(id) > self._max_id_bytes:
                return Invalid(NULL, invalid_id(id, self._max_id_bytes))
        method = envelope.method
        size = len(method) if method.isascii() else len(method.encode())
        if not size:
            return Invalid(id or NULL, invalid_request("method", reason="it must not be empty"))
        if size > self._max_method_bytes:
            return Invalid(id or NULL, invalid_request("method", **limit("max_method_bytes", self._max_method_bytes)))
        params: Raw | None = None
        if envelope.params is not UNSET:
            params = envelope.params
            # Section 4.2: "If present, parameters for the rpc call MUST be provided as a Structured value."
            if first_byte(params)[0] not in PARAMS_BEGIN:
                if text_of((params,)) != NO_PARAMS:
                    return Invalid(id or NULL, invalid_request("params", reason="it must be an array or an object"))
                params = None
        if envelope.meta is UNSET:
            return Request(method, params, id)
        try:
            return Request(method, params, id, read_meta(envelope.meta, self._max_id_bytes))
        except RpcError as error:
            return Invalid(id or NULL, error.error_object)

    def _examine(self, data: bytes | Raw) -> Message:
        """A message from JSON that is not a valid request: a response, or invalid with the reason."""
        try:
            members = read_members(data)
        except Exception:
            return NO_REQUEST
        id = NULL if members.id is UNSET else wire_id_of((members.id,))
        response = members.method is UNSET and not (members.result is UNSET and members.error is UNSET)
        if id[0] not in ID_BEGINS or len(id) > self._max_id_bytes:
            return Invalid(NULL, invalid_id(id, self._max_id_bytes), answer=not response)
        try:
            if response:
                return Response(id, read_outcome(members))
            envelope = to_envelope(members)
        except RpcError as error:
            if members.id is UNSET and not response:
                return NO_REQUEST
            return Invalid(id, error.error_object, answer=not response)
        return self._request(envelope)  # an earlier duplicate of a member was invalid; the last one wins


_write = Encoder(enc_hook=write_custom).encode

INTERNAL: Final = _write(ErrorObject.of(INTERNAL_ERROR))


def encode_notification(method: str, params: object) -> bytes:
    """A notification. `params` must encode as an array or an object, or be None. Raises UsageError."""
    return b'{"jsonrpc":"2.0",%b}' % _encode_call(method, params)


def encode_request(id: int, method: str, params: object) -> bytes:
    """A request, with `params` as for a notification. Raises UsageError."""
    return b'{"jsonrpc":"2.0",%b,"id":%d}' % (_encode_call(method, params), id)


def encode_result(id: WireId, result: bytes) -> bytes:
    """A response with this result (JSON text)."""
    return text_of((RESULT_BEGINS, result, b',"id":', id, b"}"))  # one copy, without room to spare


def encode_error(id: WireId, error: ErrorObject) -> bytes:
    """A response with this error. Data that cannot be encoded is left out. It never raises."""
    return b'{"jsonrpc":"2.0","error":%b,"id":%b}' % (_encode_error_object(error), id)


def is_encodable(data: object) -> bool:
    """Can this data of an error be encoded? If not, the error is sent without data."""
    try:
        _write(ordered(data))
    except BaseException:  # a value's own conversion may raise anything
        return False
    return True


def read_reply(data: bytes) -> bytes | ErrorObject:
    """The outcome in a reply of this gateway to a request whose id is `LOCAL`: the result's JSON text, or the error."""
    if data.startswith(RESULT_BEGINS):
        return data[len(RESULT_BEGINS) : -len(LOCAL_ENDS)]
    return read_outcome(read_members(data))


def join_batch(replies: list[bytes]) -> bytes:
    """The answer to a batch: its replies as one array (section 6)."""
    parts = [b","] * (2 * len(replies))
    parts[1::2] = replies
    parts[:1] = (b"[",)
    parts.append(b"]")
    return text_of(parts)


def _encode_call(method: str, params: object) -> bytes:
    if not method:
        raise UsageError("a method's name must not be empty")
    try:
        name = _write(method)
        encoded = b"" if params is None else _write(ordered(params))
    except BaseException as error:  # a value's own conversion may raise anything
        raise UsageError(f"the params of {method!r} cannot be encoded as JSON") from error
    if params is None:
        return b'"method":%b' % name
    if encoded[:1] not in (b"[", b"{"):
        raise UsageError(f"the params of {method!r} encode as {encoded[:40]!r}: they must be an array or an object")
    return b'"method":%b,"params":%b' % (name, encoded)


def _encode_error_object(error: ErrorObject) -> bytes:
    with suppress(BaseException):  # as above
        return _write(ErrorObject(error.code, error.message, ordered(error.data)))
    with suppress(BaseException):
        return _write(ErrorObject(error.code, error.message))
    return INTERNAL
