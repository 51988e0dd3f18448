"""What a store has answered, in a journal: rows by the names of their types, without the hashes of passwords."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, convert, to_builtins
from msgspec.structs import replace
from posthouse.core.operations.operations import Hashed
from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import SessionAdded, TokenRemoved, UserChanged
from posthouse.core.store.rows import RevocationRow, SessionRow, TokenRow, UserRow

ROWS: Final[dict[str, type[Struct]]] = {
    row.__name__: row for row in (UserRow, TokenRow, SessionRow, RevocationRow, UserChanged, SessionAdded, TokenRemoved)
}

HIDDEN: Final = "$hidden"
"""In place of the hash of a password: a replay verifies none."""


def write_value(value: Any) -> Any:
    """The value of an outcome: a row, a name, a number, a boolean, nothing, or several of them."""
    if isinstance(value, tuple):
        return [write_value(each) for each in value]
    if isinstance(value, Struct):
        name = type(value).__name__
        return {name: to_builtins(value)}
    return value


def read_value(written: Any) -> Any:
    """The value that was written."""
    if isinstance(written, list):
        return tuple(read_value(each) for each in written)
    if isinstance(written, dict):
        ((name, row),) = written.items()
        return convert(row, ROWS[name])
    return written


def without_passwords(outcome: Any) -> Any:
    """The same outcome, with nothing by which a password can be guessed."""
    if type(outcome) is Hashed:
        return Hashed(HIDDEN)
    return Done(_hidden(outcome.value)) if type(outcome) is Done else outcome


def _hidden(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_hidden(each) for each in value)
    if isinstance(value, UserRow) and value.password is not None:
        return replace(value, password=HIDDEN)
    if isinstance(value, UserChanged):
        return replace(value, row=_hidden(value.row))
    return value
