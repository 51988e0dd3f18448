"""The header fields of a request or a handshake: as bytes on their way, as a mapping for handlers.

Credentials are left out of the mapping: who calls is the identity of the connection. This module may not know HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

Headers = tuple[tuple[bytes, bytes], ...]
"""Names and values, in the order in which they were received."""

CREDENTIALS: Final = (
    *("authorization", "cookie", "posthouse-session", "proxy-authorization", "sec-websocket-protocol", "set-cookie"),
    *("x-api-key", "x-auth-token", "x-csrf-token", "x-xsrf-token"),
)
"""The headers that no handler gets, in lower case. `Sec-WebSocket-Protocol` may carry a bearer token."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def readable(headers: Headers) -> Mapping[str, str]:
    """The headers for a handler: by name in lower case, without credentials.

    Values are decoded as latin-1, so that each byte is one character. RFC 9110 section 5.3: the values of a repeated
    header are joined, in order, "separated by a comma".
    """
    if not headers:
        return NO_HEADERS
    found: dict[str, str] = {}
    for field, content in headers:
        name, value = field.decode("latin-1").lower(), content.decode("latin-1")
        if name not in CREDENTIALS:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return MappingProxyType(found)
