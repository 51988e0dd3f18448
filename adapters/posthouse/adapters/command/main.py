"""The command `posthouse`: its subcommands by name, and how each way to end becomes an exit code.

0: success. 1: failure. 2: the command line is wrong. 3: no connection (`call`). 4: an invariant is violated (`replay`).
130: interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Final

import click
from posthouse.adapters.terminal import Failure, complain

from .options import HelpPage
from .wrong_usage import report_usage

SUBCOMMANDS: Final = {
    "serve": "Serve a service over WebSocket and HTTP.",
    "stdio": "Serve a service over standard input and output.",
    "call": "Call one method and print its result as JSON.",
    "check": "List the methods of a service, or report what is wrong with it.",
    "user": "Make, list, change and remove users of a store.",
    "token": "Make, list and revoke tokens of a store; make entries for a file of tokens.",
    "session": "List and end sessions of a store.",
    "password": "Make entries for a file of passwords.",
    "replay": "Replay a recorded journal, offline.",
}
"""One line per file in `subcommands/`: its name, and its summary for `posthouse --help`. The file of `token-hash` is
`token_hash.py`, and holds a click command named `command`."""

EPILOG: Final = """\
Examples:
  posthouse check calculator:service
  posthouse serve calculator:service --dev
  posthouse call http://127.0.0.1:8000/rpc subtract minuend:=42 subtrahend:=23
  posthouse call stdio:'posthouse stdio calculator:service' add '[1, 2, 3]'

For the options of a command, run `posthouse COMMAND --help`.
To turn off colours, set the environment variable NO_COLOR=1.
"""


class LazyGroup(HelpPage, click.Group):
    """A group that imports a subcommand only when that subcommand runs, and lists them without an import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command: click.Command = import_module(f"{__package__}.subcommands.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="posthouse", message="%(prog)s %(version)s", help="Show the version and exit.")
def posthouse() -> None:
    """A JSON-RPC 2.0 gateway: typed Python functions over WebSocket, HTTP and stdio."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (None: the arguments of this process). Returns the exit code."""
    _open_standard_descriptors()
    _escape_what_cannot_be_printed()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with posthouse.make_context("posthouse", words) as context:
            status = int(posthouse.invoke(context))
        sys.stdout.flush()  # at the exit of the interpreter it would be too late to catch an error
        return status
    except click.exceptions.Exit as end:  # --help and --version
        return end.exit_code
    except click.UsageError as error:
        report_usage(error)
        return error.exit_code
    except Failure as failure:
        complain(failure.text, [failure.hint])
        return failure.status
    except BrokenPipeError:
        # The reader of our output has exited (`| head`), which is not an error. Python must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _escape_what_cannot_be_printed() -> None:
    """In a locale that is not UTF-8, print an escape for each character that it does not have, instead of an error.
    This holds for what a service prints, too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _open_standard_descriptors() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed. Otherwise the next file or socket would take the place,
    and get what is printed."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest one that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))
