"""Scenes: every one takes its known course, again and again, and storms perform all of them."""

from __future__ import annotations

import logging

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Drawn
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.storms.scenes import repertoire
from posthouse.adapters.simulation.storms.scenes.repertoire import KNOWN, check, in_turn, perform
from posthouse.adapters.simulation.storms.scenes.scene import SCENES

from .scenes import FILE, written

FIRST = "a server with one address"


def drawn(choice: int) -> Stream:
    return Drawn(lambda n: choice).stream("any")


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_takes_its_known_course(name: str) -> None:
    assert perform(name).lines == KNOWN[name]


def test_the_file_has_each_scene_and_no_other() -> None:
    assert list(KNOWN) == list(SCENES)
    assert written(KNOWN) == FILE.read_bytes()


@pytest.mark.parametrize("lines", [[], KNOWN[FIRST][:-1], [*KNOWN[FIRST], "more"], ["other", *KNOWN[FIRST][1:]]])
def test_another_course_is_a_violation(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(repertoire.KNOWN, FIRST, lines)
    with pytest.raises(Violation, match="documented: a scene takes another course"):
        check(FIRST)


def test_a_scene_tells_how_many_events_it_had() -> None:
    assert check(FIRST) == perform(FIRST).events > 10


def test_a_scene_leaves_the_log_as_it_was() -> None:
    loggers = [logging.getLogger(name) for name in ("posthouse", "posthouse.access")]
    before = [(logger.level, list(logger.filters), list(logger.handlers)) for logger in loggers]
    check(FIRST)
    assert [(logger.level, list(logger.filters), list(logger.handlers)) for logger in loggers] == before


def test_storms_whose_seeds_follow_each_other_go_through_all_parts() -> None:
    parts = [in_turn(range(10), 3, seed, drawn(0)) for seed in (5, 6, 7)]
    assert sorted(each for part in parts for each in part) == list(range(10))


def test_a_storm_without_a_number_draws_its_part() -> None:
    assert in_turn(range(10), 3, "text", drawn(1)) == [1, 4, 7]
