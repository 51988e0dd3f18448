"""The command in shells that close or break its standard streams, and with a key that it cannot read."""

from __future__ import annotations

import json
import subprocess
import sys
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

from tests.adapters.loopback import ENVIRONMENT, PATIENCE

SERVICE = """
print("hello", flush=True)
from posthouse.core import Service
service = Service("closed", public=True)
"""

PING = '{"jsonrpc":"2.0","method":"connection.ping","id":1}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(SERVICE)
    (tmp_path / "in").write_text(PING)
    return tmp_path


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    line = line.replace("posthouse", f"{sys.executable} -m posthouse", 1)
    command = ["bash", "-c", line]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("closed", ["<&-", "< in >&-", "< in 2>&-", "<&- >&-", "<&- >&- 2>&-", "< in >&- 2>&-"])
def test_stdio_ends_as_ever_where_standard_streams_are_closed(folder: Path, closed: str) -> None:
    ended = shell(folder, f"posthouse stdio app:service {closed}")
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    answers = [json.loads(line)["id"] for line in ended.stdout.splitlines()]
    assert answers == ([1] if closed == "< in 2>&-" else [])


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_help_and_errors_need_no_open_stream(folder: Path, closed: str) -> None:
    assert shell(folder, f"posthouse --help {closed}").returncode == 0
    assert shell(folder, f"posthouse serve nothing {closed}").returncode == 2


def test_a_server_whose_output_nobody_reads_serves_on(folder: Path) -> None:
    line = "timeout -s TERM 3 posthouse serve app:service --port 0 2>&1 | head -1 > /dev/null; echo ${PIPESTATUS[0]}"
    assert shell(folder, line).stdout.strip() == "124"


@pytest.mark.parametrize("apart", [True, False])
def test_a_key_with_a_passphrase_is_refused_at_once(tmp_path: Path, apart: bool) -> None:
    issued = trustme.CA().issue_cert("localhost")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    chain = issued.cert_chain_pems[0].bytes()
    cert, file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(chain if apart else encrypted + chain)
    file.write_bytes(encrypted)
    with pytest.raises(OSError) as raised:
        tls_context(cert, file if apart else None)
    named = file if apart else cert
    assert str(raised.value) == f"the key in {named} is encrypted: give its passphrase, in tls_passphrase_file"
