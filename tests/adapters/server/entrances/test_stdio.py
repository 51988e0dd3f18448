"""Pipes, files and what becomes of them: in the test's own loop, and as a command would have them."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import pytest
from posthouse.adapters import serve
from posthouse.adapters.server.entrances.stdio import Pipes, take_pipes
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, text
from tests.adapters.server.entrances.fakes import ID, Runner
from tests.adapters.simulated import SimulatedMachine

pytestmark = pytest.mark.anyio

QUICK = Config(drain_spread=0.0, drain_grace=0.5)

service = Service("piped", public=True)


@service.method
def echo(value: str) -> str:
    return value


@service.method
async def hold() -> None:
    await anyio.sleep_forever()


class Ends:
    """The far ends of two pipes, and the near ones for the server, which closes those itself."""

    def __init__(self) -> None:
        near_in, far_out = os.pipe()
        far_in, near_out = os.pipe()
        self.pipes = [(near_in, near_out)]
        self.out: BinaryIO = os.fdopen(far_out, "wb", buffering=0)
        self.lines: BinaryIO = os.fdopen(far_in, "rb")

    def say(self, *lines: bytes) -> None:
        self.out.write(b"".join(line + b"\n" for line in lines))

    async def next(self) -> dict[str, object]:
        line: bytes = await anyio.to_thread.run_sync(self.lines.readline)
        message: dict[str, object] = json.loads(line)
        return message


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.out.close()
    ends.lines.close()


async def test_lines_are_answered_and_the_end_of_input_ends_the_server(ends: Ends) -> None:
    ends.say(text("echo", ["one"], 1), text("echo", ["two"], 2))
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def client() -> None:
                assert [await ends.next(), await ends.next()] == [
                    {"jsonrpc": "2.0", "result": "one", "id": 1},
                    {"jsonrpc": "2.0", "result": "two", "id": 2},
                ]
                ends.out.close()

            group.start_soon(client)
            await serve(service, pipes=ends.pipes, config=QUICK)
        assert await anyio.to_thread.run_sync(ends.lines.read) == b""
    for descriptor in ends.pipes[0]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


async def test_a_call_before_the_end_of_input_is_still_answered(ends: Ends) -> None:
    ends.say(text("echo", ["first"]))
    ends.out.close()
    with anyio.fail_after(PATIENCE):
        await serve(service, pipes=ends.pipes, config=QUICK)
        assert (await ends.next())["result"] == "first"


async def test_a_regular_file_is_read_to_its_end(tmp_path: Path) -> None:
    asked = tmp_path / "requests"
    large = "x" * 900_000  # many times what is read and written at once
    asked.write_bytes(b"".join(text("echo", [large], id) + b"\n" for id in (1, 2, 3)))
    answers = tmp_path / "answers"
    source = os.open(asked, os.O_RDONLY)
    sink = os.open(answers, os.O_WRONLY | os.O_CREAT)
    with anyio.fail_after(PATIENCE):
        await serve(service, pipes=[(source, sink)], config=QUICK)
    lines = [json.loads(line) for line in answers.read_bytes().splitlines()]
    assert [(line["id"], line["result"] == large) for line in lines] == [(1, True), (2, True), (3, True)]


async def test_a_peer_that_reads_no_more_ends_the_server(ends: Ends) -> None:
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:

            async def client() -> None:
                await anyio.to_thread.run_sync(ends.say, text("echo", ["x" * 300_000]))
                assert await anyio.to_thread.run_sync(ends.lines.read, 9) == b'{"jsonrpc'
                ends.lines.close()  # most of the answer has not even been written yet

            group.start_soon(client)
            await serve(service, pipes=ends.pipes, config=QUICK)


async def test_inherited_descriptors_stay_blocking(ends: Ends) -> None:
    ours = [os.dup(descriptor) for descriptor in ends.pipes[0]]
    ends.say(text("echo", ["x"]))
    ends.out.close()
    with anyio.fail_after(PATIENCE):
        await serve(service, pipes=ends.pipes, config=QUICK)
    for descriptor in ours:
        assert not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK
        os.close(descriptor)


async def test_a_server_that_is_cancelled_does_not_wait_for_its_input(ends: Ends) -> None:
    with anyio.fail_after(PATIENCE), anyio.CancelScope() as scope:
        await serve(service, pipes=ends.pipes, started=lambda server: scope.cancel())
    assert await anyio.to_thread.run_sync(ends.lines.read) == b""


PRINTING = """
import sys
from posthouse.adapters.server.entrances.stdio import take_pipes
pipes = take_pipes()
print("imported")
from posthouse.adapters import run
from posthouse.core.service.service import Service
service = Service("printing", public=True)

@service.method
def speak() -> str:
    print("speaking")
    return sys.stdin.read()

run(service, pipes=[pipes], backend=sys.argv[1])
print("over")
"""


def test_the_prints_of_a_service_go_to_standard_error(anyio_backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTING, anyio_backend],
        input=text("speak") + b"\n",
        capture_output=True,
        env=ENVIRONMENT,
        timeout=PATIENCE,
    )
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "result": "", "id": 1}
    assert done.stderr.split() == [b"imported", b"speaking", b"over"]
    assert done.returncode == 0


# With the descriptors and threads of a simulated machine


class Bench(Runner):
    """Pipes to a peer that writes to `far_out` and reads from `far_in`. Its threads run when time passes."""

    def __init__(self, config: Config = Config(read_bytes=4, write_ahead=6), *, capacity: int = 65536) -> None:
        self.machine = SimulatedMachine()
        super().__init__(config, self.machine.system)
        self.descriptors = self.machine.system.descriptors
        self.source, self.far_out = self.descriptors.pipe()
        self.far_in, self.sink = self.descriptors.pipe()
        out: Any = self.descriptors.file(self.sink)
        out._pipe.capacity = capacity
        self.pipes = self.made(self.source, self.sink)
        self.pipes.start()

    def made(self, source: int, sink: int) -> Pipes:
        runner: Any = self
        return Pipes(ID, source, sink, runner, self.forget)

    def step(self) -> list[Any]:
        """Run the threads, and then the calls that they have made in the loop. Returns what was told."""
        self.machine.pass_time(0.1)
        self.poller.run()
        return self.take()

    def say(self, data: bytes) -> None:
        self.descriptors.write(self.far_out, data)

    def write(self, data: bytes, *, report: bool = False) -> list[Any]:
        self.pipes.write(data, report=report)
        self.flush()
        return self.take()

    def take_output(self) -> bytes:
        """What has come to the peer."""
        file: Any = self.descriptors.file(self.far_in)
        data: bytes | None = file.take(100_000)
        return data or b""

    @property
    def alive(self) -> list[str]:
        return self.machine.system.threads.alive


def test_it_has_two_threads_and_reads_at_once() -> None:
    bench = Bench()
    assert bench.alive == ["posthouse-read_all", "posthouse-write_all"]
    assert bench.step() == []
    bench.say(b"ab")
    assert bench.step() == [("received", 3, b"ab", 1.0)]


def test_each_piece_is_read_when_the_loop_has_taken_the_one_before() -> None:
    bench = Bench()
    bench.say(b"abcdefghij")
    bench.machine.pass_time(1.0)
    assert len(bench.poller.calls) == 1
    assert [bench.step() for _ in range(6)] == [
        [("received", 3, b"abcd", 1.0)],
        [],
        [("received", 3, b"efgh", 1.0)],
        [],
        [("received", 3, b"ij", 1.0)],
        [],
    ]


def test_the_end_of_input_is_told_once_and_its_descriptor_is_closed() -> None:
    bench = Bench()
    bench.say(b"ab")
    bench.descriptors.close(bench.far_out)
    assert [bench.step() for _ in range(4)] == [
        [("received", 3, b"ab", 1.0)],
        [],
        [("end of input", 3, 1.0)],
        [],
    ]
    assert bench.source not in bench.descriptors.open()
    assert bench.alive == ["posthouse-write_all"]
    bench.pipes.stop_reading()
    bench.pipes.start_reading()
    assert bench.step() == []
    assert bench.write(b"out") == []
    bench.step()
    assert bench.take_output() == b"out"


def test_a_terminal_that_hangs_up_is_the_end_of_input() -> None:
    bench = Bench()

    def read(descriptor: int, size: int) -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(bench.descriptors), "read", lambda self, descriptor, size: read(descriptor, size))
        bench.say(b"x")
        assert bench.step() == [("end of input", 3, 1.0)]


def test_reading_that_is_stopped_takes_one_more_piece_at_most() -> None:
    bench = Bench()
    bench.pipes.stop_reading()
    bench.say(b"abcdefgh")
    assert bench.step() == [("received", 3, b"abcd", 1.0)]
    assert [bench.step() for _ in range(3)] == [[], [], []]
    bench.pipes.start_reading()
    bench.pipes.start_reading()
    assert bench.step() == [("received", 3, b"efgh", 1.0)]


def test_a_thread_that_reads_ends_when_the_loop_takes_no_more_calls() -> None:
    bench = Bench()
    bench.poller.ended = True
    bench.say(b"ab")
    bench.step()
    assert bench.alive == ["posthouse-write_all"]
    assert bench.source not in bench.descriptors.open()


def test_written_bytes_reach_the_peer_and_are_sent() -> None:
    bench = Bench()
    assert bench.write(b"abc") == []
    assert bench.step() == []
    assert bench.take_output() == b"abc"
    assert bench.write(b"de", report=True) == []
    assert bench.step() == [("sent", 3, 2, 1.0)]
    assert bench.take_output() == b"de"


def test_bytes_beyond_the_write_ahead_are_held_until_they_are_written() -> None:
    bench = Bench(capacity=4)
    assert bench.write(b"abcdef") == []
    assert bench.write(b"gh") == [("held", 3, 2, 1.0)]
    assert bench.write(b"ij", report=True) == []
    assert bench.step() == [("sent", 3, 4, 1.0)]
    assert bench.take_output() == b"abcd"
    assert bench.step() == []
    assert bench.take_output() == b"efgh"
    bench.step()
    assert bench.take_output() == b"ij"
    assert bench.step() == []


def test_the_writes_of_a_turn_are_given_to_the_thread_together() -> None:
    bench = Bench()
    for data in (b"a", b"b", b"c"):
        bench.pipes.write(data, report=False)
    bench.step()
    assert bench.take_output() == b""
    bench.flush()
    bench.step()
    assert bench.take_output() == b"abc"


def test_no_write_is_larger_than_what_a_pipe_takes_without_blocking() -> None:
    bench = Bench()
    sizes: list[int] = []
    write = type(bench.descriptors).write

    def writing(self: Any, descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(self, descriptor, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(bench.descriptors), "write", writing)
        bench.write(b"x" * 10_000)
        bench.step()
    assert (sizes, bench.take_output()) == ([4096, 4096, 1808], b"x" * 10_000)


def test_the_loop_is_told_once_of_several_writes() -> None:
    bench = Bench(Config(write_ahead=1))
    assert bench.write(b"x" * 10_000) == [("held", 3, 9999, 1.0)]
    bench.machine.pass_time(0.1)
    assert len(bench.poller.calls) == 1
    assert bench.step() == [("sent", 3, 9999, 1.0)]
    assert bench.write(b"yz") == [("held", 3, 1, 1.0)]
    assert bench.step() == [("sent", 3, 1, 1.0)]


def test_it_closes_when_everything_was_written() -> None:
    bench = Bench(capacity=4)
    bench.write(b"abcdef")
    bench.pipes.close_when_sent()
    bench.flush()
    assert bench.take() == [("held", 3, 6, 1.0)]
    assert bench.step() == [("sent", 3, 4, 1.0)]
    assert bench.pipes.open
    assert bench.take_output() == b"abcd"
    assert bench.step() == [("sent", 3, 2, 1.0), ("forget", 3), ("closed", 3, 1.0)]
    assert bench.take_output() == b"ef"
    bench.machine.pass_time(0.1)
    assert bench.alive == []
    assert [*bench.descriptors.open()] == [bench.far_out, bench.far_in]


def test_it_closes_at_once_when_there_is_nothing_to_write() -> None:
    bench = Bench()
    bench.pipes.close_when_sent()
    bench.flush()
    assert bench.take() == [("forget", 3), ("closed", 3, 1.0)]


def test_a_half_close_changes_nothing() -> None:
    bench = Bench()
    bench.pipes.end_writing()
    bench.flush()
    bench.write(b"abc")
    bench.step()
    assert (bench.take_output(), bench.pipes.open) == (b"abc", True)


def test_a_peer_that_reads_no_more_ends_it() -> None:
    bench = Bench()
    bench.descriptors.close(bench.far_in)
    bench.write(b"abc")
    assert bench.step() == [("forget", 3), ("closed", 3, 1.0)]
    bench.machine.pass_time(0.1)
    assert (bench.alive, [*bench.descriptors.open()]) == ([], [bench.far_out])


def test_closing_ends_both_threads_and_gives_every_descriptor_back() -> None:
    bench = Bench(capacity=4)
    bench.write(b"abcdef")
    bench.step()
    bench.step()
    bench.pipes.close()
    assert bench.take() == [("forget", 3), ("closed", 3, 1.0)]
    bench.pipes.close()
    assert bench.take() == []
    bench.say(b"never read")
    assert bench.step() == []
    assert bench.alive == []
    assert [*bench.descriptors.open()] == [bench.far_out, bench.far_in]
    bench.pipes.write(b"never written", report=False)
    bench.flush()
    assert (bench.take(), bench.take_output()) == ([], b"abcd")


def test_threads_that_wait_for_the_loop_end_when_it_is_closed() -> None:
    bench = Bench()
    bench.pipes.stop_reading()
    bench.say(b"ab")
    bench.step()
    bench.pipes.close(abort=True)
    bench.step()
    assert bench.alive == []


def test_what_the_threads_tell_after_the_end_changes_nothing() -> None:
    bench = Bench()
    bench.say(b"ab")
    bench.write(b"cd", report=True)
    bench.machine.pass_time(0.1)
    assert len(bench.poller.calls) == 2
    bench.pipes.close()
    bench.take()
    assert bench.step() == []


def test_one_descriptor_for_both_directions_is_closed_by_each_of_its_owners() -> None:
    bench = Bench()
    ours, theirs = bench.machine.system.sockets.pair()
    ours.setblocking(False)
    pipes = bench.made(bench.source, bench.source)
    assert pipes._sink not in (bench.source, bench.sink)
    assert bench.descriptors.file(pipes._sink) is bench.descriptors.file(bench.source)
    assert theirs.fileno() != ours.fileno()


@pytest.fixture
def standard_descriptors() -> Iterator[None]:
    kept = [os.dup(number) for number in range(3)]
    yield
    for number, copy in enumerate(kept):
        os.dup2(copy, number)
        os.close(copy)


@pytest.mark.usefixtures("standard_descriptors")
def test_the_standard_descriptors_are_replaced_so_that_nothing_else_reads_or_writes_messages(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with capfd.disabled():
        near_in, far_out = os.pipe()
        far_in, near_out = os.pipe()
        errors_in, errors_out = os.pipe()
        for descriptor, number in ((near_in, 0), (near_out, 1), (errors_out, 2)):
            os.dup2(descriptor, number)
            os.close(descriptor)
        before = len(os.listdir("/proc/self/fd"))
        source, sink = take_pipes()
        assert len(os.listdir("/proc/self/fd")) == before + 2
        os.write(1, b"printed")
        os.write(sink, b"a message")
        os.write(far_out, b"a request")
        assert (os.read(0, 100), os.read(source, 100)) == (b"", b"a request")
        assert (os.read(far_in, 100), os.read(errors_in, 100)) == (b"a message", b"printed")
        assert not os.get_inheritable(source)
        for descriptor in (source, sink, far_out, far_in, errors_in):
            os.close(descriptor)
