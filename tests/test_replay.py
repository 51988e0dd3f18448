"""A run is a function of its inputs: recorded once, it is the same in every process, byte for byte."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from posthouse.core import Config

from tests.purity.replay import POLICY, Unencodable, replay, shown, to_json
from tests.transports.board import PIPE, Board, Browser, call, post

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"write_ahead": 300, "frames_per_turn": 3, "max_calls_per_connection": 2, "max_queued_pushes": 5}
INPUTS = (
    "opened received received_eof held sent closed complete fail progress notify broadcast request abandon shut_down "
    "handle_timeout"
).split()


class Recording(Board):
    """A board that writes down what its switchboard was told and what followed."""

    def __init__(self) -> None:
        super().__init__(Config.from_mapping(LIMITS), policy=POLICY)
        self.drawn: list[str] = []
        self.inputs: list[Any] = []
        self.followed: list[str] = []
        draw = self.entropy

        def entropy(size: int) -> bytes:
            piece = draw(size)
            self.drawn.append(b64encode(piece).decode())
            return piece

        for owner in (self.board.gateway._connections, self.board.gateway._liveness, self.board.gateway._dispatch):
            assert callable(owner._entropy)
            owner._entropy = entropy
        for name in INPUTS:
            setattr(self.board, name, self.recorded(name, getattr(self.board, name)))

    def recorded(self, name: str, input: Callable[..., Any]) -> Callable[..., Any]:
        """The input, written down before it happens; handlers' results as the bytes that they become."""

        def record(*arguments: Any, **keywords: Any) -> Any:
            given = list(arguments)
            if name == "complete" and not isinstance(given[1], Unencodable):
                given[1] = msgspec.Raw(msgspec.json.encode(given[1]))
            self.inputs.append([name, [to_json(argument) for argument in given], keywords])
            before = len(self.board.outbox)
            result = input(*given, **keywords)
            self.followed += map(shown, self.board.outbox[before:])
            return result

        return record

    def record(self) -> bytes:
        """The record so far, as `replay` reads it."""
        return b"\n".join(map(msgspec.json.encode, [LIMITS, self.drawn, *self.inputs]))


def eventful(seed: int, steps: int) -> Recording:
    """A run in which much happens, chosen by a seed."""
    chance = random.Random(seed)
    board = Recording()
    texts = (
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
    browsers = [Browser(board, deflate=chance.random() < 0.5) for _ in range(3)]
    pipe = board.open(PIPE)
    for _ in range(steps):
        living = [browser for browser in browsers if browser.client._state == "open"]
        match chance.randrange(10):
            case 0:
                socket = board.open()
                request = post(chance.choice(texts)) * chance.randrange(1, 3)
                cut = chance.randrange(len(request))
                for piece in filter(None, (request[:cut], request[cut:])):
                    board.feed(socket, piece)
                if chance.random() < 0.5:
                    board.drop(socket)
            case 1 | 2 | 3 if living:
                browser = chance.choice(living)
                browser.client.send(chance.choice(texts))
                browser.exchange()
            case 4 if pipe not in board.closed:
                board.feed(pipe, chance.choice(texts) + b"\n")
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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_recorded_run_is_the_same_when_its_inputs_are_given_again(seed: int) -> None:
    board = eventful(seed, 120)
    assert replay(board.record())[:-1] == board.followed


def test_a_recorded_run_is_the_same_byte_for_byte_whatever_the_seed_of_hashing(tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.write_bytes(eventful(4, 250).record())
    command = [sys.executable, str(ROOT / "tests" / "purity" / "replay.py"), str(ROOT), str(record)]
    outputs = []
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        outputs.append(done.stdout)
    assert outputs[0].count(b"\n") > 500
    assert outputs[0] == outputs[1] == outputs[2]
