"""Scenes about the end of a server: pipes alone, shut-downs, signals, and a `serve` that is cancelled."""

from __future__ import annotations

from signal import SIGINT, SIGTERM

from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import call, frame, line, plain, post, sample, upgrade
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity


@scene("a server of one pipe ends with its input")
def _one_pipe(stage: Stage) -> None:
    client, pipes = stage.pipes()
    stage.serve(plain(), pipes=[pipes])
    client.send(line(call("echo", "x")))
    client.send(line(call("wait", "y", 1.0, id=2)))
    client.end()
    stage.wait(20.0)
    stage.note("open:", list(stage.system.descriptors.open())[3:])


@scene("a server of two pipes ends with the last")
def _two_pipes(stage: Stage) -> None:
    first, pipes = stage.pipes("a")
    second, others = stage.pipes("b")
    stage.serve(plain(), pipes=[pipes, others], pipe_identity=Identity("ada"))
    first.send(line(call("connection.info")))
    first.end(10.0)
    second.send(line(call("echo", "still there")))
    second.hang_up()
    stage.wait(20.0)


@scene("a server of a pipe and a port goes on without its pipe")
def _pipe_and_port(stage: Stage) -> None:
    client, pipes = stage.pipes()
    stage.serve(plain(), pipes=[pipes], host="127.0.0.1")
    client.end(10.0)
    stage.client("b").send(post(call("echo", "still there")))


@scene("a server with more pipes than connections")
def _many_pipes(stage: Stage) -> None:
    pipes = [stage.pipes(name)[1] for name in "ab"]
    stage.serve(plain(), pipes=pipes, config=Config(max_connections=1))
    stage.wait(10.0)
    stage.note("open:", list(stage.system.descriptors.open())[3:])


@scene("a pipe of one descriptor in both directions")
def _both_ways(stage: Stage) -> None:
    client, (source, _) = stage.pipes()
    stage.serve(plain(), pipes=[(source, source)])
    client.send(line(call("echo", "x")))
    client.end()
    stage.wait(20.0)
    stage.note("open:", list(stage.system.descriptors.open())[3:])


@scene("a pipe whose client reads no more")
def _unread(stage: Stage) -> None:
    client, pipes = stage.pipes()
    stage.serve(plain(), pipes=[pipes])
    client.stop()
    client.send(line(call("echo", "x")))
    stage.wait(20.0)


@scene("a pipe whose client reads slowly")
def _slow(stage: Stage) -> None:
    client, pipes = stage.pipes(capacity=5000)
    stage.serve(plain(), pipes=[pipes], config=Config(write_ahead=2000))
    client.pause()
    for number in range(4):
        client.send(line(call("big", 3000, id=number)))
    stage.note("memory:", stage.server.health().memory)
    client.resume()
    client.end()
    stage.wait(20.0)


@scene("a pipe that takes a large answer in pieces until it ends")
def _pieces(stage: Stage) -> None:
    client, pipes = stage.pipes(capacity=9000)
    stage.serve(plain(), pipes=[pipes])
    client.send(line(call("big", 10_000)))
    client.end(0.0)
    stage.wait(20.0)


@scene("the grace of a pipe for calls that run")
def _grace(stage: Stage) -> None:
    client, pipes = stage.pipes()
    stage.serve(plain(), pipes=[pipes], config=Config(stdio_grace=2.0))
    client.send(line(call("wait", "short", 1.5)) + line(call("wait", "long", 3.0, id=2)), 0.0)
    client.end()
    stage.wait(20.0)


def crowd(stage: Stage) -> None:
    """Clients of each kind, with calls that run."""
    socket = stage.client("socket")
    socket.send(upgrade())
    socket.send(frame(call("wait", "socket", 3.0)))
    stage.client("idle").send(upgrade())
    stage.client("http").send(post(call("wait", "http", 2.0)))
    stage.client("silent")
    stage.wait(0.1)


@scene("a shut-down waits for calls, and tells clients")
def _shut_down(stage: Stage) -> None:
    stage.serve(plain(), config=Config(drain_spread=1.0))
    crowd(stage)
    stage.do(stage.server.shut_down)
    stage.wait(0.5)
    stage.client("late").send(post(call("echo", "x")))
    stage.wait(40.0)


@scene("a shut-down with a notice")
def _notice(stage: Stage) -> None:
    stage.serve(plain(), config=Config(drain_notice=1.0, drain_grace=0.5, drain_spread=0.0))
    crowd(stage)
    stage.do(stage.server.shut_down)
    stage.wait(0.6)
    stage.client("soon").send(post(call("echo", "x")))
    stage.wait(40.0)


@scene("a shut-down whose grace is too short for a call")
def _too_short(stage: Stage) -> None:
    stage.serve(plain())
    crowd(stage)
    stage.do(lambda: stage.server.shut_down(1.0))
    stage.do(lambda: stage.server.shut_down(5.0))
    stage.wait(40.0)


@scene("a shut-down with a client that does not leave")
def _stays(stage: Stage) -> None:
    stage.serve(plain(), config=Config(close_timeout=0.5, drain_timeout=3.0))
    client = stage.client(capacity=100)
    client.send(upgrade())
    client.pause()
    client.send(frame(call("big", 5000)))
    stage.do(stage.server.shut_down)
    stage.wait(40.0)


@scene("a handler that resists a shut-down")
def _resists(stage: Stage) -> None:
    stage.serve(plain(), config=Config(cleanup_grace=0.5, drain_timeout=2.0))
    stage.client().send(post(call("resist", "x", 9.0)))
    stage.do(lambda: stage.server.shut_down(0.0))
    stage.wait(5.0)
    stage.wait(20.0)


@scene("a server that is cancelled")
def _cancelled(stage: Stage) -> None:
    _, pipes = stage.pipes("p")
    stage.serve(plain(), pipes=[pipes], host="127.0.0.1")
    crowd(stage)
    stage.client("local").send(post(call("ask", "x", 5.0)))
    stage.run(lambda: stage.server.call("wait", ["in process", 5.0]), "a call in process")
    stage.cancel()
    stage.wait(10.0)
    stage.note("open:", list(stage.system.descriptors.open())[3:])
    stage.run(lambda: stage.server.call("echo", ["x"]), "a call behind the end")


@scene("a server that is cancelled while a handler resists")
def _cancelled_resisting(stage: Stage) -> None:
    stage.serve(plain(), config=Config(cleanup_grace=0.5))
    stage.client().send(post(call("resist", "x", 9.0)))
    stage.cancel()
    stage.wait(20.0)


@scene("a server that is cancelled as soon as it starts")
def _cancelled_at_once(stage: Stage) -> None:
    stage.serve(plain())
    stage.cancel()
    stage.wait(1.0)


@scene("a signal shuts down")
def _signal(stage: Stage) -> None:
    stage.serve(plain(), signals=True)
    stage.note("the collector leaves out what exists:", stage.system.collecting)
    crowd(stage)
    stage.signal(SIGTERM)
    stage.wait(40.0)
    stage.note("the collector leaves out what exists:", stage.system.collecting)
    stage.note("signals are as before:", stage.system.signals.untouched)


@scene("a second signal exits at once")
def _twice(stage: Stage) -> None:
    stage.serve(plain(), signals=True)
    crowd(stage)
    stage.signal(SIGINT)
    stage.wait(0.1)
    stage.signal(SIGTERM)
    stage.wait(1.0)
    stage.note("seconds for the last line:", stage.system.signals.slept)


@scene("a handler that resists lets the process exit with 1")
def _exit(stage: Stage) -> None:
    stage.serve(plain(), signals=True, config=Config(cleanup_grace=0.5, drain_timeout=2.0, drain_grace=0.0))
    stage.client().send(post(call("resist", "x", 90.0)))
    stage.signal(SIGTERM)
    stage.wait(20.0)


@scene("a process that its service holds up exits with 1")
def _held_up(stage: Stage) -> None:
    service = sample()

    @service.on("gateway.draining")
    def never_ends(event: object) -> None:
        stage.hold_up(20.0)

    stage.serve(service, signals=True, config=Config(drain_timeout=2.0))
    stage.signal(SIGTERM)
    stage.wait(20.0)


@scene("code that blocks the event loop is named")
def _blocked(stage: Stage) -> None:
    service = sample()

    @service.method
    def slow(seconds: float) -> float:
        stage.hold_up(seconds)
        return seconds

    stage.serve(service, config=Config(watchdog_warn=0.1, watchdog_log=1.0))
    client = stage.client()
    for seconds in (0.04, 0.1, 0.16, 2.0):
        client.send(post(call("slow", seconds)), 1.0)


@scene("a process without handlers of signals ends by one")
def _plain(stage: Stage) -> None:
    stage.serve(plain())
    stage.signal(SIGTERM)


@scene("bytes behind a frame that ends a connection")
def _behind(stage: Stage) -> None:
    stage.serve(plain(), config=Config(close_timeout=1.0, max_message_bytes=100))
    more = frame(call("echo", "behind")) + frame(b"", 0x89)
    wrong = (b"\xf1\x80\0\0\0\0", b"\x81\x00", frame(b"\xc3\x28"), frame(b"x", 0x82), frame(b"x" * 101))
    for number, first in enumerate((*wrong, frame(b"\x03\xe8", 0x88))):
        for name, pieces in (("at once", [first + more]), ("later", [first, more])):
            client = stage.client(f"{name} {number}")
            client.send(upgrade())
            for piece in pieces:
                client.send(piece)
    stage.wait(3.0)
