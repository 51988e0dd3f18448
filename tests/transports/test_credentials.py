"""The Authorization header: Bearer and Basic are read, and everything else is unreadable."""

from __future__ import annotations

from base64 import b64encode

import pytest
from posthouse.core.service.authenticators import Basic, Bearer, UnreadableCredentials
from posthouse.transports.credentials import read_authorization

UNREADABLE = UnreadableCredentials()


def read(value: bytes) -> object:
    return read_authorization(((b"host", b"x"), (b"authorization", value), (b"accept", b"*/*")))


def test_without_the_header_there_are_no_credentials() -> None:
    assert read_authorization(()) is None
    assert read_authorization(((b"host", b"x"), (b"proxy-authorization", b"Bearer x"))) is None


@pytest.mark.parametrize(
    ("value", "credentials"),
    [
        (b"Bearer abc.DEF-1_2~3+4/5==", Bearer("abc.DEF-1_2~3+4/5==")),
        (b"bearer   x", Bearer("x")),
        (b"BEARER x", Bearer("x")),
        (b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Basic("Aladdin", "open sesame")),  # RFC 7617 section 2
        (b"Basic dGVzdDoxMjPCow==", Basic("test", "123£")),  # RFC 7617 section 2.1
        (b"basic " + b64encode(b"a:b:c"), Basic("a", "b:c")),
        (b"basic " + b64encode(b":"), Basic("", "")),
        (b"Basic " + b64encode(b"no colon"), UNREADABLE),
        (b"Basic " + b64encode(b"\xff:x"), UNREADABLE),
        (b"Basic QWxh=ZGRpbg", UNREADABLE),
        (b"Basic !!!!", UNREADABLE),
        (b"Digest x", UNREADABLE),
        (b"Bearer", UNREADABLE),
        (b"Bearer ", UNREADABLE),
        (b"Bearer a b", UNREADABLE),
        (b"Bearer \xc3\xa9", UNREADABLE),
        (b"", UNREADABLE),
    ],
)
def test_the_header_is_read(value: bytes, credentials: object) -> None:
    assert read(value) == credentials
