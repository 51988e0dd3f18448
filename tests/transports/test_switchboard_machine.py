"""Any sequence of what sockets, handlers and time can do to a switchboard: nothing raises, and every invariant holds.

The rules speak the protocols through the clients' codecs, or send rubbish; a socket takes what it is given, or nothing,
or a part. At the end everybody leaves, every handler ends, and nothing may be left.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from posthouse.core import Address, Config, Identity, RpcError
from posthouse.core.peers import SocketId
from posthouse.transports import Lines, Send, Text, WebSocketClient

from tests.invariants import check, check_at_rest
from tests.transports.board import PIPE, Board, call, post

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


class Peer:
    """One client: what it still has to send, and what it was answered."""

    def __init__(self, board: Board, socket: SocketId, client: WebSocketClient | Lines | None) -> None:
        self.board = board
        self.socket = socket
        self.client = client
        self.pending = bytearray()
        self.gone = False

    def say(self, text: bytes) -> None:
        """Queue one text, as this kind of client sends it."""
        if self.client is None:
            self.pending += post(text)
        elif isinstance(self.client, Lines):
            self.pending += self.client.frame(text)
        else:
            self.collect()
            if self.client.opened is not None and self.client._state == "open":
                self.client.send(text)
                self.collect()

    def collect(self) -> None:
        """Take what was written to it, and what it wants to send because of that."""
        if self.gone:
            return
        coming = self.board.take(self.socket)
        if self.client is None:
            return
        if coming:
            self.client.receive_data(coming, self.board.now)
        for output in self.client.output:
            if isinstance(output, Send):
                self.pending += output.data
            elif isinstance(output, Text):
                msgspec.json.decode(output.data)
        self.client.output.clear()


class SwitchboardMachine(RuleBasedStateMachine):
    """The rules. `board.closed` says which sockets the switchboard wants closed: those are reported in time."""

    peers: Bundle[Any] = Bundle("peers")

    @initialize(user=st.sampled_from([None, "ada"]))
    def begin(self, user: str | None) -> None:
        self.board = Board(CONFIG, identity=Identity(user, ("broadcast",)))
        self.all: list[Peer] = []

    @rule(target=peers, kind=st.sampled_from(["http", "websocket", "pipe"]), host=st.sampled_from(["a", "b", ""]))
    def opens(self, kind: str, host: str) -> Any:
        address = PIPE if kind == "pipe" else Address(host, 1)
        socket = self.board.board.opened(address, self.board.now)
        self.board.run()
        if socket is None:
            return multiple()
        self.board.written[socket] = bytearray()
        client: WebSocketClient | Lines | None = None
        if kind == "websocket":
            client = WebSocketClient(CONFIG, host=b"localhost", entropy=self.board.entropy, now=self.board.now)
        elif kind == "pipe":
            client = Lines(CONFIG)
        peer = Peer(self.board, socket, client)
        peer.collect()
        self.all.append(peer)
        return peer

    @rule(peer=peers, text=TEXTS, size=st.integers(1, 700))
    def says(self, peer: Peer, text: bytes, size: int) -> None:
        peer.say(text)
        self.sends(peer, size)

    @rule(peer=peers, rubbish=st.binary(min_size=1, max_size=50))
    def says_rubbish(self, peer: Peer, rubbish: bytes) -> None:
        peer.pending += rubbish

    @rule(peer=peers, size=st.integers(1, 700))
    def sends(self, peer: Peer, size: int) -> None:
        peer.collect()
        if peer.gone or peer.socket in self.board.stopped or not peer.pending:
            return
        data = bytes(peer.pending[:size])
        del peer.pending[:size]
        self.board.board.received(peer.socket, data, self.board.now)
        self.board.run()

    @rule(peer=peers)
    def half_closes(self, peer: Peer) -> None:
        if not peer.gone:
            self.board.board.received_eof(peer.socket, self.board.now)
            self.board.run()

    @rule(peer=consumes(peers))
    def resets(self, peer: Peer) -> None:
        self.leave(peer)

    @rule(peer=peers)
    def takes_nothing_any_more(self, peer: Peer) -> None:
        if not peer.gone:
            self.board.stuck.setdefault(peer.socket, 0)

    @rule(peer=peers, part=st.integers(1, 500))
    def takes_some(self, peer: Peer, part: int) -> None:
        stuck = self.board.stuck.get(peer.socket, 0)
        if stuck and not peer.gone:
            self.board.release(peer.socket, min(part, stuck))

    @rule(peer=peers)
    def takes_everything_again(self, peer: Peer) -> None:
        if peer.socket in self.board.stuck and not peer.gone:
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

    @rule(size=st.integers(1, 1500))
    def broadcasts(self, size: int) -> None:
        self.board.board.broadcast("news", ["x" * size], self.board.now)
        self.board.run()

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 3.0, 12.0, 80.0]))
    def time_passes(self, seconds: float) -> None:
        self.board.pass_time(seconds)

    @rule(seconds=st.sampled_from([6.0, 100.0]))
    def the_process_was_suspended(self, seconds: float) -> None:
        self.board.now += seconds
        self.board.board.handle_timeout(self.board.now)
        self.board.run()

    @rule()
    def shuts_down(self) -> None:
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

    def teardown(self) -> None:
        if not hasattr(self, "board"):
            return
        for peer in self.all:
            self.leave(peer)
        for invoke in self.board.waiting:
            self.board.board.complete(invoke.call, None, self.board.now)
            self.board.run()
        self.board.pass_time(200.0)
        check_at_rest(self.board.board)


SwitchboardMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestSwitchboard = SwitchboardMachine.TestCase
