"""The file of a journal: private, bounded, beside the previous one; its errors do not affect the service."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path
from threading import Event

import pytest
from posthouse.adapters.journal import Header, JournalFile, read
from posthouse.adapters.journal.file import CLOSED, LAST, MAX_UNWRITTEN, MIN_BYTES, SLOW
from posthouse.adapters.journal.format import Entry, encode_line
from posthouse.core import Config, UsageError

from tests.adapters.loopback import PATIENCE
from tests.transports.board import calculator

HEADER = encode_line(Header.of(calculator(), Config(), wall=0.0))
LINE = encode_line(Entry("handle_timeout", {"now": 1.0}))


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "posthouse")
    return caplog


def told(logs: pytest.LogCaptureFixture) -> list[object]:
    """Why recordings ended, as the log has it."""
    return [record.fields["reason"] for record in logs.records if record.event == "journal.ended"]  # type: ignore[attr-defined]


def test_every_line_is_in_the_file_when_it_is_closed(tmp_path: Path, logs: pytest.LogCaptureFixture) -> None:
    file = JournalFile(tmp_path / "journal")
    assert all([file.write(HEADER), *(file.write(LINE) for _ in range(100))])
    file.close()
    file.close()
    assert not file.write(LINE)
    journal = read(tmp_path / "journal")
    assert (len(journal.entries), journal.end, journal.torn) == (100, CLOSED, False)
    assert told(logs) == []


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        JournalFile(tmp_path / "journal").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


def test_the_previous_journal_is_kept_and_no_earlier_one(tmp_path: Path) -> None:
    for line in (b"first\n", b"second\n", b"third\n"):
        file = JournalFile(tmp_path / "journal")
        file.write(line)
        file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "journal.1"]
    assert (tmp_path / "journal").read_bytes().startswith(b"third\n")
    assert (tmp_path / "journal.1").read_bytes().startswith(b"second\n")


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_recording_ends_at_the_size_limit_with_a_last_line(
    over: int, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    file = JournalFile(tmp_path / "journal", MIN_BYTES)
    last = len(LAST)
    filler = encode_line(Entry("x" * (MIN_BYTES - last - len(HEADER) - len(encode_line(Entry("", {}))) + over), {}))
    assert file.write(HEADER)
    assert file.write(filler) == (over <= 0)
    assert file.write(LINE) is False
    file.close()
    assert (tmp_path / "journal").stat().st_size <= MIN_BYTES
    left, size = (len(filler) - 1, len(filler)) if over == 1 else (-over, len(LINE))
    reason = f"the size limit was reached: {left} bytes were left, and the next entry has {size}"
    assert (tmp_path / "journal").read_bytes().endswith(b'{"end":"%b"}\n' % reason.encode())
    assert told(logs) == [reason]


def test_an_input_that_is_larger_than_the_rest_is_told_with_both_sizes(
    tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    file = JournalFile(tmp_path / "journal", MIN_BYTES)
    assert file.write(HEADER)
    large = encode_line(Entry("x" * MIN_BYTES, {}))
    assert file.write(large) is False
    file.close()
    left = MIN_BYTES - len(LAST) - len(HEADER)
    sizes = f"{left} bytes were left, and the next entry has {len(large)}"
    assert read(tmp_path / "journal").end == f"the size limit was reached: {sizes}"
    (record,) = logs.records
    assert (vars(record)["left"], vars(record)["size"]) == (left, len(large))


def test_a_disk_that_is_full_ends_the_recording_with_one_line(tmp_path: Path, logs: pytest.LogCaptureFixture) -> None:
    def full(file: int, data: bytes) -> int:
        if os.lseek(file, 0, os.SEEK_CUR) >= 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(file, data[:100])

    file = JournalFile(tmp_path / "journal", sink=full)
    file.write(HEADER)
    for _ in range(100):
        file.write(LINE)
    file.close()
    assert not file.write(LINE)
    journal = read(tmp_path / "journal")
    assert (tmp_path / "journal").stat().st_size == 1000
    assert (journal.torn, journal.end) == (True, None)
    assert told(logs) == ["No space left on device"]


def test_a_line_after_a_failure_of_the_disk_is_refused(tmp_path: Path, logs: pytest.LogCaptureFixture) -> None:
    failed = Event()

    def broken(file: int, data: bytes) -> int:
        failed.set()
        raise OSError

    file = JournalFile(tmp_path / "journal", sink=broken)
    assert file.write(HEADER)
    assert failed.wait(PATIENCE)
    while file.write(LINE):
        pass
    file.close()
    assert told(logs) == ["OSError()"]


def test_a_disk_that_does_not_keep_up_ends_the_recording(tmp_path: Path, logs: pytest.LogCaptureFixture) -> None:
    begun, go_on = Event(), Event()

    def slow(file: int, data: bytes) -> int:
        begun.set()
        assert go_on.wait(PATIENCE)
        return os.write(file, data)

    file = JournalFile(tmp_path / "journal", sink=slow)
    file.write(HEADER)
    assert begun.wait(PATIENCE)
    assert file.write(b"x" * MAX_UNWRITTEN)
    assert file.write(b"\n")
    assert not file.write(LINE)
    go_on.set()
    file.close()
    assert (tmp_path / "journal").read_bytes().endswith(b'x\n{"end":"the disk was too slow"}\n')
    assert told(logs) == [SLOW]


def test_a_journal_file_that_cannot_be_created_raises_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        JournalFile(tmp_path / "none" / "journal")
    with pytest.raises(UsageError, match="is not a file"):
        JournalFile(tmp_path)
    with pytest.raises(UsageError, match="the minimum is 65536"):
        JournalFile(tmp_path / "journal", MIN_BYTES - 1)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is not a file"):
        JournalFile(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()
