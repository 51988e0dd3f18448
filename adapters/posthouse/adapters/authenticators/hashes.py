"""Hashes of argon2id, as argon2-cffi makes them: made, compared, and the parameters that one has."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from posthouse.core.values.config import KIB, Config

HASH: Final = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,8})\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{16,128})"
)
"""The text of a hash (PHC string format) with a salt of at least 8 bytes, and a hash of at least 12."""

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
"""RFC 9106 section 4: "128-bit salt, and 256-bit tag size"."""


class Parameters(Struct, frozen=True):
    """The cost of one hash: passes, memory in KiB, lanes."""

    passes: int
    memory: int
    lanes: int

    @classmethod
    def of(cls, config: Config) -> Parameters:
        """The parameters that new hashes have."""
        return cls(config.argon2_passes, config.argon2_memory // KIB, config.argon2_lanes)


def parameters_of(text: str) -> Parameters | None:
    """The parameters of a hash, or None if this is not one of argon2id."""
    found = HASH.fullmatch(text)
    if found is None:
        return None
    memory, passes, lanes = map(int, found.groups()[:3])
    possible = (
        passes >= 1 and lanes >= 1 and memory >= 8 * lanes and all(len(part) % 4 != 1 for part in found.groups()[3:])
    )
    return Parameters(passes, memory, lanes) if possible else None


def make_hash(password: bytes, parameters: Parameters) -> str:
    """A hash of a password with a salt of its own."""
    from argon2 import PasswordHasher

    hasher = PasswordHasher(parameters.passes, parameters.memory, parameters.lanes, HASH_BYTES, SALT_BYTES)
    return hasher.hash(password)


def hash_with(password: bytes, salt: bytes, parameters: Parameters) -> str:
    """The hash of a password with this salt."""
    from argon2.low_level import Type, hash_secret

    passes, memory, lanes = parameters.passes, parameters.memory, parameters.lanes
    return hash_secret(password, salt, passes, memory, lanes, HASH_BYTES, Type.ID).decode("ascii")


def matches(text: str, password: bytes) -> bool:
    """Is it the hash of this password?"""
    from argon2.exceptions import VerifyMismatchError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(text.encode(), password, Type.ID)
    except VerifyMismatchError:
        return False


def hash_in_vain(password: bytes, parameters: Parameters) -> None:
    """Take as long as a comparison with a hash of these parameters."""
    from argon2.low_level import Type, hash_secret_raw

    passes, memory, lanes = parameters.passes, parameters.memory, parameters.lanes
    hash_secret_raw(password, bytes(SALT_BYTES), passes, memory, lanes, HASH_BYTES, Type.ID)
