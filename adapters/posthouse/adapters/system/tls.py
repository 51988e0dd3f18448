"""Makes a context for TLS from the files of a certificate. Each mistake has its own error, which names the file."""

from __future__ import annotations

import os
import ssl
from os import PathLike


def tls_context(
    cert: str | PathLike[str], key: str | PathLike[str] | None = None, passphrase: str | None = None
) -> ssl.SSLContext:
    """Returns a context for TLS 1.2 and newer with the certificate of these PEM files. `passphrase` is that of an
    encrypted key. Raises an OSError that names the file."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    files = os.fspath(cert) if key is None else f"{os.fspath(cert)} or {os.fspath(key)}"
    encrypted = f"the key in {os.fspath(key or cert)} is encrypted: give its passphrase, in tls_passphrase_file"
    asked = False

    def answer() -> str:
        nonlocal asked
        if passphrase is None:
            raise PermissionError(encrypted)  # without a callback, OpenSSL would ask on the terminal
        asked = True
        return passphrase

    try:
        context.load_cert_chain(cert, key, answer)
    except PermissionError as error:
        if error.errno is None:
            raise OSError(encrypted) from None
        raise OSError(error.errno, f"cannot read {files}: {error.strerror}") from None
    except ssl.SSLError as error:
        if asked:
            raise OSError(f"cannot decrypt the key in {os.fspath(key or cert)}: the passphrase is wrong") from None
        reason = f": {error.reason}" if error.reason else ""
        raise OSError(f"cannot read a certificate and its key (PEM) from {os.fspath(cert)}{reason}") from None
    except OSError as error:
        raise OSError(error.errno, f"cannot read {files}: {error.strerror}") from None
    except ValueError as error:  # a passphrase of more than 1,024 bytes, a path that cannot be one
        raise OSError(f"cannot read {files}: {error}") from None
    return context
