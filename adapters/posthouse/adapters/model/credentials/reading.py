"""The credentials in the params of a log-in, read without the code of the gateway."""

from __future__ import annotations

from msgspec import DecodeError, Struct, json
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.values.config import Config


class BearerLogin(Struct, forbid_unknown_fields=True, tag_field="method", tag="bearer"):
    """The params of a log-in with a token."""

    token: str
    cookie: bool = False


class PasswordLogin(Struct, forbid_unknown_fields=True, tag_field="method", tag="password"):
    """The params of a log-in with a password."""

    user: str
    password: str
    cookie: bool = False


def asks_for_cookie(params: bytes | None) -> bool:
    """Do these params of a log-in, which can be read, ask for a cookie?"""
    return json.decode(params or b"", type=BearerLogin | PasswordLogin).cookie


def read_credentials(params: bytes | None, known: list[type]) -> Bearer | Basic | None:
    """The credentials in the params of a log-in, of one of these types. None: they are invalid."""
    try:
        given = json.decode(params or b"", type=BearerLogin | PasswordLogin)
    except DecodeError:
        return None
    read = Bearer(given.token) if isinstance(given, BearerLogin) else Basic(given.user, given.password)
    return read if type(read) in known else None


def text_of(credentials: object) -> str:
    """A hash that tells these credentials from all others."""
    if isinstance(credentials, Bearer):
        return credentials.token
    assert isinstance(credentials, Basic)
    return f"{len(credentials.user)}:{credentials.user}{credentials.password}"


def too_long(credentials: object, config: Config) -> bool:
    """Is the secret in these credentials longer than may be?"""
    if isinstance(credentials, Bearer):
        return len(credentials.token.encode()) > config.max_token_bytes
    return isinstance(credentials, Basic) and len(credentials.password.encode()) > config.max_password_bytes
