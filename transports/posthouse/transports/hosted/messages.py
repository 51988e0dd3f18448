"""The data that hosted connections send: bytes that say more, because the host writes heads and frames by itself.

An adapter gets each of them whole, as the data of one `Write`. A text is plain bytes, a binary message `codec.Binary`.
"""

from __future__ import annotations

from typing import Final, Self

from posthouse.transports.fields import Fields
from posthouse.transports.http.answers import UNKNOWN, Answer, ResponseOptions, read_fields


class Response(bytes):
    """A whole HTTP response: the bytes are its body. The names of `fields` are in lower case."""

    status: int
    fields: Fields

    def __new__(cls, body: bytes, status: int, fields: Fields) -> Self:
        response = super().__new__(cls, body)
        response.status, response.fields = status, fields
        return response


RESULT_FIELDS: Final = read_fields(Answer(200).write(UNKNOWN, close=False)[0])[:-1]
"""The fields of a response with a result, without its length, which is the last."""


def answer_response(answer: Answer, options: ResponseOptions, *, close: bool) -> Response:
    """The response that gives this answer."""
    head, data = answer.write(options, close=close)
    return Response(data, answer.status, read_fields(head))


def result_response(data: bytes, options: ResponseOptions) -> Response:
    """The response with a result, on a connection that stays open."""
    length = (b"content-length", b"%d" % len(data))
    response = NEW(Response, data)
    response.status = 200
    more = read_fields(b"\r\n%b\r\n" % options.lines) if options.lines else ()
    response.fields = (*RESULT_FIELDS, length, *more)
    return response


NEW: Final = bytes.__new__


class Accepted(bytes):
    """A WebSocket is admitted, with this subprotocol (None: without any). There are no bytes."""

    subprotocol: str | None

    def __new__(cls, subprotocol: str | None) -> Self:
        accepted = super().__new__(cls)
        accepted.subprotocol = subprotocol
        return accepted


class Closing(bytes):
    """A WebSocket is closed with this code. There are no bytes."""

    code: int

    def __new__(cls, code: int) -> Self:
        closing = super().__new__(cls)
        closing.code = code
        return closing
