"""The measurements of our own side still run, and measure what they say. No time is asserted.

Those of the servers that we compare with need libraries that the suite does not: they run with `make bench` alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import MEASUREMENTS, measure
from benchmarks.figures import Question, Questions
from benchmarks.load.closed_loop import Point, load
from benchmarks.load.holder import held
from benchmarks.load.open_loop import paced
from benchmarks.load.plain import open_websockets
from benchmarks.measurements import broadcast, codecs, core_alone, growth, latency, opening, simulated, stores
from benchmarks.servers.catalogue import SERVERS, available, missing
from benchmarks.servers.host import host

OURS = SERVERS["posthouse"]


@pytest.mark.parametrize("measure", [core_alone.posthouse, core_alone.bare, core_alone.bare_batch])
def test_the_core_alone_and_bare_msgspec_answer_the_same(measure: object) -> None:
    assert callable(measure)
    assert measure(1) >= 0


@pytest.mark.anyio
@pytest.mark.parametrize("contestant", [stores.posthouse, stores.threads])
async def test_stores_keep_the_updates_of_a_hundred_tasks(contestant: object, tmp_path: Path) -> None:
    assert callable(contestant)
    rate, slowest = await contestant(str(tmp_path / "store.db"), 1)
    assert rate > 0
    assert slowest > 0


def test_the_core_alone_answers_a_batch() -> None:
    assert core_alone.posthouse(1, core_alone.BATCH) >= 0


@pytest.mark.parametrize("codec", codecs.CODECS)
def test_each_codec_alone_carries_a_request_and_a_reply(codec: str) -> None:
    assert codecs.CODECS[codec](1) >= 0


@pytest.mark.parametrize(
    "point",
    [
        Point("websocket", 2),
        Point("websocket", 2, depth=3, size=70_000),
        Point("http", 2),
        Point("http", 2, depth=3),
        Point("http", 1, new_heads=True),
    ],
    ids=lambda point: point.name,
)
@pytest.mark.parametrize("name", ["posthouse", "floor"])
def test_every_reply_to_a_load_is_the_right_one(name: str, point: Point) -> None:
    with host(SERVERS[name]) as running:
        measured = load(running, point, 0.01, 0.0)
    assert measured.cpu >= 0
    assert 0 < measured.p50 <= measured.p99


def test_without_node_its_servers_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert missing() == "node or npm is missing: node ws, node http and jayson are left out"
    assert [server.name for server in available("floor", "ws", "jayson", "node-http", "picows")] == ["floor", "picows"]


def test_where_the_system_does_not_tell_the_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.servers.host.cpu_seconds", lambda _: None)
    monkeypatch.setattr("benchmarks.servers.host.resident_bytes", lambda _: None)
    with host(OURS) as running:
        assert running.cpu() > 0
        assert running.resident() > 1_000_000


def test_calls_at_random_times_are_answered() -> None:
    with host(OURS) as running:
        latency = paced(running, Point("websocket", 4), 200.0, 0.05)
    assert 0 < latency.p50 <= latency.p99


@pytest.mark.parametrize("disturbance", latency.DISTURBANCES)
def test_a_good_client_is_answered_beside_others(disturbance: str) -> None:
    with host(OURS) as running:
        measured = latency.beside(running, latency.DISTURBANCES[disturbance], 0.05)
    assert 0 < measured.p50 <= measured.p99


def test_a_broadcast_reaches_every_receiver_once() -> None:
    with host(OURS) as running:
        receivers = open_websockets(running.port, 5)
        assert broadcast.broadcast(running, receivers, 2).seconds > 0
        for plain in receivers:
            plain.socket.close()


def test_idle_websockets_take_room() -> None:
    assert isinstance(opening.idle_bytes("posthouse", 2).bytes, float)


def test_connections_are_held_opened_and_closed() -> None:
    with host(OURS) as running, held(running.port, 3):
        assert opening.handshake(running, 3).rate > 0
        assert growth.disconnect(running, 3).cpu >= 0


def test_a_server_tells_the_folders_that_take_its_time() -> None:
    with host(OURS, "--sampled") as running:
        load(running, Point("websocket", 2), 0.2)
        assert all(samples > 0 for samples in running.shares().values())


@pytest.mark.parametrize("model", [False, True])
def test_a_simulated_world_goes_through_its_steps(model: bool) -> None:
    step, seconds = simulated.simulated(0.5, model=model)
    assert step >= 0
    assert seconds > 0


def test_every_measurement_has_its_function() -> None:
    modules = {"broadcast": broadcast, "codecs": codecs, "core_alone": core_alone, "growth": growth}
    modules |= {"latency": latency, "opening": opening, "simulated": simulated}
    for place in MEASUREMENTS.values():
        module, _, function = place.partition(".")
        assert module not in modules or callable(getattr(modules[module], function))


def test_a_measurement_that_fails_leaves_the_figures_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(runs: int) -> dict[str, Question]:
        raise OSError("no room")

    def partly(runs: int) -> dict[str, Question]:
        measured = Questions()
        measured.ask("connections 1", lambda: {"floor": {"cpu": [float(runs)]}})
        measured.lost.append("connections 8 was not measured: no room")
        return measured

    monkeypatch.setattr(growth, "with_connections", partly)
    monkeypatch.setattr(growth, "with_size", fails)
    questions = Questions()
    for name in ("connections", "size"):
        measure(name, 2, questions)
    assert questions == {"connections 1": {"floor": {"cpu": [2.0]}}}
    assert questions.lost == ["connections 8 was not measured: no room", "size was not measured: no room"]
