"""Attack a running server in every way that takes real sockets, and say what was seen.

    python -m tests.attack [--row N ...] [--backend asyncio | trio] [URL [--i-own-this-server]]

Without a URL our reference server is attacked, started anew for each set of limits; when all rows were,
`docs/internals/attack.md` is brought up to date. Exit code 1 when a row is not met.
"""

from __future__ import annotations

import argparse
import ipaddress
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.json import encode

from tests import sections
from tests.abuse.rows import ROWS, Row

from . import ends, messages, openings
from .field import ATTACKS, Attack, Backend, Failed, Field, Terms, place_of, reference_server
from .good import GoodClient
from .peer import Place

ROOMS: Final = (openings, messages, ends)
"""The modules that hold the attacks: they enter them in `ATTACKS`."""

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "internals" / "attack.md"
SECTION: Final = "rows"

MET: Final = "met"
NOT_MET: Final = "**not met**"
NOT_TRIED: Final = "not tried"

HEAD: Final = "| row | attack | required | seen | verdict |"
RULE: Final = "|---:|---|---|---|---|"


class Outcome(Struct, frozen=True):
    """What came of a row. `worst` is the longest wait of the good client in seconds, None where there was none."""

    row: Row
    sends: str
    seen: str
    verdict: str
    worst: float | None = None

    def __str__(self) -> str:
        """The row as the documentation has it."""
        return f"| {self.row.number} | {self.sends} | {self.row.meets} | {self.seen} | {self.verdict} |"


OF_THE_MACHINE = (50, 55)
"""Rows in which the machine is at fault: a disk that fails, a process that is killed. tests/abuse and tests/crash have
them."""


def attacked_rows() -> list[Row]:
    """The rows in which a peer attacks through a real socket."""
    return [row for row in ROWS if row.loopback and row.number not in OF_THE_MACHINE]


def try_out(attack: Attack, row: Row, field: Field) -> Outcome:
    """One attack, with the good client beside it."""
    if attack.own and field.own is None:
        return Outcome(row, attack.sends, "takes our reference server", NOT_TRIED)
    good = GoodClient(field.place)
    try:
        if not attack.beside:
            return Outcome(row, attack.sends, attack.run(field), MET)
        with good:
            seen = attack.run(field)
    except (Failed, OSError, AssertionError, ValueError) as error:
        return Outcome(row, attack.sends, f"{type(error).__name__}: {error}", NOT_MET, good.worst or None)
    if good.fault:
        return Outcome(row, attack.sends, f"{seen}; but the good client: {good.fault}", NOT_MET, good.worst)
    return Outcome(row, attack.sends, seen, MET, good.worst)


def outcomes(rows: Iterable[Row], elsewhere: Place | None, backend: Backend) -> Iterator[Outcome]:
    """What comes of each row, as it does. Rows with the same terms are tried on the same server."""

    def terms(row: Row) -> Terms:
        return ATTACKS[row.number].terms

    met = [row for row in rows if row.met]
    yield from (Outcome(row, "–", "–", f"waits for {row.waits_for}") for row in rows if not row.met)
    for wanted, some in groupby(sorted(met, key=lambda row: encode(terms(row))), terms):
        with field_for(wanted, elsewhere, backend) as field:
            for row in some:
                yield try_out(ATTACKS[row.number], row, field)


@contextmanager
def field_for(terms: Terms, elsewhere: Place | None, backend: Backend) -> Iterator[Field]:
    """The server that is attacked."""
    if elsewhere is not None:
        yield Field(elsewhere)
        return
    with reference_server(terms, backend) as field:
        yield field


def is_loopback(host: str) -> bool:
    """Is every address of this host this machine's own? Raises OSError for a name that has none."""
    found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    return all(ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback for *_, place in found)


def table(ended: Iterable[Outcome]) -> str:
    """The outcomes as the documentation has them, in the order of their rows. Rows that wait are left out."""
    shown = sorted((outcome for outcome in ended if outcome.row.met), key=lambda outcome: outcome.row.number)
    return "\n".join((HEAD, RULE, *map(str, shown)))


def printed(outcome: Outcome) -> str:
    """An outcome with how the good client fared."""
    worst = "" if outcome.worst is None else f"{outcome.worst * 1000:.0f} ms"
    return f"{outcome} {worst} |\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Attack, tell."""
    rows, elsewhere, backend = _arguments(argv)
    ended = []
    sys.stdout.write(f"{HEAD} worst wait of the good client |\n{RULE}---:|\n")
    try:
        for outcome in outcomes(rows, elsewhere, backend):
            ended.append(outcome)
            sys.stdout.write(printed(outcome))
            sys.stdout.flush()
    except Failed as failed:
        sys.stderr.write(f"{failed}\n")
        return 1
    if elsewhere is None and rows == attacked_rows():
        sections.write(DOCUMENT, SECTION, table(ended))
    return 1 if any(outcome.verdict == NOT_MET for outcome in ended) else 0


def _arguments(argv: Sequence[str] | None) -> tuple[list[Row], Place | None, Backend]:
    parser = argparse.ArgumentParser(
        prog="python -m tests.attack", description="Attack a server and see that it meets what it must."
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="http://HOST:PORT (default: our reference server)")
    parser.add_argument("--row", type=int, action="append", default=[], metavar="N", help="this row alone (repeatable)")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="of our reference server")
    parser.add_argument("--i-own-this-server", action="store_true", help="attack what is not on this machine")
    arguments = parser.parse_args(argv)
    known = {row.number: row for row in attacked_rows()}
    for number in arguments.row:
        if number not in known:
            parser.error(f"there is no attack for row {number}; there are: {', '.join(map(str, known))}")
    rows = [row for number, row in known.items() if not arguments.row or number in arguments.row]
    if arguments.url is None:
        return rows, None, arguments.backend
    try:
        elsewhere = place_of(arguments.url)
        if not (arguments.i_own_this_server or is_loopback(elsewhere.host)):
            parser.error(f"{elsewhere.host} is not this machine: say --i-own-this-server if you may attack it")
        socket.create_connection(elsewhere[:2], 5.0).close()
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"no connection to {arguments.url}: {error.strerror or error}")
    return rows, elsewhere, arguments.backend


if __name__ == "__main__":
    sys.exit(main())
