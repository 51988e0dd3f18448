"""A part of the built-in methods: it is given tables, and told who calls and when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from posthouse.core.dispatch.builtin.part import Declared, Part, Tables
from posthouse.core.dispatch.builtin.token import TokenMethods
from posthouse.core.service.service import Service
from posthouse.core.values.peers import CallId

from tests.values import changeable, told_apart


def test_a_new_part_has_no_caller() -> None:
    tables: Any = object()
    part = Part(tables)
    assert (part.tables, part.now, hasattr(part, "caller")) == (tables, 0.0, False)


def test_a_method_requires_no_scopes_by_default() -> None:
    assert (Declared(public=True).scopes, Declared(public=True).changes) == ((), False)
    assert Part.enabled(Service("any"))


def test_new_tables_have_an_empty_document_and_compare_by_identity() -> None:
    nothing: Any = None
    one, two = (Tables(*[nothing] * 12) for _ in range(2))
    assert one.document == {}
    assert one.document is not two.document
    assert changeable("posthouse.core.dispatch.builtin.part") == ["Tables"]
    assert told_apart("posthouse.core.dispatch.builtin.part") == ["Tables"]


def test_a_part_offers_what_it_declares_in_its_own_words() -> None:
    assert TokenMethods.offered(Service("any")) is TokenMethods.declared
    assert Part.variant("ping", Service("any")) == ("ping", {})


def test_a_procedure_is_begun_for_the_call_that_runs() -> None:
    tables: Any = SimpleNamespace(procedures=SimpleNamespace(run=lambda *given: given))
    part = Part(tables)
    part.caller, part.call, part.now = tables, CallId(7), 3.0
    steps: Any = object()
    assert part.begin(steps) == (tables, 7, steps, 3.0)
