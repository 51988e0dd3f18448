"""A file of credentials: read again when it has changed, but not more often than once a second."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from posthouse.adapters.authenticators.watched_file import WatchedFile
from posthouse.core.values.errors import UsageError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def parse(text: str) -> str:
    if text == "wrong":
        raise UsageError(", line 1: it is wrong")
    return text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_text("first")
    return file


def test_a_change_is_seen_after_a_second(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    watched = WatchedFile(file, parse, now=clock)
    file.write_text("the second")
    clock.now = 0.999
    assert watched.content == "first"
    clock.now = 1.0
    assert watched.content == "the second"
    clock.now = 5.0
    assert watched.content == "the second"
    assert [record.getMessage() for record in caplog.records] == [f"read {file} again"]


def test_a_file_that_became_invalid_or_is_gone_leaves_what_was_read_before(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    watched = WatchedFile(file, parse, now=clock)
    file.write_text("wrong")
    for now in (1.0, 2.0):
        clock.now = now
        assert watched.content == "first"
    file.unlink()
    clock.now = 3.0
    assert watched.content == "first"
    file.write_text("better")
    clock.now = 4.0
    assert watched.content == "better"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        f"{file}, line 1: it is wrong: the entries that were read before still count",
        f"cannot read {file}: No such file or directory: the entries that were read before still count",
    ]


def test_a_file_that_cannot_be_read_at_first_is_an_error(file: Path) -> None:
    for path, data, fault in (
        (file.parent / "other", b"", "cannot read .*other: No such file or directory"),
        (file.parent, b"", "cannot read .*: Is a directory"),
        (Path("nul\0"), b"", "cannot read nul\0: embedded null byte"),
        (file, b"a\nb\xff", "file, line 2: it is not UTF-8"),
        (file, b"wrong", "file, line 1: it is wrong"),
        (file, bytes(16 * 1024 * 1024 + 1), "file has more than 16777216 bytes: it cannot be a file of credentials"),
    ):
        file.write_bytes(data)
        with pytest.raises(UsageError, match=fault):
            WatchedFile(path, parse)


def test_a_reload_raises_what_is_wrong_now(file: Path) -> None:
    watched = WatchedFile(file, parse, now=Clock())
    file.write_text("wrong")
    with pytest.raises(UsageError, match="it is wrong"):
        watched.reload()
    file.write_text("right")
    watched.reload()
    assert watched.content == "right"


def test_a_file_whose_mode_changes_is_read_again(file: Path) -> None:
    clock = Clock()
    file.write_text("right")
    reads: list[str] = []
    watched = WatchedFile(file, reads.append, now=clock)
    file.chmod(0o400)
    clock.now += 1.0
    assert watched.content is None
    assert reads == ["right", "right"]
