"""A server on a simulated machine, and the lines of its log."""

from __future__ import annotations

import logging
from typing import Any, Final

import pytest
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import Event
from posthouse.core.values.peers import Address

from tests.adapters.simulated import SimulatedServer

PLACE: Final = Address("10.0.0.9", 4321)
"""The address of the clients in events."""


def world(caplog: pytest.LogCaptureFixture, service: Service | None = None, **options: Any) -> SimulatedServer:
    """A server that logs everything, and that shuts down at once."""
    caplog.set_level(logging.DEBUG, "posthouse")
    options.setdefault("config", Config(drain_notice=0.0, drain_spread=0.0, drain_grace=0.0))
    return SimulatedServer(service or Service("events", public=True), port=8000, **options)


def facts(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """The facts of each line of this event, with its level and its text."""
    lines = [vars(record) for record in caplog.records if vars(record).get("event") == event]
    return [{"level": line["levelno"], "text": str(line["args"][0]), **line["fields"]} for line in lines]


def emit(server: SimulatedServer, event: Event) -> None:
    """Let the server emit an event."""
    server.do(lambda: server.events.emit(Emit(event)))
