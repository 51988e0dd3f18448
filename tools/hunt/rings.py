"""The modules from which a hunt draws its mutants, and the code that no storm can reach.

A ring here is a part of the product that has a score of its own. The server is the part of the adapters that runs in a
storm: entrances, event loop and handlers. Its machine is simulated, so the real one is not hunted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

RINGS: Final[dict[str, tuple[str, ...]]] = {
    "core": ("core/posthouse/core",),
    "transports": ("transports/posthouse/transports",),
    "server": tuple(f"adapters/posthouse/adapters/{folder}" for folder in ("server", "loop", "handlers")),
}
"""The folders of each ring."""

OF_LIBRARIES: Final = "types and constraints of pydantic, attrs and annotated_types, which a simulation cannot import"
FILES: Final = "asks for files of the real machine: files are not simulated"

ARGUMENTS: Final = "checks of the arguments of `serve`: a storm serves with arguments that are right"

UNREACHED: Final[dict[str, str]] = {
    "core/encoding/models": OF_LIBRARIES,
    "core/encoding/constraints": OF_LIBRARIES,
    "core/encoding/conversion:pydantic_faults": OF_LIBRARIES,
    "core/encoding/members:_of_attrs": OF_LIBRARIES,
    "adapters/server/arguments": ARGUMENTS,
    "adapters/server/entrances/hosts": ARGUMENTS,
    "adapters/server/serve:run": "starts an event loop of the real machine",
    "adapters/server/build": "the seam by which a simulation builds the server in another way",
    "adapters/server/entrances/stdio:take_pipes": "for the command, on descriptors of the real machine",
    "adapters/server/entrances/certificates:read_passphrase": FILES,
    "adapters/server/entrances/certificates:_stamp": FILES,
    "adapters/server/entrances/listeners:_answers": FILES,
    "adapters/server/entrances/listeners:_identity": FILES,
    "adapters/server/entrances/listeners:_group": FILES,
}
"""Modules, and functions of modules (after a colon), that no storm can reach, and why."""

TARGETS: Final[dict[str, int]] = {"core": 85, "transports": 75, "server": 65}
"""The demanded score of each ring, in percent."""


class Module(Struct, frozen=True):
    """A module of the product. `name` is as in UNREACHED, `file` its path in the project."""

    ring: str
    name: str
    file: Path

    @property
    def folder(self) -> str:
        """Its folder, as a report names it."""
        return self.name.rpartition("/")[0]

    @property
    def imported(self) -> str:
        """Its name in an import."""
        return f"posthouse.{self.name.replace('/', '.')}"


def find_modules(root: Path) -> list[Module]:
    """The modules of every ring that storms can reach."""
    found = []
    for ring, folders in RINGS.items():
        for folder in folders:
            for file in sorted((root / folder).rglob("*.py")):
                path = file.relative_to(root)
                name = "/".join(path.with_suffix("").parts[2:])
                if file.stem != "__init__" and name not in UNREACHED:
                    found.append(Module(ring, name, path))
    return found
