"""The format of a journal: lines are read as they were written, and a file that is no journal is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from posthouse.adapters.journal import Entry, Header, Journal, fingerprint, read
from posthouse.core import Config, Identity, Service, UsageError
from posthouse.transports import Policy

from tests.adapters.eventful import eventful
from tests.transports.board import calculator

HEADER = Header.of(calculator(), Config(max_batch=7, observe=("call_rate",)), wall=5.0, policy=Policy())
ENTRY = Entry("received", {"socket": 1, "data": "\xff\n", "now": 1.5}, (b"\x00\xff",), None, (1,), (2, 3), "KeyError")

DEEP = b'{"input":"closed","arguments":{"now":' + b"[" * 100_000 + b"]" * 100_000 + b"}}\n"


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(HEADER, [ENTRY, Entry("handle_timeout", {"now": 2.0})], "the server stopped")
    (tmp_path / "journal").write_bytes(b"".join(journal.lines()))
    assert read(journal.lines()) == read(tmp_path / "journal") == read(str(tmp_path / "journal")) == journal


def test_a_whole_run_is_read_as_it_was_written() -> None:
    board = eventful(1, 100)
    assert list(board.journal().lines()) == board.lines


def test_a_header_describes_the_machine() -> None:
    assert HEADER.config == {"max_batch": 7, "observe": ["call_rate"]}
    assert Config.from_mapping(HEADER.config) == Config(max_batch=7, observe=("call_rate",))
    assert (HEADER.machine, HEADER.service, HEADER.wall) == ("switchboard", "board", 5.0)
    assert Header.of(calculator(), Config(), wall=0.0).machine == "gateway"


def test_the_events_that_a_host_listens_to_are_read_as_they_were_written() -> None:
    header = Header.of(calculator(), Config(), wall=0.0, events=("call.ended",))
    assert read(Journal(header).lines()).header.events == ("call.ended",)
    assert HEADER.events == ()


def test_a_policy_is_read_as_it_was_written() -> None:
    policy = Policy(("a.example",), ("https://a.example",), Identity("ada", ("x",), 9.0), binary=True)
    header = Header.of(calculator(), Config(), wall=0.0, policy=policy)
    assert read(Journal(header).lines()).header.policy == policy


def test_a_service_is_identified_by_its_declarations() -> None:
    assert fingerprint(calculator()) == fingerprint(calculator()) != fingerprint(Service("board", public=True))


@pytest.mark.parametrize("size", [1, 20, 60])
def test_an_incomplete_last_line_is_left_out_and_reported(size: int) -> None:
    lines = list(Journal(HEADER, [ENTRY, ENTRY]).lines())
    journal = read([*lines[:2], lines[2][:size]])
    assert (journal.entries, journal.torn, journal.end) == ([ENTRY], True, None)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "it is empty"),
        ([b'{"journal":1'], "its first line is cut off"),
        ([b"#!/bin/sh\n"], "its first line is not the header of a journal: JSON is malformed"),
        ([b"{}\n"], "its first line is not the header of a journal: Object missing required field `journal`"),
        ([b'{"journal":2,"new":1}\n'], "it is a journal of format 2: this version reads format 1"),
        ([*Journal(HEADER).lines(), b"{}\n"], "line 2 is not an entry of a journal"),
        ([*Journal(HEADER).lines(), b"\xff\n"], "line 2 is not an entry of a journal"),
        ([*Journal(HEADER).lines(), DEEP], "line 2 is not an entry of a journal: it is nested too deeply"),
        ([DEEP], "its first line is not the header of a journal: it is nested too deeply"),
        ([*Journal(HEADER, [Entry("fly", {})]).lines()], "line 2: a switchboard has no input 'fly'"),
        ([*Journal(HEADER, [Entry("held", {"sky": 1})]).lines()], "line 2: held has no argument 'sky'"),
        ([*Journal(HEADER, [Entry("held", {"size": 1})]).lines()], "line 2: held lacks its argument 'socket'"),
        ([*Journal(HEADER).lines(), b'{"end":7}\n'], "line 2 is not the end of a journal"),
    ],
)
def test_a_file_that_is_no_journal_is_refused_with_its_first_wrong_line(lines: list[bytes], complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(lines)
    assert complaint in str(refused.value)
