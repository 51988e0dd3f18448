"""The tool that mutates: it makes the mistakes that it says, and tells tests that notice them from tests that do not.

Each project here is a small one of the same layout: whole runs are `make mutate`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tools.mutate.mutants import mutants
from tools.mutate.results import find_modules

ROOT = Path(__file__).resolve().parent.parent

DOOR = '''
"""A door that counts."""

from __future__ import annotations

__all__ = ["Door"]


class Door:
    """Opens for so many."""

    def __init__(self, room: int) -> None:
        self.room = room

    def enter(self) -> bool:
        """One more, if there is room."""
        if self.room > 0:
            self.room -= 1
            return True
        return False

    def empty(self) -> int:
        """Take all the room; how much that was."""
        taken, self.room = self.room, 0
        return taken


class Hall(Door):
    """Has room for one more."""

    def __init__(self, room: int) -> None:
        super().__init__(room + 1)
'''

WATCHFUL = """
from posthouse.core.watched import Door, Hall

def test_one_enters_while_there_is_room() -> None:
    door = Door(2)
    assert [door.enter(), door.enter(), door.enter()] == [True, True, False]

def test_all_room_can_be_taken() -> None:
    door = Door(3)
    assert (door.empty(), door.room) == (3, 0)

def test_a_hall_has_room_for_one_more() -> None:
    assert Hall(3).empty() == 4
"""

SETTINGS = """
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
pythonpath = ["core"]
"""

DROWSY = """
from posthouse.core.unwatched import Door

def test_one_enters_while_there_is_room() -> None:
    door = Door(2)
    assert [door.enter(), door.enter()] == [True, True]
    assert door.empty() == 0
"""


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants(dedent(source))]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("a < b", "a < b -> a <= b"),
        ("a == b", "a == b -> a != b"),
        ("a is b", "a is b -> a is not b"),
        ("a + b", "a + b -> a - b"),
        ("a and b", "a and b -> a or b"),
        ("not a", "not a -> a"),
        ("a[1]", "a[1] -> a[2]"),
        ("a[1]", "a[1] -> a[0]"),
        ("a('b')", "a('b') -> a('')"),
        ("a(b'')", "a(b'') -> a(b'~')"),
        ("a(True)", "a(True) -> a(False)"),
        ("a(None)", "a(None) -> a(...)"),
        ("a(b=c)", "a(b=c) -> a()"),
        ("a(b)", "a(b) -> pass"),
        ("a += b", "a += b -> pass"),
        ("a += b", "a += b -> a -= b"),
        ("a.b = c", "a.b = c -> pass"),
        ("del a.b", "del a.b -> pass"),
        ("return a", "return a -> return"),
        ("raise a", "raise a -> pass"),
        ("if a:\n        b", "a -> not a"),
        ("c if a else b", "c if a else b -> c if not a else b"),
        ("while a:\n        break", "break -> continue"),
        ("while a:\n        continue", "continue -> break"),
        ("def inner(a=b): c", "b -> None"),
        ("async def inner(): a(b)", "a(b) -> pass"),
    ],
)
def test_each_small_mistake_is_made(code: str, change: str) -> None:
    assert change in changes(f"def function():\n    {code}\n")


@pytest.mark.parametrize(
    "code",
    [
        '"""Documented."""',
        "__all__ = ['a', 'b']",
        "a: Literal['b']",
        "A = NewType('A', int)",
        "A: TypeAlias = B | C",
        "from a import b",
        "@overload\ndef function(a=1): ...",
        "if TYPE_CHECKING:\n    a = 1",
        "assert a is not None, 'words'",
        "class A(B, gc=False): ...",
        "a(f'{b} words')",
        "class A(Enum):\n    B = 1",
        "def function(a: 'int') -> 'int': ...",
    ],
)
def test_what_no_behaviour_depends_on_is_left_alone(code: str) -> None:
    assert [change for change in changes(code) if not change.endswith("-> pass")] == []


def test_the_words_for_a_programmer_are_left_alone_and_the_raising_is_not() -> None:
    assert changes("def function():\n    raise UsageError('words')\n") == ["raise UsageError('words') -> pass"]


def test_the_functions_of_a_mutant_are_those_whose_bodies_it_is_in() -> None:
    source = "def one(a=4):\n    @two\n    async def three():\n        five(6)\n"
    lines = {mutant.change: mutant.functions for mutant in mutants(source)}
    assert (lines["4 -> 5"], lines["five(6) -> pass"]) == ([], [1, 2])


def test_what_compiles_to_the_same_code_is_no_mutant() -> None:
    assert changes("def function():\n    while a:\n        b = 1\n        continue\n") == [
        "a -> not a",
        "b = 1 -> b = 2",
        "b = 1 -> b = 0",
        "continue -> break",
    ]


def test_every_module_has_its_own_tests_and_its_tree_is_left_as_it_was() -> None:
    (rates,) = find_modules(ROOT, ["core/values/rates"])
    made = mutants(rates.file.read_text())
    assert len(made) > 50
    assert len({mutant.key for mutant in made}) == len(made)
    assert [mutant.key for mutant in mutants(rates.file.read_text())] == [mutant.key for mutant in made]
    modules = find_modules(ROOT, [])
    assert all(module.own.exists() for module in modules)
    names = {str(module) for module in modules}
    assert names > {"core/gateway", "transports/switchboard/switchboard", "adapters/server/serve"}
    assert {name.split("/")[1] for name in names if name.startswith("adapters/")} == {
        *("handlers", "loop", "server", "system")
    }
    loop = [str(module) for module in find_modules(ROOT, ["adapters/loop"])]
    assert loop == ["adapters/loop/alarm", "adapters/loop/named", "adapters/loop/poller", "adapters/loop/runner"]


def test_tests_that_notice_every_mistake_leave_no_survivor_and_weak_ones_do(tmp_path: Path) -> None:
    for name, text in {
        "core/posthouse/core/__init__.py": "",
        "core/posthouse/core/watched.py": DOOR,
        "tests/core/test_watched.py": WATCHFUL,
        "core/posthouse/core/unwatched.py": DOOR,
        "tests/core/test_unwatched.py": DROWSY,
        "pyproject.toml": SETTINGS,
        "docs/internals/mutation.md": "- `core/unwatched` `` self.room > 0 -> self.room >= 0 ``\n",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    command = [sys.executable, "-m", "tools.mutate", "--own", "--jobs", "1", "--root", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    scores = {line.split()[0]: line.split()[1:4] for line in done.stderr.splitlines()}
    assert scores == {"core/watched": ["17", "of", "17"], "core/unwatched": ["8", "of", "17"]}, done.stderr
    survivors = done.stdout.splitlines()[2:-1]
    assert "core/posthouse/core/unwatched.py:20: return False -> return True" in survivors
    assert not [line for line in survivors if "/watched.py" in line]
    assert not [line for line in survivors if "self.room >= 0" in line]
    assert done.stdout.splitlines()[-1] == "25 of 34 mutants killed: 73.5 %; 1 survivors are explained, 8 are not"


WAITING = """
import threading

class Door:
    def __init__(self) -> None:
        self.opened = threading.Event()

    def open(self) -> None:
        self.opened.set()
"""


def test_a_mutant_that_makes_its_tests_wait_for_ever_is_ended(tmp_path: Path) -> None:
    for name, text in {
        "adapters/posthouse/adapters/__init__.py": "",
        "adapters/posthouse/adapters/loop/__init__.py": "",
        "adapters/posthouse/adapters/loop/door.py": WAITING,
        "tests/adapters/loop/test_door.py": """
            import pytest
            from posthouse.adapters.loop.door import Door

            @pytest.mark.anyio
            async def test_those_who_wait_enter() -> None:
                door = Door()
                door.open()
                assert door.opened.wait()
            """,
        "pyproject.toml": SETTINGS.replace("core", "adapters"),
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    command = [sys.executable, "-m", "tools.mutate", "--own", "--jobs", "1", "--root", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[0].split() == ["adapters/loop/door", "1", "of", "1", "100.0", "%"], done.stderr
