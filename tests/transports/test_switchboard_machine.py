"""Any sequence of what sockets, handlers and time can do to a switchboard: nothing raises, and every invariant holds.

The rules speak the protocols through the clients' codecs, or send rubbish; a socket takes what it is given, or nothing,
or a part. The model runs beside the gateway, and each peer counts what it asked and what it was answered. At the end
every socket takes everything and every handler ends: who kept the rules and was kept has one answer to each question.
Then everybody leaves, and nothing may be left.
"""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from posthouse.adapters.invariants import check, check_at_rest
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.core import Address, Config, Identity, RpcError
from posthouse.core.values.peers import SocketId
from posthouse.transports import NewlineFraming, OpeningRequest, Send, Text, WebSocketClient

from tests.transports.board import PIPE, Board, Ways, call, post

pytestmark = pytest.mark.unmeasured

CONFIG = Config(
    max_connections=8,
    max_in_head=6,
    max_calls_per_connection=2,
    max_waiting_calls=3,
    max_waiting_bytes=200,
    max_calls=6,
    max_queued_replies_bytes=5_000,
    max_queued_pushes_bytes=3_000,
    max_queued_pushes=4,
    max_message_bytes=2_000,
    max_body_bytes=2_000,
    max_head_bytes=500,
    max_batch=4,
    max_response_bytes=1_500,
    max_batch_reply_bytes=3_000,
    write_ahead=400,
    read_bytes=700,
    frames_per_turn=3,
    call_timeout=8.0,
    idle_timeout=60.0,
    drain_notice=1.0,
)

TEXTS = st.sampled_from(
    [
        call("add", b"[1,2]"),
        call("add", b"[1,2]", None),
        call("add", b'["x"]', b"2"),
        call("later", b"[1]", b"1"),
        call("later", b"[2]", b"2"),
        call("later", b"[3]", b'"three"'),
        call("later", b"[4]", None),
        call("finish", b"[]", b"5"),
        call("secret", b"[]", b"6"),
        call("blob", b"[1000]", b"7"),
        call("blob", b"[3000]", b"8"),
        call("connection.info"),
        call("message.broadcast", b'{"data":1}', b"9"),
        call("$/cancelRequest", b'{"id":1}', None),
        call("rpc.cancel", b'{"id":2}', b"10"),
        b"[" + b",".join([call("later", b"[1]", b"1"), call("add", b"[1,2]", b"2"), b"1"]) + b"]",
        b"[" + b",".join([call("blob", b"[1000]", b"%d" % id) for id in range(4)]) + b"]",
        b"[]",
        b"[1,1,1,1,1]",
        b"{",
        b'{"jsonrpc":"2.0","result":1,"id":1}',
        b'{"jsonrpc":"2.0","method":"later","id":1,"meta":{"progress_token":1,"timeout_ms":3000}}',
    ]
)


def asked(text: bytes) -> list[bytes]:
    """The ids to which this text wants a response each."""
    try:
        message = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    entries = message if isinstance(message, list) and len(message) <= CONFIG.max_batch else [message]
    return [
        msgspec.json.encode(entry["id"])
        for entry in entries
        if isinstance(entry, dict) and entry.get("id") is not None and "method" in entry
    ]


def responses(text: bytes) -> list[bytes]:
    """The ids, null apart, to which this text has responses."""
    message = msgspec.json.decode(text)
    entries = message if isinstance(message, list) else [message]
    return [
        msgspec.json.encode(entry["id"]) for entry in entries if entry.get("id") is not None and "method" not in entry
    ]


HTTP = b"HTTP"
"""HTTP's requests and answers are counted as such: each is a connection of its own."""


class Peer:
    """One client: what it still has to send, what it asked, and what it was answered. `honest`: it sent no rubbish, and
    did not end its input."""

    def __init__(self, board: Board, socket: SocketId, client: WebSocketClient | NewlineFraming | None) -> None:
        self.board = board
        self.socket = socket
        self.client = client
        self.pending = bytearray()
        self.ended = False
        self.gone = False
        self.read_late = False
        self.honest = True
        self.asked: Counter[bytes] = Counter()
        self.answered: Counter[bytes] = Counter()

    @property
    def can_send(self) -> bool:
        """Has it something to say that would be read?"""
        return bool(self.pending) and not self.ended and not self.gone and self.socket not in self.board.stopped

    def say(self, text: bytes) -> None:
        """Queue one text, as this kind of client sends it."""
        if self.client is None:
            self.pending += post(text)
            self.asked[HTTP] += 1
            return
        if isinstance(self.client, NewlineFraming):
            self.pending += self.client.frame(text)
        else:
            self.collect()
            if self.client.opened is None or self.client._state != "open":
                return
            self.client.send(text)
            self.collect()
        self.asked.update(asked(text))

    def collect(self) -> None:
        """Take what was written to it, and what it wants to send because of that."""
        if self.gone:
            return
        if self.socket not in self.board.stopped:
            self.read_late = False
        coming = self.board.take(self.socket)
        if self.client is None:
            self.answered[HTTP] += coming.count(b"HTTP/1.1 ")
        elif coming:
            self.client.receive_data(coming, self.board.now)
        if self.client is not None:
            self.take(self.client)
            while (due := self.client.next_timeout()) is not None and due <= self.board.now:
                self.client.handle_timeout(self.board.now)
                self.take(self.client)
            if self.board.closed.get(self.socket):
                assert not self.client.buffered, "what was to be sent before the end was not sent whole"
        if self.honest:
            assert self.answered <= self.asked, "an answer too many"

    def take(self, client: WebSocketClient | NewlineFraming) -> None:
        """What the client's codec says."""
        for output in client.output:
            if isinstance(output, Send):
                self.pending += output.data
            elif isinstance(output, Text):
                self.answered.update(responses(output.data))
        client.output.clear()


KINDS = st.sampled_from(["http", "websocket", "pipe"])
NUMBERS = st.integers(0, 5)
"""Which of the peers that are there."""

SIZES = st.sampled_from([700, 700, 700, 300, 60, 7, 1])
"""How much of what a peer has to say comes in one read."""

BEGINNINGS = st.tuples(KINDS, st.booleans(), st.lists(TEXTS, max_size=5))
"""What kind of peer it is, whether it takes what it is sent, and what it says first."""

RARELY = st.sampled_from([False] * 9 + [True])


class SwitchboardMachine(RuleBasedStateMachine):
    """The rules. `board.closed` says which sockets the switchboard wants closed: those are reported in time.

    What ends everything at once happens rarely, and peers have come and spoken before the first step: else most runs
    would be of sockets that nobody speaks through.
    """

    @initialize(
        user=st.sampled_from([None, "ada"]),
        beginnings=st.lists(BEGINNINGS, min_size=2, max_size=4),
        ways=st.builds(Ways, st.booleans(), st.booleans()),
    )
    def begin(self, user: str | None, beginnings: list[tuple[str, bool, list[bytes]]], ways: Ways) -> None:
        self.board = Board(CONFIG, identity=Identity(user, ("broadcast",)), gateway=CheckedGateway, ways=ways)
        assert isinstance(self.board.board.gateway, CheckedGateway)
        self.model = self.board.board.gateway.model
        self.all: list[Peer] = []
        for kind, slow, texts in beginnings:
            self.opens(kind, "a", at_once=True)
            peer = self.all[-1]
            if slow:
                self.board.stuck[peer.socket] = 0
            for text in texts:
                peer.say(text)
            self.send(peer, CONFIG.read_bytes)

    @rule(kind=KINDS, host=st.sampled_from(["a", "b", ""]), at_once=st.booleans())
    def opens(self, kind: str, host: str, at_once: bool) -> None:
        address = PIPE if kind == "pipe" else Address(host, 1)
        socket = self.board.board.opened(address, self.board.now)
        self.board.run()
        if socket is None:
            return
        self.board.written[socket] = bytearray()
        client: WebSocketClient | NewlineFraming | None = None
        if kind == "websocket":
            client = WebSocketClient(
                Config(), OpeningRequest(b"localhost"), entropy=self.board.entropy, now=self.board.now
            )
        elif kind == "pipe":
            client = NewlineFraming(Config())
        peer = Peer(self.board, socket, client)
        self.all.append(peer)
        if at_once:
            self.send(peer, CONFIG.read_bytes)

    def peer(self, number: int) -> Peer | None:
        there = [peer for peer in self.all if not peer.gone]
        return there[number % len(there)] if there else None

    @rule(number=NUMBERS, texts=st.lists(TEXTS, min_size=1, max_size=4), size=SIZES)
    def says(self, number: int, texts: list[bytes], size: int) -> None:
        peer = self.peer(number)
        if peer is not None:
            for text in texts:
                peer.say(text)
            self.send(peer, size)

    @rule(number=NUMBERS, rubbish=st.binary(min_size=1, max_size=50))
    def says_rubbish(self, number: int, rubbish: bytes) -> None:
        peer = self.peer(number)
        if peer is not None:
            peer.pending += rubbish
            peer.honest = False

    @rule(number=NUMBERS, size=SIZES)
    def goes_on(self, number: int, size: int) -> None:
        peer = self.peer(number)
        if peer is not None:
            self.send(peer, size)

    @rule(number=NUMBERS, size=SIZES)
    def what_was_read_when_reading_stopped_comes(self, number: int, size: int) -> None:
        peer = self.peer(number)
        if peer is not None and peer.socket in self.board.stopped and not peer.read_late:
            peer.read_late = True
            self.send(peer, size, late=True)

    def send(self, peer: Peer, size: int, *, late: bool = False) -> None:
        peer.collect()
        if peer.can_send or (late and peer.pending and not peer.ended):
            data = bytes(peer.pending[:size])
            del peer.pending[:size]
            self.board.board.received(peer.socket, data, self.board.now)
            self.board.run()
            peer.collect()

    @rule(number=NUMBERS)
    def half_closes(self, number: int) -> None:
        peer = self.peer(number)
        if peer is not None and not peer.ended:
            peer.ended = True
            peer.honest = False
            self.board.board.received_eof(peer.socket, self.board.now)
            self.board.run()

    @rule(number=NUMBERS)
    def resets(self, number: int) -> None:
        peer = self.peer(number)
        if peer is not None:
            self.leave(peer)

    @rule(number=NUMBERS)
    def takes_nothing_any_more(self, number: int) -> None:
        peer = self.peer(number)
        if peer is not None:
            self.board.stuck.setdefault(peer.socket, 0)

    @rule(number=NUMBERS, part=st.sampled_from([1, 50, 400]))
    def takes_some(self, number: int, part: int) -> None:
        peer = self.peer(number)
        if peer is not None and (stuck := self.board.stuck.get(peer.socket, 0)):
            self.board.release(peer.socket, min(part, stuck))

    @rule(number=NUMBERS)
    def takes_everything_again(self, number: int) -> None:
        peer = self.peer(number)
        if peer is not None and peer.socket in self.board.stuck:
            self.board.release(peer.socket)

    @precondition(lambda self: self.board.waiting)
    @rule(data=st.data(), how=st.sampled_from(["complete", "large", "fail", "unencodable"]))
    def a_handler_ends(self, data: st.DataObject, how: str) -> None:
        invoke = self.board.waiting.pop(data.draw(st.integers(0, len(self.board.waiting) - 1)))
        if how == "fail":
            self.board.board.fail(invoke.call, RpcError(1, "no"), self.board.now)
        else:
            result = {"complete": None, "large": "x" * 1000, "unencodable": object()}[how]
            self.board.board.complete(invoke.call, result, self.board.now)
        self.board.run()

    @precondition(lambda self: self.board.waiting)
    @rule(method=st.sampled_from(["progress", "notify", "request"]))
    def a_handler_speaks(self, method: str) -> None:
        invoke = self.board.waiting[-1]
        board, now, to = self.board.board, self.board.now, invoke.caller.connection
        if method == "progress":
            board.progress(invoke.call, {"fraction": 0.5}, now)
        elif method == "notify":
            board.notify(to, "news", [1], now)
        else:
            request = board.request(to, "ask", None, now, timeout=5.0)
            if request % 2:
                board.abandon(request, now)
        self.board.run()

    @rule(size=st.sampled_from([1, 300, 1500]))
    def broadcasts(self, size: int) -> None:
        self.board.board.broadcast("news", ["x" * size], self.board.now)
        self.board.run()

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 3.0, 11.0]), long=RARELY)
    def time_passes(self, seconds: float, long: bool) -> None:
        self.board.pass_time(seconds + 80.0 * long)

    @rule(seconds=st.sampled_from([6.0, 100.0]), really=RARELY)
    def the_process_was_suspended(self, seconds: float, really: bool) -> None:
        if really:
            self.board.now += seconds
            self.board.board.handle_timeout(self.board.now)
            self.board.run()

    @rule(really=RARELY)
    def shuts_down(self, really: bool) -> None:
        if really:
            self.board.board.shut_down(self.board.now)
            self.board.run()

    @rule()
    def sockets_that_are_to_be_closed_are(self) -> None:
        for peer in self.all:
            closing = self.board.closed.get(peer.socket)
            if closing is False or (closing and not self.board.stuck.get(peer.socket)):
                self.leave(peer)

    def leave(self, peer: Peer) -> None:
        if not peer.gone:
            peer.gone = True
            self.board.drop(peer.socket)

    @invariant()
    def every_invariant_holds(self) -> None:
        if hasattr(self, "board"):
            check(self.board.board)
            self.model.check(self.board.board.gateway, self.board.now)
            self.board.witness.stopped(self.board.waiting)

    def teardown(self) -> None:
        if not hasattr(self, "board"):
            return
        self.everything_goes()
        for peer in self.all:
            peer.collect()
            if peer.honest and not peer.gone and peer.socket not in self.board.witness.writing_ended:
                assert not peer.pending
                assert peer.answered == peer.asked
            self.leave(peer)
        self.board.pass_time(200.0)
        check_at_rest(self.board.board)
        self.model.check_at_rest()
        self.board.witness.at_rest()

    def everything_goes(self) -> None:
        """Every socket takes everything, everything is said, every handler ends; time stands still."""
        for socket in list(self.board.stuck):
            self.board.release(socket)
        moving = True
        while moving:
            moving = False
            self.board.pass_time(0.0)
            while self.board.waiting:
                moving = True
                self.board.board.complete(self.board.waiting.pop(0).call, None, self.board.now)
                self.board.run()
            for peer in self.all:
                peer.collect()
                if peer.can_send:
                    moving = True
                    self.send(peer, CONFIG.read_bytes)


SwitchboardMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
TestSwitchboard = SwitchboardMachine.TestCase
