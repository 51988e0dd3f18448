"""JSON-RPC 2.0: bytes to requests, responses and batches, and back.

Texts are read strictly (RFC 8259, UTF-8 only), and ids are echoed byte for byte. A wrong message from a peer becomes an
`Invalid`, never an exception. It may not know connections, calls, or which methods exist.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, TypeAlias

from msgspec import UNSET, Raw, Struct, ValidationError
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
    to_envelope,
    wire_id_of,
)

NULL: Final = WireId(b"null")


class Request(Struct, frozen=True, gc=False):
    """A request, or with `id` None a notification (sections 4 and 4.1).

    `params` is the JSON text of an array or object, None when absent.
    """

    method: str
    params: Raw | None = None
    id: WireId | None = None
    meta: Meta | None = None


class Response(Struct, frozen=True, gc=False):
    """An answer to a request of ours (section 5). `outcome` is the result's JSON text, or the error."""

    id: WireId
    outcome: bytes | ErrorObject


class Invalid(Struct, frozen=True, gc=False):
    """Neither a request nor a response. `id` is for the answer: the peer's own where it could be read, else null.

    `answer` is False for a malformed response: answering errors with errors could loop forever.
    """

    id: WireId
    error: ErrorObject
    answer: bool = True


Message: TypeAlias = Request | Response | Invalid

MALFORMED: Final = Invalid(NULL, ErrorObject.of(PARSE_ERROR))
NO_REQUEST: Final = Invalid(NULL, ErrorObject.of(INVALID_REQUEST))
"""The answer, without data as in section 7, to a value that is no request and has no id."""


class Decoder:
    """Reads texts within the limits of a Config: `max_depth`, `max_batch`, `max_method_bytes`, `max_id_bytes`."""

    __slots__ = (
        "_max_depth",
        "_max_id_bytes",
        "_max_method_bytes",
        "_read_batch",
        "_shallow",
        "_too_deep",
        "_too_large",
    )

    def __init__(self, config: Config) -> None:
        self._max_depth = config.max_depth
        self._max_method_bytes = config.max_method_bytes
        self._max_id_bytes = config.max_id_bytes
        self._read_batch = batch_reader(config.max_batch)
        self._shallow = 2 * config.max_depth
        self._too_deep = Invalid(NULL, ErrorObject.of(PARSE_ERROR, limit("max_depth", config.max_depth)))
        self._too_large = Invalid(NULL, ErrorObject.of(BATCH_TOO_LARGE, limit("max_batch", config.max_batch)))

    def decode(self, data: bytes) -> Message | list[Message]:
        """Read one whole JSON text. It raises nothing, whatever the bytes are.

        A batch is a list with at least one entry. One that is empty or too large is a single `Invalid`; of one that is
        too large no entry was read.
        """
        # RFC 8259 section 8.1: JSON "MUST be encoded using UTF-8". msgspec does not look into what it skips or
        # leaves Raw.
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
        """What is no request at first sight: a batch, a response, or wrong."""
        batch = None
        try:
            if data.lstrip()[:1] == b"[":
                batch = self._read_batch(data)
            else:
                read_any(data)
        except ValidationError:
            # The entries are unread: nothing can be wrong with them but their number.
            return self._too_large
        except RecursionError:
            return self._too_deep
        except Exception:
            return MALFORMED
        if nests_deeper(data, self._max_depth):
            return self._too_deep
        if batch is None:
            return self._examine(data)
        # Section 6: to what is no "Array with at least one value, the response from the Server MUST be a single
        # Response object".
        return [self._entry(raw) for raw in astuple(batch) if raw is not UNSET] or NO_REQUEST

    def _entry(self, raw: Raw) -> Message:
        try:
            envelope = read_envelope(raw)
        except Exception:
            return self._examine(raw)
        return self._request(envelope)

    def _request(self, envelope: Envelope) -> Request | Invalid:
        """A request, unless it breaks a rule that the types of its members do not tell."""
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
                return Invalid(id or NULL, invalid_request("params", reason="it must be an array or an object"))
        if envelope.meta is UNSET:
            return Request(method, params, id)
        try:
            return Request(method, params, id, read_meta(envelope.meta, self._max_id_bytes))
        except RpcError as error:
            return Invalid(id or NULL, error.error_object)

    def _examine(self, data: bytes | Raw) -> Message:
        """JSON that is no request at first sight: a response, or wrong, and in which way?"""
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
        # An earlier duplicate was wrong, and the last one counts.
        return self._request(envelope)


_write = Encoder(enc_hook=write_custom).encode

INTERNAL: Final = _write(ErrorObject.of(INTERNAL_ERROR))


def encode_notification(method: str, params: object) -> bytes:
    """A notification. `params` is what becomes an array or an object, or None for none. Raises UsageError."""
    return b'{"jsonrpc":"2.0",%b}' % _encode_call(method, params)


def encode_request(id: int, method: str, params: object) -> bytes:
    """A request of ours, with `params` as for a notification. Raises UsageError."""
    return b'{"jsonrpc":"2.0",%b,"id":%d}' % (_encode_call(method, params), id)


def encode_result(id: WireId, result: bytes) -> bytes:
    """A response with this result, which is JSON text."""
    return b'{"jsonrpc":"2.0","result":%b,"id":%b}' % (result, id)


def encode_error(id: WireId, error: ErrorObject) -> bytes:
    """A response with this error. It raises nothing: data that cannot be encoded is left out."""
    return b'{"jsonrpc":"2.0","error":%b,"id":%b}' % (_encode_error_object(error), id)


def is_encodable(data: object) -> bool:
    """Is there JSON for the data of an error? Else it is sent without."""
    try:
        _write(ordered(data))
    except BaseException:  # a value's own conversion may raise anything
        return False
    return True


def join_batch(replies: list[bytes]) -> bytes:
    """The answer to a batch: its replies as one array (section 6)."""
    return b"[%b]" % b",".join(replies)


def _encode_call(method: str, params: object) -> bytes:
    if not method:
        raise UsageError("the name of a method must not be empty")
    try:
        name = _write(method)
        encoded = b"" if params is None else _write(ordered(params))
    except BaseException as error:  # a value's own conversion may raise anything
        raise UsageError(f"the params of {method!r} cannot be encoded as JSON") from error
    if params is None:
        return b'"method":%b' % name
    if encoded[:1] not in (b"[", b"{"):
        raise UsageError(f"the params of {method!r} become {encoded[:40]!r}: they must become an array or an object")
    return b'"method":%b,"params":%b' % (name, encoded)


def _encode_error_object(error: ErrorObject) -> bytes:
    with suppress(BaseException):  # as above
        return _write(ErrorObject(error.code, error.message, ordered(error.data)))
    with suppress(BaseException):
        return _write(ErrorObject(error.code, error.message))
    return INTERNAL
