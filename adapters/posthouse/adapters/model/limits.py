"""What the model asks of limits: nobody is closed by one that they did not meet.

When a limit closes is the gateway's to choose, within what its inputs show; here is only what must be true for it. It
may not know what closing settles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.core.values.config import Config

from .records import Connection

Cause = Callable[[Connection, float, Config], bool]


def idle(connection: Connection, now: float, config: Config) -> bool:
    """Nothing was asked and nothing ended for so long, and nothing is waited for."""
    patience = config.idle_timeout
    return patience is not None and not connection.calls and connection.active_at + patience <= now


def silent(connection: Connection, now: float, config: Config) -> bool:
    """It was asked for a sign of life, could have given one, and none came since."""
    asked_at = connection.beaten_at
    if asked_at is None or connection.held:
        return False
    return connection.heard_at < asked_at and asked_at + config.heartbeat_timeout <= now


def stalled(connection: Connection, now: float, config: Config) -> bool:
    """It took nothing of what it was sent for so long."""
    return connection.held > 0 and connection.taken_at + config.write_timeout <= now


def backed_up(connection: Connection, now: float, config: Config) -> bool:
    """It has not taken what it was sent, so that more can only be queued."""
    return connection.held > 0


def babbling(connection: Connection, now: float, config: Config) -> bool:
    """More of what it said was wrong than may be."""
    allowed = config.max_bad_messages
    return allowed is not None and connection.bad > allowed


CAUSES: Final[dict[str, Cause]] = {
    "idle_timeout": idle,
    "heartbeat_timeout": silent,
    "write_timeout": stalled,
    "max_queued_replies_bytes": backed_up,
    "max_queued_pushes_bytes": backed_up,
    "max_queued_pushes": backed_up,
    "max_bad_messages": babbling,
}
"""What must be true of a connection that meets each limit, by its name."""
