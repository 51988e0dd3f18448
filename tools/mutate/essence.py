"""What of compiled code decides what it does."""

from __future__ import annotations

from types import CodeType
from typing import Any


def essence(code: CodeType) -> tuple[Any, ...]:
    """What of compiled code decides what it does: two of equal essence behave the same."""
    constants = tuple(
        essence(value) if isinstance(value, CodeType) else (type(value).__name__, repr(value))
        for value in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, names, code.co_exceptiontable, code.co_flags, code.co_argcount)
