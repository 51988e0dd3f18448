"""The tool that hunts drawn mutants: it draws fairly, counts honestly, and continues after an interruption.

Each project here is a small one of the same layout, with storms of its own: real hunts are `make hunt`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tools.hunt.drawing import EXPLAINED, Drawn, Passed, count_unreached, draw
from tools.hunt.hunting import Hunted, Kept
from tools.hunt.report import kinds, missed, rules, scores, unreached
from tools.hunt.rings import UNREACHED, find_modules
from tools.hunt.rules import unobservable
from tools.mutate.mutants import mutants

ROOT = Path(__file__).resolve().parent.parent

DOOR = """
def room(used: int) -> int:
    return 10 - used
"""

STORMS = """
from types import SimpleNamespace
from posthouse.core.door import room

class Failed(SimpleNamespace):
    pass

def attempt(seed, seconds):
    alarms = room(3) != 7 or (FALSE and seed % 2 == 0)
    return Failed(error=SimpleNamespace(sentence="rooms: there is another number", text="")) if alarms else None
"""


def project(folder: Path, door: str = DOOR, storms: str = STORMS, *, false: bool = False) -> Path:
    sources = {
        "core/posthouse/core/door.py": door,
        "core/posthouse/core/__init__.py": "",
        "transports/posthouse/transports/__init__.py": "",
        "adapters/posthouse/adapters/__init__.py": "",
        "adapters/posthouse/adapters/simulation/__init__.py": storms.replace("FALSE", str(false)),
        "docs/internals/simulation.md": "# Simulation\n\n<!-- hunted:begin -->\n\n<!-- hunted:end -->\n",
    }
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(source))
    return folder


def run(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.hunt", "--root", str(root), "--seconds", "0.05", "--seed", "3", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_mutant_is_found_if_a_storm_alarms_that_is_calm_without_it(tmp_path: Path) -> None:
    done = run(project(tmp_path), "--sample", "30")
    assert done.returncode == 0, done.stderr
    assert "| `core` | 4 | 0 | 4 | 100 % |" in done.stdout
    assert "rooms: there is another number [core/door.py:3: return 10 - used -> return 11 - used]" in done.stderr


def test_an_alarm_that_the_product_gives_too_is_reported_as_false_and_does_not_count(tmp_path: Path) -> None:
    blind = STORMS.replace("room(3) != 7 or", "")
    done = run(project(tmp_path, storms=blind, false=True), "--sample", "3")
    if "the product alarms without a mutant" in done.stderr:
        assert done.returncode == 1
        return
    assert "| `core` | 1 | 0 | 0 | 0 % |" in done.stdout
    assert "false alarm: python -m posthouse.adapters.simulation --first " in done.stderr


def test_what_was_missed_is_listed_by_kind(tmp_path: Path) -> None:
    done = run(project(tmp_path, door=f"{DOOR}\n\nUNSEEN = 5\n"), "--sample", "30")
    assert "numbers: core/door.py:6: UNSEEN = 5 -> UNSEEN = 6" in done.stdout
    assert "| numbers | 4 | 2 | 50 % |" in done.stdout


def test_a_mutant_with_which_nothing_starts_is_found(tmp_path: Path) -> None:
    done = run(project(tmp_path, door=f"{DOOR}\n\n[7][0]\nassert room(10) == 0\nNAMES = [7][0]\n"), "--sample", "90")
    assert "IndexError: list index out of range [core/door.py" in done.stderr


def test_a_storm_that_dies_is_found(tmp_path: Path) -> None:
    dies = STORMS.replace("alarms =", "room(3) == 7 or __import__('os').abort()\n    alarms =")
    done = run(project(tmp_path, storms=dies), "--sample", "3")
    assert "the storm does not end [core/door.py" in done.stderr


def test_outcomes_are_kept_so_that_a_hunt_continues(tmp_path: Path) -> None:
    root = project(tmp_path)
    first = run(root, "--sample", "30", "--write")
    again = run(root, "--sample", "30")
    assert "[core/door.py" in first.stderr and "[core/door.py" not in again.stderr
    assert first.stdout == again.stdout
    document = (root / "docs/internals/simulation.md").read_text()
    assert "`python -m tools.hunt --seed 3 --sample 30 --seconds 0.05`" in document
    assert "| **core** (at least 85 %) | 4 | 0 | 4 | 100 % |" in document


def test_what_is_known_so_far_is_told_without_a_hunt(tmp_path: Path) -> None:
    root = project(tmp_path)
    kept = run(root, "--sample", "3").stdout
    done = run(root, "--sample", "30", "--so-far", "--write")
    assert "[core/door.py" not in done.stderr
    assert done.stdout == kept and "| **core** (at least 85 %) | 1 | 0 | 1 | 100 % |" in kept
    document = (root / "docs/internals/simulation.md").read_text()
    assert "`python -m tools.hunt --seed 3 --sample 30 --seconds 0.05`, the first 1" in document


def test_only_what_was_missed_is_hunted_again(tmp_path: Path) -> None:
    root = project(tmp_path, door=f"{DOOR}\n\nUNSEEN = 5\n")
    run(root, "--sample", "30")
    (root / "core/posthouse/core/more.py").write_text("MORE = None\n")  # the product has changed
    done = run(root, "--sample", "30", "--again")
    assert done.stderr.count("missed [core/door.py") == 2
    assert "rooms" not in done.stderr


def test_without_an_earlier_hunt_nothing_can_be_hunted_again(tmp_path: Path) -> None:
    done = run(project(tmp_path), "--again")
    assert done.returncode == 1
    assert "there is no earlier hunt with the seed 3" in done.stderr


def test_to_hunt_again_the_seed_is_needed() -> None:
    command = [sys.executable, "-m", "tools.hunt", "--again"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--again needs --seed" in done.stderr


def test_each_ring_has_the_same_part_and_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    root = project(tmp_path)
    for name in ("transports/posthouse/transports/gate.py", "adapters/posthouse/adapters/server/hall.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(DOOR)
    drawn, _ = draw(root, 6, seed=5)
    assert sorted(each.module.ring for each in drawn) == [
        "core",
        "core",
        "server",
        "server",
        "transports",
        "transports",
    ]
    assert [each.key for each in draw(root, 6, seed=5)[0]] == [each.key for each in drawn]
    assert len(draw(root, 1000, seed=5)[0]) == 12


def test_code_that_no_storm_can_reach_and_texts_for_programmers_are_not_drawn(tmp_path: Path) -> None:
    root = project(tmp_path)
    server = root / "adapters/posthouse/adapters/server"
    server.mkdir()
    (server / "arguments.py").write_text(DOOR)
    (server / "serve.py").write_text(
        dedent(
            """
            def run() -> None:
                print(1)

            def serve() -> None:
                report(3, "event", "words", fact="name")
                raise ValueError("words")

            def answer() -> None:
                raise RpcError("sent")
            """
        )
    )
    drawn, passed = draw(root, 100, seed=1)
    changes = [each.mutant.change for each in drawn if each.module.ring == "server"]
    assert passed == [Passed("server", "adapters/server", "words of exceptions")]
    assert sorted(changes) == [
        "RpcError('sent') -> RpcError('')",
        "raise RpcError('sent') -> pass",
        "raise ValueError('words') -> pass",
        "report(3, 'event', 'words', fact='name') -> pass",
        "report(3, 'event', 'words', fact='name') -> report(2, 'event', 'words', fact='name')",
        "report(3, 'event', 'words', fact='name') -> report(3, '', 'words', fact='name')",
        "report(3, 'event', 'words', fact='name') -> report(3, 'event', '', fact='name')",
        "report(3, 'event', 'words', fact='name') -> report(3, 'event', 'words')",
        "report(3, 'event', 'words', fact='name') -> report(3, 'event', 'words', fact='')",
        "report(3, 'event', 'words', fact='name') -> report(4, 'event', 'words', fact='name')",
    ]


def test_every_module_and_function_that_is_not_hunted_exists() -> None:
    for name in UNREACHED:
        module, _, function = name.partition(":")
        ring, _, path = module.partition("/")
        source = (ROOT / ring / "posthouse" / ring / f"{path}.py").read_text()
        assert not function or f"def {function}(" in source, name


def test_what_is_not_hunted_is_counted() -> None:
    counts = count_unreached(ROOT)
    assert list(counts) == list(UNREACHED)
    assert 20 < counts["adapters/server/serve:run"] < counts["core/encoding/models"] < 200
    assert unreached(counts)[2].startswith(f"| `core/encoding/models` | {counts['core/encoding/models']} | types ")


def test_the_server_is_hunted() -> None:
    names = [module.name for module in find_modules(ROOT)]
    assert "adapters/loop/runner" in names
    assert "core/calls/calls" in names
    assert not any("simulation" in name or "command" in name for name in names)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a):\n    return a < 1", {"comparisons", "numbers", "returns"}),
        ("def f(a):\n    if a and not a: a.b()", {"conditions", "statements"}),
        ("def f(a):\n    a += 1\n    return True", {"arithmetic", "statements", "numbers", "flags"}),
        ("def f(a=[]):\n    for b in a:\n        break", {"arguments", "loops"}),
        ("def f(a):\n    a(b='')", {"arguments", "texts", "statements"}),
    ],
)
def test_every_mutant_has_a_kind(source: str, expected: set[str]) -> None:
    module = find_modules(ROOT)[0]
    assert {Drawn(module, mutant).kind for mutant in mutants(source)} == expected


@pytest.mark.parametrize(
    ("source", "rule", "number"),
    [
        ("raise ValueError('words')", "words of exceptions", 1),
        ("raise ValueError(f(7))", "words of exceptions", 0),
        ("raise RpcError('words')", "words of exceptions", 0),
        ("report(3, 'event', 'words')", "words of exceptions", 0),
        ("current = ContextVar('name')", "names for debuggers", 1),
        ("threads.start(work, 'name')", "names for debuggers", 1),
        ("threads.start(work, f'name-{work.name[1:]}')", "names for debuggers", 2),
        ("threads.start('name', work)", "names for debuggers", 0),
        ("work('name')", "names for debuggers", 0),
        ("class A:\n    def __repr__(self): return 'a'", "`__repr__`", 2),
        ("class A:\n    def __str__(self): return 'a'", "`__repr__`", 0),
        ("class A(Struct, frozen=True, kw_only=True): pass", "guards of structs", 2),
        ("class A(Struct, eq=False): pass", "guards of structs", 0),
        ("f(frozen=True)", "guards of structs", 0),
        ("zip(a, b, strict=True)", "`strict` of `zip`", 2),
        ("f(a, strict=True)", "`strict` of `zip`", 0),
        ("sha1(a, usedforsecurity=False)", "`usedforsecurity`", 2),
    ],
)
def test_a_mutant_that_nobody_can_observe_has_a_rule(source: str, rule: str, number: int) -> None:
    found = [unobservable(mutant) for mutant in mutants(source)]
    assert [each.name for each in found if each is not None] == [rule] * number


def hunted(ring: str, found: str | None, kind: str = "numbers", change: str = "1 -> 2") -> Hunted:
    return Hunted(f"{ring} {kind} {change}", ring, f"{ring}/x", kind, f"{ring}/x/y.py:1", change, found, 1, 0.1)


def test_scores_are_told_by_folder_ring_and_kind() -> None:
    outcomes = [hunted("core", "a: b"), hunted("core", None, "texts"), hunted("server", "c: d")]
    passed = [Passed("core", "core/x", "`__repr__`"), Passed("server", "server/y", EXPLAINED)]
    assert scores(outcomes, passed)[2:] == [
        "| `core/x` | 2 | 1 | 1 | 50 % |",
        "| **core** (at least 85 %) | 2 | 1 | 1 | 50 % |",
        "| **transports** (at least 75 %) | 0 | 0 | 0 | – |",
        "| `server/x` | 1 | 0 | 1 | 100 % |",
        "| `server/y` | 0 | 1 | 0 | – |",
        "| **server** (at least 65 %) | 1 | 1 | 1 | 100 % |",
    ]
    numbers = [line.split("|")[1:3] for line in rules(passed)[2:]]
    assert [(name.strip(), int(number)) for name, number in numbers if int(number)] == [
        ("`__repr__`", 1),
        (EXPLAINED, 1),
    ]
    assert kinds(outcomes)[2:] == ["| numbers | 2 | 2 | 100 % |", "| texts | 1 | 0 | 0 % |"]
    assert missed(outcomes) == ["texts: core/x/y.py:1: 1 -> 2"]


def test_the_latest_outcome_of_a_mutant_counts(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "folder" / "file.jsonl")
    assert kept.all() == {}
    kept.add(hunted("core", None))
    kept.add(hunted("core", "a: b"))
    assert [each.found for each in kept.all().values()] == ["a: b"]
