"""What clients of the stage say in a storm, and which outcomes each of their calls may have.

It may not know what befalls the links and the server.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.clients.clients import Client
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.adapters.simulation.clients.speeches import WebSocketSpeech
from posthouse.adapters.simulation.handlers.manners import Spoiled
from posthouse.core.values.errors import (
    DRAINING,
    ERRORS,
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RATE_LIMITED,
    REQUEST_TOO_LARGE,
    SERVER_BUSY,
    UNAUTHENTICATED,
    RpcError,
)

from .stage import CODES, RESULTS, TELLING
from .swarm import Swarm

TOLD: Final = ("echo", "echo", "x" * 200)
"""What is told in batches. The last is longer than any limit of names: who sends it is not told by which id."""

CALLED: Final = ("echo", "echo", *RESULTS, *CODES)
NAMED: Final = {"echo.wrongly": "echo"}
"""What is called by another name than it is known by here."""

ANSWERED: Final[dict[str, tuple[int, ...]]] = {
    "connection.ping": (),
    "connection.info": (FORBIDDEN, UNAUTHENTICATED),
    "connection.stats": (FORBIDDEN, UNAUTHENTICATED),
    "message.broadcast": (FORBIDDEN, UNAUTHENTICATED),
}
"""Methods that the gateway answers by itself, and which errors each may have for what it is."""

OF_THE_CALL: Final = (METHOD_NOT_FOUND, INVALID_PARAMS, UNAUTHENTICATED, FORBIDDEN)
"""Errors that a call has for what it is, and not for what befell it."""

HARM: Final = (SERVER_BUSY, RATE_LIMITED, DRAINING, REQUEST_TOO_LARGE, PARSE_ERROR)
"""What no call fails with whose caller is within all limits."""


class Play:
    """The part of the clients. `storming`: it is not calm yet."""

    def __init__(self, swarm: Swarm) -> None:
        self.storming = True
        self._swarm: Final = swarm
        self._calls = 0
        self._made_by: Final[dict[str, int]] = {}

    def speak(self, client: Client) -> None:
        """What a client says when its turn comes."""
        stream = client.stream
        match stream.choose(16):
            case 0:
                calls = [self._call(client) for _ in range(1 + stream.choose(min(self._swarm.config.max_batch, 5)))]
                room = self._swarm.config.max_batch > len(calls)
                told = [(stream.pick(TOLD), ["nobody"])] if room and stream.happens(300) else []
                if told and stream.happens(300):
                    calls = []
                batch = client.batch([by_position(method, params) for method, params in calls], told)
                for call, (method, params) in zip(batch, calls, strict=True):
                    self._expect(client, call, method, params)
            case 1 if client.pending:
                client.cancel(stream.pick(client.pending))
            case 2:
                client.notify("echo", "nobody")
            case 3:
                method = stream.pick(("connection.ping", "connection.info", "connection.stats"))
                self._expect(client, client.call(method), method, {})
            case 4:
                call = client.call("message.broadcast", data=[client.name])
                self._expect(client, call, "message.broadcast", {})
            case 5 if isinstance(client.speech, WebSocketSpeech):
                for _ in range(stream.pick((1, 3))):
                    self._expect(client, client.ping(), "ping", {})
            case _:
                method, params = self._call(client)
                timeout = stream.pick((None, None, None, 1, 300))
                token = stream.pick((None, self._calls)) if method in TELLING else None
                call = client.call(NAMED.get(method, method), timeout_ms=timeout, progress_token=token, **params)
                self._expect(client, call, method, params)

    def _call(self, client: Client) -> tuple[str, dict[str, Any]]:
        """What to call, and with what."""
        stream = client.stream
        self._calls += 1
        made = self._made_by[client.name] = self._made_by.get(client.name, 0) + 1
        token = f"{client.name}/{made}"
        method = stream.pick(CALLED)
        match method:
            case "add":
                return method, {"a": stream.choose(100), "b": made}
            case "blob":
                return method, {"token": token, "size": stream.pick((10, 200, 5000))}
            case "tell":
                return method, {"token": token, "times": 1 + stream.choose(4)}
            case "wait" | "finish" | "climb":
                return method, {"token": token, "seconds": stream.pick((0.0, 0.2, 3.0))}
            case "order":
                price = stream.choose(9)
                return method, {"item": {"name": token, "price": price}, "count": stream.choose(3), "note": "x"}
            case "shelf.total":
                return method, {"numbers": [stream.choose(9) for _ in range(stream.choose(4))]}
            case "spread":
                return method, {"first": stream.choose(9), "x": stream.choose(9), "y": 7}
            case "paired":
                return method, {"pairs": [{"left": stream.pick("abc")} for _ in range(stream.choose(4))]}
            case "tags":
                return method, {"names": [stream.pick("abc") for _ in range(4)][: stream.choose(5)]}
            case "secret" | "breaks" | "unspeakable" | "no.such.method":
                return method, {}
            case "echo.wrongly":
                return method, {"token": 7}
            case _:
                return method, {"token": token}

    def _expect(self, client: Client, call: PendingCall, method: str, params: dict[str, Any]) -> None:
        call.then(partial(self._judge, client, method, params))

    def _judge(self, client: Client, method: str, params: dict[str, Any], call: PendingCall) -> None:
        """Is this an outcome that such a call may have?"""
        if client.liar and (method == "ask" or method in TELLING):
            return  # what it is told is what it answered, and what it was told may be lost between its lies
        if self._swarm.fair and self.storming:
            harmed = call.status == "lost" or (call.error is not None and call.error.code in HARM)
            if harmed:
                raise Violation("answering: nobody is harmed in fair weather", call, call.error)
        if call.status == "result":
            told = {"told": len(call.progress)} if method in TELLING else {}
            if call.value != RESULTS[method](params | told) if method in RESULTS else method in CODES:
                raise Violation("answering: a result is that of its call", call, call.value)
        elif call.error is not None and not client.liar and not self._may_have(method, call.error):
            raise Violation("answering: an error is one that its call may have", call, repr(call.error))

    def _may_have(self, method: str, error: RpcError) -> bool:
        """May a call of this method, of somebody who does not lie, end with this error?"""
        own = CODES.get(method, ()) + ANSWERED.get(method, ())
        if error.code == INTERNAL_ERROR:
            # Something that was raised, if it is not what was returned.
            wanted = error.code in own or isinstance(error.__cause__, Spoiled)
            return wanted and (method == "unspeakable" or error.__cause__ is not None)
        return error.code in own or (error.code in ERRORS and error.code not in OF_THE_CALL)


def by_position(method: str, params: dict[str, Any]) -> tuple[str, list[Any]]:
    """A call as batches take it."""
    return NAMED.get(method, method), [value for name, value in params.items() if name != "note"]
