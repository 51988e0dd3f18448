"""Replay: ids are mapped where entries were left out, and a failure has its place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, json, structs
from posthouse.adapters import invariants
from posthouse.adapters.invariants import Violation
from posthouse.adapters.invariants.chunking import REMEMBERED_BYTES, REMEMBERED_SOCKETS
from posthouse.adapters.journal import Header, Journal, Replayed, read, replay, shown
from posthouse.core import Cancel, Config, Emit, Gateway, Identity, Invoke, Peer, Service, UsageError
from posthouse.core.values.peers import ANONYMOUS, Caller, CallId, ConnectionId, Meta
from posthouse.transports import Policy, Switchboard, Write
from posthouse.transports.http.server import Http1

import examples.calculator
from tests.adapters.eventful import CONFIG, POLICY, Recording, eventful
from tests.transports.board import HERE, PIPE, Browser, calculator, call, post, result

from .test_recorder import Host

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.journal"))
"""Journals of `examples/calculator.py`, each recorded by the version that first wrote its format, or by a later one."""


@pytest.mark.parametrize("path", RECORDED, ids=[path.stem for path in RECORDED])
def test_a_journal_that_an_earlier_version_recorded_is_replayed_to_the_same(path: Path) -> None:
    journal = read(path)
    done = replay(journal, examples.calculator.service, check=True)
    assert (done.failure, done.diverged_at) == (None, None)
    assert (done.given, done.skipped) == (len(journal.entries), 0)
    assert journal.entries


def calls_in_process() -> Recording:
    """A run of calls that the process makes itself, beside those of a pipe."""
    board = Recording()
    pipe = board.open(PIPE)
    board.feed(pipe, call("later") + b"\n")
    ada = Identity("ada")
    for method, params, options in (
        ("add", [1, 2], {}),
        ("secret", None, {"identity": ada}),
        ("later", {"value": {1, 2}}, {"identity": ada, "timeout": 1.5}),
        ("later", None, {"timeout": 0.5}),
        ("finish", None, {}),
    ):
        board.board.call(method, params, board.now, **options)
        board.run()
    board.pass_time(1.0)
    gone = board.waiting[-1].caller.connection
    board.board.hang_up(gone, board.now)
    board.run()
    for invoke in board.waiting:
        board.board.complete(invoke.call, ["done"], board.now)
        board.run()
    with pytest.raises(UsageError):
        board.board.call("add", 1, board.now)
    return board


def test_calls_in_process_are_recorded_and_replayed_to_the_same() -> None:
    board = calls_in_process()
    followed: list[str] = []
    done = replay(board.journal(), calculator(), check=True, effects=lambda _, action: followed.append(shown(action)))
    assert (done.failure, done.diverged_at, done.skipped) == (None, None, 0)
    assert followed == board.followed
    assert len([text for text in followed if text.startswith("Reply(")]) == 4


def test_calls_in_process_keep_their_ids_where_entries_are_left_out() -> None:
    journal = calls_in_process().journal()
    first = next(place for place, entry in enumerate(journal.entries) if entry.input == "call")
    shorter = structs.replace(journal, entries=journal.entries[first:])
    done = replay(shorter, calculator(), check=True)
    assert done.failure is None
    assert done.skipped == 1  # the end of the pipe's call


class Forgetful(Gateway):
    """A slot is not given back when a peer leaves whose handlers run up to the cap."""

    def disconnected(
        self, connection: ConnectionId, code: int | None, now: float, *, reason: str | None = None
    ) -> None:
        record = self._connections.records.get(connection)
        full = record is not None and record.running == self.config.max_calls_per_connection
        super().disconnected(connection, code, now, reason=reason)
        self._calls.handlers += full


class Brittle(Gateway):
    """A late result is a surprise."""

    def complete(self, call: CallId, result: object, now: float) -> bool:
        if not super().complete(call, result, now):
            raise LookupError(f"{call} has gone")
        return True


def without(journal: Journal, *places: int) -> Journal:
    """The journal without these entries (from 1)."""
    kept = [entry for place, entry in enumerate(journal.entries, start=1) if place not in places]
    return structs.replace(journal, entries=kept)


def written(journal: Journal, **options: Any) -> tuple[Replayed, dict[int, bytes]]:
    """The outcome of a replay, and the bytes written to each socket."""
    sockets: dict[int, bytes] = {}

    def see(_: int, action: object) -> None:
        if isinstance(action, Write):
            sockets[action.socket] = sockets.get(action.socket, b"") + action.data

    return replay(journal, calculator(), effects=see, **options), sockets


CUT = "chunking: bytes mean the same however they are cut"


def lose_single_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a byte that comes alone is not read."""
    sound = Http1.receive_data

    def receive_data(self: Http1, data: bytes, now: float) -> None:
        if len(data) > 1:
            sound(self, data, now)

    monkeypatch.setattr(Http1, "receive_data", receive_data)


def told_in_pieces() -> Recording:
    """Three sockets, of which one says its last byte alone."""
    board = Recording()
    request = post(call("add", b"[1,2]"))
    for cut in (50, len(request) - 1, 60):
        socket = board.open()
        for piece in (request[:cut], request[cut:]):
            board.feed(socket, piece)
    return board


def two_callers() -> Recording:
    """Two callers ask for the same and get different answers."""
    board = Recording()
    for _ in range(2):
        board.feed(board.open(), post(call("later")))
    for invoke, value in zip(board.waiting, ("first", "second"), strict=True):
        board.board.complete(invoke.call, value, 1.0)
    board.run()
    return board


def test_no_handler_runs() -> None:
    service = calculator()
    ran: list[int] = []

    @service.method
    def tell() -> int:
        ran.append(1)
        return 7

    board = Recording(service=service)
    socket = board.open()
    assert result(7) in board.feed(socket, post(call("tell")))
    assert ran == [1]
    assert replay(board.journal(), service, check=True).failure is None
    assert ran == [1]


def test_later_ids_are_followed_when_entries_are_left_out() -> None:
    board = two_callers()
    assert [entry.input for entry in board.journal().entries] == ["opened", "received"] * 2 + ["complete"] * 2
    done, sockets = written(without(board.journal(), 1))
    assert (done.given, done.skipped, done.failure) == (3, 2, None)
    assert result("second") in sockets[1]
    assert list(sockets) == [1]


def test_an_input_about_a_request_or_a_connection_that_does_not_exist_is_skipped() -> None:
    board = Recording()
    browser = Browser(board)
    caller = 1
    asked = board.board.request(ConnectionId(caller), "ask", [], 1.0, timeout=5.0)
    board.board.notify(ConnectionId(caller), "news", [], 1.0)
    board.board.abandon(asked, 2.0)
    board.run()
    browser.texts()
    journal = board.journal()
    request = [entry.input for entry in journal.entries].index("request") + 1
    assert replay(journal, calculator(), check=True).skipped == 0
    assert replay(without(journal, request), calculator(), check=True).skipped == 1
    assert replay(without(journal, 1), calculator(), check=True).given == 0


@pytest.mark.parametrize("address", [("192.0.2.1", 5), 5, "192.0.2.1"])
def test_misuse_is_replayed_as_misuse(address: Any) -> None:
    board = Recording()
    with pytest.raises(UsageError, match="give an Address"):
        board.board.opened(address, 0.0)
    journal = board.journal()
    assert [entry.arguments["address"] for entry in journal.entries] == [{"unreadable": type(address).__name__}]
    assert journal.entries[0].raised == "UsageError"
    done = replay(journal, calculator(), check=True)
    assert (done.given, done.skipped, done.failure, done.diverged_at) == (1, 0, None, None)


def test_a_gateways_ids_are_followed_too() -> None:
    host = Host()
    sockets = [host.gateway.accepted(HERE, 0.0) for _ in range(2)]
    peers = [host.gateway.connect(Peer("websocket", socket=socket), 0.0) for socket in sockets]
    host.gateway.receive(peers[1], call("add", b"[1,2]"), 0.0)
    journal = read(host.lines)
    assert replay(journal, calculator(), check=True).given == 5
    done = replay(without(journal, 1, 3), calculator(), check=True)
    assert (done.given, done.skipped, done.failure) == (3, 0, None)
    done = replay(without(journal, 2), calculator(), check=True)
    assert (done.given, done.skipped, done.failure) == (2, 2, None)


def test_only_the_first_entries_are_given_when_that_is_asked_for() -> None:
    journal = two_callers().journal()
    for until in range(len(journal.entries) + 2):
        assert replay(journal, calculator(), until=until).given == min(until, len(journal.entries))


def test_chance_that_was_not_drawn_then_is_counted() -> None:
    board = Recording()
    board.feed(board.open(), post(call("add", b"[1,2]")))
    bare = [structs.replace(entry, drawn=()) for entry in board.journal().entries]
    ids: list[str] = []
    replay(
        structs.replace(board.journal(), entries=bare * 2),
        calculator(),
        effects=lambda _, action: ids.append(shown(action)),
    )
    opened = [text for text in ids if "ConnectionOpened" in text]
    assert ["000000000000000000000001" in opened[0], "000000000000000000000002" in opened[1]] == [True, True]


# What goes wrong


def test_an_invariant_that_is_violated_is_a_failure_where_it_is_seen() -> None:
    board = Recording(CONFIG)
    socket = board.open()
    for _ in range(2):
        Browser(board)
    browser = Browser(board)
    browser.client.send(call("later", id=b"1"))
    browser.client.send(call("later", id=b"2"))
    browser.exchange()
    board.drop(browser.socket)
    board.feed(socket, post(call("add", b"[1,2]")))
    journal = board.journal()
    assert replay(journal, calculator(), check=True).failure is None
    assert replay(journal, calculator(), gateway=Forgetful).failure is None
    failure = replay(journal, calculator(), check=True, gateway=Forgetful).failure
    assert failure is not None
    assert journal.entries[failure.entry - 1].input == "closed"
    assert isinstance(failure.error, Violation)
    assert failure.kind == "calls: a slot for each handler"


def test_an_exception_is_a_failure_with_the_function_that_raised_it() -> None:
    board = Recording()
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.drop(socket)
    board.board.complete(board.waiting.pop().call, 1, 1.0)
    failure = replay(board.journal(), calculator(), gateway=Brittle).failure
    assert failure is not None
    assert (failure.entry, failure.kind, str(failure.error)) == (4, "LookupError in complete", "1 has gone")


def test_an_exception_of_a_listener_is_a_failure_of_the_entry_before_it() -> None:
    def refuse(_: int, action: object) -> None:
        if isinstance(action, Write):
            raise ValueError("I saw it")

    failure = replay(two_callers().journal(), calculator(), effects=refuse).failure
    assert failure is not None
    assert (failure.entry, failure.kind) == (5, "ValueError in refuse")


def test_nothing_may_be_left_when_every_socket_has_closed() -> None:
    class Hoarding(Gateway):
        """Keeps connections that have closed."""

        def released(self, socket: Any, now: float) -> None:
            super().released(socket, now)
            self._connections.by_address.setdefault("10.0.0.9", 0)

    board = Recording()
    board.drop(board.open())
    failure = replay(board.journal(), calculator(), check=True, gateway=Hoarding).failure
    assert failure is not None
    assert failure.entry == 2


def test_a_handler_that_runs_on_after_its_connection_has_closed_is_a_failure() -> None:
    class Deaf(Gateway):
        """It tells no handler to stop."""

        def disconnected(
            self, connection: ConnectionId, code: int | None, now: float, *, reason: str | None = None
        ) -> None:
            super().disconnected(connection, code, now, reason=reason)
            self.outbox[:] = [effect for effect in self.outbox if type(effect) is not Cancel]

    board = Recording()
    browser = Browser(board)
    browser.send(call("later"))
    board.drop(browser.socket)
    assert replay(board.journal(), calculator(), check=True).failure is None
    failure = replay(board.journal(), calculator(), check=True, gateway=Deaf).failure
    assert failure is not None
    assert failure.kind == "calls: a handler runs on after its connection has closed"


def test_a_connection_that_closes_without_an_event_is_a_failure() -> None:
    class Silent(Gateway):
        """It tells of no end."""

        def disconnected(
            self, connection: ConnectionId, code: int | None, now: float, *, reason: str | None = None
        ) -> None:
            super().disconnected(connection, code, now, reason=reason)
            self.outbox[:] = [effect for effect in self.outbox if type(effect) is not Emit]

    board = Recording()
    board.drop(Browser(board).socket)
    assert replay(board.journal(), calculator(), check=True).failure is None
    failure = replay(board.journal(), calculator(), check=True, gateway=Silent).failure
    assert failure is not None
    assert failure.kind == "rest: a connection is still open"


def test_bytes_whose_meaning_depends_on_where_they_are_cut_are_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = told_in_pieces().journal()
    assert replay(journal, calculator(), check=True).failure is None
    lose_single_bytes(monkeypatch)
    assert replay(journal, calculator()).failure is None
    failure = replay(journal, calculator(), check=True).failure
    assert failure is not None
    assert (failure.kind, failure.entry) == (CUT, len(journal.entries))


def test_of_the_last_sockets_it_is_remembered_how_they_began(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(sys.modules[invariants.FirstBytes.__module__], "chunking", lambda *given: seen.append(given))
    board = Recording()
    for _ in range(REMEMBERED_SOCKETS + 5):
        browser = Browser(board)
        for _ in range(3):
            browser.send(call("add", b'["%b"]' % (b"x" * REMEMBERED_BYTES)))
    board.feed(board.open(PIPE), call("add", b"[1,2]") + b"\n")
    assert replay(board.journal(), calculator(), check=True).failure is None
    assert len(seen) == REMEMBERED_SOCKETS
    assert [given[2] for given in seen] == [HERE] * (REMEMBERED_SOCKETS - 1) + [PIPE]
    for config, policy, _, data, cuts in seen:
        assert (config, policy) == (CONFIG, POLICY)
        assert cuts[-1] == len(data) < 2 * REMEMBERED_BYTES


def test_the_first_difference_from_the_recording_is_reported() -> None:
    board = two_callers()
    journal = board.journal()
    assert replay(journal, calculator()).diverged_at is None
    other = structs.replace(journal, header=structs.replace(journal.header, config={"max_connections": 1}))
    assert replay(other, calculator()).diverged_at == 3


def test_an_invalid_config_is_refused() -> None:
    journal = Journal(Header.of(calculator(), Config(), wall=0.0, policy=Policy()))
    other = structs.replace(journal, header=structs.replace(journal.header, config={"max_batsh": 1}))
    with pytest.raises(UsageError, match="max_batch"):
        replay(other, calculator())


def test_an_address_in_memory_is_not_shown() -> None:
    assert " at 0x" not in shown(Write(1, repr(object()).encode()))  # type: ignore[arg-type]
    board = eventful(1, 60)
    assert not [line for line in board.followed if " at 0x" in line]


class Tagged(Struct):
    """Holds a set."""

    tags: set[str]


def test_the_order_of_a_set_is_not_shown() -> None:
    service = Service("sets", public=True)

    @service.method
    def tag(tagged: Tagged, *, also: frozenset[str]) -> None:
        """Does nothing."""

    letters = [chr(97 + place) for place in range(26)]
    gateway = Gateway(service, wall=0.0, entropy=bytes)
    connection = gateway.connect(Peer("cli"), 0.0)
    assert connection is not None
    gateway.receive(connection, call("tag", json.encode({"tagged": {"tags": letters}, "also": letters})), 0.0)
    (invoked,) = (effect for effect in gateway.outbox if isinstance(effect, Invoke))
    text = shown(invoked)
    assert text.count(repr(letters)) == 2
    assert invoked.kwargs["also"] == set(letters), "it is what is shown that is ordered"


class Opposed:
    """Has no JSON, and no order."""


def test_a_set_that_cannot_be_sorted_is_shown_as_it_is() -> None:
    service = calculator()
    caller = Caller(ConnectionId(1), "p", Peer("http"), ANONYMOUS)
    text = shown(Invoke(CallId(1), caller, service.methods["add"], ({Opposed()},), {}, Meta()))
    assert "Opposed object>" in text


@pytest.mark.parametrize("build", [lambda: Switchboard(Gateway(calculator(), wall=0.0, entropy=bytes), POLICY)])
def test_the_machine_is_returned_in_its_last_state(build: Callable[[], Switchboard]) -> None:
    machine = replay(two_callers().journal(), calculator()).machine
    assert machine.health(2.0).sockets == 2
    assert machine.outbox == build().outbox == []
