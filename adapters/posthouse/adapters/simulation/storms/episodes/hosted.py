"""A service under an ASGI server: the real application, on virtual time, with clients that leave, send in pieces, and
take nothing.

Each client knows what it may be answered. The event loop, the machine and the server behind the application are those
of other storms.
"""

from __future__ import annotations

import logging
from contextvars import copy_context
from functools import partial
from typing import Any, Final

import anyio
from msgspec import json
from posthouse.adapters.asgi import asgi
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.invariants import Violation, Witness, check, check_at_rest, must
from posthouse.adapters.loop.runner import Perform, Runner
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.adapters.server.build import BUILD, Build
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.adapters.simulation.chance import Seeded, Stream
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule
from posthouse.core.values.config import Config
from posthouse.core.values.errors import DEADLINE_EXCEEDED

from .host import WRITE_TIMEOUT, Ends, Manners, Message, innermost
from .shop import MARK, shop

WALL: Final = 1_700_000_000.0
SEEDS: Final = 1 << 30
CLIENTS: Final = 16
LONG: Final = 3.0
LONGEST: Final = 300.0
"""Virtual seconds after which an episode that has not ended fails."""

MOST_ROUNDS: Final = 1000

SLOW: Final = (0.0, 0.0, 0.01, 0.5)


class Hosted:
    """One episode. `ended`: when the handler of each token ended, by the token. `closed`: the codes of WebSockets."""

    def __init__(self, stream: Stream, *, trio: bool = False) -> None:
        # One choice of the storm seeds the others: choosing may raise, and here what a task raises is a fault.
        stream = Seeded(stream.choose(SEEDS)).stream("hosted")
        self._stream: Final = stream
        self._schedule: Final = Schedule()
        clock = ProcessClock(self._schedule)
        faults = MachineFaults(reordered=stream.pick((0, 300)), trio=trio)
        self._system: Final = SimulatedSystem(self._schedule, clock, lambda _: stream, WALL, faults)
        self._config: Final = Config(
            heartbeat_interval=None,
            write_timeout=WRITE_TIMEOUT,
            drain_grace=1.0,
            drain_spread=0.0,
            max_body_bytes=2_000,
            min_body_rate=0.0,
            max_message_bytes_unauthenticated=300,
            require_authentication=stream.happens(300),
            max_connections=stream.pick((1_000, 6)),
        )
        self._witness: Final = Witness()
        self._running: Final[dict[str, None]] = {}
        self.ended: Final[dict[str, float]] = {}
        self.closed: Final[list[int | None]] = []
        self._calls: Final[list[Ends]] = []
        self._tokens = 0
        self._failed: BaseException | None = None
        self._over = False
        self._shuts_down = False
        self._runner: Runner | None = None
        self._endpoints: Endpoints | None = None
        self._app: Final = asgi(shop(lambda: self._now, self._running, self.ended, self.closed), config=self._config)

    @property
    def _now(self) -> float:
        return self._schedule.now

    # The run

    def run(self) -> int:
        """Perform the episode. Returns the number of its events. Raises Violation."""
        context = copy_context()
        build = Build(machine=lambda _: self._system, gateway=CheckedGateway, tell_exchanges=True, watch=self._built)
        context.run(BUILD.set, build)
        loop, events = self._system.loop, 0
        log = logging.getLogger("posthouse")
        log.addFilter(_nothing)  # lines are judged in worlds
        try:
            loop.begin(self._main(), context, self._returned)
            while True:
                loop.turn()
                if self._failed is not None:
                    raise self._failed
                if self._over:
                    return events
                if self._runner is not None:
                    check(self._runner.board)
                due = self._schedule.next()
                must(due is not None and due < LONGEST, "liveness: an ASGI server and its clients come to an end")
                self._schedule.pop()()
                events += 1
        finally:
            log.removeFilter(_nothing)
            self._close()

    def _returned(self, error: BaseException | None) -> None:
        self._failed = self._failed or (innermost(error) if isinstance(error, Exception) else error)
        self._over = True

    def _close(self) -> None:
        self._app._hosting._hear_no_more()
        loop = self._system.loop
        loop.cancel_all()
        for _ in range(MOST_ROUNDS):
            loop.failed = None
            try:
                loop.turn()
            except Exception:
                continue
            if loop.over or loop.wait is None:
                break
            self._schedule.at(self._now + loop.wait, lambda: None)
            self._schedule.pop()()
            loop.wake_up()
        self._system.threads.kill()
        loop.close()

    def _built(self, runner: Runner, endpoints: Endpoints, runs: Runs, events: Events) -> None:
        self._runner, self._endpoints = runner, endpoints

        def seen(perform: Perform, action: Any) -> None:
            try:
                self._witness.see(action)
            except Violation as violation:
                self._failed = self._failed or violation
            perform(action)

        for kind, perform in list(runner.actions.items()):
            runner.actions[kind] = partial(seen, perform)

    async def _main(self) -> None:
        lifespan = self._ends({"type": "lifespan"})
        lifespan.give({"type": "lifespan.startup"})
        async with anyio.create_task_group() as group:
            group.start_soon(self._live, lifespan)
            while not lifespan.sent:
                await anyio.sleep(0.001)
            must(lifespan.sent[0]["type"] == "lifespan.startup.complete", "hosted: the lifespan starts")
            async with anyio.create_task_group() as clients:
                for _ in range(CLIENTS):
                    clients.start_soon(self._stream.pick((self._request, self._request, self._websocket)))
                    await anyio.sleep(self._stream.pick((0.0, 0.0, 0.1, 1.0)))
                if self._stream.happens(300):
                    self._app.shut_down()
                    self._shuts_down = True
                    for each in self._calls:
                        each.closing = True
            open_ones = [client for client in self._calls if client.ended is None]
            must(not open_ones, "liveness: the calls of an application end", len(open_ones))
            lifespan.give({"type": "lifespan.shutdown"})
            await lifespan.over.wait()
        must(lifespan.sent[-1]["type"] == "lifespan.shutdown.complete", "hosted: the lifespan ends", lifespan.sent[-1])
        assert self._runner is not None and self._endpoints is not None
        must(not self._endpoints.by_id, "hosted: no request is left", list(self._endpoints.by_id))
        check_at_rest(self._runner.board)
        self._witness.at_rest()

    async def _live(self, lifespan: Ends) -> None:
        async def send(event: Message) -> None:
            lifespan.sent.append(event)

        await self._app(lifespan.scope, lifespan.receive, send)
        lifespan.over.set()

    def _ends(self, scope: Message, manners: Manners = Manners()) -> Ends:
        return Ends(scope, manners, self._stream, lambda: self._now)

    # Clients

    def _scope(self, kind: str, *fields: tuple[bytes, bytes], **more: Any) -> Message:
        stream, headers = self._stream, [(b"host", b"localhost"), *fields]
        if self._config.require_authentication or stream.happens(300):
            headers.append((b"authorization", b"Bearer ada"))
        if stream.happens(300):
            headers.append((b"traceparent", b"00-%032x-%016x-01" % (stream.choose(1000) + 1, 1)))
        client = (stream.pick(("10.0.0.1", "10.0.0.2")), 5_000)
        extensions: Message = {"websocket.http.response": {}} if stream.happens(500) else {}
        return {
            "type": kind,
            "path": "/rpc" if kind == "http" else "/ws",
            "query_string": b"",
            "headers": headers,
            "client": client,
            "extensions": extensions,
            **more,
        }

    def _manners(self) -> Manners:
        stream = self._stream
        delays = SLOW if stream.happens(500) else (0.0,)
        return Manners(
            delays, stream.choose(4) if stream.happens(200) else None, stream.happens(300), stream.happens(200)
        )

    def _text(self, size: int = 3) -> str:
        self._tokens += 1
        return f"{self._tokens}".ljust(size, "x")

    def _ask(self, text: str, id: int) -> tuple[bytes, float | None]:
        """A call of a method that answers with this text, and the seconds for which it waits. None: it does not."""
        seconds = self._stream.pick((None, None, None, 0.0, 0.3, LONG))
        method, params = ("echo", [text]) if seconds is None else ("later", [text, seconds])
        return json.encode({"jsonrpc": "2.0", "method": method, "params": params, "id": id}), seconds

    async def _begin(self, ends: Ends, mark: str) -> None:
        """Call the application with a variable that only this call has."""
        running = sum(each.ended is None for each in self._calls)
        ends.scope["crowded"] = running >= self._config.max_connections
        self._calls.append(ends)
        ends.closing = self._shuts_down
        MARK.set(mark)
        await ends.run(self._app)
        error = ends.error
        must(error is None, "hosted: an application raises nothing", error)
        if ends.left is not None:
            must(ends.ended == ends.left, "hosted: a client that leaves is noticed at once", ends.left, ends.ended)
        if ends.stuck_since is not None and ends.ended is not None:
            most = ends.stuck_since + 2 * WRITE_TIMEOUT + 1.0
            must(ends.ended <= most, "time: a client that takes nothing is cut", ends.stuck_since, ends.ended)

    async def _leave_sometime(self, ends: Ends) -> None:
        with anyio.move_on_after(self._stream.pick((0.0, 0.005, 0.1, 0.6, 2.0))):
            await ends.over.wait()
        ends.leave()

    async def _request(self) -> None:
        stream, text = self._stream, self._text(self._stream.pick((3, 3, 250, 1_500)))
        body, seconds = self._ask(text, 1)
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        hurries = stream.happens(300)
        if hurries:
            fields.append((b"posthouse-timeout-ms", b"1000"))
        scope = self._scope("http", *fields, method="POST")
        ends = self._ends(scope, self._manners())
        leaves = stream.happens(400)
        async with anyio.create_task_group() as group:
            group.start_soon(self._begin, ends, text)
            if leaves:
                group.start_soon(self._leave_sometime, ends)
            cuts = sorted(stream.choose(len(body)) for _ in range(stream.pick((0, 0, 1, 3))))
            for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
                ends.give({"type": "http.request", "body": body[begin:end], "more_body": end < len(body)})
                await anyio.sleep(stream.pick((0.0, 0.0, 0.05)))
        await anyio.sleep(0.001)  # what was cancelled has ended
        must(text not in self._running, "hosted: the call of a client that has gone is cancelled", text)
        if ends.left is not None and seconds is not None and text in self.ended:
            must(self.ended[text] <= ends.left, "hosted: the call of a client that leaves ends at once", text)
        if ends.left is None and ends.stuck_since is None:
            self._judge_answer(ends, text, late=hurries and seconds == LONG)

    def _judge_answer(self, ends: Ends, text: str, *, late: bool) -> None:
        must(len(ends.sent) == 2, "hosted: a request that is waited for is answered", ends.sent)
        status, answer = ends.sent[0]["status"], json.decode(ends.sent[1]["body"])
        fields = dict(ends.sent[0]["headers"])
        must(int(fields[b"content-length"]) == len(ends.sent[1]["body"]), "hosted: the length of a body is its length")
        if status == 503:
            draining = self._runner is not None and self._runner.board.draining
            must(ends.scope["crowded"] or draining, "hosted: a request is refused without a reason", answer)
        elif late:
            must(
                answer["error"]["code"] == DEADLINE_EXCEEDED, "time: a call without a result in time times out", answer
            )
        else:
            result = (200, [text, "", "state"])
            must((status, answer.get("result")) == result, "hosted: a request has its own answer", status, answer)

    async def _websocket(self) -> None:
        stream = self._stream
        ends = self._ends(self._scope("websocket", subprotocols=[]), self._manners())
        asked: dict[int, str] = {}
        before = len(self.closed)
        code = stream.pick((1000, 1001, 4000))
        async with anyio.create_task_group() as group:
            group.start_soon(self._begin, ends, "a websocket")
            ends.give({"type": "websocket.connect"})
            for id in range(1, 1 + stream.choose(8)):
                text = self._text()
                asked[id] = text
                ends.give({"type": "websocket.receive", "text": self._ask(text, id)[0].decode()})
                await anyio.sleep(stream.pick((0.0, 0.0, 0.05)))
            if stream.happens(300):
                self._app.broadcast("news", [1])
            if ends.stuck_since is not None:
                await anyio.sleep(3 * WRITE_TIMEOUT)
            elif stream.happens(600):
                await anyio.sleep(12.0)
                self._judge_texts(ends, asked, whole=ends.left is None and ends.stuck_since is None)
            ends.leave(code)
        self._judge_texts(ends, asked, whole=False)
        left = [text for text in asked.values() if text in self._running]
        must(not left, "hosted: the calls of a WebSocket that has gone are cancelled", left)
        await anyio.sleep(0.001)  # hooks hear of it behind its end
        opened = bool(ends.sent) and ends.sent[0]["type"] == "websocket.accept"
        closed = ends.closing or ends.stuck_since is not None or (opened and ends.sent[-1]["type"] == "websocket.close")
        if opened and not closed and ends.tells_code and ends.left is not None:
            must(code in self.closed[before:], "hosted: the close code of a client is reported", code)

    def _judge_texts(self, ends: Ends, asked: dict[int, str], *, whole: bool) -> None:
        """What a WebSocket was sent: each reply is that of its call."""
        answered: dict[int, None] = {}
        for event in ends.sent:
            message = json.decode(event["text"]) if event["type"] == "websocket.send" else {}
            if "result" in message:
                id = message["id"]
                must(id not in answered, "hosted: a call is answered once", message)
                must(message["result"] == [asked[id], "", "state"], "hosted: a call has its own answer", message)
                answered[id] = None
        if whole and ends.ended is None:
            must(len(answered) == len(asked), "hosted: every call of a WebSocket is answered", ends.sent)


def _nothing(record: logging.LogRecord) -> bool:
    return False
