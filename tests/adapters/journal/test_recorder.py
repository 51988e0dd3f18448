"""The recorder: everything is written down, and nothing is any other for it."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec import structs
from posthouse.adapters.journal import Header, Journal, Recorder, read, record, replay, shown
from posthouse.adapters.journal.arguments import NOTATIONS
from posthouse.adapters.journal.format import CLASSES, INPUTS, Machine
from posthouse.core import (
    Address,
    Answer,
    Basic,
    Bearer,
    Config,
    ConnectionOpened,
    Context,
    Cookie,
    CrossSiteCredentials,
    Gateway,
    Identity,
    Invoke,
    Peer,
    RpcError,
    Service,
    UsageError,
    Verify,
)
from posthouse.core.values.errors import INTERNAL_ERROR
from posthouse.core.values.peers import CallId
from posthouse.transports import Policy, Switchboard
from posthouse.transports.websocket.frames import masked_frame
from posthouse.transports.websocket.handshake import key_from, opening_request

from tests.adapters.eventful import CONFIG, TEXTS, WALL, Recording, Unencodable
from tests.core.identity.credentials import authenticated
from tests.transports.board import Browser, body, calculator, call, counter, post, result

from .test_redaction import CANARY, STREAMS

LOOK_UPS = (
    *("health", "next_timeout", "stats", "busy", "identity", "session_of", "add_to_health"),
    *("measurements", "expose", "attach", "draw_secrets_from", "use_external_store"),
)
"""The methods that change nothing, or only which way bytes go out, and those that are called before every input."""


class Host:
    """A host that drives a recorded gateway itself, as one that speaks HTTP and WebSocket would."""

    def __init__(self, service: Service | None = None) -> None:
        service = calculator() if service is None else service
        self.lines: list[bytes] = []
        header = Header.of(service, Config(), wall=WALL)
        recorder = Recorder(service, header, self.lines.append, counter())
        self.gateway = Gateway(recorder.service, wall=WALL, entropy=recorder.entropy)
        recorder.watch(self.gateway)
        self.recorder = recorder

    def followed(self) -> list[str]:
        """The actions since the last call."""
        effects = [shown(effect) for effect in self.gateway.outbox]
        self.gateway.outbox.clear()
        return effects

    def replayed(self) -> list[str]:
        """The actions of a replay."""
        followed: list[str] = []
        journal = read(self.lines)
        done = replay(journal, calculator(), check=True, effects=lambda _, effect: followed.append(shown(effect)))
        assert done.failure is None
        assert (done.given, done.skipped, done.diverged_at) == (len(journal.entries), 0, None)
        return followed


def same(board: Recording, service: Service | None = None) -> Journal:
    """The journal of this run, when it has been replayed to the same actions."""
    followed: list[str] = []
    journal = board.journal()
    service = calculator() if service is None else service
    done = replay(journal, service, check=True, effects=lambda _, action: followed.append(shown(action)))
    assert done.failure is None
    assert done.diverged_at is None
    assert followed == board.followed
    return journal


# What is written


@pytest.mark.parametrize("machine", CLASSES)
def test_every_input_is_recorded_and_every_parameter_can_be_written(machine: Machine) -> None:
    public = {
        name: function
        for name, function in inspect.getmembers(CLASSES[machine], inspect.isfunction)
        if not name.startswith("_") and name not in LOOK_UPS
    }
    assert sorted(public) == sorted(INPUTS[machine])
    parameters = [name for function in public.values() for name in inspect.signature(function).parameters]
    assert {*parameters} - {"self"} <= NOTATIONS.keys()


def test_an_entry_has_its_arguments_its_entropy_and_everything_that_began() -> None:
    board = Recording()
    socket = board.open()
    board.feed(socket, post(call("later", b"[1]")))
    opened, received = board.journal().entries
    assert (opened.input, opened.returned, opened.drawn) == ("opened", socket, ())
    assert opened.arguments["address"]["host"] == "127.0.0.1"
    assert received.arguments == {"socket": socket, "data": post(call("later", b"[1]")).decode(), "now": 0.0}
    assert [len(drawn) for drawn in received.drawn] == [12]
    assert (len(received.opened), len(received.invoked), received.raised) == (1, 1, None)


def test_arguments_by_name_and_by_position_are_the_same() -> None:
    board = Recording()
    board.board.broadcast("news", [1], 1.0, kinds=["cli"])
    board.board.broadcast(now=1.0, params=[1], method="news", kinds=["cli"])
    first, second = board.journal().entries
    assert first == second


def test_a_result_is_written_as_the_bytes_that_it_became() -> None:
    board = Recording()
    socket = board.open()
    assert body(board.feed(socket, post(call("add", b"[1,2]")))).startswith(b'{"jsonrpc":"2.0","result":3')
    assert board.journal().entries[-1].arguments["result"] == "3"


def test_a_result_that_no_json_can_carry_is_the_same_error_with_the_same_incident() -> None:
    board = Recording()
    socket = board.open()
    board.feed(socket, post(call("later")))
    assert not board.board.complete(board.waiting.pop().call, Unencodable(), 1.0)
    board.run()
    entry = same(board).entries[-1]
    assert "unfit" in entry.arguments["result"]
    assert len(entry.drawn) == 1
    assert board.take(socket)


def test_a_result_that_came_too_late_is_not_written() -> None:
    board = Recording()
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.drop(socket)
    assert not board.board.complete(board.waiting.pop().call, "too late", 1.0)
    assert same(board).entries[-1].arguments["result"] is None


class Point(msgspec.Struct):
    """A type of a service's own."""

    x: int


def test_types_of_a_service_are_encoded_as_without_a_recorder() -> None:
    service = Service("own", public=True)

    @service.method
    def mirror(point: Point) -> Point:
        return Point(-point.x)

    board = Recording(service=service)
    socket = board.open()
    assert b'{"x":-4}' in board.feed(socket, post(call("mirror", b'[{"x":4}]')))
    browser = Browser(board)
    board.board.broadcast("point", Point(3), 1.0)
    board.run()
    assert b'{"x":3}' in browser.texts()[0]
    same(board, service)


@pytest.mark.parametrize("data", [None, {"a": [1]}, "text", {"incident": "c0ffee"}, Unencodable()])
def test_an_error_is_written_with_its_data(data: object) -> None:
    board = Recording()
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.board.fail(board.waiting.pop().call, RpcError(INTERNAL_ERROR, "no\u2028", data), 1.0)
    board.run()
    same(board)


# Nothing is any other for it


def test_iterators_are_passed_on_whole() -> None:
    board = Recording()
    browser = Browser(board)

    def users() -> Iterator[str]:
        yield "ada"

    assert board.board.broadcast("news", [1], 1.0, users=users()) == 1
    board.run()
    assert len(browser.texts()) == 1
    same(board)


@pytest.mark.parametrize("params", [Unencodable(), 7, {"a": Unencodable()}])
def test_params_that_cannot_be_sent_are_refused_as_ever(params: object) -> None:
    board = Recording()
    Browser(board)
    with pytest.raises(UsageError, match="the params of 'news'"):
        board.board.broadcast("news", params, 1.0)
    assert same(board).entries[-1].raised == "UsageError"


def test_misuse_is_answered_as_ever_and_written_down_where_it_is_a_call() -> None:
    board = Recording()
    with pytest.raises(UsageError, match="connection 9 never existed"):
        board.board.notify(9, "news", [], 1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        board.board.closed()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        board.board.closed(1, 2.0, 3)  # type: ignore[call-arg, arg-type]
    with pytest.raises(TypeError):
        board.board.closed(1, now=2.0, soon=3)  # type: ignore[call-arg, arg-type]
    assert [entry.raised for entry in board.journal().entries] == ["UsageError"]


@pytest.mark.parametrize(
    "misuse",
    [
        lambda board: board.received(1, "text", 1.0),
        lambda board: board.received([], b"", 1.0),
        lambda board: board.opened(None, 1.0),
        lambda board: board.shut_down(object()),
        lambda board: board.shut_down(1.0, grace="long"),
        lambda board: board.broadcast("\ud800", [], 1.0),
        lambda board: board.broadcast("news", [], 1.0, kinds=7),
        lambda board: board.broadcast("news", [], 1.0, users="ada"),
        lambda board: board.broadcast("news", [], 1.0, kinds="http"),
        lambda board: board.fail(1, None, 1.0),
        lambda board: board.set_wall(object(), 1.0),
    ],
)
def test_no_argument_breaks_the_recorder(misuse: Callable[[Any], object]) -> None:
    boards = [Recording(), Recording()]
    boards[1].recorder.stop()
    raised = []
    for board in boards:
        board.open()
        try:
            misuse(board.board)
        except Exception as error:
            raised.append((type(error), str(error)))
    assert len(raised) in (0, 2)
    assert len(set(raised)) <= 1
    assert len(boards[0].journal().entries) in (1, 2)


def test_numbers_without_an_end_are_written_too() -> None:
    host = Host()
    caller = host.gateway.connect(Peer("cli"), 0.0)
    host.gateway.request(caller, "ask", [], 0.0, timeout=float("inf"))
    assert host.followed() == host.replayed()


class Mischief(msgspec.Struct):
    """Calls back while it is converted."""

    x: int

    gateway: ClassVar[Gateway]
    refused: ClassVar[bool] = False

    def __post_init__(self) -> None:
        with pytest.raises(UsageError, match="from inside another input"):
            self.gateway.handle_timeout(1.0)
        Mischief.refused = True


def test_an_input_from_inside_another_is_refused_and_not_written() -> None:
    service = Service("mischief", public=True)

    @service.method
    def play(value: Mischief) -> None: ...

    host = Host(service)
    caller = host.gateway.connect(Peer("cli"), 0.0)
    Mischief.gateway = host.gateway
    host.gateway.receive(caller, call("play", b'[{"x":1}]'), 0.0)
    assert Mischief.refused
    assert [entry.input for entry in read(host.lines).entries] == ["connect", "receive"]


def test_an_exception_of_an_input_is_recorded_and_raised() -> None:
    class Broken(Gateway):
        def shut_down(self, now: float, *, grace: float | None = None) -> None:
            raise KeyError("broken")

    board = Recording(gateway=Broken)
    with pytest.raises(KeyError, match="broken"):
        board.board.shut_down(0.0)
    assert board.journal().entries[-1].raised == "KeyError"


@pytest.mark.parametrize(("result", "written"), [({"a": [1]}, '{"a":[1]}'), (None, None)])
def test_a_result_with_which_the_core_fails_is_written_though_it_was_never_encoded(
    result: Any, written: str | None
) -> None:
    class Broken(Gateway):
        def complete(self, call: CallId, result: object, now: float) -> bool:
            raise KeyError("broken")

    board = Recording(gateway=Broken)
    socket = board.open()
    board.feed(socket, post(call("later")))
    with pytest.raises(KeyError, match="broken"):
        board.board.complete(board.waiting.pop().call, result, 1.0)
    assert board.journal().entries[-1].arguments["result"] == written


def test_a_machine_has_its_own_methods_again_after_a_recording() -> None:
    board = Recording()
    kept = board.board.handle_timeout
    board.open()
    board.recorder.stop()
    board.recorder.stop()
    assert board.board.handle_timeout.__func__ is Switchboard.handle_timeout  # type: ignore[attr-defined]
    board.open()
    kept(1.0)
    assert len(board.journal().entries) == 1


def test_a_writer_that_takes_no_more_ends_the_recording() -> None:
    service = calculator()
    lines: list[bytes] = []

    def write(line: bytes) -> bool:
        lines.append(line)
        return len(lines) < 3

    recorder = Recorder(service, Header.of(service, Config(), wall=0.0), write, bytes)
    gateway = Gateway(recorder.service, wall=0.0, entropy=recorder.entropy)
    recorder.watch(gateway)
    for now in range(5):
        gateway.handle_timeout(float(now))
    assert len(read(lines).entries) == 2


def test_the_service_itself_is_left_alone_but_frozen() -> None:
    service = calculator()
    methods = dict(service.methods)
    Recording(service=service)
    assert service.methods == methods
    with pytest.raises(UsageError, match="served by a gateway"):
        service.method(lambda: None)


# Gateways alone


def test_a_gateway_that_a_host_drives_is_recorded_too() -> None:
    host = Host()
    gateway = host.gateway
    socket = gateway.accepted(Address("10.0.0.1", 9), 0.0)
    assert socket is not None
    gateway.head_read(socket, 0.0)
    peers = [gateway.connect(Peer(kind, socket=at), 0.1) for kind, at in (("websocket", socket), ("cli", None))]  # type: ignore[arg-type]
    for text in TEXTS:
        for peer in peers:
            gateway.receive(peer, text, 0.2)
    gateway.report_held(peers[0], 100, 0.3)
    gateway.notify(peers[0], "news", {"a": "ä"}, 0.3)
    gateway.report_sent(peers[0], 100, 0.4)
    gateway.report_buffered(10, 0.4)
    gateway.heard(peers[0], 0.4)
    asked = [gateway.request(peer, "ask", None, 0.5, timeout=3.0) for peer in peers]
    gateway.receive(peers[0], b'{"jsonrpc":"2.0","result":1,"id":%d}' % asked[0], 0.6)
    gateway.abandon(asked[1], 0.6)
    for invoke in [effect for effect in gateway.outbox if isinstance(effect, Invoke)]:
        if invoke.method.context_parameter is None:
            gateway.complete(invoke.call, 5, 0.7)
        gateway.progress(invoke.call, 0.5, 0.7)
    gateway.set_wall(WALL + 9.0, 0.8)
    user = gateway.connect(Peer("cli", identity=Identity("ada", namespace="a", issued_at=WALL)), 0.8)
    assert gateway.revoke("ada", 0.8, namespace="a", not_before=WALL) == 0
    assert gateway.revoke("ada", 0.8, namespace="a") == 1
    for peer in (*peers, user):
        gateway.disconnected(peer, 1000, 0.9)
    gateway.released(socket, 0.9)
    gateway.shut_down(1.0, grace=0.5)
    gateway.handle_timeout(50.0)
    assert host.followed() == host.replayed()


def test_progress_is_written_as_the_json_that_it_becomes() -> None:
    service = Service("progress", public=True)

    @service.method
    async def slow(context: Context) -> None: ...

    board = Recording(service=service)
    browser = Browser(board)
    browser.send(b'{"jsonrpc":"2.0","method":"slow","id":1,"meta":{"progress_token":"p"}}')
    running = board.waiting.pop().call
    assert board.board.progress(running, {"fraction": 0.5, "seen": {"b", "a"}}, 1.0)
    board.run()
    assert browser.texts() == [
        b'{"jsonrpc":"2.0","method":"$/progress","params":{"token":"p","value":{"fraction":0.5,"seen":["a","b"]}}}'
    ]
    same(board, service)


# Secrets


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_no_secret_gets_into_a_journal_and_a_replay_takes_the_same_way(stream: bytes) -> None:
    service = calculator()
    for cut in range(1, len(stream), 1 + len(stream) // 4):
        board = Recording(service=service)
        first, second = board.open(), board.open()
        for socket in (first, second):
            for piece in (stream[:cut], stream[cut:]):
                board.feed(socket, piece)
        board.drop(first)
        assert CANARY not in b"".join(same(board, service).lines())


HANDSHAKE = opening_request(b"localhost", b"/ws?q=c4n4ry", key_from(bytes(16)), headers=[(b"Cookie", b"c4n4ry")])
"""With a query and a secret."""


def frame(text: bytes) -> bytes:
    """A text as a client sends it, with a mask that makes the beginning look like that of a request."""
    return masked_frame(0x81, text, bytes(a ^ b for a, b in zip(text, b"\na ?", strict=False)))


TELLING = [frame(call("add", b'[%d,"%b"]' % (at, b"z" * 40))) for at in range(3)]


def heard(board: Recording, socket: int) -> bytes:
    """The bytes of a socket in the journal, after a replay had the same outcome."""
    entries = [entry for entry in same(board).entries if entry.input == "received"]
    return b"".join(
        entry.arguments["data"].encode("latin-1") for entry in entries if entry.arguments["socket"] == socket
    )


def hidden(head: bytes) -> bytes:
    """A head without its secrets."""
    return head.replace(CANARY, b"x" * len(CANARY)).replace(b"?q=", b"?x=")


@pytest.mark.parametrize("write_ahead", [1, 20, 300])
@pytest.mark.parametrize("behind", [0, 1, 3])
def test_the_bytes_of_a_websocket_are_recorded_as_they_are(write_ahead: int, behind: int) -> None:
    said = HANDSHAKE + b"".join(TELLING)
    end = len(HANDSHAKE) + sum(map(len, TELLING[:behind]))
    for cut in (1, 150, len(HANDSHAKE) - 1):
        board = Recording(Config(write_ahead=write_ahead))
        socket = board.open()
        for piece in filter(None, (said[:cut], said[cut:end], said[end:])):
            board.feed(socket, piece)
        assert heard(board, socket) == hidden(HANDSHAKE) + b"".join(TELLING)


def test_megabytes_of_random_masks_are_kept_as_they_were_sent() -> None:
    chance = random.Random(1)
    board = Recording()
    socket = board.open()
    board.feed(socket, HANDSHAKE)
    sent = b""
    while len(sent) < 2_000_000:
        text = call("add", b'["%b"]' % chance.randbytes(chance.randrange(16_000)).hex().encode(), None)
        piece = masked_frame(0x81, text, chance.randbytes(4)) if chance.random() < 0.5 else frame(text)
        board.feed(socket, piece)
        sent += piece
    assert heard(board, socket) == hidden(HANDSHAKE) + sent
    assert not board.recorder._redactors


def test_a_handshake_may_have_to_wait_for_an_answer() -> None:
    for text in (call("add", b"[1,2]"), call("later"), call("none")):
        board = Recording()
        sockets = [board.open(), board.open()]
        for socket in sockets:
            board.feed(socket, post(text) + HANDSHAKE)
        for running in board.waiting:
            board.board.complete(running.call, 1, 1.0)
            board.run()
        for socket in sockets:
            board.feed(socket, TELLING[0])
            assert heard(board, socket) == post(text) + hidden(HANDSHAKE) + TELLING[0]
        assert not board.recorder._redactors


NEXT = post(call("add", b"[1,2]"), more=b"Authorization: c4n4ry\r\n") + b"\n\nGET /?q=c4n4ry\n"


@pytest.mark.parametrize(
    "head",
    [
        HANDSHAKE.replace(b"GET /ws", b"GET /none"),
        HANDSHAKE.replace(b"GET", b"HEAD"),
        HANDSHAKE.replace(b"/ws", b"/health"),
        HANDSHAKE.replace(b"Version: 13", b"Version: 14"),
        HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: close"),
        HANDSHAKE.replace(b"localhost", b"example.com"),
        HANDSHAKE.replace(b"\r\n\r\n", b"\r\nOrigin: https://example.com\r\n\r\n"),
        post(HANDSHAKE),
        post(call("later"), more=HANDSHAKE.partition(b"\r\n")[2][:-2].replace(b"Host: localhost\r\n", b"")),
        HANDSHAKE[:-2],
    ],
)
def test_a_peer_that_only_claims_to_speak_websocket_reveals_nothing(head: bytes) -> None:
    for pieces in ((head, NEXT), (head + NEXT,)):
        board = Recording()
        socket = board.open()
        for piece in pieces:
            board.feed(socket, piece)
        assert CANARY not in heard(board, socket)


def test_a_handshake_in_a_chunk_reveals_nothing_of_the_real_one() -> None:
    board = Recording(structs.replace(CONFIG, allow_chunked=True))
    head = (
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HANDSHAKE), HANDSHAKE)
    socket = board.open()
    board.feed(socket, head + chunks + HANDSHAKE + TELLING[0])
    assert heard(board, socket) == head + hidden(chunks + HANDSHAKE) + TELLING[0]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_of_any_kind_are_looked_at(kind: Callable[[bytes], Any]) -> None:
    board = Recording()
    socket = board.open()
    board.board.received(socket, kind(NEXT), 0.0)
    board.run()
    assert CANARY not in heard(board, socket)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health?token=c4n4ry HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health?%74oken=c4n4ry HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health?x=c4n4ry#c4n4ry HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health?x=c4n4ry\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health?c4n4ry HTTP/1.1\r\nHost: localhost\r\nCookie: c4n4ry\xff\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nCookie: c4n4ry\x00\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nCookie: c4n4ry\r\n c4n4ry\r\n\r\n",
    ],
)
def test_a_refused_request_is_refused_in_a_replay_too(head: bytes) -> None:
    board = Recording()
    assert board.feed(board.open(), head).startswith(b"HTTP/1.1")
    assert CANARY not in b"".join(same(board).lines())


def test_a_peer_of_a_host_is_recorded_without_its_headers() -> None:
    host = Host()
    headers = ((b"host", b"example.org"), (b"authorization", b"Bearer c4n4ry"))
    one = host.gateway.connect(Peer("websocket", path="/chat", headers=headers), 0.0)
    host.gateway.receive(one, call("later"), 0.0)
    (invoke,) = [effect for effect in host.gateway.outbox if isinstance(effect, Invoke)]
    assert dict(invoke.caller.headers) == {"host": "example.org"}
    assert "/chat" in str(host.lines)
    assert "c4n4ry" not in str(host.lines)
    assert "c4n4ry" not in str(host.gateway.outbox)
    assert host.followed() == host.replayed()


def test_a_notification_behind_a_reply_is_recorded_with_its_call_and_replayed() -> None:
    board = Recording()
    browser = Browser(board)
    browser.send(call("later"))
    running = board.waiting.pop()
    connection = running.caller.connection
    for after in (running.call, None):
        assert board.board.notify(connection, "event", [1], 0.0, after=after)
    assert board.board.complete(running.call, 7, 0.0)
    board.run()
    event = b'{"jsonrpc":"2.0","method":"event","params":[1]}'
    assert browser.texts() == [event, result(7), event]
    journal = same(board)
    assert [entry.arguments.get("after") for entry in journal.entries if entry.input == "notify"] == [1, None]
    without_call = [entry for entry in journal.entries if not entry.invoked]
    replayed = replay(Journal(journal.header, without_call), calculator())
    assert len(journal.entries) - replayed.given == 3, "the call, its notification, and its end"


def test_a_service_with_authenticators_has_a_journal_of_its_gateway_without_a_secret() -> None:
    lines: list[bytes] = []
    service = authenticated(("bearer", "bearer", "a"), ("basic", "basic", "b"))
    board = record(service, Config(), Policy(), lines.append, wall=WALL, entropy=counter())
    followed: list[str] = []
    socket = board.opened(Address("127.0.0.1"), 0.0)
    assert socket is not None
    for credentials in (b"Bearer canary-token", b"Bearer canary-token", b"Basic YWRhOmNhbmFyeQ==", b"Digest canary"):
        board.received(socket, post(call("private"), more=b"Authorization: %b\r\n" % credentials), 0.0)
        for effect in board.outbox:
            if isinstance(effect, Verify):
                board.conclude(effect.operation, Identity("ada"), 0.0)
        for effect in board.outbox:
            if isinstance(effect, Invoke):
                board.complete(effect.call, None, 0.0)
        followed += [shown(effect) for effect in board.outbox]
        board.outbox.clear()
    journal = read(lines)
    assert journal.header.machine == "gateway"
    assert not any(secret in b"".join(lines) for secret in (b"canary", b"YWRhOmNhbmFyeQ"))
    done = replay(journal, service, check=True)
    assert (done.failure, done.diverged_at, done.skipped) == (None, None, 0)
    assert [entry.input for entry in journal.entries if entry.asked] == ["connect", "connect"]
    written = [entry.arguments["credentials"] for entry in journal.entries if entry.input == "connect"]
    assert written[0] == written[1]
    assert len(written[0]["bearer"]["token"]) == len("canary-token")
    assert (written[2]["basic"]["user"], len(written[2]["basic"]["password"])) == ("ada", len("canary"))
    assert written[3] == {"unreadable": {}}


def test_several_credentials_of_one_request_are_in_no_journal() -> None:
    service = authenticated(("bearer", "bearer", "a"), ("basic", "basic", "b"))
    host = Host(service)
    for credentials in ((Bearer("canary"), Basic("ada", "canary")), CrossSiteCredentials()):
        host.gateway.connect(Peer("websocket"), 0.0, credentials=credentials)
    journal = read(host.lines)
    assert b"canary" not in b"".join(host.lines)
    done = replay(journal, service, check=True)
    assert (done.failure, done.diverged_at) == (None, None)
    one, two = [entry.arguments["credentials"] for entry in journal.entries if entry.input == "connect"]
    assert [list(each) for each in one] == [["bearer"], ["basic"]]
    assert two == {"cross_site": {}}


def test_the_credentials_of_a_log_in_are_in_no_journal_however_it_is_written() -> None:
    service = authenticated(("bearer", "bearer", "a"), ("basic", "basic", "b"))
    host = Host(service)
    one = host.gateway.connect(Peer("websocket"), 0.0)
    texts = (
        b'{"jsonrpc":"2.0","method":"auth.login","params":{"method":"bearer","token":"canary"},"id":1}',
        b'{"jsonrpc":"2.0","\\u006dethod":"auth\\u002elogin","params":{"method":"password","user":"ada",'
        b'"password":"canary"},"id":1.0}',
        b'[{"jsonrpc":"2.0","method":"auth.refresh","params":["bearer",["canary"],{"a":"canary"}],"id":2}, 7]',
        b'["auth.login", "canary", ["canary"], 7]',
        b'{"method":"auth.login","params":{"token":"canary"',
        b'{"jsonrpc":"2.0","method":"auth.logout","id":3}',
        b'{"jsonrpc":"2.0","method":"private","params":["an author"],"id":4}',
    )
    operation = 0
    for text in texts:
        host.gateway.receive(one, text, 0.0)
        for effect in list(host.gateway.outbox):
            if isinstance(effect, Verify) and effect.operation > operation:
                operation = effect.operation
                host.gateway.conclude(effect.operation, Identity("ada"), 0.0)
    journal = read(host.lines)
    assert b"canary" not in b"".join(host.lines)
    done = replay(journal, service, check=True)
    assert (done.failure, done.diverged_at) == (None, None)
    written = [entry.arguments["data"] for entry in journal.entries if entry.input == "receive"]
    assert written[4] == "x" * len(texts[4])
    assert written[5:] == [text.decode() for text in texts[5:]]
    assert '"id":1.0' in written[1]


@pytest.mark.parametrize("family", ["x-forwarded", "forwarded"])
def test_the_clients_of_a_proxy_are_recorded_and_replayed_to_the_same(family: str) -> None:
    config = Config(
        trust_proxies=("10.0.0.1",), proxy_headers=family, trust_forwarded_host=True, max_connections_per_address=1
    )
    board = Recording(config)
    proxy, other = board.open(Address("10.0.0.1", 5)), board.open(Address("10.0.0.1", 6))
    fields = b"X-Forwarded-For: 9.9.9.9, %b\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: localhost\r\n"
    fields += b'Forwarded: for=9.9.9.9, for=%b;proto=https;host="localhost"\r\n'
    for client in (b"192.0.2.1", b"192.0.2.2"):
        board.feed(proxy, post(call("add", b"[1,2]"), more=fields % (client, client)))
    whole = post(call("later"), more=fields % (b"192.0.2.1", b"192.0.2.1"))
    board.feed(proxy, whole[:-9])
    assert board.feed(other, whole).startswith(b"HTTP/1.1 429 ")
    board.feed(proxy, whole[-9:])
    board.feed(board.open(), post(call("add", b"[1,2]"), more=fields % (b"192.0.2.1", b"192.0.2.1")))
    same(board)
    addresses = [event.address for event in board.events() if isinstance(event, ConnectionOpened)]
    assert [(address.host, address.proxy, address.secure) for address in addresses] == [
        *(("192.0.2.1", "10.0.0.1", True), ("192.0.2.2", "10.0.0.1", True), ("192.0.2.1", "10.0.0.1", True)),
        ("127.0.0.1", "", False),
    ]


def test_a_gateway_behind_proxies_is_recorded_and_replayed_to_the_same() -> None:
    host = Host()
    gateway, client = host.gateway, Address("192.0.2.1", proxy="10.0.0.1")
    socket = gateway.accepted(Address("10.0.0.1", 9), 0.0, trusted=True)
    assert socket is not None
    assert gateway.arrived(socket, client, 0.0)
    connection = gateway.connect(Peer("http", client, socket), 0.0)
    gateway.receive(connection, call("add", b"[1,2]"), 0.0)
    gateway.disconnected(connection, None, 1.0)
    gateway.released(socket, 1.0)
    assert host.followed() == host.replayed()


def test_a_journal_has_no_cookie_and_its_replay_knows_who_comes_with_one() -> None:
    service = authenticated()
    lines: list[bytes] = []
    header = Header.of(service, Config(), wall=WALL)
    recorder = Recorder(service, header, lines.append, counter())
    gateway = Gateway(recorder.service, wall=WALL, entropy=recorder.entropy)
    gateway.draw_secrets_from(recorder.secrets)
    recorder.watch(gateway)

    def ask(text: bytes, credentials: object = None) -> list[Any]:
        one = gateway.connect(Peer("http", Address("127.0.0.1")), 0.0, credentials=credentials)
        gateway.receive(one, text, 0.0)
        for effect in list(gateway.outbox):
            if isinstance(effect, Verify):
                gateway.conclude(effect.operation, Identity("ada"), 0.0)
        answers = [effect for effect in gateway.outbox if isinstance(effect, Answer)]
        gateway.outbox.clear()
        gateway.disconnected(one, None, 0.0)
        return answers

    (answer,) = ask(call("auth.login", b'{"method":"bearer","token":"canary","cookie":true}'))
    secret = answer.cookie.secret
    (answer,) = ask(call("connection.info"), Cookie(secret))
    assert b'"user":"ada"' in answer.data
    assert ask(call("connection.info"), Cookie("c4n4ry")) == []
    written = b"".join(lines)
    assert secret.encode() not in written
    assert CANARY not in written
    replayed: list[bytes | None] = []
    done = replay(
        read(lines),
        service,
        check=True,
        effects=lambda place, effect: replayed.append(effect.data) if isinstance(effect, Answer) else None,
    )
    assert (done.failure, done.diverged_at) == (None, None)
    assert b'"user":"ada"' in (replayed[1] or b"")
