"""The memory that passwords are hashed in: it is set aside, so that it is never short when someone logs in.

Nothing here hashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace
from posthouse.core.service.authenticators import Authenticator
from posthouse.core.values.config import KIB, Config
from posthouse.core.values.errors import UsageError

MIN_BLOCKS: Final = 8
"""RFC 9106 section 3.1: the memory is "an integer number of kibibytes from 8*p", for p lanes."""


def beside_hashes(config: Config, authenticators: Iterable[Authenticator]) -> Config:
    """The limits of a gateway with these authenticators: what hashes need at once is not left for peers. Raises
    UsageError if nothing is left, or if no hash can have these parameters."""
    if not any(authenticator.hashing for authenticator in authenticators):
        return config
    check_parameters(config)
    reserved = config.hashing_workers * config.argon2_memory
    left = config.memory_budget - reserved
    if left <= 0:
        raise UsageError(
            f"memory_budget is {config.memory_budget}, but hashing passwords takes {reserved} (hashing_workers = "
            f"{config.hashing_workers}, argon2_memory = {config.argon2_memory}): raise memory_budget, or lower these"
        )
    return replace(config, memory_budget=left)


def check_parameters(config: Config) -> None:
    """Raise UsageError if no hash can have these parameters."""
    least = MIN_BLOCKS * KIB * config.argon2_lanes
    if config.argon2_memory < least or config.argon2_memory % KIB:
        raise UsageError(
            f"argon2_memory is {config.argon2_memory}: it must be a multiple of 1024, and with argon2_lanes = "
            f"{config.argon2_lanes} at least {least}"
        )
