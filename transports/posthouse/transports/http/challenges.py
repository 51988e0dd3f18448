"""The challenge of a 401: which credentials the service reads (RFC 9110 section 11.6.1).

It may not know why a request is refused.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from msgspec import Struct

BEARER: Final = b"WWW-Authenticate: Bearer\r\n"
BASIC: Final = b'WWW-Authenticate: Basic realm="posthouse", charset="UTF-8"\r\n'
"""RFC 7617 section 2: the realm is required, and `charset` can only be UTF-8."""


class Challenges(Struct, frozen=True, gc=False):
    """The header lines of a 401. A page gets no challenge of Basic: its browser would ask the user for a password, and
    send that with every later request to this server. `same`: pages and programs get the same ones."""

    lines: bytes = BEARER
    for_pages: bytes = BEARER
    same: bool = True

    @classmethod
    def of(cls, schemes: Container[str]) -> Challenges:
        """Those of a service with authenticators for these schemes.

        RFC 9110 section 15.5.2: a 401 "MUST send a WWW-Authenticate header field containing at least one challenge".
        """
        if "basic" not in schemes:
            return cls()
        return cls(BEARER + BASIC if "bearer" in schemes else BASIC, same=False)

    def answer(self, fields: dict[bytes, bytes]) -> bytes:
        """The lines for a request with these fields, whose names are in lower case."""
        if b"origin" in fields or any(name.startswith(b"sec-fetch-") for name in fields):
            return self.for_pages
        return self.lines
