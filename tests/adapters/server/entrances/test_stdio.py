"""Pipes, files and what becomes of them: in the test's own loop, and as a command would have them."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import anyio
import pytest
from posthouse.adapters import serve
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, text

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
