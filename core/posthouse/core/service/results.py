"""How what a handler returns becomes the `result` of a response, and how it is held to its declared type.

The rule is that of the wire: the JSON that leaves is one that the declared type reads. So a dict may stand for a
Struct and a tuple for a list, and a NaN (which is no JSON) does not pass for a float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import ValidationError, convert
from msgspec.json import Decoder, Encoder
from posthouse.core.encoding.conversion import NoJson, check, describe, read_custom, write_custom
from posthouse.core.encoding.ordering import PLAIN, ordered

Encoding = Callable[[object], bytes]

EXACT: tuple[Any, ...] = (int, str, bool)
"""Types of which an instance needs no further check."""


class ResultError(Exception):
    """A method's result, or a caller's answer to `Context.call`, is not of its declared type, or becomes no JSON.

    `reason` has no words of user code.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def compile_encoding(annotation: Any, where: str) -> Encoding:
    """A function that encodes results declared as `annotation`, and raises ResultError and nothing else.

    Raises UsageError for a type that JSON cannot carry; `where` says what it annotates.
    """
    models, sets = check(annotation, where)
    write = Encoder(enc_hook=write_custom).encode
    encode: Encoding = (lambda result: write(ordered(result))) if sets else write
    decode = Decoder(annotation, dec_hook=read_custom).decode

    def encode_any(result: object) -> bytes:
        try:
            return write(result if type(result) in PLAIN else ordered(result))
        except BaseException as error:
            raise _refused(error) from None

    def encode_checked(result: object) -> bytes:
        try:
            data = encode(result)
            decode(data)
        except BaseException as error:
            raise _refused(error) from None
        return data

    def encode_models(result: object) -> bytes:
        # What a model writes need not be what it reads (aliases, computed fields): it is checked before.
        try:
            return encode(convert(result, annotation, dec_hook=read_custom))
        except BaseException as error:
            raise _refused(error) from None

    def encode_none(result: object) -> bytes:
        return b"null" if result is None else encode_checked(result)

    def encode_exact(result: object) -> bytes:
        if type(result) is not annotation:
            return encode_checked(result)
        try:
            return encode(result)
        except BaseException as error:
            raise _refused(error) from None

    if annotation is Any:
        return encode_any
    if models:
        return encode_models
    if annotation is type(None):
        return encode_none
    return encode_exact if annotation in EXACT else encode_checked


def _refused(error: BaseException) -> ResultError:
    if isinstance(error, ValidationError):
        fault = describe(error)
        where = "" if fault.path == "$" else f" at {fault.path}"
        return ResultError(f"the result is not as declared: {fault.reason}{where}")
    return ResultError(f"the result becomes no JSON: {error if type(error) is NoJson else type(error).__name__}")
