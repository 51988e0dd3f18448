"""Users and the argon2id hashes of their passwords, in a file (RFC 9106).

An unknown user costs as much as a known one: a password is hashed in any case, with parameters that users of the file
have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

from msgspec import Struct
from posthouse.adapters.report import WARNING, report
from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Basic
from posthouse.core.values.config import KIB, Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from .entries import at, line_of_key, read_entry, read_toml
from .hashes import Parameters, hash_in_vain, matches, parameters_of
from .ready_made import ReadyMade, check_installed
from .watched_file import WatchedFile

KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
"""The keys that TOML reads without quotes."""


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One user of a file."""

    hash: str
    scopes: tuple[str, ...] = ()


class User(Struct, frozen=True):
    """One user that was read."""

    identity: Identity
    hash: str
    parameters: Parameters


class Passwords(ReadyMade):
    """Authenticates users whose argon2id hashes are in a TOML file: `Passwords("passwords.toml").declare(service)`.

    `posthouse password hash USER` makes an entry. At most `hashing_workers` are hashed at once. The file is read again
    within a second after a change; one that became invalid is logged, and the entries before it still count. Raises
    UsageError if argon2-cffi is not installed (`pip install 'posthouse[passwords]'`), and with the line if the file is
    invalid at first.
    """

    scheme = "basic"
    hashing = True

    def __init__(self, file: str | os.PathLike[str]) -> None:
        check_installed("Passwords", "passwords", "argon2")
        self._config: Config | None = None
        self._wanted = Parameters.of(Config())
        self._named: Final[dict[str, None]] = {}
        self._key: Final = os.urandom(32)
        self._file: Final = WatchedFile(file, self._read)

    def prepare(self, config: Config) -> None:
        """The hashes of the file must fit into the memory that this config gives to each. Raises UsageError."""
        self._config = config
        self._wanted = Parameters.of(config)
        self._file.reload()

    def identities(self) -> Sequence[Identity]:
        """The identities of all users."""
        return [user.identity for user in self._file.content.values()]

    def __call__(self, credentials: Basic) -> Identity | Refused:
        """The identity of a user with this password, or a refusal. Blocks for as long as one hash takes."""
        users = self._file.content
        password = credentials.password.encode("utf-8", "surrogatepass")
        user = users.get(credentials.user)
        if user is None:
            hash_in_vain(password, self._parameters_for(credentials.user, users))
            return Refused("the user is not in the file")
        if not matches(user.hash, password):
            return Refused("the password is wrong")
        if user.parameters != self._wanted:
            self._name(credentials.user)
        return user.identity

    def _parameters_for(self, name: str, users: Mapping[str, User]) -> Parameters:
        """Those of one user: always of the same one for this name, so that unknown names differ as known ones do."""
        if not users:
            return self._wanted
        number = int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), key=self._key).digest())
        return list(users.values())[number % len(users)].parameters

    def _name(self, user: str) -> None:
        """Name a user whose hash has other parameters than the config, once."""
        if user not in self._named:
            self._named[user] = None
            text = "the hash of {user} has other parameters than the config (argon2_…): make a new one"
            report(WARNING, "password.outdated", text, user=user)

    def _read(self, text: str) -> dict[str, User]:
        return {name: self._user(name, value, line_of_key(text, name)) for name, value in read_toml(text).items()}

    def _user(self, name: str, value: object, line: int | None) -> User:
        entry = read_entry({"hash": value} if isinstance(value, str) else value, Entry, line)
        parameters = parameters_of(entry.hash)
        if parameters is None:
            raise at(line, f"the hash of {name!r} is not one of argon2id: make it with posthouse password hash")
        most = None if self._config is None else self._config.argon2_memory
        if most is not None and parameters.memory * KIB > most:
            raise at(
                line,
                f"the hash of {name!r} needs {parameters.memory * KIB} bytes, more than argon2_memory = {most}: raise "
                "argon2_memory, or make a new hash",
            )
        try:
            return User(Identity(name, entry.scopes), entry.hash, parameters)
        except UsageError as error:
            raise at(line, str(error)) from None


def written_key(name: str) -> str:
    """A key as TOML writes it."""
    if KEY.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in escaped) + '"'
