"""The example with JSON Web Tokens: as a program, and its service with other tokens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import pytest
from posthouse.adapters import running

from examples.jwt_service import Provider, call, make_service
from tests.adapters.loopback import ENVIRONMENT, PATIENCE

from .processes import EXAMPLES


def test_the_program_shows_who_may_call() -> None:
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "jwt_service.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    answers = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert answers["with the scope"] == """{"jsonrpc":"2.0","result":"ada wrote 'hello'","id":1}"""
    assert [answers[name][:4] for name in ("without the scope", "expired", "without a token")] == [
        "403 ",
        "401 ",
        "401 ",
    ]
    assert [code for code in ("-32021", "-32022", "-32020") if code in done.stdout] == ["-32021", "-32022", "-32020"]


@pytest.mark.anyio
async def test_a_token_of_another_provider_is_refused(tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    (tmp_path / "other").mkdir()
    other = Provider(tmp_path / "other")
    async with running(make_service(provider.keys), port=0) as server:
        url = server.bound[0].url
        for issuer, status in ((provider, "{"), (other, "401 ")):
            token = issuer.token("ada", "notes:write")
            assert (await anyio.to_thread.run_sync(call, url, token)).startswith(status)
