"""What the simulated server runs: a service with its limits and its policy, as a switchboard that can be recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Struct
from posthouse.adapters.journal import Header, Recorder
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import EventName
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard

WALL: Final = 1_700_000_000.0
"""The Unix time at which every process starts, in seconds."""

EVENTS: Final[tuple[EventName, ...]] = ("call.ended",)
"""The events that are made for the checks of a simulation, if nobody else listens."""


class Deployment(Struct, frozen=True):
    """A service, the limits within which it is served, and the policy for its clients. `state` stands for that of the
    service's own lifespan, which then does not run. `direct` is as for a Switchboard, `tell_exchanges` as
    for a Gateway."""

    service: Service
    config: Config
    policy: Policy
    state: Any = UNSET
    direct: bool = True
    tell_exchanges: bool = True

    def start(
        self, entropy: Callable[[int], bytes], journal: Callable[[bytes], object] | None, *, model: bool
    ) -> tuple[Switchboard, Service]:
        """A new switchboard, and the service that it serves.

        With a `journal`, every line of its journal is passed there, and the service is a recording one. With `model`,
        the reference model checks the gateway.
        """
        service, config, recorder = self.service, self.config, None
        if journal is not None:
            header = Header.of(
                service,
                config,
                wall=WALL,
                policy=self.policy,
                events=EVENTS,
                direct=self.direct,
                tell_exchanges=self.tell_exchanges,
            )
            recorder = Recorder(service, header, journal, entropy)
            service, entropy = recorder.service, recorder.entropy
        build = CheckedGateway if model else Gateway
        told = self.tell_exchanges
        gateway = build(service, config, wall=WALL, entropy=entropy, events=EVENTS, tell_exchanges=told)
        board = Switchboard(gateway, self.policy, direct=self.direct)
        if recorder is not None:
            recorder.watch(board)
        return board, service
