"""A context for TLS, and the mistakes with its files."""

from __future__ import annotations

import errno
import re
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from posthouse.adapters.system.tls import tls_context

ENCRYPTED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBBYGuIg3gdKYhv+ZaZl
kIiYAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQVZJvZRMktkMEFzDX
D9G4RwSBkGcsPbMDVzxafsVDnNKKV2qafuZUpw+AapB1MM//Y35twnUAfOHhlhlT
SkSdV31CDmTrL7Job+J23aDvshWIiCA7XzbmpHlOgo73r5qLBN3I7XSc9S5xY0SK
6sZaYBpjFpMRPdOSHp53aUfcoXkK/Q2YhsSoQGBAjBKcBEvs+NYWK3uhSMPrco2G
6Sa/RGqueQ==
-----END ENCRYPTED PRIVATE KEY-----
"""
"""A key that nobody uses. Its passphrase is `words`."""

CERT = trustme.CA().issue_cert("localhost")


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    CERT.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


@pytest.fixture
def cert(tmp_path: Path) -> Path:
    path = tmp_path / "cert.pem"
    CERT.cert_chain_pems[0].write_to_path(str(path))
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    CERT.private_key_pem.write_to_path(str(path))
    return path


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    path = tmp_path / "encrypted.pem"
    path.write_text(ENCRYPTED)
    return path


def test_a_context_is_for_servers_with_tls_1_2_and_newer(pem: Path, cert: Path, key: Path) -> None:
    for context in (tls_context(pem), tls_context(cert, key), tls_context(str(cert), str(key))):
        assert context.verify_mode == ssl.CERT_NONE
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION


def test_clients_that_ask_for_a_protocol_get_http_1_1(pem: Path) -> None:
    server, client = tls_context(pem), ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_alpn_protocols(["h2", "http/1.1"])
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up)
    done: set[object] = set()
    while len(done) < 2:
        for end in (theirs, ours):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
    assert (ours.selected_alpn_protocol(), theirs.selected_alpn_protocol()) == ("http/1.1", "http/1.1")


def error(cert: Path, key: Path | None = None) -> OSError:
    with pytest.raises(OSError) as caught:
        tls_context(cert, key)
    assert not isinstance(caught.value, ssl.SSLError)
    assert caught.value.__suppress_context__
    return caught.value


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, cert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.pem"
    assert str(error(missing)) == f"[Errno 2] cannot read {missing}: No such file or directory"
    assert error(missing).errno == errno.ENOENT
    assert str(error(cert, missing)) == f"[Errno 2] cannot read {cert} or {missing}: No such file or directory"

    def refuse(self: ssl.SSLContext, *arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)
    assert str(error(cert)) == f"[Errno 13] cannot read {cert}: Permission denied"


def test_a_key_with_a_passphrase_is_refused_with_the_remedy(cert: Path, encrypted: Path, tmp_path: Path) -> None:
    remedy = "is encrypted: give its passphrase, in tls_passphrase_file"
    assert str(error(cert, encrypted)) == f"the key in {encrypted} {remedy}"
    both = tmp_path / "both.pem"
    both.write_bytes(encrypted.read_bytes() + cert.read_bytes())
    assert str(error(both)) == f"the key in {both} {remedy}"


def test_a_key_with_a_passphrase_needs_the_right_one(cert: Path, key: Path, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.pem"
    private = load_pem_private_key(key.read_bytes(), None)
    words = BestAvailableEncryption(b"words")
    encrypted.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, words))
    tls_context(cert, encrypted, "words")
    with pytest.raises(OSError) as caught:
        tls_context(cert, encrypted, "other words")
    assert str(caught.value) == f"cannot decrypt the key in {encrypted}: the passphrase is wrong"
    tls_context(cert, key, "a passphrase that nobody asks for")
    with pytest.raises(OSError) as caught:
        tls_context(cert, encrypted, "x" * 1025)
    assert str(caught.value) == f"cannot read {cert} or {encrypted}: password cannot be longer than 1024 bytes"


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, cert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    text = f"cannot read a certificate and its key (PEM) from {nonsense}"
    assert re.fullmatch(rf"{re.escape(text)}(: [A-Z_]+)?", str(error(nonsense)))

    def fail(self: ssl.SSLContext, *arguments: object) -> None:
        raised = ssl.SSLError(1, "no start line")
        raised.reason = reason
        raise raised

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", fail)
    reason = "NO_START_LINE"
    assert str(error(nonsense)) == f"{text}: NO_START_LINE"
    reason = ""
    assert str(error(nonsense)) == text
