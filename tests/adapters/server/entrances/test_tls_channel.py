"""One socket under TLS: its handshake, what TLS has decrypted already, and its end. test_channel.py has real TLS."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
from typing import Any

import pytest
from posthouse.adapters.server.entrances.tls_channel import TLS_EXPIRES, TlsChannel
from posthouse.adapters.system.system import READ, WRITE
from posthouse.core.values.config import Config

from tests.adapters.server.entrances.fakes import ID, Runner
from tests.adapters.simulated import logged

WANT_READ = ssl.SSLWantReadError()
WANT_WRITE = ssl.SSLWantWriteError()
RESET = ("setsockopt", socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class TlsSocket:
    """A socket under TLS. `script` holds what its next calls return or raise; `done` notes the calls. `decrypted`: the
    number of bytes that were decrypted and not read."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.done: list[Any] = []
        self.decrypted = 0

    def _next(self, *done: Any) -> Any:
        self.done.append(done if len(done) > 1 else done[0])
        result = self.script.pop(0) if self.script else None
        if isinstance(result, BaseException):
            raise result
        return result

    def do_handshake(self) -> None:
        self._next("handshake")

    def pending(self) -> int:
        return self.decrypted

    def recv(self, size: int) -> bytes:
        data: bytes = self._next("recv", size)
        return data

    def send(self, data: bytes) -> int:
        size: int = self._next("send", bytes(data))
        return size

    def unwrap(self) -> None:
        self._next("unwrap")

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self.done.append(("setsockopt", level, option, value))

    def close(self) -> None:
        self.done.append("close")


class Bench(Runner):
    """A channel whose handshake has begun. It fails after 2.5 seconds."""

    def __init__(self, *script: Any) -> None:
        super().__init__(Config(tls_timeout=2.5, read_bytes=4096))
        self.tls = TlsSocket(*script)
        accepted, runner, context = object(), self, self

        def wrap_socket(sock: object, *, server_side: bool, do_handshake_on_connect: bool) -> TlsSocket:
            assert (sock, server_side, do_handshake_on_connect) == (accepted, True, False)
            return self.tls

        self.wrap_socket = wrap_socket
        made: Any = TlsChannel
        self.channel: TlsChannel = made(ID, accepted, context, runner, self.forget)
        assert self.take() == [("armed", 2.5, TLS_EXPIRES, 3)]
        self.channel.start()

    def ready(self, events: int) -> list[Any]:
        self.channel.ready(events)
        self.flush()
        return self.take()

    def done(self) -> list[Any]:
        done = self.tls.done[:]
        self.tls.done.clear()
        return done


def opened() -> Bench:
    bench = Bench(None)
    assert (bench.take(), bench.done()) == ([("watch", 0, READ)], ["handshake"])
    return bench


def test_a_handshake_waits_for_what_it_needs_and_then_reading_begins() -> None:
    bench = Bench(WANT_READ, WANT_WRITE, WANT_READ, None, b"abc")
    assert bench.take() == [("watch", 0, READ)]
    assert bench.ready(READ) == [("watch", READ, WRITE)]
    assert bench.ready(WRITE) == [("watch", WRITE, READ)]
    assert bench.timers.next() == 3.5
    assert bench.ready(READ) == []
    assert bench.timers.next() is None
    assert bench.ready(READ) == [("received", 3, b"abc", 1.0)]
    assert bench.done() == ["handshake"] * 4 + [("recv", 4096)]


def test_a_handshake_is_something_else_than_a_few_bytes() -> None:
    bench = Bench(WANT_READ, None, b"abc")
    assert [bench.channel.ready(READ) for _ in range(2)] == [False, True]
    assert bench.board.attached == {ID: bench.channel}


def test_a_handshake_that_is_over_has_no_deadline(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    bench = opened()
    bench.channel.expire()
    assert (bench.take(), bench.done(), logged(caplog)) == ([], [], [])


def test_a_handshake_that_takes_too_long_closes_the_socket(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    bench = Bench(WANT_READ)
    bench.take()
    bench.channel.expire()
    assert bench.take() == [("watch", READ, 0), ("forget", 3), ("closed", 3, 1.0)]
    assert bench.done() == ["handshake", RESET, "close"]
    assert logged(caplog) == [(logging.INFO, "tls.failed", "TLS handshake timed out, socket=3")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(104, "Connection reset by peer"), "Connection reset by peer"),
        (ssl.SSLEOFError(8, "EOF occurred"), "EOF occurred"),
    ],
)
def test_a_handshake_that_fails_closes_the_socket(
    error: OSError, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    bench = Bench(error)
    assert bench.take() == [("forget", 3), ("closed", 3, 1.0)]
    assert bench.done() == ["handshake", RESET, "close"]
    assert logged(caplog) == [(logging.INFO, "tls.failed", f"TLS handshake failed, socket=3, reason={reason}")]


def test_the_reason_of_openssl_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    error = ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:1006)")
    error.reason = "NO_SHARED_CIPHER"
    Bench(error)
    assert logged(caplog)[0][2] == "TLS handshake failed, socket=3, reason=NO_SHARED_CIPHER"


def test_reading_that_stops_and_starts_during_the_handshake_changes_nothing_that_is_watched() -> None:
    bench = Bench(WANT_WRITE)
    bench.take()
    bench.tls.decrypted = 5
    bench.channel.stop_reading()
    bench.channel.start_reading()
    assert (bench.take(), bench.poller.calls) == ([], [])
    bench.channel.stop_reading()
    bench.tls.script = [None]
    assert bench.ready(WRITE) == [("watch", WRITE, 0)], "reading has stopped, and writing is not asked for"


def test_a_write_before_the_end_of_the_handshake_closes_the_socket() -> None:
    bench = Bench(WANT_READ)
    bench.take()
    bench.channel.write(b"refused", report=False)
    bench.flush()
    assert bench.take() == [("watch", READ, 0), ("forget", 3), ("closed", 3, 1.0)]
    assert bench.done() == ["handshake", RESET, "close"]


def test_bytes_that_were_decrypted_already_are_read_without_waiting_for_the_socket() -> None:
    bench = opened()
    bench.tls.script, bench.tls.decrypted = [b"abc"], 2
    assert bench.ready(READ) == [("received", 3, b"abc", 1.0)]
    bench.tls.script, bench.tls.decrypted = [b"de"], 0
    bench.poller.run()
    assert bench.take() == [("received", 3, b"de", 1.0)]
    assert bench.poller.calls == []


def test_bytes_that_were_decrypted_already_wait_while_reading_is_stopped() -> None:
    bench = opened()
    bench.tls.script, bench.tls.decrypted = [b"abc"], 2
    bench.ready(READ)
    bench.channel.stop_reading()
    bench.take()
    bench.poller.run()
    assert bench.take() == []
    bench.channel.start_reading()
    assert bench.take() == [("watch", 0, READ)]
    bench.tls.script, bench.tls.decrypted = [b"de"], 0
    bench.poller.run()
    assert bench.take() == [("received", 3, b"de", 1.0)]
    bench.channel.start_reading()
    assert bench.poller.calls == [], "nothing was decrypted"


def test_no_bytes_are_read_once_more_when_reading_has_stopped_or_ended_meanwhile() -> None:
    bench = opened()
    bench.tls.script, bench.tls.decrypted = [b""], 2
    assert bench.ready(READ) == [("watch", READ, 0), ("end of input", 3, 1.0)]
    assert bench.poller.calls == []


@pytest.mark.parametrize("error", [None, WANT_READ, OSError(9, "Bad file descriptor"), ValueError("no SSL")])
def test_close_notify_ends_the_output_and_the_socket(error: Exception | None) -> None:
    bench = opened()
    bench.channel.end_writing()
    bench.tls.script = [error]
    bench.flush()
    assert (bench.done(), bench.take(), bench.channel.open) == (["unwrap"], [], True)
    bench.tls.script = [error]
    bench.channel.close()
    assert bench.done() == ["unwrap", "close"]


def test_a_socket_that_is_reset_sends_no_close_notify() -> None:
    bench = opened()
    bench.channel.close(abort=True)
    assert bench.done() == [RESET, "close"]


def test_bytes_that_tls_does_not_take_are_held_until_it_does() -> None:
    bench = opened()
    bench.tls.script = [WANT_WRITE]
    bench.channel.write(b"ab", report=False)
    bench.flush()
    assert bench.take() == [("held", 3, 2, 1.0), ("watch", READ, READ | WRITE)]
    bench.tls.script = [2]
    assert bench.ready(WRITE) == [("sent", 3, 2, 1.0), ("watch", READ | WRITE, READ)]
