"""Planted bugs: each still applies to the product as it is, and the simulator finds some of them at once.

That it finds all of them is shown by `python -m tests.simulation.planted`, which takes minutes.
"""

from __future__ import annotations

from collections import Counter
from difflib import unified_diff
from pathlib import Path

import pytest

from tests import sections
from tests.simulation.planted.__main__ import DOCUMENT, SECTION, plant
from tests.simulation.planted.patches import ROOT, DoesNotApply, Patch, apply, copy, patches, read

PATCHES = patches()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product."""
    tree = tmp_path_factory.mktemp("tree")
    copy(tree)
    return tree


def test_there_are_many_bugs() -> None:
    assert len(PATCHES) >= 120


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_every_patch_still_applies(patch: Patch, tree: Path) -> None:
    apply(patch, tree, check=True)


def test_each_folder_of_the_transports_and_of_the_server_has_at_least_eight_bugs() -> None:
    lines = [line for patch in PATCHES.values() for line in patch.path.read_text(encoding="utf-8").splitlines()]
    places = Counter(Path(line.removeprefix("+++ b/")).parent for line in lines if line.startswith("+++ b/"))
    transports = "transports/posthouse/transports"
    folders = [
        transports,
        *(f"{transports}/{name}" for name in ("client", "http", "pipes", "switchboard", "websocket")),
    ]
    server = "adapters/posthouse/adapters"
    folders += [f"{server}/{name}" for name in ("handlers", "loop", "server", "server/entrances")]
    assert {folder: places[Path(folder)] for folder in folders if places[Path(folder)] < 8} == {}


def test_every_bug_is_in_the_table() -> None:
    table = sections.read(DOCUMENT, SECTION)
    assert [name for name in PATCHES if f"| {name.replace('_', ' ')} |" not in table] == []
    assert "not found" not in table


def test_a_patch_that_does_not_apply_any_more_is_named(tmp_path: Path) -> None:
    copy(tmp_path)
    patch = PATCHES["one_call_too_many"]
    apply(patch, tmp_path)
    with pytest.raises(DoesNotApply, match=r"one_call_too_many\.patch does not apply"):
        apply(patch, tmp_path)


def test_a_patch_describes_its_bug(tmp_path: Path) -> None:
    path = tmp_path / "silent.patch"
    path.write_text("--- a/core\n")
    with pytest.raises(ValueError, match="must begin with a line"):
        read(path)


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("slot_not_returned", "calls: "),
        ("cancelled_without_outcome", "answering: "),
    ],
)
def test_the_simulator_finds_a_bug_at_once(name: str, fact: str) -> None:
    hunted = plant(PATCHES[name], first=1001, seconds=3.0)
    assert hunted.found is not None
    assert hunted.found.startswith(fact)
    assert hunted.replays
    assert hunted.entries < 100


def test_the_simulator_finds_a_bug_of_the_server() -> None:
    hunted = plant(PATCHES["wake_up_pipe_left_open"], first=2000, seconds=10.0)
    assert hunted.found is not None and hunted.found.startswith("rest: no descriptor is left open")


def test_the_simulator_finds_nothing_in_a_patch_that_changes_nothing(tmp_path: Path) -> None:
    name = "adapters/posthouse/adapters/system/clock.py"
    lines = (ROOT / name).read_text().splitlines(keepends=True)
    patch = tmp_path / "none.patch"
    patch.write_text(
        "# Nothing is wrong.\n" + "".join(unified_diff(lines, ["# new\n", *lines], f"a/{name}", f"b/{name}"))
    )
    assert plant(read(patch), first=1000, seconds=0.0).found is None
