"""Mutants that nobody can observe, by rule: a hunt draws others in their place, and counts them in a column of its own.

A rule looks at the change alone. What is only unlikely to be seen has no rule: it is drawn, and missed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from tools.mutate.mutants import Mutant

SENT: Final = ("RpcError", "LifespanError", "OSError")
"""The exceptions whose text is sent to peers, or is what an operator reads of a server that does not start."""

NAMED: Final = {"ContextVar": 0, "defstruct": 0, "start": 1, "every": 2}
"""The functions that take a name for debuggers, and its place: of a context variable, a type, a thread."""

SHOWN: Final = ("__repr__",)
"""The methods that only debuggers call."""


class Rule(Struct, frozen=True, eq=False):
    """A kind of mutants that change nothing that a client, an operator, or the code of a service can observe. `why`
    stands in the document."""

    name: str
    why: str
    holds: Callable[[Mutant], bool]


def unobservable(mutant: Mutant) -> Rule | None:
    """The rule by which nobody can observe this mutant, or None."""
    return next((rule for rule in RULES if rule.holds(mutant)), None)


def _is_text_of_exception(mutant: Mutant) -> bool:
    if not _is_text(mutant):
        return False
    raised = [place.parent for place in mutant.path if isinstance(place.parent, ast.Raise)]
    return any(not (isinstance(each.exc, ast.Call) and _called(each.exc) in SENT) for each in raised)


def _is_name_for_debuggers(mutant: Mutant) -> bool:
    for place in mutant.path:
        if isinstance(place.parent, ast.Call) and place.index == NAMED.get(_called(place.parent)):
            return place.field == "args" and isinstance(place.node, ast.Constant | ast.JoinedStr)
    return False


def _is_shown_to_debuggers(mutant: Mutant) -> bool:
    return any(isinstance(place.parent, ast.FunctionDef) and place.parent.name in SHOWN for place in mutant.path)


def _is_guard_of_structs(mutant: Mutant) -> bool:
    return _option(mutant, ast.ClassDef) in ("frozen", "kw_only")


def _is_guard_of_zip(mutant: Mutant) -> bool:
    return _option(mutant, ast.Call, "zip") == "strict"


def _is_for_special_builds(mutant: Mutant) -> bool:
    return _option(mutant, ast.Call) == "usedforsecurity"


def _option(mutant: Mutant, of: type[ast.AST], named: str = "") -> str | None:
    """The option of a class or a call that this mutant changes or takes out, or None."""
    for place in mutant.path[-2:]:
        keyword, parent = place.node, place.parent
        called = _called(parent) if isinstance(parent, ast.Call) else ""
        if isinstance(keyword, ast.keyword) and isinstance(parent, of) and named in ("", called):
            return keyword.arg
    return None


def _is_text(mutant: Mutant) -> bool:
    before = mutant.path[-1].node
    return isinstance(before, ast.Constant) and isinstance(before.value, str)


def _called(call: ast.Call) -> str:
    """The name of the function, without its module or object."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


RULES: Final = (
    Rule(
        "words of exceptions",
        "the text of an exception for the programmer of a service: its type is observed, not its words",
        _is_text_of_exception,
    ),
    Rule("names for debuggers", "the name of a context variable, a type or a thread", _is_name_for_debuggers),
    Rule("`__repr__`", "only debuggers call it", _is_shown_to_debuggers),
    Rule(
        "guards of structs",
        "`frozen` and `kw_only`: they stop code that nobody has written, and the type checker stops it, too",
        _is_guard_of_structs,
    ),
    Rule("`strict` of `zip`", "it stops code that nobody has written", _is_guard_of_zip),
    Rule("`usedforsecurity`", "an option for special builds of Python", _is_for_special_builds),
)
"""Every rule. The survivors that docs/internals/mutation.md explains come on top, one by one."""
