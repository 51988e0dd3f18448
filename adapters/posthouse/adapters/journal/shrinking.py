"""Shrinking: of a journal that fails, the few entries without which it would not fail in the same way.

Delta debugging (Zeller and Hildebrandt, 2002, `ddmin`), coarse things first: what comes behind the failure, then all
that whole sockets said, then single entries; and what is left of a message that came in pieces is put together. Ids
are followed, so what is left is a journal like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from msgspec import structs
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError

from .entries import Entry, Journal
from .run import MADE, NAMED, Effects, Run, stand_in

CHUNKING: Final = "chunking:"
"""How the sentence begins of what is only seen at the end of a run, and takes longer than the run."""

MAX_RUNS: Final = 10_000
"""So often a journal is replayed at most: what is left then is small already."""

Places = list[int]
"""Where entries stand in the whole journal, in order."""


def shrink(
    journal: Journal,
    service: Service,
    *,
    check: bool = True,
    effects: Effects | None = None,
    gateway: type[Gateway] = Gateway,
    max_runs: int = MAX_RUNS,
) -> Journal:
    """The smallest journal found that fails in the same way as this one does (`Failure.kind`) when it is replayed with
    these arguments. Raises UsageError for one that does not fail."""
    shrinking = Shrinking(journal, service, gateway, check=check, effects=effects, max_runs=max_runs)
    entries = shrinking.shrink()
    header = structs.replace(journal.header, left_out=journal.header.left_out + len(journal.entries) - len(entries))
    return Journal(header, entries)


class Shrinking:
    """One journal on its way down. `runs` counts how often it was replayed."""

    def __init__(
        self,
        journal: Journal,
        service: Service,
        gateway: type[Gateway],
        *,
        check: bool,
        effects: Effects | None,
        max_runs: int,
    ) -> None:
        self.runs = 0
        self._header: Final = journal.header
        self._entries: Sequence[Entry] = journal.entries
        self._service: Final = stand_in(service)
        self._gateway: Final = gateway
        self._check: Final = check
        self._effects: Final = effects
        self._max_runs: Final = max_runs
        self._kind = ""
        self._all_eyes = False

    def shrink(self) -> list[Entry]:
        """The entries without which it would not fail."""
        whole = list(range(len(self._entries)))
        run = self._run(whole)
        if run.failure is None:
            raise UsageError("this journal does not fail: there is nothing to shrink")
        self._kind = run.failure.kind
        whole = needed(whole, run)
        # To look inside after every entry costs more than all else. What is violated at the end, as it is in the whole,
        # is seen there; and should something else be violated before, it is done again with all eyes.
        places = self._narrow(whole)
        if kind_in(self._run(places)) != self._kind:
            self._all_eyes = True
            places = self._narrow(whole)
        return self._join(self._at(places))

    def _at(self, places: Places) -> list[Entry]:
        return [self._entries[place] for place in places]

    def _narrow(self, places: Places) -> Places:
        places = self._minimise(places, by_socket(self._entries, places))
        return self._minimise(places, [[place] for place in places])

    def _join(self, entries: list[Entry]) -> list[Entry]:
        """With reads that follow one another on one socket as one, where it goes on to fail in the same way; and then
        without what that made needless."""
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
        self._all_eyes = True  # there are few by now
        places = list(range(len(entries)))
        return self._at(self._minimise(places, [[place] for place in places]))

    def _run(self, places: Places, *, all_eyes: bool = True) -> Run:
        self.runs += 1
        run = Run(self._header, self._service, self._gateway, check=self._check, effects=self._effects)
        entries = self._at(places)
        # What sockets said is only cut otherwise where that may be what fails.
        cut = not self._kind or self._kind.startswith(CHUNKING)
        run.give(entries, check_from=1 if all_eyes else len(places), cut=cut)
        return run

    def _minimise(self, places: Places, groups: list[Places]) -> Places:
        """Leave out groups, half of them at once, then fewer, until none can be left out any more."""
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
        """These alone, if they fail in the same way. None: they do not."""
        places = sorted(chain.from_iterable(groups))
        run = self._run(places, all_eyes=self._all_eyes)
        return needed(places, run) if kind_in(run) == self._kind else None


def together(first: Entry, second: Entry) -> Entry | None:
    """Two reads as one. None: they are no reads, or of two sockets."""
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
    """How it failed, if it did."""
    return None if run.failure is None else run.failure.kind


def needed(places: Places, run: Run) -> Places:
    """Of what a run that failed was given, what it took before it failed."""
    assert run.failure is not None
    skipped = frozenset(run.skipped)
    return [place for at, place in enumerate(places[: run.failure.entry], start=1) if at not in skipped]


def by_socket(entries: Sequence[Entry], places: Places) -> list[Places]:
    """The entries in groups: what belongs to one socket (or to one connection where there are no sockets), and the
    rest by what it is."""
    owners: dict[tuple[str, int], str] = {}
    groups: dict[str, Places] = {}
    for place in places:
        entry = entries[place]
        named = [(kind, entry.arguments[name]) for name, kind in NAMED.items() if name in entry.arguments]
        made = MADE.get(entry.input)
        owner = next((owners[id] for id in named if id in owners), entry.input)
        if made in ("socket", "connection") and not named and entry.returned is not None:
            owner = f"{made} {entry.returned}"
        if made is not None and entry.returned is not None:
            owners[made, entry.returned] = owner
        owners.update(dict.fromkeys((("connection", id) for id in entry.opened), owner))
        owners.update(dict.fromkeys((("call", id) for id in entry.invoked), owner))
        groups.setdefault(owner, []).append(place)
    return list(groups.values())
