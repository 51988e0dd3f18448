"""An ASGI server on virtual time: its episodes pass, on each event loop, and equal seeds play equally."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from msgspec import Struct
from posthouse.adapters.asgi.connection import Connection
from posthouse.adapters.asgi.exchange import Exchange
from posthouse.adapters.asgi.waits import Wait
from posthouse.adapters.asgi.websocket import WebSocket
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Seeded
from posthouse.adapters.simulation.storms.episodes.host import Ends, Manners
from posthouse.adapters.simulation.storms.episodes.hosted import Hosted

SEEDS = range(12)


def play(seed: int, *, trio: bool = False) -> int:
    return Hosted(Seeded(seed).stream("hosted"), trio=trio).run()


@pytest.mark.parametrize("trio", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_episode_passes(seed: int, trio: bool) -> None:
    assert play(seed, trio=trio) > 20


def test_equal_seeds_play_equally() -> None:
    assert [play(seed) for seed in SEEDS] == [play(seed) for seed in SEEDS]


class Planted(Struct, frozen=True):
    """A bug that is planted in one method of `adapters/asgi`: this text is replaced by another one."""

    name: str
    place: type
    method: str
    before: str
    after: str = ""


INTERRUPT = """        if self._sending is not None:
            self._sending.interrupt()
"""
WAIT_TO_READ = """            if not self._may_read:
                await self._until_read()
                continue
"""
LEFT = """if message["type"] == "http.disconnect":
                self._end()"""
WHOLE = """first.value["type"] == "http.request" and not first.value.get("more_body"):"""
UNCANCEL = "if self.interrupted and task.uncancel() <= before:"

PLANTED = (
    Planted("the end of a request is not performed", Exchange, "_receive", LEFT, LEFT.replace("_end", "close")),
    Planted("a piece of a body is all of it", Exchange, "run", WHOLE, """first.value["type"] == "http.request":"""),
    Planted("what is not taken is not held", Connection, "_take_time", "sent.held = self._hold", "pass"),
    Planted("what is taken late stays held", Connection, "_drain", "self._tell_sent(held)", "pass"),
    Planted("the end does not end a send", Connection, "close", INTERRUPT),
    Planted("a slow client is read", WebSocket, "_read", WAIT_TO_READ),
    Planted("a close code is lost", WebSocket, "_read", """message.get("code", GONE)""", "GONE"),
    Planted("two tasks send at once", Connection, "_drain", "if self._busy:", "if False:"),
    Planted("a wait leaves its task cancelled", Wait, "until", UNCANCEL, "if self.interrupted:"),
)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_an_episode_finds_a_bug_of_the_application(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[planted.place.__module__]
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    assert source.count(planted.before) == 1
    changed = dict(vars(module))
    exec(compile(source.replace(planted.before, planted.after), planted.name, "exec"), changed)
    method = vars(changed[planted.place.__name__])[planted.method]
    monkeypatch.setattr(planted.place, planted.method, method)
    with pytest.raises(Violation):
        for seed in range(60):
            play(seed)


def ends(manners: Manners = Manners()) -> Ends:
    return Ends({"type": "http"}, manners, Seeded(1).stream("ends"), lambda: 0.0)


@pytest.mark.anyio
async def test_events_out_of_order_are_found() -> None:
    one = ends()
    with pytest.raises(Violation, match="an event follows another one"):
        await one.send({"type": "http.response.body"})
    with pytest.raises(Violation, match="have events of their own"):
        await ends().send({"type": "websocket.accept"})


@pytest.mark.anyio
async def test_what_is_sent_behind_the_known_end_of_a_client_is_found() -> None:
    one = ends()
    one.leave()
    assert await one.receive() == {"type": "http.disconnect", "code": 1006}
    with pytest.raises(Violation, match="known to have gone"):
        await one.send({"type": "http.response.start"})
    with pytest.raises(Violation, match="waits for nothing"):
        await one.receive()


@pytest.mark.anyio
async def test_a_host_says_at_its_send_that_its_client_has_gone() -> None:
    for raises in (True, False):
        one = ends(Manners(raises=raises))
        one.leave()
        if raises:
            with pytest.raises(BrokenPipeError):
                await one.send({"type": "http.response.start"})
        else:
            await one.send({"type": "http.response.start"})
        assert one.sent == []
