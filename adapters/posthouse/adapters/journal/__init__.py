"""The journal: record every input of a switchboard or a gateway, replay it, and shrink a journal that fails.

- record: `recorder.py` writes entries while a machine runs; `redaction.py` hides credentials; `file.py` is the file.
- read: `format.py` defines the lines of a journal, `arguments.py` how the arguments of an input are written.
- replay: `replay.py` replays and `shrinking.py` shrinks; both drive one machine through entries (`run.py`).

This folder does not know event loops, sockets or handlers: a replay needs only the journal and the service.
"""

from __future__ import annotations

from .file import JournalFile
from .format import Entry, Header, Journal, fingerprint, read
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
