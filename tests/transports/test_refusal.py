"""Refusals are values that close the socket unless they say otherwise."""

from __future__ import annotations

from posthouse.transports.refusal import Refusal

from tests.values import changeable


def test_a_refusal_closes_the_socket_by_default() -> None:
    refusal = Refusal(400, "No.")
    assert (refusal.headers, refusal.error, refusal.keep) == ((), None, False)
    assert refusal == Refusal(400, "No.")


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.refusal") == []


def test_a_refusal_names_no_value_unless_it_is_given_one() -> None:
    assert (Refusal(400, "no").rejected_value, Refusal(421, "no", rejected_value=b"host").rejected_value) == (
        None,
        b"host",
    )
