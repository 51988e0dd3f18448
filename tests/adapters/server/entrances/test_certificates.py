"""The certificate of a server: read when it starts, and again when its files have changed."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.server.entrances.certificates import CertificateFiles, Certificates, certificate_files
from posthouse.adapters.system.system import TlsContext, TlsSocket
from posthouse.core.values.errors import UsageError

from tests.adapters.simulated import logged


class Context:
    """A certificate that was read as the `number`-th."""

    def __init__(self, number: int) -> None:
        self.number = number

    def wrap_socket(self, sock: Any, *, server_side: bool, do_handshake_on_connect: bool) -> TlsSocket:
        raise NotImplementedError


class Bench:
    """The certificate of two files. `asked` has what was read, `error` is the error of the next reads."""

    def __init__(self, tmp_path: Path) -> None:
        self.cert, self.key = tmp_path / "cert.pem", tmp_path / "key.pem"
        self.cert.write_text("first")
        self.key.write_text("first")
        self.seconds = 0.0
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.error: OSError | None = None
        files = CertificateFiles(str(self.cert), str(self.key), "words")
        self.certificates = Certificates(self.make, files, lambda: self.seconds)

    def make(self, cert: str, key: str | None, passphrase: str | None) -> Context:
        if self.error is not None:
            raise self.error
        self.asked.append((cert, key, passphrase))
        return Context(len(self.asked))

    def current(self, after: float = 0.0) -> int:
        """The certificate of a client that comes after so many seconds."""
        self.seconds += after
        context = self.certificates.current()
        assert isinstance(context, Context)
        return context.number


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_files_that_stay_as_they_are_are_read_once(bench: Bench) -> None:
    assert [bench.current(after) for after in (0.0, 0.5, 1.0, 100.0)] == [1, 1, 1, 1]
    assert bench.asked == [(str(bench.cert), str(bench.key), "words")]


def test_a_change_of_either_file_counts_for_clients_a_second_later(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.cert.write_text("another")
    assert (bench.current(0.999), bench.current(0.001)) == (1, 2)
    bench.key.write_text("another")
    assert (bench.current(0.999), bench.current(0.001), bench.current(5.0)) == (2, 3, 3)
    line = (logging.INFO, "tls.read", f"read the certificate again, file={bench.cert}")
    assert logged(caplog, "tls.read") == [line] * 2


def test_a_file_that_another_takes_the_place_of_has_changed(bench: Bench, tmp_path: Path) -> None:
    times = os.stat(bench.cert)
    other = tmp_path / "other.pem"
    other.write_text("fresh")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(other, bench.cert)
    assert bench.current(1.0) == 2


def test_files_that_do_not_fit_leave_the_certificate_as_it_was(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.cert.unlink()
    bench.error = OSError("cannot read cert.pem: No such file or directory")
    assert (bench.current(1.0), bench.current(1.0)) == (1, 1)
    bench.cert.write_text("another")
    bench.error = OSError(1, "the key does not fit")
    assert bench.current(1.0) == 1
    remedy = "new clients get the certificate that was read before"
    assert [text for _, _, text in logged(caplog, "tls.unreadable")] == [
        f"cannot read cert.pem: No such file or directory: {remedy}",
        f"the key does not fit: {remedy}",
    ]
    bench.error = None
    bench.key.write_text("another")
    assert bench.current(1.0) == 2


def test_it_can_be_told_to_read_files_that_look_the_same(bench: Bench) -> None:
    bench.certificates.read_again()
    assert bench.current() == 2
    assert bench.current(1.0) == 2


def test_the_first_read_must_succeed(tmp_path: Path) -> None:
    def fail(*files: object) -> TlsContext:
        raise OSError("no certificate")

    with pytest.raises(OSError, match="no certificate"):
        Certificates(fail, CertificateFiles("cert.pem"), lambda: 0.0)


def test_the_passphrase_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "words"
    files = CertificateFiles("cert.pem", None, None, str(file))
    assert files.all == ["cert.pem", str(file)]
    for content, passphrase in (
        (b"words\n", "words"),
        (b"two words\r\nmore", "two words"),
        (b"", ""),
        (b"k\xc3\xa4", "kä"),
    ):
        file.write_bytes(content)
        assert files.read_passphrase() == passphrase
    file.write_bytes(b"\xff")
    with pytest.raises(OSError, match=r"cannot read the passphrase in .*words: it is not UTF-8"):
        files.read_passphrase()
    file.unlink()
    with pytest.raises(OSError, match=r"cannot read the passphrase in .*words: No such file or directory"):
        files.read_passphrase()
    assert CertificateFiles("cert.pem", "key.pem", "words").read_passphrase() == "words"
    assert "words" not in repr(CertificateFiles("cert.pem", "key.pem", "words"))


def test_files_that_do_not_fit_together_are_a_mistake(tmp_path: Path) -> None:
    assert certificate_files(None, None, None, None) is None
    assert certificate_files(tmp_path, None, None, None) == CertificateFiles(str(tmp_path))
    assert certificate_files("c", "k", "p", None) == CertificateFiles("c", "k", "p")
    assert certificate_files("c", tmp_path, None, "f") == CertificateFiles("c", str(tmp_path), None, "f")
    for given, problem in (
        ((None, "k", None, None), "tls_key needs tls_cert: TLS needs a certificate"),
        ((None, None, "p", None), "tls_passphrase needs tls_cert: TLS needs a certificate"),
        ((None, None, None, "f"), "tls_passphrase_file needs tls_cert: TLS needs a certificate"),
        (("c", None, "p", "f"), "tls_passphrase and tls_passphrase_file exclude each other: give one of them"),
    ):
        with pytest.raises(UsageError) as caught:
            certificate_files(*given)
        assert str(caught.value) == problem
