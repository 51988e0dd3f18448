"""The public id of a session, its secret, and both as one text: `<id>.<secret>`. Only hashes of secrets are kept."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from msgspec import Struct

ID_BYTES: Final = 16
SECRET_BYTES: Final = 32
"""128 bits cannot be guessed (OWASP, Session Management); an id alone gives no right."""

ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")
SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""Bytes in base64url without padding (RFC 4648 section 5)."""


class SessionKey(Struct, frozen=True, gc=False):
    """A session and a secret. Its repr does not show the secret."""

    session: str
    secret: str

    def __repr__(self) -> str:
        return f"SessionKey({self.session!r}, secret=<hidden>)"

    @property
    def text(self) -> str:
        """Both, as a client sends them in a header or a cookie."""
        return f"{self.session}.{self.secret}"


def read_key(text: str) -> SessionKey | None:
    """The session and the secret in this text. None: no gateway has made such a text."""
    session, dot, secret = text.partition(".")
    fits = dot and ID.fullmatch(session) and read_secret(secret) is not None
    return SessionKey(session, secret) if fits else None


def text_of(minted: bytes) -> str:
    """An id or a secret as text: base64url without padding."""
    return urlsafe_b64encode(minted).rstrip(b"=").decode("ascii")


def read_secret(text: str) -> bytes | None:
    """The bytes of this secret. None: no gateway has made such a text."""
    if SECRET.fullmatch(text) is None:
        return None
    minted = urlsafe_b64decode(text + "=")
    return minted if text_of(minted) == text else None


def digest_of(secret: str) -> bytes:
    """Stands for a secret in the store. It is random, so that no key is needed. A client may send any text."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
