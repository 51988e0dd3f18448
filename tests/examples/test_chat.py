"""The chat: rooms and their history, over real WebSockets, and a client that comes back after a cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from posthouse.adapters import Server, running
from posthouse.adapters.invariants.publishing.contract import Ledger, Subscriber
from posthouse.adapters.simulation import World
from posthouse.core import Config

from examples.chat import service
from tests.adapters.loopback import websocket

pytestmark = pytest.mark.anyio

LOBBY = "rooms.lobby"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running(service, port=0, config=Config(drain_spread=0.0)) as server:
        yield server


async def test_what_is_said_in_a_room_is_heard_there(server: Server) -> None:
    async with websocket(server) as ada, websocket(server) as bob:
        here = (await ada.call("topic.subscribe", {"topic": LOBBY}))["result"]
        said = await bob.call("say", {"room": "lobby", "text": "hello"})
        assert said["result"] == {**here, "offset": 1}
        heard = await ada.next()
        data = {"who": "somebody", "text": "hello"}
        assert heard["params"] == {"topic": LOBBY, "epoch": here["epoch"], "offset": 1, "data": data}
        await bob.call("announce", {"rooms": ["kitchen", "lobby"], "text": "dinner"})
        assert (await ada.next())["params"]["data"] == {"who": "the house", "text": "dinner"}
        page = await bob.call("topic.history", {"topic": LOBBY, "limit": 10, "reverse": True})
        assert [each["data"]["text"] for each in page["result"]["publications"]] == ["dinner", "hello"]


async def test_nobody_says_anything_but_by_the_methods_of_the_chat(server: Server) -> None:
    async with websocket(server) as ada:
        error = (await ada.call("topic.publish", {"topic": LOBBY, "data": {"who": "bob", "text": "x"}}))["error"]
        assert error["code"] == -32021
        assert (await ada.call("say", {"room": "No Room", "text": "x"}))["error"]["code"] == -32602


async def test_a_client_that_was_cut_off_hears_exactly_what_it_missed(server: Server) -> None:
    """Forty cuts: at each, something is said before, during and after it. Nothing is lost, and nothing comes twice."""
    ledger = Ledger()
    texts: list[str] = []
    asked: tuple[str, int] | None = None
    async with websocket(server) as speaker:

        async def say(number: int) -> None:
            data = {"who": "somebody", "text": str(number)}
            position = (await speaker.call("say", {"room": "lobby", "text": data["text"]}))["result"]
            ledger.acknowledged(LOBBY, position["epoch"], position["offset"], data)

        for cut in range(40):
            async with websocket(server) as ada:
                subscriber = Subscriber(LOBBY, ledger, asked)
                params: dict[str, Any] = {"topic": LOBBY}
                if asked is not None:
                    params["position"] = {"epoch": asked[0], "offset": asked[1]}
                result = (await ada.call("topic.subscribe", params))["result"]
                subscriber.replied(result)
                assert subscriber.recovered is (None if asked is None else True)
                texts += [each["data"]["text"] for each in result.get("publications", ())]
                for number in range(cut % 3):
                    await say(10 * cut + number)
                    message = (await ada.next())["params"]
                    subscriber.publication(message)
                    texts.append(message["data"]["text"])
                await say(10 * cut + 8)  # it is sent, and the client leaves without having read it
            asked = subscriber.position
            await say(10 * cut + 9)
        expected = [str(10 * cut + number) for cut in range(39) for number in (*range(cut % 3), 8, 9)]
        assert texts[: len(expected)] == expected
    assert server.stats()["topics.subscriptions"] == 0


async def test_a_client_that_comes_back_too_late_is_told_so(server: Server) -> None:
    async with websocket(server) as ada:
        here = (await ada.call("topic.subscribe", {"topic": LOBBY}))["result"]
    await server.call("announce", [["lobby"] * 51, "again"])
    async with websocket(server) as ada:
        result = (await ada.call("topic.subscribe", {"topic": LOBBY, "position": here}))["result"]
        assert result == {"epoch": here["epoch"], "offset": 51, "recovered": False}
    async with websocket(server) as ada:
        position = {"epoch": here["epoch"], "offset": 1}
        result = (await ada.call("topic.subscribe", {"topic": LOBBY, "position": position}))["result"]
        assert (result["recovered"], len(result["publications"])) == (True, 50)


def test_a_chat_is_simulated_with_clients_that_are_cut_off() -> None:
    world = World(service=service)
    ada, bob = world.client("ada", "websocket"), world.client("bob", "lines")
    here = ada.call("topic.subscribe", topic=LOBBY)
    world.run(seconds=1)
    first = bob.call("say", room="lobby", text="first")
    world.run(seconds=1)
    heard = [params["data"]["text"] for method, params in ada.notifications if method == "topic.publication"]
    assert (here.result["offset"], first.result["offset"], heard) == (0, 1, ["first"])
    world.cut("ada")
    bob.call("say", room="lobby", text="second")
    world.run(seconds=1)
    again = ada.call("topic.subscribe", topic=LOBBY, position=first.result)
    world.run(seconds=1)
    assert [each["data"]["text"] for each in again.result["publications"]] == ["second"]
    world.finish()
