"""The code that the pages show runs as it stands there: files, programs, commands and what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.loopback import ENVIRONMENT, RINGS

from .pages import PAGES, ROOT, Block, blocks, name
from .reader import Reader, commands, parse

WITH_CODE = [page for page in PAGES if any(block.language in ("python", "sh", "js") for block in blocks(page))]


def files(page: Path, reader: Reader) -> list[str]:
    """Write the files of a page. Returns their names."""
    written = [block for block in blocks(page) if block.language == "python" and block.title]
    for block in written:
        reader.do(block)
    return sorted({block.title.removeprefix("+").strip() for block in written})


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader who has the files of the README."""
    reader = Reader(tmp_path)
    files(ROOT / "README.md", reader)
    yield reader
    reader.close()


@pytest.mark.parametrize("page", WITH_CODE, ids=map(name, WITH_CODE))
def test_the_blocks_of_a_page_run_from_the_top_down(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        try:
            reader.do(block)
        except AssertionError as error:
            raise AssertionError(f"{name(page)}, line {block.line}: {error}") from None


def test_a_type_checker_has_nothing_against_the_files_of_all_pages(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    names = [file for page in WITH_CODE for file in files(page, reader)]
    assert len(names) == len(set(names)), "one name on two pages"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={os.devnull}", *names],
        cwd=tmp_path,
        env={**ENVIRONMENT, "MYPYPATH": f"{RINGS}{os.pathsep}{ROOT / 'examples'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_is_begun_and_added_to(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.do(Block("python", "one.py", "a = 1\n", 1))
    reader.do(Block("python", "+ one.py", "b = 2\n", 2))
    assert (tmp_path / "one.py").read_text() == "a = 1\n\n\nb = 2\n"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "raise ValueError"),
        ("python", "this is not Python"),
        ("sh", "posthouse check nowhere:service"),
        ("sh", "rm -rf /"),
        ("sh", "posthouse serve calculator:service --host 0.0.0.0 --no-such-option"),
    ],
)
def test_a_block_that_does_not_work_is_found(language: str, text: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, SyntaxError)):
        Reader(tmp_path).do(Block(language, "", text, 1))


def test_what_a_command_prints_is_compared(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    call = "posthouse call stdio:'posthouse stdio calculator:service' subtract '[42, 23]'"
    reader.do(Block("sh", "", call, 1))
    reader.do(Block("json", "", "19", 2))
    reader.do(Block("sh", "", call, 3))
    with pytest.raises(AssertionError):
        reader.do(Block("json", "", "20", 4))


def test_lines_are_joined_and_comments_are_left_out() -> None:
    assert list(commands("# one\nposthouse \\\n  serve  # two\n\ncurl x\n")) == ["posthouse    serve  # two", "curl x"]


def test_a_command_line_is_parsed() -> None:
    parse(["serve", "calculator:service", "--host", "0.0.0.0", "--allow-host", "api.example.org"])
    with pytest.raises(AssertionError, match="prot"):
        parse(["serve", "calculator:service", "--prot", "1"])
