"""Write `conversations.json` anew, with the answers of the server as it is: `python -m tests.simulation.conversations`.

Read the difference before you commit it: each byte of it is seen by clients.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from msgspec.json import encode
from msgspec.structs import replace
from posthouse.adapters.simulation.storms.catalogue import conversations
from posthouse.adapters.simulation.storms.catalogue.conversations import CONVERSATIONS, Conversation, hear
from posthouse.adapters.simulation.storms.service import service

FILE: Final = Path(conversations.__file__).with_suffix(".json")


def heard_anew(known: Conversation) -> Conversation:
    """A conversation as the server leads it now. What is not exact stays as long as it was."""
    heard = hear([known], service)[0]
    return heard if known.exact else replace(heard, received=heard.received[: len(known.received)])


def written(lines: list[Conversation]) -> bytes:
    """The file: one line for each conversation."""
    return b"[\n%b\n]\n" % b",\n".join(map(encode, lines))


if __name__ == "__main__":
    logging.disable()
    FILE.write_bytes(written([heard_anew(known) for known in CONVERSATIONS]))
