"""The journals of the server's processes in a world, and the one that is left of a world that failed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct
from posthouse.adapters.invariants.canary import keeps_secrets
from posthouse.adapters.journal import Journal, read, replay, shrink
from posthouse.adapters.model.checked import gateway_for
from posthouse.core.service.service import Service

NOT_IN_FILE_NAMES: Final = re.compile(r"[^\w.-]+")


class Journals:
    """Collects the journals of a world: pass `add` to `Monitoring(journal=…)`. Each line is also passed to `other`."""

    def __init__(self, other: Callable[[int, bytes], object] | None = None) -> None:
        self._lines: Final[dict[int, list[bytes]]] = {}
        self._other: Final = other

    def add(self, process: int, line: bytes) -> None:
        """Add a line of the journal of the process with this number."""
        keeps_secrets("a journal", line)
        self._lines.setdefault(process, []).append(line)
        if self._other is not None:
            self._other(process, line)

    def all(self) -> list[Journal]:
        """The journals of all processes, in order."""
        return [read(lines) for lines in self._lines.values()]

    def last(self) -> Journal:
        """The journal of the last process."""
        return read(self._lines[max(self._lines)])


class SavedJournal(Struct, frozen=True):
    """A journal in the file `path`. It has `entries` of `recorded` inputs. `replays`: it also fails without the
    simulator."""

    path: str
    entries: int
    recorded: int
    replays: bool

    def lines(self, service: str) -> list[str]:
        """Where the journal is, and how to replay it against this service (MODULE:SERVICE)."""
        how = "fails by itself" if self.replays else "fails only in the simulator"
        return [
            f"  journal: {self.path} ({self.entries} of {self.recorded} inputs; {how})",
            f"  replay:  posthouse replay {self.path} {service} --check",
        ]


def save(journal: Journal, folder: str | os.PathLike[str], name: str, *, recorded: int, replays: bool) -> SavedJournal:
    """Write a journal into `folder`, in a file of this name."""
    path = Path(folder) / f"{NOT_IN_FILE_NAMES.sub('-', name)}.journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(journal.lines()))
    return SavedJournal(str(path), len(journal.entries), recorded, replays)


def shrunk(journal: Journal, service: Service) -> Journal | None:
    """The few inputs with which the journal still fails in the same way, or None if it does not fail by itself."""
    if replay(journal, service, check=True, gateway=gateway_for(service)).failure is None:
        return None
    return shrink(journal, service, gateway=gateway_for(service))
