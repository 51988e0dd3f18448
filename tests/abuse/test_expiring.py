"""Row 39: a token that expires, and a user who is banned: bytes in, bytes out, on a clock that the test holds."""

from __future__ import annotations

from typing import Any

from msgspec.json import encode
from posthouse.core import Bearer, Cancel, Config, Identity, Invoke, Refused, Service, Verify
from posthouse.core.values.peers import SocketId

from tests.transports.board import HERE, Board

from .attacker import UPGRADE, Attacker, close_codes, content, status

LIFE, WALL = 100.0, 1_700_000_000.0


def service() -> Service:
    offered = Service("expiring")

    @offered.method(on_disconnect="finish")
    def hold() -> str:
        return "held"

    @offered.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError  # the table below decides

    return offered


class Expiring(Board):
    """A board whose authenticator knows one user until it is `banned`. Its tokens are `issued` so many seconds after
    the start. No handler ends; `ended` has the calls that were cancelled."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(Config(heartbeat_interval=None, call_timeout=1_000.0, **limits), service=service())
        self.banned = False
        self.issued = WALL
        self.ended: list[int] = []

    def at(self, now: float) -> None:
        """Time passes until `now`."""
        self.pass_time(now - self.now)

    def invoke(self, action: Invoke) -> None:
        self.waiting.append(action)

    def settle(self) -> None:
        """Answer every authenticator that was asked since this was last called."""
        actions = self.actions.copy()
        self.actions.clear()
        for action in actions:
            if isinstance(action, Cancel):
                self.ended.append(action.call)
            if isinstance(action, Verify):
                self.board.conclude(action.operation, self.decide(action.credentials), self.now)
                self.run()

    def decide(self, credentials: Bearer) -> Identity | Refused:
        known = credentials.token.startswith("right") and not self.banned
        return Identity("ada", expires_at=self.issued + LIFE, issued_at=self.issued) if known else Refused()

    def ask(self, token: str = "right") -> tuple[SocketId, bytes]:
        """One HTTP request with a token: its socket, and its answer so far."""
        head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        body = b'{"jsonrpc":"2.0","method":"hold","id":1}'
        head += b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n" % (token.encode(), len(body))
        socket = self.open(HERE)
        self.feed(socket, head + body)
        self.settle()
        return socket, self.take(socket)


def log_in(peer: Attacker, board: Expiring, id: int = 1, token: str = "right") -> None:
    params = {"method": "bearer", "token": token}
    peer.tell(encode({"jsonrpc": "2.0", "method": "auth.login", "params": params, "id": id}))
    board.settle()


def call(peer: Attacker, board: Expiring, id: int) -> None:
    peer.tell(encode({"jsonrpc": "2.0", "method": "hold", "id": id}))
    board.settle()


def told(peer: Attacker) -> list[Any]:
    return [each.get("method") or each.get("error", {}).get("code") for each in peer.messages()]


def test_row_39_a_token_that_expires_is_refused_and_its_connection_closed_behind_the_grace() -> None:
    board = Expiring()
    peer = Attacker(board)
    log_in(peer, board)
    call(peer, board, 2)
    assert told(peer) == [None]
    board.at(39.999)
    assert told(peer) == []
    board.at(40.0)
    assert told(peer) == ["auth.expiring"]
    board.at(99.999)
    call(peer, board, 3)
    assert told(peer) == []
    board.at(100.0)
    call(peer, board, 4)
    assert told(peer) == [-32022]
    board.at(109.999)
    assert peer.frames() == []
    board.at(110.0)
    assert close_codes(peer.frames()) == [4401]


def test_row_39_during_the_grace_a_new_token_saves_the_connection_and_a_wrong_one_does_not() -> None:
    for token, code in (("right again", None), ("wrong", 4401)):
        board = Expiring()
        peer = Attacker(board)
        log_in(peer, board)
        board.at(105.0)
        board.issued += 105.0
        log_in(peer, board, 2, token)
        peer.frames()
        board.at(110.0)
        assert close_codes(peer.frames()) == ([] if code is None else [code])


def test_row_39_an_expired_token_over_http_is_401() -> None:
    board = Expiring()
    board.at(100.0)
    _, answer = board.ask()
    assert (status(answer), content(answer)["error"]["code"]) == (401, -32022)
    socket = board.open(HERE)
    board.feed(socket, UPGRADE % b"Authorization: Bearer right\r\n")
    board.settle()
    assert status(board.take(socket)) == 401
    assert board.waiting == []


def test_row_39_a_token_in_the_cache_counts_no_longer_than_it_lives() -> None:
    board = Expiring(credential_cache=1000.0)
    board.ask()
    assert len(board.waiting) == 1
    board.at(99.999)
    board.ask()
    assert len(board.waiting) == 2
    board.at(100.0)
    _, answer = board.ask()
    assert (status(answer), content(answer)["error"]["code"]) == (401, -32022)


def test_row_39_a_banned_user_is_closed_at_once_whatever_runs_and_gets_in_nowhere() -> None:
    board = Expiring()
    peer, other = Attacker(board), Attacker(board)
    log_in(peer, board)
    call(peer, board, 2)
    socket, answer = board.ask()
    assert answer == b""
    calls = [invoke.call for invoke in board.waiting]
    peer.frames()
    board.banned = True
    assert board.board.revoke("ada", board.now) == 2
    board.run()
    board.settle()
    assert close_codes(peer.frames()) == [4403]
    answer = board.take(socket)
    assert (status(answer), content(answer)["error"]["code"]) == (403, -32021)
    assert board.ended == calls
    assert other.frames() == []
    _, answer = board.ask()
    assert (status(answer), content(answer)["error"]["code"]) == (401, -32020)


def test_row_39_a_call_whose_client_has_left_does_not_survive_the_ban() -> None:
    board = Expiring()
    peer = Attacker(board)
    log_in(peer, board)
    call(peer, board, 2)
    (invoke,) = board.waiting
    board.board.closed(peer.socket, board.now)
    board.run()
    board.settle()
    assert board.ended == []
    assert board.board.revoke("ada", board.now) == 0
    board.run()
    board.settle()
    assert board.ended == [invoke.call]


def test_row_39_tokens_that_were_made_before_the_ban_are_refused_though_the_authenticator_knows_nothing() -> None:
    board = Expiring()
    assert board.board.revoke("ada", 0.0, not_before=WALL + 0.5) == 0
    _, answer = board.ask()
    assert (status(answer), content(answer)["error"]["code"]) == (401, -32020)
    board.issued += 0.5
    board.ask("right-and-new")
    assert len(board.waiting) == 1
