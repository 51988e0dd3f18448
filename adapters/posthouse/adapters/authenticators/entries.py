"""Entries of TOML files, and the lines on which they stand: an error names the line to mend.

A fault begins with `, line 3: ` or with `: `, since the name of its file is put before it.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, TypeVar

from msgspec import Struct, ValidationError, convert
from posthouse.core.values.errors import UsageError

E = TypeVar("E", bound=Struct)

PLACE = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)
"""The text of an error of tomllib, and the line that it names."""


def read_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises UsageError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = PLACE.fullmatch(str(error))
        fault = found[1] if found else str(error)
        raise at(int(found[2]) if found else None, f"it is not valid TOML: {fault}") from None
    except RecursionError:
        raise at(None, "it is not valid TOML: it is nested too deeply") from None


def read_entry(value: object, kind: type[E], line: int | None) -> E:
    """One entry of a file. Raises UsageError that names its line."""
    try:
        return convert(value, kind)
    except ValidationError as error:
        text = str(error).replace("`", "").replace("$.", "")
        text = text.replace("Object missing required field", "it has no").replace("Object contains", "it has the")
        raise at(line, f"{text[:1].lower()}{text[1:]}") from None


def at(line: int | None, fault: str) -> UsageError:
    """An error on this line of a file."""
    return UsageError(f": {fault}" if line is None else f", line {line}: {fault}")


def line_of_table(text: str, name: str, number: int) -> int | None:
    """The line of the `[[name]]` with this number, counted from 0. None: it is written in another way."""
    for found in re.finditer(rf"^[ \t]*\[\[[ \t]*{re.escape(name)}[ \t]*\]\]", text, re.MULTILINE):
        if not number:
            return text.count("\n", 0, found.start()) + 1
        number -= 1
    return None


def line_of_key(text: str, key: str) -> int | None:
    """The line that gives a value to this key, or that begins its table. None: it is written in another way."""
    name = rf"""(?:{re.escape(key)}|"{re.escape(key)}"|'{re.escape(key)}')"""
    found = re.search(rf"^[ \t]*(?:{name}[ \t]*=|\[[ \t]*{name}[ \t]*\])", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1
