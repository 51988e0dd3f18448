"""Errors: every JSON-RPC error code with its HTTP status and whether a retry can help; errors as values, and raised.

Each code is defined once, here. `message` is a fixed text per code; everything that varies is in `data`. An
`ErrorObject` is a value: it is held, compared and sent. An `RpcError` is only raised. This module may not know how an
error travels: the codecs read `http_status` and `retry_after` from the code's row.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct


class UsageError(Exception):
    """The caller of the library misused it. Raised before anything changed; never caused by a peer."""


class ErrorCode(Struct, frozen=True):
    """One row of the registry: a JSON-RPC error code and what it means on the wire.

    `retry_after`: seconds that an HTTP client should wait where the error's data has no `retry_after_ms`.
    """

    code: int
    message: str
    http_status: int = 200
    retryable: bool = False
    retry_after: float | None = None


PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
APPLICATION_ERROR: Final = -32000
TOO_MANY_SUBSCRIPTIONS: Final = -32006
REQUEST_TOO_LARGE: Final = -32007
RESPONSE_TOO_LARGE: Final = -32008
SERVER_BUSY: Final = -32009
BATCH_TOO_LARGE: Final = -32010
BATCH_REPLY_TOO_LARGE: Final = -32011
ID_IN_FLIGHT: Final = -32013
UNAUTHENTICATED: Final = -32020
FORBIDDEN: Final = -32021
CREDENTIALS_EXPIRED: Final = -32022
TOO_MANY_FAILED_AUTHENTICATIONS: Final = -32023
RATE_LIMITED: Final = -32029
DEADLINE_EXCEEDED: Final = -32030
BROKER_UNAVAILABLE: Final = -32034
STORAGE_UNAVAILABLE: Final = -32035
UNKNOWN_TOPIC: Final = -32036
UNKNOWN_SESSION: Final = -32040
SESSION_TAKEN_OVER: Final = -32043
DRAINING: Final = -32050
REQUEST_CANCELLED: Final = -32800

ERRORS: Final[dict[int, ErrorCode]] = {
    row.code: row
    for row in (
        ErrorCode(PARSE_ERROR, "Parse error", 400),
        ErrorCode(INVALID_REQUEST, "Invalid Request", 400),
        ErrorCode(METHOD_NOT_FOUND, "Method not found"),
        ErrorCode(INVALID_PARAMS, "Invalid params"),
        ErrorCode(INTERNAL_ERROR, "Internal error"),
        ErrorCode(APPLICATION_ERROR, "Application error"),
        ErrorCode(TOO_MANY_SUBSCRIPTIONS, "Too many subscriptions"),
        ErrorCode(REQUEST_TOO_LARGE, "Request too large", 413),
        ErrorCode(RESPONSE_TOO_LARGE, "Response too large"),
        ErrorCode(SERVER_BUSY, "Server busy", 503, retryable=True, retry_after=1.0),
        ErrorCode(BATCH_TOO_LARGE, "Batch too large", 413),
        ErrorCode(BATCH_REPLY_TOO_LARGE, "Batch reply too large"),
        ErrorCode(ID_IN_FLIGHT, "Id already in flight"),
        ErrorCode(UNAUTHENTICATED, "Unauthenticated", 401),
        ErrorCode(FORBIDDEN, "Forbidden", 403),
        ErrorCode(CREDENTIALS_EXPIRED, "Credentials expired", 401),
        ErrorCode(TOO_MANY_FAILED_AUTHENTICATIONS, "Too many failed authentications", 429, retryable=True),
        ErrorCode(RATE_LIMITED, "Rate limited", 429, retryable=True, retry_after=1.0),
        ErrorCode(DEADLINE_EXCEEDED, "Deadline exceeded", retryable=True),
        ErrorCode(BROKER_UNAVAILABLE, "Broker unavailable", 503, retryable=True),
        ErrorCode(STORAGE_UNAVAILABLE, "Storage unavailable", 503, retryable=True),
        ErrorCode(UNKNOWN_TOPIC, "Unknown topic, or not subscribed"),
        ErrorCode(UNKNOWN_SESSION, "Unknown or expired session"),
        ErrorCode(SESSION_TAKEN_OVER, "Session taken over elsewhere"),
        ErrorCode(DRAINING, "Draining, reconnect elsewhere", 503, retryable=True, retry_after=1.0),
        ErrorCode(REQUEST_CANCELLED, "Request cancelled"),
    )
}

RESERVED: Final = range(-32768, -31999)
"""-32768 to -32000, both included: reserved by JSON-RPC 2.0 section 5.1."""


class ErrorObject(Struct, frozen=True, omit_defaults=True):
    """An error as a value (JSON-RPC 2.0 section 5.1). `data` None: there is no `data` member."""

    code: int
    message: str
    data: Any = None

    @classmethod
    def of(cls, code: int, data: object = None) -> ErrorObject:
        """The error of this row of `ERRORS`, with its fixed message."""
        return cls(code, ERRORS[code].message, data)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before a retry, or None where waiting does not help."""
        if isinstance(self.data, dict) and isinstance(milliseconds := self.data.get("retry_after_ms"), int):
            return milliseconds / 1000
        row = ERRORS.get(self.code)
        return None if row is None else row.retry_after


class RpcError(Exception):
    """A JSON-RPC error that is raised: by a handler to answer with it, and to a caller that receives it.

    `code` defaults to -32000, `message` to the fixed text of the code's row. `data` is any JSON value that msgspec
    can encode, or None for no `data` member. A service's own codes lie outside -32768 to -32000; a code inside it
    that is not in the registry raises UsageError unless `reserved=True` says that another protocol (LSP, MCP) names it.
    So does a code that is no integer, and a message that is no text.
    """

    code: int
    message: str
    data: object

    def __init__(
        self, code: int = APPLICATION_ERROR, message: str | None = None, data: object = None, *, reserved: bool = False
    ) -> None:
        if isinstance(code, bool) or not isinstance(code, int):
            hint = f": for a message alone say RpcError(message={code!r})" if isinstance(code, str) else ""
            raise UsageError(f"an error code must be an integer, not {code!r}{hint}")
        if not isinstance(message, str | None):
            raise UsageError(f"the message of an error must be a string, not {message!r}")
        row = ERRORS.get(code)
        if row is None and code in RESERVED and not reserved:
            raise UsageError(
                f"error code {code} is reserved by JSON-RPC 2.0: choose one outside -32768 to -32000, "
                "or say reserved=True for a code that another named protocol defines"
            )
        if message is None:
            message = row.message if row is not None else "Application error"
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data = data

    @classmethod
    def of(cls, error: ErrorObject) -> RpcError:
        """The exception for this error, also for a code that a service may not choose."""
        return RpcError(error.code, error.message, error.data, reserved=True)

    @property
    def error_object(self) -> ErrorObject:
        """This error as a value."""
        return ErrorObject(self.code, self.message, self.data)

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


def refusal(code: int, **why: object) -> ErrorObject:
    """An error of the gateway's own: its data says why, and that a retry can help where the code's row says so."""
    data = {"retryable": True, **why} if ERRORS[code].retryable else why
    return ErrorObject.of(code, data or None)


def http_status(code: int | None) -> int:
    """The HTTP status of an answer that carries the error `code` (None: no error)."""
    row = ERRORS.get(code) if code is not None else None
    return row.http_status if row is not None else 200
