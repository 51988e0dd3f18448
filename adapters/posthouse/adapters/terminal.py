"""Text for people: colours if the terminal wants them, errors on stderr, and no text that can control a terminal.

This file imports nothing heavy, so that `posthouse --help` stays fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, Literal, TextIO

Colour = Literal["red", "yellow", "green", "dim"]

CODES: Final[dict[Colour, str]] = {"red": "31", "yellow": "33", "green": "32", "dim": "2"}


Shape = Callable[[str, str, str, Mapping[str, object]], str]
"""Makes a line of a level, an event, a text and further facts."""


class Output:
    """The output of this process on stderr. `shape` makes its lines; None: they are their text."""

    shape: Shape | None = None


output: Final = Output()


class Failure(Exception):
    """A command has failed. `hint` says what to do, or is empty; `status` is the exit code."""

    status = 1

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text)
        self.text: Final = text
        self.hint: Final = hint


class Misuse(Failure):
    """The command line is wrong: exit code 2."""

    status = 2


def wants_colour(stream: TextIO) -> bool:
    """Is the stream a terminal that wants colours? A `NO_COLOR` that is not empty turns them off (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: Colour, stream: TextIO) -> str:
    """Return the text in this colour, if `stream` wants colours."""
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if wants_colour(stream) else text


def printable(text: str) -> str:
    """Escape every character that does not print, line ends included, as Python does."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def say(text: str, *, level: str = "info", event: str = "", **facts: object) -> None:
    """Print one line on stderr, and flush it. Does nothing if the reader has exited (`2>&1 | head`).

    `level`, `event` and `facts` are for lines that are for machines.
    """
    line = text if output.shape is None else output.shape(level, event, text, facts)
    with suppress(OSError, ValueError, AttributeError):  # a broken pipe; a stream that is closed; none at all
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def complain(text: str, details: Iterable[str] = ()) -> None:
    """Print an error on stderr. `details` are further lines, such as a hint; empty ones are left out."""
    if output.shape is not None:
        say(text, level="error", event="command.failed", hint="\n".join(filter(None, details)) or None)
        return
    say(f"{paint('posthouse:', 'red', sys.stderr)} {text}")
    for detail in details:
        if detail:
            say(f"  {detail}")
