"""The credentials of a request: what its head says, read and not judged.

An Authorization header, and for the pages of browsers an offered subprotocol of a WebSocket handshake. All of them are
read: a request that has several must mean the same user with each.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error, a2b_base64
from typing import Any, Final

from posthouse.core.service.authenticators import Basic, Bearer, CrossSiteCredentials, UnreadableCredentials

from .fields import Fields

SCHEME: Final = re.compile(rb"([A-Za-z]+) +([!-~]+)")
"""RFC 9110 section 11.4: a scheme and, for Bearer (RFC 6750) and Basic (RFC 7617), one word."""

BEARER_PROTOCOL: Final = b"posthouse.bearer."
"""Behind it a subprotocol has a bearer token, in base64url without padding (RFC 4648 section 5)."""

UNREADABLE: Final = UnreadableCredentials()
CROSS_SITE: Final = CrossSiteCredentials()

SAME_SITE: Final = (b"same-origin", b"none")
"""The values of `Sec-Fetch-Site` for a request that no other site has caused. `none`: the user typed the address."""


def read_credentials(headers: Fields, *, handshake: bool = False) -> Any:
    """The credentials in these headers, whose names are in lower case. None: there are none. A tuple: there are
    several. `handshake`: they are those of a WebSocket handshake, which offers subprotocols."""
    found = []
    for name, value in headers:
        if name == b"authorization":
            found.append(_read(value))
        elif handshake and name == b"sec-websocket-protocol":
            found += _read_protocols(value)
    if not found:
        return None
    if Basic in map(type, found) and _is_cross_site(headers):
        return CROSS_SITE
    return found[0] if len(found) == 1 else tuple(found)


def _read(value: bytes) -> Bearer | Basic | UnreadableCredentials:
    matched = SCHEME.fullmatch(value)
    if matched is None:
        return UNREADABLE
    scheme, word = matched[1].lower(), matched[2]
    if scheme == b"bearer":
        return Bearer(word.decode("ascii"))
    if scheme != b"basic":
        return UNREADABLE
    try:
        text = a2b_base64(word, strict_mode=True).decode()
    except (Error, UnicodeDecodeError):
        return UNREADABLE
    # RFC 7617 section 2: "a user-id containing a colon character is invalid".
    user, colon, password = text.partition(":")
    return Basic(user, password) if colon else UNREADABLE


def _read_protocols(value: bytes) -> list[Bearer | UnreadableCredentials]:
    """The tokens among the offered subprotocols."""
    offered = [name.strip(b" \t") for name in value.split(b",")]
    return [_read_token(name[len(BEARER_PROTOCOL) :]) for name in offered if name.startswith(BEARER_PROTOCOL)]


def _read_token(word: bytes) -> Bearer | UnreadableCredentials:
    try:
        data = urlsafe_b64decode(word + b"=" * (-len(word) % 4))
        token = data.decode()
    except (Error, UnicodeDecodeError):
        return UNREADABLE
    # The decoder skips characters that are not in the alphabet, and ignores bits that are left over.
    return Bearer(token) if token and urlsafe_b64encode(data).rstrip(b"=") == word else UNREADABLE


def _is_cross_site(headers: Fields) -> bool:
    """Did a page of another site cause this request of a browser, perhaps? Browsers add some credentials by themselves.

    A request with an Origin was judged by it. Programs that are no browsers send neither header.
    """
    fields = dict(headers)
    if b"origin" in fields or not any(name.startswith(b"sec-fetch-") for name in fields):
        return False
    return fields.get(b"sec-fetch-site") not in SAME_SITE
