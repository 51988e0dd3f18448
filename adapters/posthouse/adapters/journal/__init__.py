"""The journal: a recorder for everything that a switchboard or a gateway is told, and what can be done with a record.

`Recorder` writes while a machine runs; `read`, `replay` and `shrink` need no more than the record and the service.
"""

from __future__ import annotations

from .entries import Entry, Header, Journal, fingerprint, read
from .file import JournalFile
from .recorder import Recorder, record
from .replay import Replayed, replay, shown
from .run import Failure
from .shrinking import shrink

__all__ = [
    "Entry",
    "Failure",
    "Header",
    "Journal",
    "JournalFile",
    "Recorder",
    "Replayed",
    "fingerprint",
    "read",
    "record",
    "replay",
    "shown",
    "shrink",
]
