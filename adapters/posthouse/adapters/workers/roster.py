"""The roster of workers: which places have a worker, which one replaces another, and when a dead one is followed.

A machine without I/O, as the core is: inputs with the time as an argument, what to do in `outbox`. Each place has one
worker; while workers are replaced, one place has two. A place keeps its sockets, whichever worker it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from msgspec import Struct

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 30.0
"""Seconds until a dead worker is followed: at first, twice as long each further time, and at most."""

LASTING: Final = 10.0
"""A worker that has served so many seconds has started well: the pause of its place is the first one again."""


class Start(Struct, frozen=True):
    """Start a worker for a place."""

    worker: int
    place: int


class Stop(Struct, frozen=True):
    """Ask a worker to shut down."""

    worker: int


class Kill(Struct, frozen=True):
    """End a worker at once."""

    worker: int


class Report(Struct, frozen=True):
    """Something that a person should know."""

    event: str
    text: str
    worker: int | None = None
    status: int | None = None


class Finish(Struct, frozen=True):
    """No worker is left: the supervisor exits with this status."""

    status: int


Action = Start | Stop | Kill | Report | Finish


class Worker(Struct, eq=False):
    """One worker. `due`: when it is killed, if it has not started, ended or given a sign of life by then."""

    number: int
    place: int
    started: float
    due: float
    state: Literal["starting", "serving", "stopping"] = "starting"


class Place(Struct, eq=False):
    """One place. `pause`: the seconds until a dead worker is followed; `due`: when that is."""

    pause: float = FIRST_PAUSE
    due: float | None = None


class Patience(Struct, frozen=True):
    """Seconds: in which a worker must accept, in which it must end, and after which silence is death."""

    start: float = 60.0
    stop: float = 35.0
    silence: float = 30.0


class Roster:
    """The workers of `count` places. `outbox` has the actions that are not performed. `overlap`: a new worker serves
    before the old one ends. Without it the old one ends first, because both need the same thing."""

    def __init__(self, count: int, patience: Patience = Patience(), *, overlap: bool = True) -> None:
        self._patience: Final = patience
        self._overlap: Final = overlap
        self._last = 0
        self._proved = False  # a worker has accepted: the service can be served
        self._replacing: list[int] = []  # the places whose workers are to be replaced, the one at work first
        self._newcomer: int | None = None  # the worker that takes the place at work
        self._again = False  # replace them all once more
        self._status: int | None = None  # the supervisor is shutting down, and will exit with this
        self.places: Final = [Place() for _ in range(count)]
        self.workers: Final[dict[int, Worker]] = {}
        self.outbox: Final[list[Action]] = []

    # Inputs

    def begin(self, now: float) -> None:
        """Start the first worker. When it serves, the others follow: what is wrong with the service is said once."""
        self._start(0, now)

    def accepts(self, number: int, now: float) -> None:
        """This worker serves clients."""
        worker = self.workers.get(number)
        if worker is None or worker.state != "starting":
            return
        worker.state, worker.started, worker.due = "serving", now, now + self._patience.silence
        if not self._proved:
            self._proved = True
            for place in range(1, len(self.places)):
                self._start(place, now)
        for other in self._at(worker.place):
            if other.number < number:  # the newest one takes the place
                self._stop(other, now)
        self._go_on(now)

    def lives(self, number: int, now: float) -> None:
        """This worker has given a sign of life."""
        worker = self.workers.get(number)
        if worker is not None and worker.state == "serving":
            worker.due = now + self._patience.silence

    def exited(self, number: int, status: int, now: float) -> None:
        """The process of this worker has ended, with an exit code or a negative signal."""
        worker = self.workers.pop(number)
        if self._status is not None:
            self._finish(status)
        elif not self._proved:
            self._give_up(worker, status, now)
        elif worker.state != "stopping":
            others = [other for other in self._at(worker.place) if other.state != "stopping"]
            if not others:
                self._follow(worker, status, now)
            elif worker.number == self._newcomer:
                text = "a new worker ended before it served: the old ones go on"
                self._report("workers.not_replaced", text, worker, status)
                self._replacing.clear()
                self._again = False
        self._go_on(now)

    def replace(self, now: float) -> None:
        """Replace all workers, one after the other: new code, new certificates."""
        if self._status is not None or not self._proved:
            return
        if self._replacing:
            self._again = True
            return
        self._replacing = list(range(len(self.places)))
        self._replace_next(now)

    def shut_down(self, now: float) -> None:
        """Ask every worker to end. The second time, end them at once."""
        if self._status is not None:
            self.outbox.extend(Kill(number) for number in self.workers)
            return
        self._end(0, now)

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        for worker in list(self.workers.values()):
            if now >= worker.due:
                self._overdue(worker, now)
        for number, place in enumerate(self.places):
            if place.due is not None and now >= place.due:
                place.due = None
                started = self._start(number, now)
                if self._replacing[:1] == [number]:
                    self._newcomer = started

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        dues = [worker.due for worker in self.workers.values()]
        dues += [place.due for place in self.places if place.due is not None]
        return min(dues, default=None)

    # One worker

    def _at(self, place: int) -> Iterator[Worker]:
        return (worker for worker in list(self.workers.values()) if worker.place == place)

    def _start(self, place: int, now: float) -> int:
        self._last += 1
        self.workers[self._last] = Worker(self._last, place, now, now + self._patience.start)
        self.outbox.append(Start(self._last, place))
        return self._last

    def _stop(self, worker: Worker, now: float) -> None:
        if worker.state != "stopping":
            worker.state, worker.due = "stopping", now + self._patience.stop
            self.outbox.append(Stop(worker.number))

    def _overdue(self, worker: Worker, now: float) -> None:
        texts = {
            "starting": "a worker does not start: it is killed",
            "serving": "the event loop of a worker is blocked: it is killed",
            "stopping": "a worker does not end: it is killed",
        }
        self._report("worker.overdue", texts[worker.state], worker)
        worker.due = now + self._patience.stop
        self.outbox.append(Kill(worker.number))

    def _follow(self, worker: Worker, status: int, now: float) -> None:
        """A worker has died. Another one follows after a pause."""
        place = self.places[worker.place]
        if worker.state == "serving" and now - worker.started >= LASTING:
            place.pause = FIRST_PAUSE
        self._report("worker.died", f"a worker died: another one starts in {place.pause:g} s", worker, status)
        place.due = now + place.pause
        place.pause = min(2 * place.pause, LONGEST_PAUSE)

    def _give_up(self, worker: Worker, status: int, now: float) -> None:
        """The first worker has ended before any of them served: the others would, too."""
        self._report("workers.failed", "the service cannot be served: no further worker starts", worker, status)
        self._end(status if status > 0 else 1, now)

    # Replacement

    def _replace_next(self, now: float) -> None:
        place = self._replacing[0]
        self.places[place].due = None
        if self._overlap:
            self._newcomer = self._start(place, now)
            return
        for worker in self._at(place):
            self._stop(worker, now)
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        """If the newcomer serves and has its place for itself, go on with the next place."""
        if not self._replacing:
            return
        place = self._replacing[0]
        if not any(self._at(place)) and self.places[place].due is None:
            self._newcomer = self._start(place, now)
            return
        if [(worker.number, worker.state) for worker in self._at(place)] != [(self._newcomer, "serving")]:
            return
        self._replacing.pop(0)
        if not self._replacing and self._again:
            self._again = False
            self._replacing = list(range(len(self.places)))
        if self._replacing:
            self._replace_next(now)
        else:
            self._report("workers.replaced", "all workers are replaced")

    # The end

    def _end(self, status: int, now: float) -> None:
        self._status = status
        self._replacing.clear()
        for place in self.places:
            place.due = None
        for worker in self.workers.values():
            self._stop(worker, now)
        if not self.workers:
            self.outbox.append(Finish(status))

    def _finish(self, status: int) -> None:
        assert self._status is not None
        if status:
            self._status = self._status or 1
        if not self.workers:
            self.outbox.append(Finish(self._status))

    def _report(self, event: str, text: str, worker: Worker | None = None, status: int | None = None) -> None:
        self.outbox.append(Report(event, text, None if worker is None else worker.number, status))
