"""What a process serves: a service, its limits and its policy, and how its gateway and switchboard are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Struct
from posthouse.adapters.store.store import Store
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import EventName
from posthouse.transports.policy import Policy

WALL: Final = 1_700_000_000.0
"""The Unix time at which every process starts, in seconds."""

EVENTS: Final[tuple[EventName, ...]] = ("call.ended",)
"""The events that are made for the checks of a simulation, if nobody else listens."""


class Deployment(Struct, frozen=True):
    """A service, the limits within which it is served, and the policy for its clients.

    A `state` replaces that of the service's own lifespan, which then does not run. `direct` is as for a Switchboard,
    `tell_exchanges` as for a Gateway. `store` opens the store outside of a process, if there is one.
    """

    service: Service
    config: Config
    policy: Policy
    state: Any = UNSET
    direct: bool = True
    tell_exchanges: bool = True
    store: Callable[[], Store] | None = None
