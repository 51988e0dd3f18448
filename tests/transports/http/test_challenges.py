"""The challenge of a 401 names what the service reads, and never makes a browser ask for a password."""

from __future__ import annotations

import pytest
from posthouse.transports.http.challenges import Challenges

BEARER = b"WWW-Authenticate: Bearer\r\n"
BASIC = b'WWW-Authenticate: Basic realm="posthouse", charset="UTF-8"\r\n'


@pytest.mark.parametrize(
    ("schemes", "lines"),
    [
        ((), BEARER),
        (("bearer",), BEARER),
        (("ticket",), BEARER),
        (("basic",), BASIC),
        (("basic", "bearer"), BEARER + BASIC),
    ],
)
def test_the_challenge_names_the_schemes_of_the_service(schemes: tuple[str, ...], lines: bytes) -> None:
    assert Challenges.of(schemes).answer({b"host": b"h"}) == lines


@pytest.mark.parametrize("name", [b"origin", b"sec-fetch-site", b"sec-fetch-mode"])
def test_a_page_gets_no_challenge_of_basic(name: bytes) -> None:
    assert Challenges.of(("basic", "bearer")).answer({b"host": b"h", name: b"x"}) == BEARER
