"""Errors: the table of all JSON-RPC error codes, errors as values, and errors as exceptions.

Each code has one row with its fixed message, its HTTP status and whether a retry can help; everything that varies is in
`data`. An `ErrorObject` is a value: it is held, compared and sent. An `RpcError` is only raised.
"""

from __future__ import annotations

from reprlib import Repr
from typing import Any, Final

from msgspec import Struct


class UsageError(Exception):
    """The library was misused. Raised before any change, and never because of a peer."""


class ErrorCode(Struct, frozen=True):
    """One row of the table of errors.

    `retry_after`: seconds that an HTTP client should wait if the error's data has no `retry_after_ms`.
    """

    code: int
    message: str
    http_status: int = 200
    retryable: bool = False
    retry_after: float | None = None


ERRORS: Final[dict[int, ErrorCode]] = {}
"""All errors, by code."""


def _row(
    code: int, message: str, http_status: int = 200, *, retryable: bool = False, retry_after: float | None = None
) -> int:
    ERRORS[code] = ErrorCode(code, message, http_status, retryable, retry_after)
    return code


PARSE_ERROR: Final = _row(-32700, "Parse error", 400)
INVALID_REQUEST: Final = _row(-32600, "Invalid Request", 400)
METHOD_NOT_FOUND: Final = _row(-32601, "Method not found")
INVALID_PARAMS: Final = _row(-32602, "Invalid params")
INTERNAL_ERROR: Final = _row(-32603, "Internal error")
APPLICATION_ERROR: Final = _row(-32000, "Application error")
TOO_MANY_SUBSCRIPTIONS: Final = _row(-32006, "Too many subscriptions")
REQUEST_TOO_LARGE: Final = _row(-32007, "Request too large", 413)
RESPONSE_TOO_LARGE: Final = _row(-32008, "Response too large")
SERVER_BUSY: Final = _row(-32009, "Server busy", 503, retryable=True, retry_after=1.0)
BATCH_TOO_LARGE: Final = _row(-32010, "Batch too large", 413)
BATCH_REPLY_TOO_LARGE: Final = _row(-32011, "Batch reply too large")
ID_IN_FLIGHT: Final = _row(-32013, "Id already in flight")
UNAUTHENTICATED: Final = _row(-32020, "Unauthenticated", 401)
FORBIDDEN: Final = _row(-32021, "Forbidden", 403)
CREDENTIALS_EXPIRED: Final = _row(-32022, "Credentials expired", 401)
TOO_MANY_FAILED_AUTHENTICATIONS: Final = _row(-32023, "Too many failed authentications", 429, retryable=True)
RATE_LIMITED: Final = _row(-32029, "Rate limited", 429, retryable=True, retry_after=1.0)
DEADLINE_EXCEEDED: Final = _row(-32030, "Deadline exceeded", retryable=True)
BROKER_UNAVAILABLE: Final = _row(-32034, "Broker unavailable", 503, retryable=True)
STORAGE_UNAVAILABLE: Final = _row(-32035, "Storage unavailable", 503, retryable=True)
UNKNOWN_TOPIC: Final = _row(-32036, "Unknown topic, or not subscribed")
UNKNOWN_SESSION: Final = _row(-32040, "Unknown or expired session")
SESSION_TAKEN_OVER: Final = _row(-32043, "Session taken over elsewhere")
DRAINING: Final = _row(-32050, "Draining, reconnect elsewhere", 503, retryable=True, retry_after=1.0)
REQUEST_CANCELLED: Final = _row(-32800, "Request cancelled")

RESERVED: Final = range(-32768, -31999)
"""-32768 to -32000 inclusive, reserved by JSON-RPC 2.0 section 5.1."""

RETRY_AFTER: Final = range(2**53)
"""The milliseconds that an error's data may ask a client to wait. Others are ignored."""


class ErrorObject(Struct, frozen=True, omit_defaults=True):
    """An error as a value (JSON-RPC 2.0 section 5.1). `data` None means no `data` member."""

    code: int
    message: str
    data: Any = None

    @classmethod
    def of(cls, code: int, data: object = None) -> ErrorObject:
        """The error of this code in `ERRORS`, with its fixed message."""
        return cls(code, ERRORS[code].message, data)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before a retry, or None if waiting does not help."""
        if issubclass(type(self.data), dict):  # `data` is a service's own: its methods may raise, so none is called
            milliseconds = dict.get(self.data, "retry_after_ms")
            if type(milliseconds) is int and milliseconds in RETRY_AFTER:
                return milliseconds / 1000
        row = ERRORS.get(self.code)
        return None if row is None else row.retry_after


class RpcError(Exception):
    """A JSON-RPC error as an exception. A handler raises it to answer with an error; a caller gets it as the answer.

    `message` defaults to the fixed message of the code, `code` to -32000. `data` is any value that msgspec can encode,
    or None for no `data` member. Codes of a service lie outside -32768 to -32000. Raises UsageError for a code in this
    range that is not in `ERRORS`, unless `reserved=True` says that another protocol (LSP, MCP) defines it, and for a
    code that is not an integer or a message that is not a string.
    """

    code: int
    message: str
    data: object

    def __init__(
        self, code: int = APPLICATION_ERROR, message: str | None = None, data: object = None, *, reserved: bool = False
    ) -> None:
        if isinstance(code, bool) or not isinstance(code, int):
            hint = f": to give only a message, use RpcError(message={code!r})" if isinstance(code, str) else ""
            raise UsageError(f"an error code must be an integer, not {code!r}{hint}")
        if not isinstance(message, str | None):
            raise UsageError(f"the message of an error must be a string, not {message!r}")
        row = ERRORS.get(code)
        if row is None and code in RESERVED and not reserved:
            raise UsageError(
                f"error code {code} is reserved by JSON-RPC 2.0: choose one outside -32768 to -32000, "
                "or use reserved=True if another named protocol defines it"
            )
        if message is None:
            message = row.message if row is not None else "Application error"
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data = data

    @classmethod
    def of(cls, error: ErrorObject) -> RpcError:
        """This error as an exception. Reserved codes are allowed."""
        return RpcError(error.code, error.message, error.data, reserved=True)

    @property
    def error_object(self) -> ErrorObject:
        """This error as a value."""
        return ErrorObject(self.code, self.message, self.data)

    def __str__(self) -> str:
        """Code, message and data. Data is shortened, and characters that do not print are escaped."""
        if self.data is None:
            return f"{self.code} {self.message}"
        return f"{self.code} {self.message}: {Shortened().repr(self.data)}"


class Shortened(Repr):
    """Shows a value of any depth, length and type in at most `longest` characters that print. Its errors are caught."""

    longest: Final = 500

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring, self.maxother = 4, 20, 20, 200, 200

    def repr(self, x: Any) -> str:
        text = super().repr(x)
        return text if len(text) <= self.longest else f"{text[: self.longest - 3]}..."


def refusal(code: int, **why: object) -> ErrorObject:
    """An error of the gateway itself. Its data gives the reason, and `retryable` if the code's row allows a retry."""
    data = {"retryable": True, **why} if ERRORS[code].retryable else why
    return ErrorObject.of(code, data or None)


def http_status(code: int | None) -> int:
    """The HTTP status of an answer with the error `code` (None: no error)."""
    row = ERRORS.get(code) if code is not None else None
    return row.http_status if row is not None else 200
