"""`posthouse replay` as it is used, and the options that record: what is printed, what is advised, exit codes."""

from __future__ import annotations

import importlib.metadata
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs
from posthouse.adapters.command import logs
from posthouse.adapters.command.main import main
from posthouse.adapters.journal import Entry, Journal, read
from posthouse.core.gateway import Gateway
from posthouse.core.values.peers import CallId

from tests.adapters.eventful import Recording, eventful
from tests.adapters.journal.test_replay import two_callers
from tests.transports.board import call, post

MODULE = """
from tests.transports.board import calculator

service = calculator()
other = calculator()
other.method("more")(lambda: 1)
"""


@pytest.fixture(autouse=True)
def beside_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "recorded_board.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "recorded_board", raising=False)
    monkeypatch.setattr(logs, "configure", lambda *_: None)


def keep(journal: Journal, name: str = "journal") -> Journal:
    """The journal as a file."""
    Path(name).write_bytes(b"".join(journal.lines()))
    return journal


def replayed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    """The exit code, the lines on stdout and what stands on stderr."""
    code = main(["replay", "journal", *words])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_each_input_is_printed_with_what_followed(capsys: pytest.CaptureFixture[str]) -> None:
    keep(two_callers().journal())
    code, lines, said = replayed(capsys, "recorded_board:service", "--check")
    assert code == 0
    assert lines[0].startswith('1 opened address={"host":"127.0.0.1"')
    assert lines[1].startswith("2 received socket=1 now=0.0")
    assert lines[2].startswith("  Emit(event=ConnectionOpened(connection=1, ")
    assert lines[3].startswith("  Invoke(1, Caller(")
    assert [line.split()[:2] for line in lines if not line.startswith(" ")][-1] == ["6", "complete"]
    assert said == "6 inputs replayed: no invariant is violated\n"


def test_skipped_inputs_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    journal = two_callers().journal()
    keep(structs.replace(journal, entries=journal.entries[1:]))
    skipped = "3 inputs replayed, 2 skipped (their socket or call does not exist)"
    assert skipped in replayed(capsys, "recorded_board:service")[2].splitlines()
    assert (
        f"{skipped}: no invariant is violated" in replayed(capsys, "recorded_board:service", "--check")[2].splitlines()
    )


def test_an_input_without_actions_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    board = Recording()
    board.open()
    board.open()
    keep(board.journal())
    code, lines, said = replayed(capsys, "recorded_board:service")
    assert (code, len(lines), said) == (0, 2, "2 inputs replayed\n")


def test_a_reader_that_exits_early_is_not_a_failure() -> None:
    keep(eventful(2, 300).journal())
    words = [sys.executable, "-m", "posthouse", "replay", "journal", "--other-service"]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(words, env=environment, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_service_may_stand_behind_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    keep(two_callers().journal())
    code, lines, said = replayed(capsys, "--until", "3", "--quiet", "recorded_board:service")
    assert (code, lines, said) == (0, [], "3 inputs replayed\n")


@pytest.mark.parametrize("words", [["a:b", "c:d"], ["--fast"], ["--until", "-1"], ["--until", "x"]])
def test_a_wrong_command_line_is_exit_code_2(words: list[str]) -> None:
    assert main(["replay", "journal", "--quiet", *words]) == 2


def test_another_service_is_refused_unless_an_option_accepts_it(capsys: pytest.CaptureFixture[str]) -> None:
    keep(two_callers().journal())
    code, _, said = replayed(capsys, "recorded_board:other")
    assert code == 1
    assert "--other-service" in said
    code, _, said = replayed(capsys)
    assert code == 1
    assert "but no service is given\n  name it: posthouse replay journal MODULE:SERVICE" in said
    code, _, said = replayed(capsys, "recorded_board:other", "--other-service")
    assert code == 0


def test_a_run_that_differs_from_the_recording_reports_the_first_such_input(capsys: pytest.CaptureFixture[str]) -> None:
    keep(two_callers().journal())
    code, _, said = replayed(capsys, "--other-service", "--quiet")
    assert code == 0
    ours = importlib.metadata.version("posthouse")
    assert "differs from the recording from input 2 on\n" in said
    older = two_callers().journal()
    keep(structs.replace(older, header=structs.replace(older.header, posthouse="0.0.1")))
    said = replayed(capsys, "--other-service", "--quiet")[2]
    assert f"differs from the recording from input 2 on: posthouse 0.0.1 recorded it, this is {ours}\n" in said


def test_a_file_that_is_not_a_journal_is_an_error_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed(capsys)[::2] == (1, "posthouse: cannot read journal: No such file or directory\n")
    Path("journal").write_text("hello\n")
    code, _, said = replayed(capsys)
    assert code == 1
    assert said.startswith("posthouse: journal is not a journal: its first line is not the header")


def test_the_end_of_a_recording_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(two_callers().journal().lines())
    Path("journal").write_bytes(b"".join(lines)[:-5])
    code, _, said = replayed(capsys, "recorded_board:service", "--quiet")
    assert (code, said) == (0, "journal: ignored the last line, which is incomplete\n5 inputs replayed\n")
    Path("journal").write_bytes(b"".join([*lines, b'{"end":"the size limit was reached"}\n']))
    code, _, said = replayed(capsys, "recorded_board:service", "--quiet")
    assert said.startswith("journal: the recording stopped: the size limit was reached\n")


def test_limits_of_another_version_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    journal = two_callers().journal()
    keep(structs.replace(journal, header=structs.replace(journal.header, config={"max_batsh": 1})))
    code, _, said = replayed(capsys, "recorded_board:service")
    assert code == 1
    assert "this version cannot replay journal: unknown setting 'max_batsh'" in said


# What is wrong


@pytest.fixture
def brittle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that a late result surprises."""
    sound = Gateway.complete

    def complete(self: Gateway, call: CallId, result: object, now: float) -> bool:
        if not sound(self, call, result, now):
            raise LookupError(f"{call} has gone")
        return True

    monkeypatch.setattr(Gateway, "complete", complete)


def test_an_exception_is_exit_code_4_and_has_a_traceback(brittle: None, capsys: pytest.CaptureFixture[str]) -> None:
    board = Recording()
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.drop(socket)
    with pytest.raises(LookupError):
        board.board.complete(board.waiting.pop().call, 1, 1.0)
    keep(board.journal())
    code, lines, said = replayed(capsys, "recorded_board:service")
    assert (code, lines[-1]) == (4, "4 complete call=1 now=1.0")
    assert said.startswith("posthouse: input 4 (complete): LookupError in complete\n  Traceback")
    assert said.endswith("LookupError: 1 has gone\n")


def test_a_violation_is_exit_code_4_and_names_the_invariant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_wall(self: Gateway, unix: float, now: float) -> None:
        self._calls.handlers += 1

    monkeypatch.setattr(Gateway, "set_wall", set_wall)
    board = Recording()
    board.board.set_wall(1.0, 0.0)
    keep(board.journal())
    assert replayed(capsys, "recorded_board:service")[0] == 0
    code, _, said = replayed(capsys, "recorded_board:service", "--check")
    assert (code, said) == (4, "posthouse: input 1 (set_wall): calls: a slot for each handler\n")


@pytest.mark.parametrize("words", [["recorded_board:service", "--shrink"], ["--shrink", "recorded_board:service"]])
def test_a_failing_journal_is_shrunk_into_a_file_of_its_own(
    words: list[str], brittle: None, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = eventful_that_fails()
    keep(failing)
    code, lines, said = replayed(capsys, *words)
    small = read("journal.shrunk")
    assert code == 4
    assert len(small.entries) <= 6 < len(failing.entries)
    assert said.startswith(
        f"journal.shrunk: {len(small.entries)} of {len(failing.entries)} inputs fail in the same way\n"
    )
    assert "LookupError in complete" in said
    assert lines[0].startswith("1 opened")
    assert stat.S_IMODE(Path("journal.shrunk").stat().st_mode) == 0o600
    assert main(["replay", "journal.shrunk", "recorded_board:service", "--shrink", "smaller"]) == 4
    assert read("smaller").entries == small.entries
    assert replayed(capsys, *words)[0] == 4, "what was shrunk gives way to what is shrunk"


@pytest.mark.parametrize("out", ["journal", "./journal", "other", "service.py", "folder", "hard", "soft"])
def test_shrinking_replaces_only_a_file_that_shrinking_wrote(
    out: str, brittle: None, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(eventful_that_fails())
    recorded = Path("journal").read_bytes()
    Path("other").write_bytes(recorded)
    Path("service.py").write_text("service = ...")
    Path("folder").mkdir()
    os.link("journal", "hard")
    Path("soft").symlink_to("nowhere")
    code, lines, said = replayed(capsys, "recorded_board:service", "--shrink", out)
    assert (code, lines) == (1, [])
    assert said.startswith(
        f"posthouse: {out} exists, and was not written by --shrink\n  use another file: --shrink OUT"
    )
    assert Path("journal").read_bytes() == Path("other").read_bytes() == recorded
    assert Path("service.py").read_text() == "service = ..."


def eventful_that_fails() -> Journal:
    """A run whose last result comes too late, and is not recorded as what it did to anybody."""
    board = Recording()
    for _ in range(5):
        board.feed(board.open(), post(call("add", b"[1,2]")))
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.drop(socket)
    late = board.waiting.pop()
    journal = board.journal()
    last = Entry("complete", {"call": late.call, "result": None, "now": 1.0})
    return structs.replace(journal, entries=[*journal.entries, last])


def test_a_journal_that_cannot_be_shrunk_is_an_error_with_the_reason(
    brittle: None, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(two_callers().journal())
    code, _, said = replayed(capsys, "recorded_board:service", "--shrink")
    assert (code, said) == (1, "posthouse: journal: this journal does not fail: there is nothing to shrink\n")
    keep(eventful_that_fails())
    code, _, said = replayed(capsys, "recorded_board:service", "--shrink", "none/small")
    assert (code, said) == (1, "posthouse: cannot write none/small: No such file or directory\n")


def test_an_eventful_run_violates_no_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    keep(eventful(3, 80).journal())
    assert replayed(capsys, "recorded_board:service", "--check", "--quiet")[0] == 0


# Recording


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (
            "none/journal",
            "cannot write the journal none/journal: No such file or directory\n  use a path for --journal",
        ),
        (".", ". is not a file: a journal needs a file of its own"),
    ],
)
def test_a_journal_that_cannot_be_written_is_an_error_with_a_hint(
    path: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", "--journal", path]) != 0
    assert advice in capsys.readouterr().err


def test_a_size_limit_that_is_too_small_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--journal", "j", "--journal-bytes", "9"]) == 2
    assert "a journal of 9 bytes is too small: the minimum is 65536" in capsys.readouterr().err
