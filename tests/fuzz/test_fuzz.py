"""The fuzzers in short: every kept input through its target, some hundreds of new ones, and the command itself."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.fuzz.__main__ import main
from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.mutating import mutate
from tests.fuzz.planting import plant
from tests.fuzz.registry import TARGETS
from tests.fuzz.session import MOST_ENTRIES, ROOT, Progress, Session
from tests.fuzz.shrinking import shrink
from tests.fuzz.target import HERE, Target

EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)

MOST_BYTES = 200 * 1024
"""What the repository keeps, of all targets."""

CHOICE = st.integers(0, 2**32 - 1)


@EACH
def test_no_input_that_is_kept_finds_anything(target: Target) -> None:
    for entry in target.entries():
        target.run(entry.read_bytes())


@EACH
def test_inputs_made_of_those_that_are_kept_find_nothing(target: Target) -> None:
    kept = [*target.seeds, *(entry.read_bytes() for entry in target.entries())]

    @settings(max_examples=150, database=None)
    @given(CHOICE, st.sampled_from(kept))
    def run(choice: int, data: bytes) -> None:
        target.run(mutate(target, data, Random(choice)))

    run()


@EACH
def test_bytes_that_mean_nothing_find_nothing(target: Target) -> None:
    random = Random(target.name)
    for size in (0, 1, 3, 4, 5, 100):
        target.run(random.randbytes(size))


@EACH
def test_its_planted_bug_can_still_be_planted(target: Target, tmp_path: Path) -> None:
    copy = plant(target.planted, tmp_path / "copy")
    assert target.planted.after in (copy / target.planted.file).read_text()


def test_what_is_kept_is_small() -> None:
    assert all(len(list(target.corpus.glob("*"))) <= MOST_ENTRIES for target in TARGETS.values())
    assert sum(entry.stat().st_size for target in TARGETS.values() for entry in target.entries()) <= MOST_BYTES


def test_what_is_kept_belongs_to_a_target() -> None:
    kept = {folder.name for room in ("corpus", "findings") for folder in (HERE / room).glob("*")}
    assert kept <= TARGETS.keys()


@given(st.binary(max_size=40), st.binary(min_size=3, max_size=3), st.sets(st.integers(0, 7)))
def test_an_input_is_what_was_written_cut_where_it_says(wire: bytes, sizes: bytes, options: set[int]) -> None:
    sent = read(written(wire, *options, sizes=sizes))
    assert b"".join(sent.pieces()) == wire
    assert all(sent.pieces())
    assert {number for number in range(8) if sent.option(number)} == options
    assert list(sent.whole().pieces()) == ([wire] if wire else [])


def test_sizes_are_taken_in_turn_and_zero_is_all_the_rest() -> None:
    assert list(Sent(0, b"\x01\x02\x01", b"abcdef").pieces()) == [b"a", b"bc", b"d", b"e", b"f"]
    assert list(Sent(0, b"\x01\x00\x01", b"abcdef").pieces()) == [b"a", b"bcdef"]


def refuses_x_behind_y(data: bytes) -> None:
    """Something that finds."""
    if b"x" in data.partition(b"y")[2]:
        raise ValueError(data)


def test_a_finding_is_shrunk_to_what_it_needs() -> None:
    assert shrink(refuses_x_behind_y, b"aayaabbxbb") == b"yx"
    with pytest.raises(ValueError, match="finds nothing"):
        shrink(refuses_x_behind_y, b"xy")


def test_what_is_wrong_with_a_command_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["nope"], "name a target, not 'nope': http_head, "),
        ([], "name a target: http_head, "),
        (["lines", "--seconds", "0"], "--seconds must be above 0"),
        (["lines", "/nowhere/at/all"], "there is no file /nowhere/at/all"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().err


def test_the_list_says_what_each_target_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(TARGETS)


def test_a_file_is_run_and_what_finds_nothing_is_not_made_smaller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "input"
    file.write_bytes(TARGETS["lines"].seeds[0])
    assert main(["lines", str(file)]) == 0
    assert main(["lines", str(file), "--minimise"]) == 2
    assert "nothing" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this platform")
def test_a_short_session_runs_and_says_how_far_it_is(tmp_path: Path) -> None:
    session = Session(TARGETS["lines"], tmp_path)
    assert all(isinstance(progress, Progress) for progress in session.fuzz(runs=300))
    assert session.finding is None
    assert session.last is not None
    assert session.last.runs >= 300
    assert session.last.coverage > 50


@EACH
def test_the_document_names_its_target_and_its_planted_bug(target: Target) -> None:
    document = (ROOT / "docs" / "internals" / "fuzzing.md").read_text()
    assert f"| `{target.name}` |" in document
    assert f"| `{target.name}` | {target.planted.what} |" in document


def test_the_document_names_every_finding() -> None:
    document = (ROOT / "docs" / "internals" / "fuzzing.md").read_text()
    for target in TARGETS.values():
        for file in target.findings.glob("*"):
            assert f"`{file.name}` |" in document
