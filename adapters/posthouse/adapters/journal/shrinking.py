"""Shrinking: reduce a journal that fails to the few entries without which it would not fail in the same way.

Delta debugging (Zeller and Hildebrandt, 2002, `ddmin`), in large steps first: remove the entries after the failure,
then whole sockets, then single entries. Then join the pieces that are left of a message. Ids are mapped (`run.py`), so
the result is a journal like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Final

from msgspec import structs
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError

from .format import Entry, Journal
from .run import CREATES, ID_ARGUMENTS, Effects, Run, with_recorded_results

CHUNKING: Final = "chunking:"
"""The beginning of a violation that is only checked at the end of a run, and takes longer than the run."""

MAX_RUNS: Final = 10_000
"""The largest number of replays. The journal is small by then."""

Places = list[int]
"""Places of entries in the whole journal, in order."""


def shrink(
    journal: Journal,
    service: Service,
    *,
    check: bool = True,
    effects: Effects | None = None,
    gateway: type[Gateway] = Gateway,
    max_runs: int = MAX_RUNS,
) -> Journal:
    """The smallest journal found that fails in the same way (`Failure.kind`) when it is replayed with these arguments.
    Raises UsageError if the journal does not fail."""
    begin = partial(Run, journal.header, with_recorded_results(service), gateway, check=check, effects=effects)
    entries = Shrinking(journal.entries, begin, max_runs).shrink()
    header = structs.replace(journal.header, left_out=journal.header.left_out + len(journal.entries) - len(entries))
    return Journal(header, entries)


class Shrinking:
    """Shrinks the entries of one journal. `begin` makes a new machine for a replay; `runs` counts the replays."""

    def __init__(self, entries: Sequence[Entry], begin: Callable[[], Run], max_runs: int) -> None:
        self.runs = 0
        self._entries = entries
        self._begin: Final = begin
        self._max_runs: Final = max_runs
        self._kind = ""
        self._check_everywhere = False

    def shrink(self) -> list[Entry]:
        """The entries that the failure needs."""
        whole = list(range(len(self._entries)))
        run = self._run(whole)
        if run.failure is None:
            raise UsageError("this journal does not fail: there is nothing to shrink")
        self._kind = run.failure.kind
        whole = needed(whole, run)
        # Checking the state after every entry costs most of the time. So it is checked only at the end, where the
        # failure of the whole journal is. If another invariant is violated earlier, shrink again and check everywhere.
        places = self._narrow(whole)
        if kind_in(self._run(places)) != self._kind:
            self._check_everywhere = True
            places = self._narrow(whole)
        return self._join(self._at(places))

    def _at(self, places: Places) -> list[Entry]:
        return [self._entries[place] for place in places]

    def _narrow(self, places: Places) -> Places:
        places = self._minimise(places, by_socket(self._entries, places))
        return self._minimise(places, [[place] for place in places])

    def _join(self, entries: list[Entry]) -> list[Entry]:
        """Join consecutive reads of one socket while the journal fails in the same way. Then remove the entries that
        this made needless."""
        whole = len(entries)
        at = 1
        while at < len(entries) and self.runs < self._max_runs:
            one = together(entries[at - 1], entries[at])
            fewer = entries if one is None else [*entries[: at - 1], one, *entries[at + 1 :]]
            self._entries = fewer
            if one is not None and kind_in(self._run(list(range(len(fewer))))) == self._kind:
                entries = fewer
            else:
                at += 1
        if len(entries) == whole:
            return entries
        self._entries = entries
        self._check_everywhere = True  # only few entries are left
        places = list(range(len(entries)))
        return self._at(self._minimise(places, [[place] for place in places]))

    def _run(self, places: Places, *, check_everywhere: bool = True) -> Run:
        self.runs += 1
        run = self._begin()
        entries = self._at(places)
        # The bytes of sockets are only cut in other places if that may be the failure.
        cut = not self._kind or self._kind.startswith(CHUNKING)
        run.give(entries, check_from=1 if check_everywhere else len(places), cut=cut)
        return run

    def _minimise(self, places: Places, groups: list[Places]) -> Places:
        """Remove groups, half of them at once, then fewer, until no group can be removed."""
        size = len(groups)
        moved = False
        while size > 1 or moved:
            size = max(size // 2, 1)
            moved = False
            at = 0
            while at < len(groups) and self.runs < self._max_runs:
                fewer = self._without(groups[:at] + groups[at + size :])
                if fewer is None:
                    at += size
                    continue
                moved = True
                places = fewer
                staying = frozenset(places)
                groups = [kept for group in groups if (kept := [place for place in group if place in staying])]
        return places

    def _without(self, groups: list[Places]) -> Places | None:
        """The places that are needed of these groups. None: they do not fail in the same way."""
        places = sorted(chain.from_iterable(groups))
        run = self._run(places, check_everywhere=self._check_everywhere)
        return needed(places, run) if kind_in(run) == self._kind else None


def together(first: Entry, second: Entry) -> Entry | None:
    """Two reads as one. None: they are not reads, or of different sockets."""
    if not first.input == second.input == "received" or first.arguments["socket"] != second.arguments["socket"]:
        return None
    return Entry(
        second.input,
        {**second.arguments, "data": first.arguments["data"] + second.arguments["data"]},
        first.drawn + second.drawn,
        second.returned,
        first.opened + second.opened,
        first.invoked + second.invoked,
        second.raised,
    )


def kind_in(run: Run) -> str | None:
    """The kind of its failure, if it failed."""
    return None if run.failure is None else run.failure.kind


def needed(places: Places, run: Run) -> Places:
    """The places of the entries that a failed run was given up to its failure."""
    assert run.failure is not None
    skipped = frozenset(run.skipped)
    return [place for at, place in enumerate(places[: run.failure.entry], start=1) if at not in skipped]


def by_socket(entries: Sequence[Entry], places: Places) -> list[Places]:
    """Group the entries by socket (or by connection if there are no sockets), and all others by their input."""
    owners: dict[tuple[str, int], str] = {}
    groups: dict[str, Places] = {}
    for place in places:
        entry = entries[place]
        named = [(kind, entry.arguments[name]) for name, kind in ID_ARGUMENTS.items() if name in entry.arguments]
        made = CREATES.get(entry.input)
        owner = next((owners[id] for id in named if id in owners), entry.input)
        if made in ("socket", "connection") and not named and entry.returned is not None:
            owner = f"{made} {entry.returned}"
        if made is not None and entry.returned is not None:
            owners[made, entry.returned] = owner
        owners.update(dict.fromkeys((("connection", id) for id in entry.opened), owner))
        owners.update(dict.fromkeys((("call", id) for id in entry.invoked), owner))
        groups.setdefault(owner, []).append(place)
    return list(groups.values())
