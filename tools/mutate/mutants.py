"""Mutants of one module: its source in which one small thing is wrong.

Works on the syntax tree alone, and knows nothing of files, tests or processes. What is never touched, since no test of
behaviour should notice: docstrings, annotations and what exists for type checkers only, `__all__` and `__slots__`,
`gc=` of a Struct (speed), decorators, what the members of an Enum stand for, the words of an exception that tells a
programmer of a mistake or of a refusal that tells people of it, and asserts (they only tell the type checker what
holds).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from .essence import essence
from .nodes import binds, is_text, is_turned

WIDTH: Final = 100
"""A mutant is shown with as much around it as fits into so many characters."""

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
"""An order is moved across its boundary; what has no boundary is turned round."""

ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)

FOR_TYPES: Final = ("NewType", "TypeVar", "cast", "Literal", "Callable", "assert_never")
"""What is called or subscripted with these names speaks to the type checker."""

FILLED: Final[dict[type, str | bytes]] = {str: "~", bytes: b"~"}
"""What an empty text becomes. One that is not becomes empty."""

LEAST: Final = (None, False, True)
"""Returned, these are not mutated to None: they are None, or have a mutant that says more."""

SHOWN: Final = (ast.expr, ast.keyword, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)
"""What may be shown around a change. A statement with a body of its own would be too much."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a node hangs in the tree: a field of its parent, or one of a list that the field is."""

    parent: ast.AST
    field: str
    index: int | None = None

    @property
    def node(self) -> ast.AST:
        """The node that hangs there now."""
        value = getattr(self.parent, self.field)
        node: ast.AST = value if self.index is None else value[self.index]
        return node

    def put(self, node: ast.AST | None) -> None:
        """Hang this node there instead; None takes one out of its list."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        elif node is None:
            del getattr(self.parent, self.field)[self.index]
        else:
            getattr(self.parent, self.field)[self.index] = node

    def restore(self, before: Any) -> None:
        """As it was before `put`. `before`: the node, or the whole list."""
        setattr(self.parent, self.field, before)


@dataclass(frozen=True, eq=False)
class Mutant:
    """One change. `original` and `mutant` are the code around it, before and after."""

    line: int
    column: int
    original: str
    mutant: str
    tree: ast.Module
    path: tuple[Place, ...]
    node: ast.AST | None

    @property
    def functions(self) -> list[int]:
        """The first lines of the functions in whose bodies it is, the outermost first."""
        functions = [
            place.parent for place in self.path if place.field == "body" and isinstance(place.parent, FUNCTIONS)
        ]
        return [min([function.lineno, *(line.lineno for line in function.decorator_list)]) for function in functions]

    @property
    def change(self) -> str:
        """What a report says of it."""
        return f"{self.original} -> {self.mutant}"

    @property
    def key(self) -> str:
        """Tells it from every other of its module."""
        return f"{self.line}:{self.column} {self.change}"

    def code(self, file: str) -> CodeType:
        """The whole module with this change, compiled. The tree is as it was afterwards."""
        place = self.path[-1]
        before = _put(place, self.node)
        try:
            return compile(ast.fix_missing_locations(self.tree), file, "exec", dont_inherit=True)
        finally:
            place.restore(before)


class Source:
    """A module, and the `changes` that make its mutants: where, and what stands there instead. Most compile."""

    def __init__(self, source: str) -> None:
        self._tree = tree = ast.parse(source)
        self._clean = essence(compile(tree, "", "exec", dont_inherit=True))
        self.changes = [
            (path, other) for path in _places(tree, (), False) for other in _replacements(path[-1].node, path)
        ]

    def mutant(self, number: int) -> Mutant | None:
        """The mutant of the change with this number. None if it does not compile, or to the code of the module."""
        path, replacement = self.changes[number]
        mutant = _mutant(self._tree, path, path[-1].node, replacement)
        try:
            code = mutant.code("")
        except (SyntaxError, ValueError):
            return None
        return mutant if essence(code) != self._clean else None


def mutants(source: str) -> list[Mutant]:
    """Every mutant of this module that compiles to other code than the module does, in order of lines."""
    module = Source(source)
    made: dict[str, Mutant] = {}
    for number in range(len(module.changes)):
        mutant = module.mutant(number)
        if mutant is not None:
            made.setdefault(mutant.key, mutant)
    return sorted(made.values(), key=lambda mutant: (mutant.line, mutant.column))


# What may be changed


def _places(node: ast.AST, path: tuple[Place, ...], function: bool) -> Iterator[tuple[Place, ...]]:
    """The way to every node that may be changed, from the root: the last of it is where the node hangs."""
    for field, value in ast.iter_fields(node):
        if _untouched(node, field, value):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(child, ast.AST) or _for_nobody(child) or _is_member(node, child) or _is_said(node, child):
                continue
            here = (*path, Place(node, field, index))
            yield here
            yield from _places(child, here, function or isinstance(child, FUNCTIONS))


def _untouched(node: ast.AST, field: str, value: object) -> bool:
    """Is this field of this node none of behaviour?"""
    if field in ("annotation", "returns", "decorator_list", "bases", "type_params", "type_comment", "ctx", "op", "ops"):
        return True
    if isinstance(node, ast.Call | ast.Subscript):
        named = node.func if isinstance(node, ast.Call) else node.value
        return isinstance(named, ast.Name) and named.id in FOR_TYPES
    return isinstance(node, ast.FormattedValue) and field != "value"


def _for_nobody(node: ast.AST) -> bool:
    """Is this node, with all in it, none of behaviour?"""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom() | ast.Assert():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.Call(func=ast.Name(id="UsageError")) | ast.Call(func=ast.Name(id="NotImplementedError")):
            return True
        case ast.FunctionDef(decorator_list=[ast.Name(id="overload")]):
            return True
        case ast.keyword(arg="gc") | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _is_member(node: ast.AST, child: ast.AST) -> bool:
    """Is this a member of an Enum? It is told from the others by itself, not by what it stands for."""
    if not isinstance(node, ast.ClassDef) or not isinstance(child, ast.Assign):
        return False
    return any(isinstance(base, ast.Name) and base.id == "Enum" for base in node.bases)


def _is_said(node: ast.AST, child: ast.AST) -> bool:
    """Are these the words of a refusal? They are for people alone."""
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal"
    return named and isinstance(child, ast.Constant) and isinstance(child.value, str)


def _replacements(node: ast.AST, path: tuple[Place, ...]) -> Iterator[ast.AST | None]:
    """What may stand in this node's place."""
    parent = path[-1].parent
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                ops = [*node.ops[:index], COMPARISONS[type(operator)](), *node.ops[index + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)
        case ast.BinOp() if not is_text(node.left):
            yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant():
            yield from _other_constants(node.value, parent, path)
        case ast.keyword() if isinstance(parent, ast.Call) and node.arg is not None:
            yield None
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value in LEAST):
            yield ast.Return(None)
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.AugAssign():
            yield ast.Pass()
            if not is_text(node.value):
                yield ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
        case ast.Expr(value=ast.Call()) | ast.Delete() | ast.Raise():
            yield ast.Pass()
        case ast.Assign() if _forgettable(node, path):
            yield ast.Pass()
    if path[-1].field in ("test", "ifs") and isinstance(node, ast.expr) and not is_turned(node):
        yield ast.UnaryOp(ast.Not(), node)
    if path[-1].field in ("defaults", "kw_defaults") and not isinstance(node, ast.Constant):
        yield ast.Constant(None)


def _other_constants(value: object, parent: ast.AST, path: tuple[Place, ...]) -> Iterator[ast.Constant]:
    match value:
        case bool():
            yield ast.Constant(not value)
        case int() | float():
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case str() | bytes() if not any(isinstance(place.parent, ast.JoinedStr) for place in path):
            yield ast.Constant(value[:0] if value else FILLED[type(value)])
        case None if not isinstance(parent, ast.Compare):
            yield ast.Constant(...)


def _forgettable(node: ast.Assign, path: tuple[Place, ...]) -> bool:
    """Can this assignment be left out, so that what was assigned before stays?"""
    functions = [place.parent for place in path if isinstance(place.parent, FUNCTIONS)]
    if not functions or functions[-1].name == "__init__":
        return False
    for target in node.targets:
        if isinstance(target, ast.Name):
            others = [inner for inner in ast.walk(functions[-1]) if binds(inner, target.id) and inner is not target]
            if not others:
                return False
        elif not isinstance(target, ast.Attribute | ast.Subscript):
            return False
    return True


# How it is put, and shown


def _put(place: Place, node: ast.AST | None) -> Any:
    """Put it, and return what `Place.restore` needs."""
    before = getattr(place.parent, place.field)
    if place.index is not None:
        setattr(place.parent, place.field, list(before))
    place.put(node)
    return before


def _mutant(tree: ast.Module, path: tuple[Place, ...], node: ast.AST, replacement: ast.AST | None) -> Mutant:
    """The change of `node`, shown with what is around it as far as that fits."""
    place = path[-1]
    shown = [node] if replacement is not None else []
    for above in reversed(path):
        if not isinstance(above.parent, SHOWN):
            break
        shown.append(above.parent)
    around = next((outer for outer in reversed(shown) if len(ast.unparse(outer)) <= WIDTH), shown[0])
    before = ast.unparse(around)
    if replacement is None and len(before) > WIDTH:
        before, after = ast.unparse(node), "nothing"
    elif around is node:
        assert replacement is not None
        after = ast.unparse(ast.fix_missing_locations(replacement))
    else:
        was = _put(place, replacement)
        after = ast.unparse(ast.fix_missing_locations(around))
        place.restore(was)
    line, column = _position(node, path)
    return Mutant(line, column, _short(before), _short(after), tree, path, replacement)


def _position(node: ast.AST, path: tuple[Place, ...]) -> tuple[int, int]:
    for candidate in (node, *(place.parent for place in reversed(path))):
        if isinstance(candidate, ast.expr | ast.stmt | ast.keyword | ast.pattern | ast.excepthandler | ast.arg):
            return candidate.lineno, candidate.col_offset
    raise ValueError("a module has no place in itself")


def _short(code: str) -> str:
    """One line, of a width that can be read."""
    line = " ".join(code.split())
    return line if len(line) <= WIDTH + 40 else f"{line[: WIDTH + 37]}..."
