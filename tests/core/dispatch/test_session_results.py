"""The results of `session.*`, as they go over the wire."""

from __future__ import annotations

from msgspec import Raw, json
from posthouse.core.dispatch.session_results import (
    ListedSession,
    SessionGone,
    SessionInfo,
    SessionList,
    SessionOpened,
    SessionVersion,
)


def test_a_session_that_is_opened_tells_its_secret_and_its_data_as_it_is_kept() -> None:
    opened = SessionOpened("one", "words", 60, Raw(b'{"n":1.0}'), 3, "memory")
    told = b'{"id":"one","secret":"words","expires_in":60,"data":{"n":1.0},"version":3,"durable":"memory"}'
    assert json.encode(opened) == told


def test_a_session_that_is_described_has_no_secret() -> None:
    info = SessionInfo("one", Raw(b"{}"), 1, 1.5, 2.5, 60, 2)
    told = b'{"id":"one","data":{},"version":1,"created_at":1.5,"ends_at":2.5,"expires_in":60,"connections":2}'
    assert json.encode(info) == told


def test_a_change_and_an_end_tell_what_keeps_them() -> None:
    assert json.encode(SessionVersion(4, "sqlite")) == b'{"version":4,"durable":"sqlite"}'
    assert json.encode(SessionGone("sqlite")) == b'{"durable":"sqlite"}'


def test_a_page_names_the_next_one_only_if_there_may_be_one() -> None:
    listed = ListedSession("one", 1.0, 2.0, 3.0, 0, False)
    row = b'{"id":"one","created_at":1.0,"used_at":2.0,"ends_at":3.0,"connections":0,"current":false}'
    assert json.encode(SessionList((listed,))) == b'{"sessions":[%b]}' % row
    assert json.encode(SessionList((listed,), "one")) == b'{"sessions":[%b],"next":"one"}' % row
