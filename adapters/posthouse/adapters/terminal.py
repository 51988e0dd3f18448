"""What is shown to a person: colours where they are wanted, and text that cannot play tricks on a terminal.

It knows streams of text and nothing of what they say.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Final, Literal, TextIO

from msgspec import json

Colour = Literal["red", "yellow", "green", "dim"]

CODES: Final[dict[Colour, str]] = {"red": "31", "yellow": "33", "green": "32", "dim": "2"}

INVISIBLE: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What JSON may hold as it is and a terminal may obey: controls of ISO 6429, and marks that reorder or hide text."""


class Failure(Exception):
    """A command cannot do what it was asked to. `status` is its exit code; `hint` says what to do, or is empty."""

    def __init__(self, text: str, *, hint: str = "", status: int = 1) -> None:
        super().__init__(text)
        self.text: Final = text
        self.hint: Final = hint
        self.status: Final = status


class Misuse(Failure):
    """The command line is wrong: exit code 2."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text, hint=hint, status=2)


def wants_colour(stream: TextIO) -> bool:
    """Is it a terminal of somebody who does not mind colours? `NO_COLOR`, when not empty, says no (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: Colour, stream: TextIO) -> str:
    """The text in this colour, if `stream` wants colours."""
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if wants_colour(stream) else text


def printable(text: str) -> str:
    """The text with everything that does not print (line ends too) escaped as Python does it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def json_text(data: bytes, *, indent: bool = False) -> str:
    """JSON on one line or indented, and otherwise as it is: numbers keep their digits, members their order.

    Characters that hide or obey are escaped as JSON does it, so that it still means the same.
    """
    text = json.format(data, indent=2 if indent else 0).decode("utf-8", "backslashreplace")
    return INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def say(text: str) -> None:
    """One line on stderr, at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def complain(text: str, details: Iterable[str] = ()) -> None:
    """An error on stderr: what is wrong, then lines that say more, or what to do."""
    say(f"{paint('posthouse:', 'red', sys.stderr)} {text}")
    for detail in details:
        if detail:
            say(f"  {detail}")
