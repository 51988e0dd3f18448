"""Guessed passwords and tokens: bytes in, bytes out, until the budgets are spent."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from msgspec.json import decode, encode
from posthouse.core import Address, Basic, Bearer, Config, Identity, Refused, Service, Verify
from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.actions import Action
from posthouse.transports.websocket.frames import FIN, TEXT

from tests.transports.board import HERE, Board

from .attacker import UPGRADE, Attacker, close_codes, content, status

USERS = {"ada": "right"}
ELSEWHERE = Address("192.0.2.9", 40_000)


def service() -> Service:
    offered = Service("guessed")

    @offered.method
    def vault() -> str:
        return "opened"

    @offered.authenticator("basic", namespace="local")
    def basic(credentials: Basic) -> Identity | None:
        raise NotImplementedError  # the table below decides

    @offered.authenticator("bearer", namespace="tokens")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    return offered


class Guessed(Board):
    """A board whose authenticators know one user. `asked` has the passwords and tokens that they saw."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(Config(**limits), service=service())
        self.asked: list[str] = []

    def settle(self) -> None:
        """Answer every authenticator that was asked since this was last called."""
        actions: list[Action] = [action for action in self.actions if isinstance(action, Verify)]
        self.actions.clear()
        for action in actions:
            assert isinstance(action, Verify)
            given = action.credentials
            secret = given.token if isinstance(given, Bearer) else given.password
            self.asked.append(secret)
            right = isinstance(given, Basic) and USERS.get(given.user) == secret
            self.board.conclude(action.operation, Identity("ada") if right else Refused(), self.now)
        if actions:
            self.run()
            self.settle()

    def ask(self, password: str, user: str = "ada", *, address: Address = HERE) -> bytes:
        """One HTTP request with a password: its answer."""
        head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        body = b'{"jsonrpc":"2.0","method":"vault","id":1}'
        authorization = b64encode(f"{user}:{password}".encode())
        head += b"Authorization: Basic %b\r\nContent-Length: %d\r\n\r\n" % (authorization, len(body))
        return self.told(self.open(address), head + body)

    def told(self, socket: SocketId, data: bytes) -> bytes:
        answer = self.feed(socket, data)
        self.settle()
        return answer + self.take(socket)


def statuses(answers: list[bytes]) -> list[int]:
    return [status(answer) for answer in answers]


def test_row_38_after_five_wrong_passwords_no_authenticator_is_asked() -> None:
    board = Guessed()
    answers = [board.ask(f"guess {number}") for number in range(9)]
    assert statuses(answers) == [401] * 5 + [429] * 4
    assert board.asked == [f"guess {number}" for number in range(5)]
    assert b"Retry-After: 1\r\n" in answers[5]
    error = content(answers[5])["error"]
    assert (error["code"], error["data"]) == (-32023, {"retryable": True, "retry_after_ms": 1000})


def test_row_38_the_right_password_is_not_told_from_a_wrong_one_meanwhile() -> None:
    board = Guessed()
    for number in range(5):
        board.ask(f"guess {number}")
    assert board.ask("right") == board.ask("wrong")


def test_row_38_a_user_who_does_not_exist_gets_the_same_bytes_in_the_same_order() -> None:
    told: list[list[bytes]] = []
    for user in ("ada", "nobody"):
        board = Guessed()
        told.append([board.ask(f"guess {number}", user) for number in range(8)])
        assert len(board.asked) == 5
    assert told[0] == told[1]


def test_row_38_another_address_is_not_locked_out() -> None:
    board = Guessed()
    for number in range(30):
        board.ask(f"guess {number}")
    assert statuses([board.ask("right", address=ELSEWHERE)]) == [200]


def test_row_38_fifty_users_tried_from_one_address_spend_its_budget() -> None:
    board = Guessed()
    answers = [board.ask("123456", f"user {number}") for number in range(52)]
    assert statuses(answers) == [401] * 50 + [429] * 2
    assert statuses([board.ask("right", address=ELSEWHERE)]) == [200]


def test_row_38_a_user_who_got_in_before_gets_in_beside_a_guesser() -> None:
    board = Guessed(credential_cache=0.0)
    assert statuses([board.ask("right")]) == [200]
    for number in range(60):
        board.ask("123456", f"user {number}")
    assert statuses([board.ask("123456", "bob"), board.ask("right")]) == [429, 200]


def test_row_38_a_handshake_gets_429() -> None:
    board = Guessed(max_auth_failures_per_address=2)
    answers = []
    for number in range(3):
        line = b"Authorization: Bearer guess-%d\r\n" % number
        answers.append(board.told(board.open(HERE), UPGRADE % line))
    assert statuses(answers) == [401, 401, 429]
    assert b"Retry-After: 1\r\n" in answers[2]
    assert board.asked == ["guess-0", "guess-1"]


@pytest.mark.parametrize(
    "params",
    [{"method": "password", "user": "ada", "password": "wrong"}, {"method": "bearer", "token": "wrong"}],
)
def test_row_38_a_connection_that_goes_on_guessing_is_closed_with_4401(params: dict[str, str]) -> None:
    board = Guessed(max_auth_failures=3, max_auth_failures_per_address=3)
    attacker, frames = Attacker(board), []
    for id in range(1, 6):
        attacker.tell(encode({"jsonrpc": "2.0", "method": "auth.login", "params": params, "id": id}))
        board.settle()
        frames += attacker.frames()
    codes = [decode(payload)["error"]["code"] for first, payload in frames if first == FIN | TEXT]
    assert codes == [-32020, -32020, -32020, -32023, -32023]
    assert close_codes(frames) == [4401]
    assert len(board.asked) == 3
