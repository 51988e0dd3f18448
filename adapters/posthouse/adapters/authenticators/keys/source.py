"""Where keys come from: a file, or a URL. Reading one blocks, for a bounded time."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from posthouse.core.values.errors import UsageError

from .fetch import MAX_BYTES, check_url, fetch
from .key import RSA, Key, Unusable, read_keys


class Source(Struct, frozen=True):
    """A place with keys: its name, the keys that were found there at once, and how to read them again. `read` raises
    Unusable."""

    name: str
    keys: tuple[Key, ...]
    read: Callable[[], tuple[Key, ...]]


def open_source(place: str | os.PathLike[str], algorithm: str) -> Source:
    """The source at this URL or path. A file is read at once, a URL when the first token comes. Raises UsageError."""
    if algorithm not in RSA:
        raise UsageError(f"algorithm of JsonWebTokens is {algorithm!r}: it must be one of {', '.join(RSA)}")
    name = os.fspath(place)
    if "://" in name:
        check_url(name)
        return Source(name, (), partial(_from_url, name, algorithm))
    try:
        keys = _from_file(name, algorithm)
    except Unusable as error:
        raise UsageError(f"{name}: {error}") from None
    return Source(name, keys, partial(_from_file, name, algorithm))


def _from_url(url: str, algorithm: str) -> tuple[Key, ...]:
    return tuple(read_keys(fetch(url), algorithm, secrets=False))


def _from_file(path: str, algorithm: str) -> tuple[Key, ...]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unusable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise Unusable(f"it has more than {MAX_BYTES} bytes")
    return tuple(read_keys(data, algorithm, secrets=True))
