"""The credentials of a request: what its head says, read and not judged. And the cookie that an answer sets.

An Authorization header, that of a session, and for the pages of browsers a cookie, or an offered subprotocol of a
WebSocket handshake. All of them are read: a request that has several must mean the same user with each.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error, a2b_base64
from typing import Any, Final

from posthouse.core.service.authenticators import (
    Basic,
    Bearer,
    Cookie,
    CrossSiteCredentials,
    SessionToken,
    UnreadableCredentials,
)
from posthouse.core.values.peers import SetCookie

from .fields import Fields

SCHEME: Final = re.compile(rb"([A-Za-z]+) +([!-~]+)")
"""RFC 9110 section 11.4: a scheme and, for Bearer (RFC 6750) and Basic (RFC 7617), one word."""

BEARER_PROTOCOL: Final = b"posthouse.bearer."
"""Behind it a subprotocol has a bearer token, in base64url without padding (RFC 4648 section 5)."""

COOKIE_NAME: Final = b"__Host-posthouse"
"""RFC 6265bis section 4.1.3.2: with `__Host-`, no other host and no page without https can have set it."""

UNREADABLE: Final = UnreadableCredentials()
CROSS_SITE: Final = CrossSiteCredentials()

AMBIENT: Final = (Basic, Cookie)
"""The credentials that browsers add by themselves."""

SAME_SITE: Final = (b"same-origin", b"none")
"""The values of `Sec-Fetch-Site` for a request that no other site has caused. `none`: the user typed the address."""


def read_credentials(headers: Fields, *, handshake: bool = False) -> Any:
    """The credentials in these headers, whose names are in lower case. None: there are none. A tuple: there are
    several. `handshake`: they are those of a WebSocket handshake, which offers subprotocols."""
    found: list[Any] = []
    for name, value in headers:
        if name == b"authorization":
            found.append(_read(value))
        elif name == b"cookie":
            found += _read_cookies(value)
        elif name == b"posthouse-session":
            found.append(SessionToken(value.decode("latin-1")))
        elif handshake and name == b"sec-websocket-protocol":
            found += _read_protocols(value)
    if not found:
        return None
    if sum(type(each) is SessionToken for each in found) > 1:
        found.append(UNREADABLE)
    if any(type(each) in AMBIENT for each in found) and _is_cross_site(headers):
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


def _read_cookies(value: bytes) -> list[Cookie | UnreadableCredentials]:
    """The cookie of this server among all cookies (RFC 6265 section 4.2.1). Other cookies may be malformed."""
    pairs = [pair.strip(b" \t").partition(b"=") for pair in value.split(b";")]
    secrets = [secret for name, _, secret in pairs if name == COOKIE_NAME]
    # RFC 6265 section 4.2.2: "servers SHOULD NOT rely upon the serialization order" of two with one name.
    if len(secrets) > 1:
        return [UNREADABLE]
    return [Cookie(secret.decode("latin-1")) for secret in secrets]


def cookie_field(cookie: SetCookie) -> tuple[bytes, bytes]:
    """The header field that sets this cookie (RFC 6265 section 4.1). Browsers send it over https, or to the machine on
    which they run, and never with a request of another site."""
    value = b"%b=%b; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=Strict"
    return b"Set-Cookie", value % (COOKIE_NAME, cookie.secret.encode("ascii"), cookie.max_age)


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
