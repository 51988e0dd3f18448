"""A place in a topic, as clients and the service see it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Offset = Annotated[int, Meta(ge=0, le=2**53)]


class Position(Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a topic: behind the publication with this offset, the first of which is 1.

    Offsets are comparable only within one epoch. A topic that has lost its place begins another one.
    """

    epoch: str
    offset: Offset
