"""Tokens in a file: the smallest thing that identifies callers. The file has their hashes, never the tokens.

A token is made at random, so that it cannot be guessed: one hash without a salt protects it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b, sha256
from typing import Final

from msgspec import Struct
from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Bearer
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from .entries import at, line_of_table, read_entry, read_toml
from .ready_made import ReadyMade
from .watched_file import WatchedFile

HASH: Final = re.compile(r"[0-9a-f]{64}")


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[token]]` of a file. `label` is for those who read the file."""

    sha256: str
    user: str
    scopes: tuple[str, ...] = ()
    expires: datetime | None = None
    label: str = ""


class Tokens:
    """Identities by the hashes of tokens.

    A hash is found by a keyed hash of it. The time that a search takes says nothing to a caller, who does not know the
    key of this process.
    """

    def __init__(self, found: Iterable[tuple[bytes, Identity]]) -> None:
        self._key: Final = os.urandom(32)
        self._identities: Final = {self._keyed(digest): identity for digest, identity in found}

    def find(self, token: str) -> Identity | None:
        return self._identities.get(self._keyed(token_digest(token)))

    @property
    def identities(self) -> Sequence[Identity]:
        return list(self._identities.values())

    def _keyed(self, digest: bytes) -> bytes:
        return blake2b(digest, key=self._key, digest_size=32).digest()


class StaticTokens(ReadyMade):
    """Authenticates bearer tokens whose hashes are in a TOML file: `StaticTokens("tokens.toml").declare(service)`.

    `posthouse token hash --new` makes a token and its entry. The file is read again within a second after a change; one
    that became invalid is logged, and the entries before it still count. Raises UsageError, with the line, if the file
    is invalid at first.
    """

    scheme = "bearer"

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._file: Final = WatchedFile(file, read_tokens)

    def __call__(self, credentials: Bearer) -> Identity | Refused:
        """The identity of a token, or a refusal."""
        return self._file.content.find(credentials.token) or Refused("the token is not in the file")

    def prepare(self, config: Config) -> None:
        """Read the file again. Raises UsageError if it has become invalid."""
        self._file.reload()

    def identities(self) -> Sequence[Identity]:
        """The identities of all entries."""
        return self._file.content.identities


def token_digest(token: str) -> bytes:
    """The hash of a token, as a file has it."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def read_tokens(text: str) -> Tokens:
    """The entries of a file. Raises UsageError that names the line."""
    tables = read_toml(text)
    other = next((name for name in tables if name != "token"), None)
    if other is not None:
        raise at(None, f"{other!r} is unknown here: each entry begins with [[token]]")
    entries = tables.get("token", [])
    if not isinstance(entries, list):
        raise at(None, "write each entry as [[token]], with two brackets")
    found: dict[bytes, Identity] = {}
    for number, value in enumerate(entries):
        line = line_of_table(text, "token", number)
        digest, identity = _read(value, line)
        if digest in found:
            raise at(line, "its sha256 is that of an earlier entry: remove one of the two")
        found[digest] = identity
    return Tokens(found.items())


def _read(value: object, line: int | None) -> tuple[bytes, Identity]:
    entry = read_entry(value, Entry, line)
    if not HASH.fullmatch(entry.sha256):
        raise at(line, "its sha256 is not 64 hexadecimal digits in lower case: make it with posthouse token hash")
    if entry.expires is not None and entry.expires.tzinfo is None:
        raise at(line, "its time of expiry has no zone: write it in UTC, such as 2027-01-01T00:00:00Z")
    expires_at = None if entry.expires is None else entry.expires.timestamp()
    try:
        return bytes.fromhex(entry.sha256), Identity(entry.user, entry.scopes, expires_at)
    except UsageError as error:
        raise at(line, str(error)) from None
