"""The certificate of a server, and its replacement while the server runs: new handshakes see the new one.

Whether the files have changed is asked at most once a second, when a client comes. Files that cannot be read, or that
do not belong together, are logged, and the certificate that was read before stays: it is often replaced before its key.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from os import PathLike
from typing import Final

from msgspec import Struct
from posthouse.adapters.report import ERROR, INFO, report
from posthouse.adapters.system.system import TlsContext
from posthouse.core.values.errors import UsageError

EVERY: Final = 1.0
"""Seconds between two looks at the files."""

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Differs if a file differs: when it was written, its size, its number. None: it is not there."""


MAX_PASSPHRASE_BYTES: Final = 4096
"""The most bytes of a file with a passphrase that are read."""

Make = Callable[[str, str | None, str | None], TlsContext]
"""Makes a context from the files of a certificate and its key, and the passphrase of the key."""


class CertificateFiles(Struct, frozen=True):
    """The files of a certificate (PEM). `key` None: it is in the file of the certificate. `passphrase` is that of an
    encrypted key, `passphrase_file` the file whose first line it is. The repr does not show it."""

    cert: str
    key: str | None = None
    passphrase: str | None = None
    passphrase_file: str | None = None

    def __repr__(self) -> str:
        return f"CertificateFiles({self.cert!r}, {self.key!r}, passphrase=<hidden>)"

    @property
    def all(self) -> list[str]:
        """All files."""
        return [file for file in (self.cert, self.key, self.passphrase_file) if file is not None]

    def read_passphrase(self) -> str | None:
        """The passphrase, if there is one. Raises OSError for a file that cannot be read."""
        if self.passphrase_file is None:
            return self.passphrase
        try:
            with open(self.passphrase_file, encoding="utf-8") as file:
                return file.readline(MAX_PASSPHRASE_BYTES).rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise OSError(f"cannot read the passphrase in {self.passphrase_file}: {reason}") from None


def certificate_files(
    cert: str | PathLike[str] | None,
    key: str | PathLike[str] | None,
    passphrase: str | None,
    passphrase_file: str | PathLike[str] | None,
) -> CertificateFiles | None:
    """The files that a server was given, or None. Raises UsageError if they do not fit together."""
    if cert is None:
        for name, given in (("tls_key", key), ("tls_passphrase", passphrase), ("tls_passphrase_file", passphrase_file)):
            if given is not None:
                raise UsageError(f"{name} needs tls_cert: TLS needs a certificate")
        return None
    if passphrase is not None and passphrase_file is not None:
        raise UsageError("tls_passphrase and tls_passphrase_file exclude each other: give one of them")
    paths = [None if path is None else os.fspath(path) for path in (key, passphrase_file)]
    return CertificateFiles(os.fspath(cert), paths[0], passphrase, paths[1])


class Certificates:
    """The context for the next handshake, with the certificate of these files. `make` makes it (`Sockets.tls`). Raises
    OSError if they cannot be read at first."""

    def __init__(self, make: Make, files: CertificateFiles, now: Callable[[], float]) -> None:
        self._make: Final = make
        self._files: Final = files
        self._now: Final = now
        self._looked = now()
        self._stamp = self._look()
        self._context = self._read()

    def current(self) -> TlsContext:
        """The context, made anew if the files have changed."""
        now = self._now()
        if now - self._looked >= EVERY:
            self._looked = now
            if self._look() != self._stamp:
                self.read_again()
        return self._context

    def read_again(self) -> None:
        """Read the files now. If that fails, the certificate stays as it is."""
        self._stamp = self._look()
        try:
            self._context = self._read()
        except OSError as error:
            reason = error.strerror or str(error)
            report(
                ERROR, "tls.unreadable", "{reason}: new clients get the certificate that was read before", reason=reason
            )
        else:
            report(INFO, "tls.read", "read the certificate again", file=self._files.cert)

    def _read(self) -> TlsContext:
        return self._make(self._files.cert, self._files.key, self._files.read_passphrase())

    def _look(self) -> Stamp:
        return tuple(_stamp(file) for file in self._files.all)


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
