"""How well a world works: the quality of its links, and the faults of its handlers."""

from __future__ import annotations

from msgspec import Struct

from .handlers.faults import NO_FAULTS, HandlerFaults
from .network import LinkConditions


class Conditions(Struct, frozen=True):
    """The conditions of a world. By default its links are fast and reliable, and its handlers end as they should."""

    links: LinkConditions = LinkConditions()
    handlers: HandlerFaults = NO_FAULTS
