"""Whole systems on a virtual clock, from one seed: real codecs at both ends, and every kind of fault between them.

`World` is for tests of your own service; `Storm` is how this project tests itself. This package uses the core and the
transports as they are, and never the real clock, network or randomness.
"""

from __future__ import annotations

from posthouse.adapters.model.checked import CheckedGateway
from posthouse.adapters.model.model import Model

from .chance import Chance, Drawn, Recorded, Recording, Seeded, Stream
from .clients.client import Client
from .clients.pending import PendingCall
from .clients.protocols.protocol import Transport
from .engine import Monitoring
from .machine.faults import MachineFaults
from .network import LinkConditions
from .served.faults import HandlerFaults
from .storms.failures import Failed, attempt
from .storms.narrowing import Part
from .storms.scenario import Scenario, StormFaults
from .storms.storm import Storm, StormReport
from .world import Conditions, MakeWorld, World

__all__ = [
    "Chance",
    "CheckedGateway",
    "Client",
    "Conditions",
    "Drawn",
    "Failed",
    "HandlerFaults",
    "LinkConditions",
    "MachineFaults",
    "MakeWorld",
    "Model",
    "Monitoring",
    "Part",
    "PendingCall",
    "Recorded",
    "Recording",
    "Scenario",
    "Seeded",
    "Storm",
    "StormFaults",
    "StormReport",
    "Stream",
    "Transport",
    "World",
    "attempt",
]
