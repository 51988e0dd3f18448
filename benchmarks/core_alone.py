"""The core alone: an `echo` from its text to its reply, against the least that could do it, and against a library.

Each function runs so many calls and gives the CPU seconds that they took.
"""

from __future__ import annotations

import os
from time import process_time
from typing import Any

import msgspec
from msgspec.structs import astuple
from posthouse.core import Gateway, Invoke, Peer, Service

REQUEST = b'{"jsonrpc": "2.0", "method": "echo", "params": {"message": "What hath God wrought"}, "id": 1}'
RESPONSE = {"jsonrpc": "2.0", "result": "What hath God wrought", "id": 1}

service = Service("benchmark", public=True)


@service.method
def echo(message: str) -> str:
    """The same again."""
    return message


def posthouse(calls: int) -> float:
    """The gateway: admission, limits, typed parameters, a call's record, the handler, the reply."""
    gateway = Gateway(service, wall=0.0, entropy=os.urandom)
    connection = gateway.connect(Peer("websocket"), 0.0)
    outbox = gateway.outbox
    outbox.clear()
    now = 0.0
    began = process_time()
    for _ in range(calls):
        gateway.receive(connection, REQUEST, now)
        invoke: Any = outbox[0]
        gateway.complete(invoke.call, invoke.method.function(*invoke.args, **invoke.kwargs), now)
        outbox.clear()
    seconds = process_time() - began
    gateway.receive(connection, REQUEST, now)
    (invoked,) = outbox
    assert isinstance(invoked, Invoke)
    gateway.complete(invoked.call, invoked.method.function(*invoked.args, **invoked.kwargs), now)
    transmit: Any = outbox[1]
    assert msgspec.json.decode(transmit.data) == RESPONSE
    return seconds


class BareRequest(msgspec.Struct):
    """A request as a program would declare it that checks nothing."""

    jsonrpc: str
    method: str
    params: msgspec.Raw
    id: int | str


class BareParams(msgspec.Struct):
    """The parameters of `echo`."""

    message: str


def bare(calls: int) -> float:
    """The floor: msgspec decodes the request and, once a dict has found the method, its parameters, whichever they are;
    msgspec encodes the reply."""
    methods = {"echo": (msgspec.json.Decoder(BareParams).decode, echo)}
    decode = msgspec.json.Decoder(BareRequest).decode
    encode = msgspec.json.Encoder().encode
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


def jsonrpcserver(calls: int) -> float:
    """A library of the field: text to text, its request schema checked as it comes."""
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
