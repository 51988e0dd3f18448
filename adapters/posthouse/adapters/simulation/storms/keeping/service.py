"""The sample service with sessions, and limits for them that storms reach."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Final

from msgspec.structs import replace
from posthouse.adapters.simulation.chance import Chance
from posthouse.adapters.simulation.storms.scenario import Scenario
from posthouse.adapters.simulation.storms.service import service as sample_service
from posthouse.core.service.accounts import Accounts
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service

from .store import Stores

CART: Final = "keep"
"""The method whose handler changes the session of its caller."""

LIMITS: Final[dict[str, tuple[Any, ...]]] = {
    "storage_timeout": (0.5, 2.0),
    "session_idle": (3.0,),
    "session_lifetime": (8.0,),
    "max_session_bytes": (40, 100),
    "max_sessions": (2, 6),
    "max_sessions_per_user": (1, 3),
}
"""The small values of the limits of sessions."""


def keeping() -> Service:
    """A copy of the sample service that has sessions."""
    service = copy(sample_service)
    service.methods = dict(service.methods)
    service.document = service._frozen = None
    service.accounts = Accounts.of(sessions="on")

    @service.method
    async def keep(context: Context, member: str) -> list[Any]:
        if context.session is None:
            return [None, None]
        id = context.session.id
        return [id, await context.session.update({member: 1})]

    return service


def with_store(scenario: Scenario, chance: Chance, raging: Callable[[], bool], *, sample: bool) -> Scenario:
    """The scenario with a store, if its service has sessions: then some of their limits are small. A service that is
    not the sample service has none."""
    if not (scenario.keeps and sample):
        return replace(scenario, keeps=False)
    stream, stores = chance.stream("keeping"), Stores(chance.stream("store"), raging)
    often = stream.pick((0, 300))
    drawn = {name: stream.pick(options) for name, options in LIMITS.items() if stream.happens(often)}
    conditions = replace(scenario.conditions, store=stores.open)
    return replace(scenario, config=replace(scenario.config, **drawn), conditions=conditions)
