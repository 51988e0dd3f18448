"""The core alone: an `echo` from its text to its reply, against the least that could do it, and against a library.

Each function of a contestant runs so many calls and returns the CPU seconds that they took.
"""

from __future__ import annotations

import os
from time import process_time
from typing import Any, Final

import msgspec
from msgspec.structs import astuple
from posthouse.core import Gateway, Invoke, Peer, Service, Transmit

from benchmarks.figures import Question, interleaved

REQUEST: Final = b'{"jsonrpc":"2.0","method":"echo","params":["What hath God wrought"],"id":1}'
RESPONSE: Final = {"jsonrpc": "2.0", "result": "What hath God wrought", "id": 1}
BATCH: Final = b"[%b]" % b",".join([REQUEST] * 100).replace(b'"id":1}', b'"id":%d}') % tuple(range(1, 101))
BATCH_RESPONSE: Final = [{**RESPONSE, "id": id} for id in range(1, 101)]
REPLIES: Final[dict[bytes, object]] = {REQUEST: RESPONSE, BATCH: BATCH_RESPONSE}

CALLS: Final = 30_000
BATCHES: Final = 300
LIBRARY_CALLS: Final = 500
"""How many of each are made in one round."""

service = Service("benchmark", public=True)


@service.method
def echo(message: str) -> str:
    """The same again."""
    return message


def alone(runs: int) -> dict[str, Question]:
    """The core, bare msgspec and a library: one call, and a batch of 100."""
    one = interleaved(
        {
            "bare": lambda: bare(CALLS) / CALLS,
            "posthouse": lambda: posthouse(CALLS) / CALLS,
            "jsonrpcserver": lambda: jsonrpcserver(LIBRARY_CALLS) / LIBRARY_CALLS,
        },
        runs,
    )
    batch = interleaved(
        {
            "bare": lambda: bare_batch(BATCHES) / BATCHES,
            "posthouse": lambda: posthouse(BATCHES, BATCH) / BATCHES,
        },
        runs,
    )
    return {
        "core": {name: {"cpu": seconds} for name, seconds in one.items()},
        "core, batch of 100": {name: {"cpu": seconds} for name, seconds in batch.items()},
    }


def posthouse(calls: int, request: bytes = REQUEST) -> float:
    """The gateway: admission, limits, typed parameters, a call's record, the handler, the reply."""
    gateway = Gateway(service, wall=0.0, entropy=os.urandom)
    connection = gateway.connect(Peer("websocket"), 0.0)
    outbox = gateway.outbox
    outbox.clear()
    receive, complete = gateway.receive, gateway.complete

    def run() -> None:
        receive(connection, request, 0.0)
        for effect in outbox:  # it grows meanwhile
            if type(effect) is Invoke:
                complete(effect.call, effect.method.function(*effect.args, **effect.kwargs), 0.0)

    began = process_time()
    for _ in range(calls):
        run()
        outbox.clear()
    seconds = process_time() - began
    run()
    (sent,) = [effect.data for effect in outbox if isinstance(effect, Transmit)]
    assert msgspec.json.decode(sent) == REPLIES[request]
    return seconds


class BareRequest(msgspec.Struct):
    """A request as a program would declare it that checks nothing."""

    jsonrpc: str
    method: str
    params: msgspec.Raw
    id: int | str


class BareParams(msgspec.Struct, array_like=True):
    """The parameters of `echo`."""

    message: str


METHODS: Final = {"echo": (msgspec.json.Decoder(BareParams).decode, echo)}
encode: Final = msgspec.json.Encoder().encode


def bare(calls: int) -> float:
    """The floor: msgspec decodes the request and, once a dict has found the method, its parameters; msgspec encodes the
    reply."""
    methods = METHODS
    decode = msgspec.json.Decoder(BareRequest).decode
    sent = b""
    began = process_time()
    for _ in range(calls):
        request = decode(REQUEST)
        convert, function = methods[request.method]
        result = function(*astuple(convert(request.params)))
        sent = encode({"jsonrpc": "2.0", "result": result, "id": request.id})
    seconds = process_time() - began
    assert msgspec.json.decode(sent) == RESPONSE
    return seconds


def bare_batch(batches: int) -> float:
    """The same for a batch: decoded at once, encoded at once."""
    methods = METHODS
    decode = msgspec.json.Decoder(list[BareRequest]).decode
    sent = b""
    began = process_time()
    for _ in range(batches):
        replies = []
        for request in decode(BATCH):
            convert, function = methods[request.method]
            result = function(*astuple(convert(request.params)))
            replies.append({"jsonrpc": "2.0", "result": result, "id": request.id})
        sent = encode(replies)
    seconds = process_time() - began
    assert msgspec.json.decode(sent) == BATCH_RESPONSE
    return seconds


def jsonrpcserver(calls: int) -> float:
    """A library of the field: text to text, as it is normally used."""
    from jsonrpcserver import Success, dispatch

    def echo(message: str) -> Any:
        return Success(message)

    methods = {"echo": echo}
    request = REQUEST.decode()
    sent = ""
    began = process_time()
    for _ in range(calls):
        sent = dispatch(request, methods=methods)
    seconds = process_time() - began
    assert msgspec.json.decode(sent) == RESPONSE
    return seconds
