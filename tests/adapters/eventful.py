"""Runs in which much happens, chosen by a seed, on a board whose switchboard is recorded."""

from __future__ import annotations

import random

from posthouse.adapters.journal import Header, Journal, Recorder, read, shown
from posthouse.core import Config, Gateway, Identity, Service
from posthouse.core.values.lifecycle import EventName
from posthouse.transports import Policy, Switchboard

from tests.transports.board import PIPE, Board, Browser, calculator, call, post

CONFIG = Config(write_ahead=300, frames_per_turn=3, max_calls_per_connection=2, max_queued_pushes=5)
POLICY = Policy(identity=Identity("ada", ("broadcast",)))
WALL = 1_700_000_000.0
EVENTS: tuple[EventName, ...] = ("call.ended",)


class Unencodable:
    """A result of a handler that cannot be encoded as JSON."""


class Recording(Board):
    """A board that writes down what its switchboard was told and what followed."""

    def __init__(
        self, config: Config = CONFIG, *, service: Service | None = None, gateway: type[Gateway] = Gateway
    ) -> None:
        super().__init__(config, policy=POLICY)
        self.lines: list[bytes] = []
        self.followed: list[str] = []
        service = calculator() if service is None else service
        header = Header.of(service, config, wall=WALL, policy=POLICY, events=EVENTS)
        self.recorder = recorder = Recorder(service, header, self.lines.append, self.entropy)
        core = gateway(recorder.service, config, wall=WALL, entropy=recorder.entropy, events=EVENTS)
        self.board = Switchboard(core, POLICY)
        recorder.watch(self.board)

    def run(self) -> None:
        """As ever; `followed` has every action as text, in order."""
        seen = len(self.actions)
        super().run()
        self.followed += map(shown, self.actions[seen:])

    def journal(self) -> Journal:
        """The record so far."""
        return read(self.lines)


TEXTS = (
    call("add", b"[1,2]"),
    call("later", b"[1]", b"7"),
    call("finish", b"[]", b"8"),
    call("blob", b"[900]"),
    call("secret"),
    call("connection.stats"),
    call("message.broadcast", b'{"data":[1,2]}'),
    call("rpc.cancel", b'{"id":7}'),
    b"[" + call("add", b"[1,2]") + b"," + call("later", b"[]", b"9") + b"]",
    b"rubbish",
)


def eventful(seed: int, steps: int, *, gateway: type[Gateway] = Gateway) -> Recording:
    """A run in which much happens, to its end."""
    chance = random.Random(seed)
    board = Recording(gateway=gateway)
    browsers = [Browser(board, deflate=chance.random() < 0.5) for _ in range(3)]
    pipe = board.open(PIPE)
    for _ in range(steps):
        living = [browser for browser in browsers if browser.client._state == "open"]
        if len(living) < 2:
            browsers.append(Browser(board, deflate=chance.random() < 0.5))
        match chance.randrange(10):
            case 0:
                socket = board.open()
                request = post(chance.choice(TEXTS)) * chance.randrange(1, 3)
                cut = chance.randrange(len(request))
                for piece in filter(None, (request[:cut], request[cut:])):
                    board.feed(socket, piece)
                if chance.random() < 0.5:
                    board.drop(socket)
            case 1 | 2 | 3 if living:
                browser = chance.choice(living)
                browser.client.send(chance.choice(TEXTS))
                browser.exchange()
            case 4 if pipe not in board.closed:
                board.feed(pipe, chance.choice(TEXTS) + b"\n")
            case 5 if board.waiting:
                invoke = board.waiting.pop(chance.randrange(len(board.waiting)))
                board.board.complete(invoke.call, chance.choice([1, "x" * 500, Unencodable()]), board.now)
            case 6:
                board.board.broadcast("news", ["x" * chance.randrange(600)], board.now)
            case 7 if living:
                socket = chance.choice(living).socket
                if socket in board.stuck:
                    board.release(socket)
                else:
                    board.stuck[socket] = 0
            case 8:
                board.pass_time(chance.choice([0.5, 4.0, 20.0]))
            case 9 if board.waiting:
                caller = board.waiting[-1].caller.connection
                board.board.request(caller, "ask", {"a": 1}, board.now, timeout=3.0)
        board.run()
    board.board.shut_down(board.now)
    board.pass_time(100.0)
    return board
