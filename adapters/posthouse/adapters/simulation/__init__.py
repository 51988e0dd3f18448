"""Whole systems on a virtual clock, from one seed: real codecs at both ends, and everything between that can go wrong.

`World` is for tests of one's own service; `Storm` is how this project tests itself.
"""

from __future__ import annotations

from posthouse.adapters.model.model import Model

from .chance import Chance, Drawn, Recorded, Recording, Seeded, Stream
from .clients.clients import Client
from .clients.pending import PendingCall
from .clients.speech import Transport
from .handlers.manners import HONEST, HandlerFaults
from .network import CALM, LinkConditions
from .storms.failing import Failed, attempt
from .storms.storm import Part, Storm, StormReport
from .storms.swarm import Faults, Swarm
from .watched import Watched
from .world import MakeWorld, World

__all__ = [
    "CALM",
    "HONEST",
    "Chance",
    "Client",
    "Drawn",
    "Failed",
    "Faults",
    "HandlerFaults",
    "LinkConditions",
    "MakeWorld",
    "Model",
    "Part",
    "PendingCall",
    "Recorded",
    "Recording",
    "Seeded",
    "Storm",
    "StormReport",
    "Stream",
    "Swarm",
    "Transport",
    "Watched",
    "World",
    "attempt",
]
