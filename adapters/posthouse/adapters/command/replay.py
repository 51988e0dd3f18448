"""`posthouse replay`: a journal told to a new machine, and what follows printed, one action a line.

No handler of the service runs and nothing is listened to. Exit codes: 0 it was replayed, 1 it cannot be, 2 the command
line is wrong, 4 something that must hold does not.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from contextlib import suppress
from importlib.metadata import version
from typing import Final

from msgspec import json, structs
from posthouse.adapters.invariants import Violation
from posthouse.adapters.journal.entries import Entry, Journal, fingerprint, read
from posthouse.adapters.journal.replay import Replayed, replay, shown
from posthouse.adapters.journal.run import Failure as Found
from posthouse.adapters.journal.shrinking import shrink
from posthouse.adapters.terminal import Failure, complain, printable, say
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Effect
from posthouse.core.values.errors import UsageError
from posthouse.transports.switchboard.actions import Action

from .loading import load_service

EPILOG: Final = """\
It prints each input with its number, and under it what followed: what would have been written to which socket, which
handlers would have been run. Handlers are not run: what they returned is in the journal. --check looks at every
invariant after every input, and runs the reference model beside it; --shrink leaves out what is not needed for the same
failure, and prints what is left.

Exit codes: 0 replayed, 1 it cannot be, 2 wrong usage, 4 an invariant is violated or the core raised an exception.

examples:
  posthouse replay calls.journal calculator:service
  posthouse replay calls.journal calculator:service --check --quiet
  posthouse replay calls.journal calculator:service --shrink small.journal
"""

VIOLATED: Final = 4
"""The exit code when something that must hold does not."""

LONG: Final = ("data", "params", "value", "result", "error")
"""The arguments that are not printed with their input: the journal has them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `posthouse replay`."""
    parser.set_defaults(run=run)
    parser.add_argument("journal", metavar="FILE", help="what `posthouse serve --journal FILE` has recorded")
    parser.add_argument(
        "target",
        nargs="?",
        metavar="MODULE:SERVICE",
        help="the Service that was served (without: the built-in methods alone)",
    )
    parser.add_argument("--until", type=_count, metavar="N", help="replay no more than the first N inputs")
    parser.add_argument("--check", action="store_true", help="look at every invariant after every input")
    parser.add_argument(
        "--shrink",
        nargs="?",
        const="",
        metavar="OUT",
        help="write the least of it that fails in the same way to OUT (default: FILE.shrunk)",
    )
    parser.add_argument("--quiet", action="store_true", help="print the outcome alone")
    parser.add_argument("--other-service", action="store_true", help="go on when the service is not the recorded one")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of inputs")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Replay. Returns 0 or 4; raises terminal.Failure."""
    path, target, out = arguments.journal, arguments.target, arguments.shrink
    if out and target is None and ":" in out and os.sep not in out:
        target, out = out, ""  # `FILE --shrink MODULE:SERVICE`
    journal = _read(path)
    service = Service("posthouse", public=True) if target is None else load_service(target)
    if journal.header.openrpc != fingerprint(service) and not arguments.other_service:
        raise _other_service(path, journal.header.service, None if target is None else service.name)
    journal = structs.replace(journal, entries=journal.entries[: arguments.until])
    if out is not None:
        journal = _shrink(journal, service, path, out or f"{path}.shrunk")
    check = arguments.check or out is not None
    gateway = _watched() if check else Gateway
    effects = None if arguments.quiet else Printer(journal.entries)
    try:
        done = replay(journal, service, check=check, effects=effects, gateway=gateway)
    except UsageError as error:
        raise Failure(f"{path} cannot be replayed by this version: {error}") from None
    if effects is not None:
        effects.up_to(len(journal.entries) if done.failure is None else done.failure.entry)
    return _conclude(journal, done, check=check)


def _other_service(path: str, served: str, given: str | None) -> Failure:
    if given is None:
        text = f"{path} was recorded with the service {served!r}, and no service was named"
        return Failure(text, hint=f"name it: posthouse replay {path} MODULE:SERVICE")
    text = f"{path} was recorded with a service {served!r} that was declared otherwise than this {given!r}"
    return Failure(text, hint="name the service that was served, as it was; or go on with --other-service")


def _watched() -> type[Gateway]:
    """A gateway with the reference model beside it. Nothing else of the command line needs the simulator."""
    from posthouse.adapters.simulation.watched import Watched

    return Watched


def _read(path: str) -> Journal:
    try:
        journal = read(path)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    except UsageError as error:
        raise Failure(f"{path} is no journal: {error}") from None
    if journal.torn:
        say(f"{path}: the last line is cut off and left out")
    elif journal.end is not None:
        say(f"{path}: recording ended: {journal.end}")
    return journal


def _shrink(journal: Journal, service: Service, path: str, out: str) -> Journal:
    _spare(path, out)
    try:
        small = shrink(journal, service, gateway=_watched())
    except UsageError as error:
        raise Failure(f"{path}: {error}") from None
    try:
        with suppress(FileNotFoundError):
            os.unlink(out)
        with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(small.lines())
    except OSError as error:
        raise Failure(f"cannot write {out}: {error.strerror}") from None
    say(f"{out}: {len(small.entries)} of {len(journal.entries)} inputs fail in the same way")
    return small


def _spare(path: str, out: str) -> None:
    """Of what is there already only a journal that was shrunk gives way: what was recorded may be had only once."""
    if not os.path.lexists(out):
        return
    try:
        replaceable = not os.path.samefile(path, out) and read(out).header.left_out > 0
    except (OSError, UsageError):
        replaceable = False
    if not replaceable:
        raise Failure(
            f"{out} is there already, and is not what --shrink has left", hint="name another file: --shrink OUT"
        )


def _conclude(journal: Journal, done: Replayed, *, check: bool) -> int:
    """Say what became of it. Returns the exit code."""
    if done.failure is not None:
        complain(_what(journal, done.failure), _where(done.failure.error))
        return VIOLATED
    if done.parted is not None and not journal.header.left_out:
        say(f"from input {done.parted} on it differs from the recording{_made_by(journal.header.posthouse)}")
    skipped = f", {done.skipped} skipped: they are about what is not there" if done.skipped else ""
    clean = f"{';' if skipped else ':'} nothing is violated" if check else ""
    say(f"{done.given} inputs replayed{skipped}{clean}")
    return 0


def _made_by(recorded: str) -> str:
    ours = version("posthouse")
    return "" if recorded == ours else f", which posthouse {recorded} made and not {ours}"


def _what(journal: Journal, failure: Found) -> str:
    return f"input {failure.entry} ({journal.entries[failure.entry - 1].input}): {printable(failure.kind)}"


def _where(error: BaseException) -> list[str]:
    """Where an exception comes from. Of an invariant it is its own words that say so."""
    if isinstance(error, Violation):
        return []
    return "".join(traceback.format_exception(error)).rstrip().splitlines()


class Printer:
    """Prints inputs with their numbers, and under each what followed."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries: Final = entries
        self._printed = 0

    def __call__(self, place: int, action: Action | Effect) -> None:
        """What followed from the input at this place."""
        self.up_to(place)
        sys.stdout.write(f"  {printable(shown(action))}\n")

    def up_to(self, place: int) -> None:
        """The inputs as far as this one."""
        for entry in self._entries[self._printed : place]:
            self._printed += 1
            short = [
                f"{name}={json.encode(argument).decode()}"
                for name, argument in entry.arguments.items()
                if name not in LONG
            ]
            sys.stdout.write(" ".join((str(self._printed), entry.input, *short)) + "\n")
