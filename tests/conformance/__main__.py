"""Ask every table of every place over every transport, count what passed, and say so in the documents.

    python -m tests.conformance [TABLE ...]

Without a table it asks all of them and writes `docs/internals/conformance.md`. Exit code 1 if a case failed. Each
failure is listed with the expected and the actual answer.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from tests import sections

from .places import BACKENDS, Loopback, Memory, Place
from .tables import TABLES, Table

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "internals" / "conformance.md"
SECTION: Final = "tables"

PLACES: Final = ("in memory", *BACKENDS)
"""The names of all places, in the order of their columns."""

Faults = dict[tuple[str, str, str], list[str]]
"""What failed of a table, over a transport, at a place."""


def ask(tables: Sequence[Table], place: Place) -> Faults:
    """Ask a place everything, and tell of each table as it ends."""
    faults: Faults = {}
    for table in tables:
        for transport in table.transports:
            found = [(check.name, check.fault(place, transport)) for check in table.checks]
            failed = [f"{name}: {fault}" for name, fault in found if fault]
            faults[table.name, transport, place.name] = failed
            state = f"{len(failed)} failed" if failed else "passed"
            sys.stderr.write(f"{place.name:9}  {table.name:11}  {transport:21}  {len(found):3} cases  {state}\n")
    return faults


def count(tables: Sequence[Table], faults: Faults) -> str:
    """How many cases there are and how many passed where, as a Markdown table."""
    lines = [
        f"| table | taken from | transport | cases | {' | '.join(PLACES)} |",
        f"|---|---|---|---:|{'---:|' * len(PLACES)}",
    ]
    total = 0
    passed = dict.fromkeys(PLACES, 0)
    for table in tables:
        for transport in table.transports:
            cases = len(table.checks)
            total += cases
            row = {place: cases - len(faults.get((table.name, transport, place), [])) for place in PLACES}
            for place in PLACES:
                passed[place] += row[place]
            cells = " | ".join(str(row[place]) for place in PLACES)
            lines.append(f"| {table.name} | {table.about} | {transport} | {cases} | {cells} |")
    lines.append(f"| **all** |  |  | {total} | {' | '.join(str(passed[place]) for place in PLACES)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Ask, count, tell."""
    names = [table.name for table in TABLES]
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description="Conformance tables over all transports and both event loops."
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"one of: {', '.join(names)} (default: all)")
    arguments = parser.parse_args(argv)
    for name in arguments.tables:
        if name not in names:
            parser.error(f"there is no table {name!r}; there are: {', '.join(names)}")
    tables = [table for table in TABLES if not arguments.tables or table.name in arguments.tables]
    logging.disable()  # handlers break on purpose
    with ExitStack() as stack:
        loops = [stack.enter_context(closing(Loopback(backend))) for backend in BACKENDS]
        faults: Faults = {}
        places: tuple[Place, ...] = (Memory(), *loops)
        for place in places:
            faults |= ask(tables, place)
    counts = count(tables, faults)
    sys.stdout.write(f"{counts}\n")
    for asked, failed in faults.items():
        sys.stderr.writelines(f"FAILED {', '.join(asked)}: {fault}\n" for fault in failed)
    if not arguments.tables:
        sections.write(DOCUMENT, SECTION, counts)
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
