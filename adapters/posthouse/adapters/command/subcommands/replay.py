"""`posthouse replay`: feed a journal to a new machine, and print what follows from each input.

No handler of the service runs, and no socket is opened.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import Final

import click
from msgspec import json, structs
from posthouse.adapters.command.loading import load_service
from posthouse.adapters.command.options import Command, service_argument, whole_number
from posthouse.adapters.invariants import Violation
from posthouse.adapters.journal.format import Entry, Journal, fingerprint, read
from posthouse.adapters.journal.replay import Replayed, replay, shown
from posthouse.adapters.journal.shrinking import shrink
from posthouse.adapters.terminal import Failure, complain, printable, say
from posthouse.adapters.version import installed_version
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Effect
from posthouse.core.values.errors import UsageError
from posthouse.transports.switchboard.actions import Action

EPILOG: Final = """\
Exit codes: 0 replayed, 1 cannot replay, 2 wrong usage, 4 an invariant is violated or an exception was
raised.

Examples:
  posthouse replay calls.journal calculator:service
  posthouse replay calls.journal calculator:service --check --quiet
  posthouse replay calls.journal calculator:service --shrink small.journal
"""

VIOLATED: Final = 4
"""The exit code when an invariant is violated or an exception was raised."""

LONG: Final = ("data", "params", "value", "result", "error")
"""The arguments that are not printed with their input: the journal has them."""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("path", metavar="FILE", help="The journal, as `posthouse serve --journal FILE` recorded it.")
@service_argument(required=False, help="The Service that was served. Without it, only the built-in methods are known.")
@click.option("--until", type=whole_number(0), metavar="N", help="Replay only the first N inputs.")
@click.option("--check", is_flag=True, help="Check every invariant after every input.")
@click.option(
    "--shrink",
    is_flag=False,
    flag_value="",
    metavar="[OUT]",
    help="Find the fewest inputs that fail in the same way, and write them to OUT.  [default: FILE.shrunk]",
)
@click.option("--quiet", is_flag=True, help="Print only the outcome.")
@click.option("--other-service", is_flag=True, help="Accept a service that differs from the recorded one.")
def command(
    path: str, target: str | None, until: int | None, check: bool, shrink: str | None, quiet: bool, other_service: bool
) -> int:
    """Replay a recorded journal, offline.

    Each input is printed with its number, and below it what follows: what would be written to which socket, and which
    handlers would run. Handlers do not run: the journal has their results. --check also runs the reference model
    beside the gateway.
    """
    if shrink and target is None and ":" in shrink and os.sep not in shrink:
        target, shrink = shrink, ""  # `FILE --shrink MODULE:SERVICE`
    journal = _read(path)
    service = Service("posthouse", public=True) if target is None else load_service(target)
    if journal.header.openrpc != fingerprint(service) and not other_service:
        raise _other_service(path, journal.header.service, None if target is None else service.name)
    journal = structs.replace(journal, entries=journal.entries[:until])
    if shrink is not None:
        journal = _shrink(journal, service, path, shrink or f"{path}.shrunk")
        check = True
    gateway = _watched(service) if check else Gateway
    effects = None if quiet else Printer(journal.entries)
    try:
        done = replay(journal, service, check=check, effects=effects, gateway=gateway)
    except UsageError as error:
        raise Failure(f"this version cannot replay {path}: {error}") from None
    if effects is not None:
        effects.up_to(len(journal.entries) if done.failure is None else done.failure.entry)
    return _conclude(journal, done, check=check)


def _other_service(path: str, served: str, given: str | None) -> Failure:
    if given is None:
        hint = f"name it: posthouse replay {path} MODULE:SERVICE"
        return Failure(f"{path} was recorded with the service {served!r}, but no service is given", hint=hint)
    text = f"{path} was recorded with the service {served!r}, which differs from this {given!r}"
    return Failure(text, hint="use the version that was recorded; to accept this one, use --other-service")


def _watched(service: Service) -> type[Gateway]:
    """A gateway that is checked by the reference model. Imported here: nothing else needs the model."""
    from posthouse.adapters.model.checked import gateway_for

    return gateway_for(service)


def _read(path: str) -> Journal:
    try:
        journal = read(path)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    except UsageError as error:
        raise Failure(f"{path} is not a journal: {error}") from None
    if journal.torn:
        say(f"{path}: ignored the last line, which is incomplete")
    elif journal.end is not None:
        say(f"{path}: the recording stopped: {journal.end}")
    return journal


def _shrink(journal: Journal, service: Service, path: str, out: str) -> Journal:
    _spare(path, out)
    try:
        small = shrink(journal, service, gateway=_watched(service))
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
    """Refuse to replace a file, unless --shrink has written it: a recording cannot be made again."""
    if not os.path.lexists(out):
        return
    try:
        replaceable = not os.path.samefile(path, out) and read(out).header.left_out > 0
    except (OSError, UsageError):
        replaceable = False
    if not replaceable:
        hint = "use another file: --shrink OUT"
        raise Failure(f"{out} exists, and was not written by --shrink", hint=hint)


def _conclude(journal: Journal, done: Replayed, *, check: bool) -> int:
    """Print the outcome. Returns the exit code."""
    if (failure := done.failure) is not None:
        if isinstance(failure.error, BrokenPipeError):
            raise failure.error  # the printer raised it, not the machine
        text = f"input {failure.entry} ({journal.entries[failure.entry - 1].input}): {printable(failure.kind)}"
        complain(text, _traceback(failure.error))
        return VIOLATED
    if done.diverged_at is not None and not journal.header.left_out:
        recorded, ours = journal.header.posthouse, installed_version()
        versions = "" if recorded == ours else f": posthouse {recorded} recorded it, this is {ours}"
        say(f"differs from the recording from input {done.diverged_at} on{versions}")
    skipped = f", {done.skipped} skipped (their socket or call does not exist)" if done.skipped else ""
    clean = ": no invariant is violated" if check else ""
    say(f"{done.given} inputs replayed{skipped}{clean}")
    return 0


def _traceback(error: BaseException) -> list[str]:
    """The traceback of an exception. A violation has none: its text says which invariant it is."""
    if isinstance(error, Violation):
        return []
    return "".join(traceback.format_exception(error)).rstrip().splitlines()


class Printer:
    """Prints inputs with their numbers, and below each what followed."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries: Final = entries
        self._printed = 0

    def __call__(self, place: int, action: Action | Effect) -> None:
        """Print what followed from the input at this place."""
        self.up_to(place)
        sys.stdout.write(f"  {printable(shown(action))}\n")

    def up_to(self, place: int) -> None:
        """Print the inputs up to this one."""
        for entry in self._entries[self._printed : place]:
            self._printed += 1
            short = [
                f"{name}={json.encode(argument).decode()}"
                for name, argument in entry.arguments.items()
                if name not in LONG
            ]
            sys.stdout.write(" ".join((str(self._printed), entry.input, *short)) + "\n")
