"""Pipes, read and written by threads that wait. One test, on both machines."""

from __future__ import annotations

import pytest

from tests.simulation.machine.systems import Bench, SimulatedBench


def test_a_thread_waits_for_bytes_and_for_the_end(bench: Bench) -> None:
    descriptors = bench.system.descriptors
    source, sink = descriptors.pipe()
    read: list[bytes] = []

    def reader() -> None:
        wait = descriptors.waiting(read=(source,))
        while not read or read[-1]:
            wait()
            read.append(descriptors.read(source, 3))

    def writer() -> None:
        assert descriptors.write(sink, b"abcd") == 4
        descriptors.close(sink)

    bench.system.threads.start(writer, "writer")
    bench.in_thread(reader)
    assert (b"".join(read), read[-1]) == (b"abcd", b"")
    descriptors.close(source)


def test_a_thread_waits_for_room(bench: Bench) -> None:
    descriptors = bench.system.descriptors
    source, sink = descriptors.pipe()
    size = 1_000_000
    read: list[bytes] = []

    def writer() -> None:
        left, wait = size, descriptors.waiting(write=(sink,))
        while left:
            wait()
            left -= descriptors.write(sink, b"x" * min(4096, left))
        descriptors.close(sink)

    def reader() -> None:
        while data := descriptors.read(source, 65536):
            read.append(data)

    bench.system.threads.start(writer, "writer")
    bench.in_thread(reader)
    assert sum(map(len, read)) == size
    descriptors.close(source)


def test_a_pipe_that_nobody_reads_is_broken_and_ready(bench: Bench) -> None:
    descriptors = bench.system.descriptors
    source, sink = descriptors.pipe()
    descriptors.close(source)

    def write() -> None:
        descriptors.waiting(write=(sink,))()
        with pytest.raises(BrokenPipeError):
            descriptors.write(sink, b"x")

    bench.in_thread(write)
    descriptors.close(sink)


def test_a_copy_keeps_a_pipe_open(bench: Bench) -> None:
    descriptors = bench.system.descriptors
    source, sink = descriptors.pipe()
    copy = descriptors.dup(sink)
    descriptors.close(sink)
    descriptors.write(copy, b"x")
    descriptors.close(copy)
    assert (descriptors.read(source, 9), descriptors.read(source, 9)) == (b"x", b"")
    descriptors.close(source)


def test_the_null_device_is_empty_and_takes_everything(simulated: SimulatedBench) -> None:
    descriptors = simulated.machine.descriptors
    null = descriptors.null()
    assert (descriptors.read(null, 9), descriptors.write(null, b"abc")) == (b"", 3)
    descriptors.waiting(read=(null,), write=(null,))()
    descriptors.close(null)


def test_each_end_of_a_pipe_does_one_thing(bench: Bench) -> None:
    descriptors = bench.system.descriptors
    source, sink = descriptors.pipe()
    with pytest.raises(OSError, match="Bad file descriptor"):
        descriptors.write(source, b"x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        descriptors.read(sink, 1)
    descriptors.close(source)
    descriptors.close(sink)


def test_a_socket_is_no_pipe(simulated: SimulatedBench) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        simulated.machine.descriptors.read(simulated.listening.fileno(), 1)


def test_a_pipe_that_cannot_have_both_descriptors_leaves_none(simulated: SimulatedBench) -> None:
    descriptors = simulated.machine.descriptors
    before = descriptors.open()
    descriptors.most = max(before) + 2
    with pytest.raises(OSError, match="Too many open files"):
        descriptors.pipe()
    assert (descriptors.open(), descriptors.limit()) == (before, max(before) + 2)
