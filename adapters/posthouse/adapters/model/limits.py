"""What must be true of a connection that is closed by a limit.

The gateway chooses when a limit closes a connection; the model only checks that the limit was reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.core.values.config import Config

from .records import Connection

Reached = Callable[[Connection, float, Config], bool]


def idle(connection: Connection, now: float, config: Config) -> bool:
    """For the idle timeout no text was received and no handler ended, and no call is pending."""
    timeout = config.idle_timeout
    return timeout is not None and not connection.calls and connection.active_at + timeout <= now


def silent(connection: Connection, now: float, config: Config) -> bool:
    """A heartbeat was sent, the peer was able to answer it, and did not."""
    asked_at = connection.heartbeat_at
    if asked_at is None or connection.held:
        return False
    return connection.heard_at < asked_at and asked_at + config.heartbeat_timeout <= now


def stalled(connection: Connection, now: float, config: Config) -> bool:
    """For the write timeout the socket took none of the bytes that it holds."""
    return connection.held > 0 and connection.taken_at + config.write_timeout <= now


def backed_up(connection: Connection, now: float, config: Config) -> bool:
    """The socket holds bytes, so that new messages must be queued."""
    return connection.held > 0


def pushed(connection: Connection, now: float, config: Config) -> bool:
    """Pushes wait: for the socket, or for the replies of calls."""
    return connection.held > 0 or connection.following > 0


def pushed_many(connection: Connection, now: float, config: Config) -> bool:
    """Pushes wait for the socket, or more of them than allowed for the replies of calls."""
    return connection.held > 0 or connection.following > config.max_queued_pushes


def too_many_invalid(connection: Connection, now: float, config: Config) -> bool:
    """The peer has sent more invalid messages than allowed."""
    allowed = config.max_bad_messages
    return allowed is not None and connection.invalid_messages > allowed


REACHED: Final[dict[str, Reached]] = {
    "idle_timeout": idle,
    "heartbeat_timeout": silent,
    "write_timeout": stalled,
    "max_queued_replies_bytes": backed_up,
    "max_queued_pushes_bytes": pushed,
    "max_queued_pushes": pushed_many,
    "max_bad_messages": too_many_invalid,
}
"""The condition of each limit that the model checks, by the name of the limit."""
