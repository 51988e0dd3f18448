"""Secrets where they should not be: a URL is logged by every proxy."""

from __future__ import annotations

import pytest
from posthouse.core import Emit
from posthouse.core.values.lifecycle import RequestRefused
from posthouse.transports.http.routes import SECRETS

from tests.secrecy.search import CANARY, Search
from tests.transports.board import HERE, Board

from .attacker import UPGRADE, status

SECRET = f"token-{CANARY}-1"


@pytest.mark.parametrize("name", [*SECRETS, b"Access_Token", b"%74oken", b"+token"])
@pytest.mark.parametrize("upgrade", [False, True])
def test_row_29_a_token_in_the_url_is_refused_and_told_nowhere(name: bytes, upgrade: bool) -> None:
    board = Board()
    target = b"?a=b&%b=%b" % (name, SECRET.encode())
    head = (UPGRADE % b"").replace(b"/ws", b"/ws" + target)
    if not upgrade:
        head = b"POST /rpc%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}" % target
    answer = board.feed(board.open(HERE), head)
    assert status(answer) == 400
    events = [action.event for action in board.actions if isinstance(action, Emit)]
    assert RequestRefused in map(type, events)
    told = [answer, repr(events).encode(), repr(board.board.gateway.stats()).encode()]
    assert not any(map(Search([SECRET]).finds, told))
