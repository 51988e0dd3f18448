"""Scenes about handlers: how they end, what the log says of them, and what they may do from a task or a thread."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import call, frame, line, plain, post, sample, upgrade
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import ConnectionId


def socket(stage: Stage, service: Service, **options: Any) -> Any:
    """A WebSocket to this service."""
    stage.serve(service, config=Config(**options))
    client = stage.client()
    client.send(upgrade())
    return client


@scene("every way in which a handler ends")
def _ends(stage: Stage) -> None:
    client = socket(stage, plain(), call_timeout=1.0, cleanup_grace=0.5, log_lines=2, log_interval=3.0)
    for method in ("echo", "block", "fail", "refuse", "lose", "opaque", "brief"):
        client.send(frame(call(method, "x", id=method)), 0.3)
    client.send(frame(call("resist", "x", 3.0)), 1.2)
    client.send(frame(call("wait", "x", 3.0)), 1.2)
    for method in ("fail", "fail", "lose", "lose", "brief", "brief"):
        client.send(frame(call(method, "again")), 0.25)
    stage.wait(5.0)
    client.send(frame(call("fail", "x")))
    client.send(frame(call("resist", "x", 30.0)))
    client.link.up.end()
    stage.wait(10.0)
    stage.note({name: value for name, value in stage.server.stats().items() if value})


@scene("exceptions that a handler must not raise")
def _escapes(stage: Stage) -> None:
    service = sample()
    kinds = (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, anyio.get_cancelled_exc_class)

    @service.method
    def raises(number: int) -> None:
        kind = kinds[number]
        raise kind() if isinstance(kind, type) else kind()()

    @service.method
    async def later(number: int) -> None:
        await anyio.sleep(0.01)
        raises(number)

    @service.method(blocking=True)
    def in_thread(number: int) -> None:
        raises(number)

    @service.method
    async def grouped(number: int) -> None:
        errors = [RpcError(7, "seven")] if number == 1 else [RpcError(7), RpcError(8)]
        raise ExceptionGroup("several", errors if number else [ExceptionGroup("inner", errors)])

    client = socket(stage, service)
    for number in range(4):
        client.send(frame(call("raises", number)), 0.1)
    for number in range(3):
        client.send(frame(call("grouped", number)), 0.1)
        client.send(frame(call("in_thread", number)), 0.1)


@scene("interceptors that replace arguments and outcomes, or fail")
def _interceptors(stage: Stage) -> None:
    service = Service("intercepted", public=True)

    @service.on_call
    def before(context: Context, method: Method, arguments: Arguments) -> Any:
        (token,), named = arguments
        if token == "refused":
            raise RpcError(9, "refused")
        return ((token.upper(),), named) if token == "loud" else None

    @service.on_outcome
    def after(context: Context, method: Method, outcome: Outcome) -> Any:
        match outcome:
            case Returned(value="wrong"):
                return "no outcome"
            case Returned(value="raise"):
                return Raised(RpcError(10, "raised"))
            case Returned(value="fail"):
                raise ValueError
            case Raised(error=RpcError(code=9)):
                return Returned("saved")
        return None

    @service.on_outcome
    async def last(context: Context, method: Method, outcome: Outcome) -> None:
        stage.note("last", type(outcome).__name__)

    @service.method
    async def echo(token: str) -> str:
        await anyio.sleep(1.0 if token == "slow" else 0.0)
        return token

    @service.method(blocking=True)
    def echo_in_thread(token: str) -> str:
        return token

    client = socket(stage, service, call_timeout=0.5)
    for token in ("plain", "loud", "refused", "wrong", "raise", "fail", "slow"):
        for method in ("echo", "echo_in_thread"):
            client.send(frame(call(method, token, id=token)), 0.6)


@scene("a handler asks its client")
def _asks(stage: Stage) -> None:
    service = sample()

    @service.method
    async def asks(context: Context, what: str) -> Any:
        try:
            kinds = {"number": int, "text": str}
            return await context.call("question", [what], timeout=0.5, result_type=kinds.get(what, Any))
        except RpcError as error:
            return [error.code, error.message, error.data]

    client = socket(stage, service)
    answers = (
        *('"result":1', '"result":"x"', '"error":{"code":5,"message":"no","data":[1]}', '"result":{"a":[1]}'),
        '"error":{"code":5,"message":"no"}',
    )
    number = 0
    for what in ("number", "text", "else"):
        for answer in answers:
            number += 1
            client.send(frame(call("asks", what)))
            client.send(frame(b'{"jsonrpc":"2.0","id":%d,%b}' % (number, answer.encode())))
    client.send(frame(call("asks", "late")), 1.0)
    client.send(frame(call("asks", "cancelled", id="c")))
    client.send(frame(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"c"}}'))
    client.send(frame(call("asks", "gone", id="g")))
    client.end(1.0)
    stage.client("b").send(post(call("asks", "x")))


@scene("what a thread may do with its context")
def _threads(stage: Stage) -> None:
    service = sample()

    @service.method(blocking=True)
    def works(context: Context, token: str) -> Any:
        sent: list[Any] = [context.notify("now", [token]), context.notify("then", [token], after_reply=True)]
        sent.append(context.progress(0.25))
        if token == "asks":
            asking = context.call("question", None, timeout=0.5)
            try:
                asking.send(None)
            except StopIteration as end:
                sent.append(end.value)
            except RpcError as error:
                sent.append([error.code, error.data])
        if token == "serves":
            for act in (stage.server.health, stage.server.stats):
                sent.append(type(act()).__name__)
            sent.append(stage.server.broadcast("news", [1], kinds=["websocket"], users=["nobody"]))
            sent.append(stage.server.broadcast("news", [2]))
            sent.append(stage.server.notify(context.connection, "mine", {"a": 1}))
            sent.append(stage.server.revoke("nobody"))
            calling = stage.server.call("echo", ["from a thread"])
            try:
                calling.send(None)
            except StopIteration as end:
                sent.append(end.value)
        return sent

    client = socket(stage, service)
    client.send(frame(call("works", "plain", meta={"progress_token": "p"})), 0.1)
    client.send(frame(call("works", "serves")), 0.3)
    client.send(frame(call("works", "asks")), 0.1)
    client.send(frame(b'{"jsonrpc":"2.0","id":1,"result":[7]}'), 0.1)
    client.send(frame(call("works", "asks")), 1.0)
    client.send(frame(call("works", "asks")), 0.1)
    stage.do(lambda: stage.server.shut_down(0.1))
    stage.wait(20.0)


@scene("a queue for threads, and calls that wait for them")
def _queue(stage: Stage) -> None:
    service = sample()

    @service.method(blocking=True)
    def asks(context: Context, token: str) -> Any:
        asking = context.call("question", [token], timeout=5.0)
        try:
            asking.send(None)
        except StopIteration as end:
            return end.value

    @service.method(blocking=True, sequential=True)
    def in_line(context: Context, token: str) -> Any:
        stage.note(f"in_line {token}")
        return token

    client = socket(stage, service, blocking_workers=2, max_blocking_queue=1)
    for token in "abcd":
        client.send(frame(call("asks", token, id=token)), 0.05)
    client.send(frame(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"c"}}'), 0.05)
    client.send(frame(call("in_line", "1")) + frame(call("in_line", "2", id=2)), 0.05)
    client.send(frame(b'{"jsonrpc":"2.0","id":1,"result":1}') + frame(b'{"jsonrpc":"2.0","id":2,"result":2}'), 0.1)
    for token in "ef":
        client.send(frame(call("asks", token, id=token)), 0.05)
    stage.wait(6.0)


@scene("notifications behind a reply")
def _followers(stage: Stage) -> None:
    service = sample()

    @service.method
    async def follows(context: Context, token: str) -> str:
        stage.note("before:", context.notify("behind", [token], after_reply=True))
        await anyio.sleep(0.05)
        stage.note("again:", context.notify("behind", [token, 2], after_reply=True))
        if token == "fails":
            raise RpcError(7)
        return token

    client, pipes = stage.pipes()
    stage.serve(service, pipes=[pipes])
    client.send(line(call("follows", "x")), 0.1)
    client.send(line(call("follows", "fails")), 0.1)
    client.send(line(call("follows", "unanswered", id=None)), 0.1)
    client.send(line(b"[" + call("follows", "one") + b"," + call("wait", "two", 0.5, id=2) + b"]"), 1.0)
    client.send(line(call("follows", "cancelled", id=9)), 0.01)
    client.send(line(b'{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":9},"id":10}'), 0.1)


@scene("calls in process")
def _in_process(stage: Stage) -> None:
    stage.serve(plain(secret=True), config=Config(call_timeout=1.0))
    server = stage.server
    calls: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("echo", ["x"], {}),
        ("echo", {"token": "x"}, {"result_type": str}),
        ("echo", ["x"], {"result_type": int}),
        ("echo", [1], {}),
        ("nothing", None, {}),
        ("secret", None, {}),
        ("refuse", ["x"], {}),
        ("fail", ["x"], {}),
        ("wait", ["x", 5.0], {"timeout": 0.2}),
        ("wait", ["x", 5.0], {}),
        ("ask", ["x", 1.0], {}),
        ("connection.info", None, {}),
        ("echo", [object()], {}),
    )
    for number, (method, params, options) in enumerate(calls):
        stage.run(partial(server.call, method, params, **options), f"call {number}")
    stage.wait(2.0)

    async def cancelled() -> str:
        with anyio.move_on_after(0.1):
            await server.call("wait", ["y", 5.0])
        return "cancelled"

    stage.run(cancelled, "a call that is cancelled")
    stage.wait(1.0)
    stage.run(lambda: server.call("wait", ["z", 0.5]), "the last call")
    stage.do(server.shut_down)
    stage.wait(5.0)
    stage.run(lambda: server.call("echo", ["x"]), "a call after the end")
    stage.note(server.notify(ConnectionId(1), "x"), server.broadcast("x"), server.revoke("x"))
    stage.note(stage.server.health())
