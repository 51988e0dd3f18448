"""The members of a JSON-RPC message: how each is read, and the error for each fault.

Every fault is an error -32600 whose data names the member. The content of `params` and `result` stays JSON text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, defstruct
from msgspec.json import Decoder
from msgspec.structs import astuple
from posthouse.core.encoding.conversion import describe
from posthouse.core.values.errors import INVALID_REQUEST, ErrorObject, RpcError
from posthouse.core.values.peers import REQUEST_ID, Meta, WireId

ID_BEGINS: Final = b'"-0123456789n'
"""The first bytes of a string, a number or null in JSON."""

PARAMS_BEGIN: Final = b"[{"

EXACT: Final = 2**53
"""All peers read integers up to this one alike (RFC 8259 section 6)."""

text_of = b"".join
"""`text_of((raw,))` is the text of a Raw, at a quarter of the cost of `bytes(raw)`."""

wire_id_of = cast("Callable[[tuple[Raw]], WireId]", text_of)
"""`wire_id_of((raw,))` is a Raw as an id."""

first_byte = struct.Struct("B").unpack_from
"""`first_byte(raw)[0]`, without a copy of the rest."""


class Envelope(Struct, gc=False):
    """A request whose members have the right types. The values of its Raw members are not checked yet."""

    jsonrpc: Literal["2.0"]
    method: str
    params: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET


class Members(Struct, gc=False):
    """The members of any object, not decoded. Unknown ones are skipped. If a member is repeated, the last one wins."""

    jsonrpc: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


META_TYPES: Final[dict[str, Any]] = {
    "idempotency_key": str | None,
    "timeout_ms": Annotated[int, msgspec.Meta(ge=1, le=EXACT)] | None,
    "traceparent": str | None,
    "progress_token": str | Annotated[int, msgspec.Meta(ge=-EXACT, le=EXACT)] | None,
    "request_id": str | None,
}
"""The type of each member of `meta`. null counts as absent."""

OWN_LENGTH: Final = ("request_id",)
"""The members of `meta` with a length of their own. All others have at most `max_id_bytes`."""

read_any = Decoder(Raw).decode
read_envelope = Decoder(Envelope).decode
read_members = Decoder(Members).decode
_read_version = Decoder(Literal["2.0"]).decode
_read_method = Decoder(str).decode
_read_error = Decoder(ErrorObject).decode
_read_meta = Decoder(defstruct("MetaMembers", [(name, Raw | UnsetType, UNSET) for name in META_TYPES])).decode
_read_meta_member: Final[dict[str, Callable[[Raw], Any]]] = {
    name: Decoder(kind).decode for name, kind in META_TYPES.items()
}


@cache
def batch_reader(max_batch: int) -> Any:
    """A decoder of an array with at most `max_batch` entries into a Struct of Raw entries; missing ones are UNSET.

    It stops at the first entry beyond the limit: the rest of a batch that is too large costs no time and no memory.
    """
    fields: list[Any] = [(f"e{index}", Raw | UnsetType, UNSET) for index in range(max_batch)]
    return Decoder(defstruct("Batch", fields, array_like=True, forbid_unknown_fields=True)).decode


def to_envelope(members: Members) -> Envelope:
    """A request, from its members. Raises RpcError if `jsonrpc` or `method` is missing or invalid."""
    _check_version(members.jsonrpc)
    if members.method is UNSET:
        raise malformed("method", reason="it is missing")
    try:
        method = _read_method(members.method)
    except Exception:
        raise malformed("method", reason="it must be a string") from None
    return Envelope("2.0", method, members.params, members.id, members.meta)


def invalid_id(id: bytes, most: int) -> ErrorObject:
    """The error for an id whose first byte is not in `ID_BEGINS`, or which is longer than `most` bytes."""
    # Section 4: "An identifier established by the Client that MUST contain a String, Number, or NULL value".
    if id[0] not in ID_BEGINS:
        return invalid_request("id", reason="it must be a string, a number or null")
    return invalid_request("id", **limit("max_id_bytes", most))


def read_meta(raw: Raw, most: int) -> Meta:
    """The metadata of a request. Raises RpcError if a member is invalid, or too long: `most` bytes of JSON for most."""
    try:
        members = _read_meta(raw)
    except Exception:
        raise malformed("meta", reason="it must be an object") from None
    values: dict[str, Any] = {}
    for (name, read), member in zip(_read_meta_member.items(), astuple(members), strict=True):
        if member is UNSET:
            continue
        if len(memoryview(member)) > most and name not in OWN_LENGTH:
            raise malformed(f"meta.{name}", **limit("max_id_bytes", most))
        try:
            values[name] = read(member)
        except Exception as error:
            raise malformed(f"meta.{name}", reason=describe(error).reason) from None
    request_id = values.get("request_id")
    if request_id is not None and not REQUEST_ID.fullmatch(request_id):
        raise malformed("meta.request_id", reason="it must be 1 to 128 visible characters of ASCII")
    return Meta(**values)


def read_outcome(members: Members) -> bytes | ErrorObject:
    """The outcome in a response that has a `result` or an `error`: the result's JSON text, or the error.

    Raises RpcError if the response is malformed.
    """
    _check_version(members.jsonrpc)
    if members.id is UNSET:
        raise malformed("id", reason="it is missing")
    if members.result is not UNSET:
        # Section 5: "Either the result member or error member MUST be included, but both members MUST NOT".
        if members.error is not UNSET:
            raise malformed("error", reason="there is a result too")
        return text_of((members.result,))
    assert members.error is not UNSET
    try:
        return _read_error(members.error)
    except Exception as error:
        raise malformed("error", reason=describe(error).reason) from None


def invalid_request(member: str, **why: object) -> ErrorObject:
    """The -32600 that names the invalid member and the reason."""
    return ErrorObject.of(INVALID_REQUEST, {"member": member, **why})


def malformed(member: str, **why: object) -> RpcError:
    """The same error, to raise."""
    return RpcError.of(invalid_request(member, **why))


def limit(name: str, allowed: int) -> dict[str, object]:
    """The members of an error's data for a breached limit."""
    return {"limit": name, "allowed": allowed}


def _check_version(raw: Raw | UnsetType) -> None:
    if raw is UNSET:
        raise malformed("jsonrpc", reason="it is missing")
    try:
        _read_version(raw)
    except Exception:
        raise malformed("jsonrpc", reason='it must be exactly "2.0"') from None
