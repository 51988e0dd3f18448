"""Why a WebSocket is failed: the close code that the peer is sent, and the reason for logs, one row each.

Several rules share a close code. The reason tells them apart. It is never sent.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config


class Failed(Struct, frozen=True, gc=False):
    """The peer broke a rule. `code` is the close code (RFC 6455 section 7.4.1), `reason` a fixed sentence. Nothing
    follows."""

    code: int
    reason: str


PROTOCOL_ERROR: Final = Failed(1002, "a frame breaks the WebSocket protocol")
BINARY_REFUSED: Final = Failed(1003, "binary messages are not accepted")
INVALID_DATA: Final = Failed(1007, "a text is not UTF-8, or a compressed message is not a deflate stream")
TOO_MANY_FRAGMENTS: Final = Failed(1008, "a message has more than max_fragments frames")
TOO_MANY_STREAMS: Final = Failed(1008, "a compressed message has more than max_fragments deflate streams")
TOO_MANY_CONTROLS: Final = Failed(1008, "control frames came faster than control_rate and control_burst allow")
TOO_SLOW: Final = Failed(1008, "a message was not finished within message_timeout")
TOO_LARGE: Final = Failed(1009, "a message is larger than max_message_bytes")
TOO_LARGE_UNAUTHENTICATED: Final = Failed(1009, "a message is larger than max_message_bytes_unauthenticated")
INFLATES_TOO_MUCH: Final = Failed(1009, "a message inflates to more than max_inflate_ratio times its size")

BY_CODE: Final = {failure.code: failure for failure in (PROTOCOL_ERROR, INVALID_DATA)}
"""The failures that the parser finds. It says why only by the code."""


def too_large(most: int, config: Config) -> Failed:
    """The failure for a message of more than so many bytes."""
    return TOO_LARGE if most == config.max_message_bytes else TOO_LARGE_UNAUTHENTICATED
