"""The credentials of a request: what its Authorization header says, read and not judged."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from typing import Final

from posthouse.core.service.authenticators import Basic, Bearer, UnreadableCredentials

from .fields import Fields

SCHEME: Final = re.compile(rb"([A-Za-z]+) +([!-~]+)")
"""RFC 9110 section 11.4: a scheme and, for Bearer (RFC 6750) and Basic (RFC 7617), one word."""

UNREADABLE: Final = UnreadableCredentials()


def read_authorization(headers: Fields) -> Bearer | Basic | UnreadableCredentials | None:
    """The credentials in these headers, whose names are in lower case. None: there are none."""
    for name, value in headers:
        if name == b"authorization":
            return _read(value)
    return None


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
