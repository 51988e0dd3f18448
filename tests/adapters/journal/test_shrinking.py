"""Shrinking: of thousands of inputs the few that matter stay, and they fail as the whole did."""

from __future__ import annotations

import pytest
from msgspec import structs
from posthouse.adapters import invariants
from posthouse.adapters.journal import read, replay, shrink
from posthouse.adapters.journal.format import Entry
from posthouse.adapters.journal.run import Run, with_recorded_results
from posthouse.adapters.journal.shrinking import Shrinking, by_socket, together
from posthouse.core import Gateway, Peer, UsageError

from tests.adapters.eventful import Recording, eventful
from tests.transports.board import Browser, calculator, call, post

from .test_recorder import Host
from .test_replay import Brittle, Forgetful, lose_single_bytes, told_in_pieces, two_callers

pytestmark = pytest.mark.unmeasured


def test_thousands_of_inputs_become_a_few_that_fail_in_the_same_way() -> None:
    journal = eventful(7, 2000).journal()
    failure = replay(journal, calculator(), check=True, gateway=Forgetful).failure
    assert failure is not None
    assert failure.entry > 2900
    small = shrink(journal, calculator(), gateway=Forgetful)
    assert len(small.entries) <= 24
    assert small.header.left_out == len(journal.entries) - len(small.entries)
    left = replay(read(small.lines()), calculator(), check=True, gateway=Forgetful)
    assert left.failure is not None
    assert (left.failure.kind, left.failure.entry) == (failure.kind, len(small.entries))
    assert left.skipped == 0
    assert replay(small, calculator(), check=True).failure is None


def test_a_shrunk_journal_needs_each_of_its_entries() -> None:
    small = shrink(eventful(2, 300).journal(), calculator(), gateway=Brittle)
    inputs = [entry.input for entry in small.entries]
    assert (inputs[0], inputs[-1]) == ("opened", "complete")
    assert shrink(small, calculator(), gateway=Brittle).entries == small.entries


def test_reads_of_single_bytes_are_joined() -> None:
    board = Recording()
    socket, other = board.open(), board.open()
    said = post(call("later"))
    for place in range(len(said)):
        board.feed(socket, said[place : place + 1])
        board.feed(other, b"\r\n")
    (late,) = board.waiting
    board.drop(socket)
    journal = board.journal()
    last = Entry("complete", {"call": late.call, "result": None, "now": 1.0})
    journal = structs.replace(journal, entries=[*journal.entries, last])
    small = shrink(journal, calculator(), gateway=Brittle)
    assert [entry.input for entry in small.entries] == ["opened", "received", "closed", "complete"]
    needed = said.decode().replace(": ", ":")
    assert small.entries[1].arguments["data"] == needed
    assert replay(small, calculator(), check=True, gateway=Brittle).failure is not None


def test_reads_of_two_sockets_are_two() -> None:
    reads = [Entry("received", {"socket": socket, "data": "a", "now": 0.0}) for socket in (1, 2)]
    assert together(*reads) is None
    assert together(reads[0], Entry("closed", {"socket": 1, "now": 0.0})) is None


def test_a_journal_that_does_not_fail_cannot_be_shrunk() -> None:
    with pytest.raises(UsageError, match="does not fail"):
        shrink(two_callers().journal(), calculator())


def test_shrinking_replays_with_the_same_arguments() -> None:
    def refuse(_: int, action: object) -> None:
        assert "second" not in repr(action), "seen"

    small = shrink(two_callers().journal(), calculator(), effects=refuse, check=False)
    assert [entry.input for entry in small.entries] == ["opened", "received", "complete"]


def test_bytes_whose_meaning_depends_on_where_they_are_cut_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = told_in_pieces().journal()
    lose_single_bytes(monkeypatch)
    small = shrink(journal, calculator())
    assert [entry.input for entry in small.entries] == ["opened", "received", "received"]
    assert len(small.entries[2].arguments["data"]) == 1


def test_bytes_are_cut_in_other_places_only_if_chunking_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[object] = []
    journal = eventful(2, 300).journal()
    monkeypatch.setattr(invariants.FirstBytes, "check", lambda *given: cut.append(given))
    assert len(shrink(journal, calculator(), gateway=Brittle).entries) < 10
    assert not cut


def test_shrinking_stops_at_the_largest_number_of_runs() -> None:
    journal = eventful(2, 300).journal()
    service = with_recorded_results(calculator())
    shrinking = Shrinking(journal.entries, lambda: Run(journal.header, service, Brittle, check=True), max_runs=5)
    assert len(shrinking.shrink()) < len(journal.entries)
    assert shrinking.runs <= 6


class TwoFaced(Gateway):
    """Its second fault shows only behind the first, which shows unless it was told not to."""

    told = quiet = False

    def set_wall(self, unix: float, now: float) -> None:
        if unix == 1.0:
            self.quiet = True
        elif unix == 2.0:
            self.told = True
            self._calls.handlers += not self.quiet
        elif unix == 3.0 and self.told:
            self._calls.handlers = 0
            self._shared.held += 1


def test_entries_that_prevent_another_failure_are_kept() -> None:
    board = Recording(gateway=TwoFaced)
    for unix in (9.0, 1.0, 9.0, 2.0, 9.0, 3.0):
        board.board.set_wall(unix, 0.0)
    small = shrink(board.journal(), calculator(), gateway=TwoFaced)
    assert [entry.arguments["unix"] for entry in small.entries] == [1.0, 2.0, 3.0]


# Groups


def test_the_entries_of_one_socket_are_one_group() -> None:
    board = Recording()
    sockets = [Browser(board).socket for _ in range(2)]
    browser = Browser(board)
    browser.send(call("later"))
    board.board.request(board.waiting[0].caller.connection, "ask", [], 1.0, timeout=1.0)
    board.board.complete(board.waiting.pop().call, 1, 1.0)
    board.drop(sockets[0])
    board.board.shut_down(2.0)
    entries = board.journal().entries
    groups = by_socket(entries, list(range(len(entries))))
    named = [[entries[place].input for place in group] for group in groups]
    assert named == [
        ["opened", "received", "closed"],
        ["opened", "received"],
        ["opened", "received", "received", "request", "complete"],
        ["shut_down"],
    ]


def test_without_sockets_it_is_connections_that_go_together() -> None:
    host = Host()
    for _ in range(2):
        peer = host.gateway.connect(Peer("cli"), 0.0)
        host.gateway.receive(peer, call("add", b"[1,2]"), 0.0)
    host.gateway.handle_timeout(1.0)
    entries = read(host.lines).entries
    assert by_socket(entries, list(range(len(entries)))) == [[0, 1], [2, 3], [4]]
