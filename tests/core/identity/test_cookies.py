"""Cookies: log-ins that a browser keeps, of which only hashes are kept here."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from posthouse.core.identity.cookies import CLEARED, Cookies
from posthouse.core.service.authenticators import Cookie
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity, SetCookie
from posthouse.core.values.shared import Shared

from tests.core.world import WALL

ADA, BOB = Identity("ada", namespace="home"), Identity("bob", namespace="home")


class Jar:
    """The table alone. Its secrets are numbers."""

    def __init__(self, **limits: Any) -> None:
        self.drawn = 0
        self.table = Cookies(Shared(Config.from_mapping(limits), WALL, self.draw))

    def draw(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    def mint(self, identity: Identity = ADA, now: float = 0.0) -> SetCookie:
        minted = self.table.mint(identity, now)
        assert minted is not None
        return minted[1]

    def find(self, cookie: SetCookie, now: float = 0.0) -> Identity | None:
        return self.table.find(Cookie(cookie.secret), now)


def test_a_cookie_has_256_bits_and_is_kept_as_a_hash() -> None:
    jar = Jar()
    minted = jar.table.mint(ADA, 0.0)
    assert minted == (
        sha256(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE").digest(),
        SetCookie("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE", 7_776_000),
    )
    assert list(jar.table.records) == [minted[0]]
    assert "AAAA" not in repr(jar.table.records)
    assert jar.table.by_user == {("home", "ada"): {minted[0]: None}}


def test_a_cookie_is_found_and_an_unknown_one_is_not() -> None:
    jar = Jar()
    cookie = jar.mint()
    assert jar.find(cookie) == ADA
    assert jar.find(SetCookie(cookie.secret + "A", 1)) is None
    assert jar.find(CLEARED) is None


@pytest.mark.parametrize(("idle", "found"), [(9.999, True), (10.0, False), (10.001, False)])
def test_a_cookie_that_is_not_used_ends(idle: float, found: bool) -> None:
    jar = Jar(session_idle=10.0)
    cookie = jar.mint()
    assert jar.find(cookie, 5.0) == ADA
    assert (jar.find(cookie, 5.0 + idle) is not None) is found
    assert bool(jar.table.records) is bool(jar.table.by_user) is found


@pytest.mark.parametrize(("now", "found"), [(29.999, True), (30.0, False), (30.001, False)])
def test_a_cookie_has_a_whole_lifetime_however_often_it_is_used(now: float, found: bool) -> None:
    jar = Jar(session_idle=20.0, session_lifetime=30.0)
    cookie = jar.mint()
    assert cookie.max_age == 30
    assert jar.find(cookie, 15.0) == ADA
    assert (jar.find(cookie, now) is not None) is found


@pytest.mark.parametrize(("now", "found"), [(4.499, True), (4.5, False)])
def test_a_cookie_ends_with_its_identity(now: float, found: bool) -> None:
    jar = Jar()
    cookie = jar.mint(Identity("ada", expires_at=WALL + 4.5), 1.0)
    assert cookie.max_age == 3
    assert (jar.find(cookie, now) is not None) is found


def test_a_cookie_ends_with_its_identity_although_the_wall_clock_was_set() -> None:
    jar = Jar()
    cookie = jar.mint(Identity("ada", expires_at=WALL + 100.0))
    jar.table._shared.wall += 100.0
    assert jar.find(cookie, 1.0) is None


@pytest.mark.parametrize(("made", "fits"), [(1, True), (2, True), (3, False)])
def test_there_are_at_most_so_many_cookies(made: int, fits: bool) -> None:
    jar = Jar(max_sessions=2)
    minted = [jar.table.mint(Identity(f"user {number}"), 0.0) for number in range(made)]
    assert (minted[-1] is not None) is fits
    assert len(jar.table.records) == min(made, 2)


@pytest.mark.parametrize(("made", "left"), [(1, 1), (2, 2), (3, 2)])
def test_the_least_recently_used_cookie_of_a_user_makes_room(made: int, left: int) -> None:
    jar = Jar(max_sessions_per_user=2)
    other = jar.mint(BOB)
    cookies = []
    for number in range(made):
        cookies.append(jar.mint(ADA, float(number)))
        assert jar.find(cookies[0], number + 0.5) == ADA
    assert len(jar.table.by_user["home", "ada"]) == left
    assert [jar.find(cookie, 3.0) for cookie in cookies] == {1: [ADA], 2: [ADA, ADA], 3: [ADA, None, ADA]}[made]
    assert jar.find(other, 3.0) == BOB


def test_cookies_that_were_not_used_make_room_for_others() -> None:
    jar = Jar(max_sessions=2, session_idle=10.0)
    one, two = jar.mint(ADA), jar.mint(BOB)
    assert jar.find(one, 5.0) == ADA
    assert jar.mint(Identity("eve"), 10.0)
    assert jar.find(two, 10.0) is None
    assert jar.table.mint(Identity("mallory"), 14.0) is None
    assert jar.table.mint(Identity("mallory"), 15.0) is not None


def test_cookies_that_have_expired_make_room_for_others_at_most_once_a_second() -> None:
    jar = Jar(max_sessions=2)
    jar.mint(Identity("brief", expires_at=WALL + 5.0))
    jar.mint(Identity("short", expires_at=WALL + 5.5))
    assert jar.table.mint(BOB, 4.9) is None
    assert jar.table.mint(BOB, 5.5) is None  # it has looked a moment ago
    assert jar.table.mint(BOB, 5.9) is not None
    assert list(jar.table.by_user) == [("home", "bob")]


def test_a_cookie_that_was_ended_does_not_count_any_more() -> None:
    jar = Jar()
    one, two = jar.table.mint(ADA, 0.0), jar.mint(ADA)
    assert one is not None
    jar.table.end(one[0])
    jar.table.end(one[0])
    assert jar.find(one[1]) is None
    assert jar.find(two) == ADA


def test_all_cookies_of_a_user_are_revoked_and_no_others() -> None:
    jar = Jar()
    one, two, other = jar.mint(), jar.mint(), jar.mint(BOB)
    jar.table.revoke(("home", "ada"), None)
    jar.table.revoke(("home", "nobody"), None)
    assert [jar.find(each) for each in (one, two, other)] == [None, None, BOB]
    assert list(jar.table.by_user) == [("home", "bob")]


@pytest.mark.parametrize(("issued_at", "left"), [(None, False), (9.9, False), (10.0, True), (10.1, True)])
def test_a_revocation_from_a_time_on_leaves_newer_log_ins(issued_at: float | None, left: bool) -> None:
    jar = Jar()
    cookie = jar.mint(Identity("ada", issued_at=issued_at))
    jar.table.revoke(("", "ada"), 10.0)
    assert (jar.find(cookie) is not None) is left


def test_the_secrets_come_from_their_own_source() -> None:
    jar = Jar()
    jar.table.secrets = lambda size: b"\xff" * size
    assert jar.mint().secret == "_" * 42 + "8"
    assert jar.drawn == 0


def test_no_repr_has_a_secret() -> None:
    assert repr((Cookie("canary"), SetCookie("canary", 5))) == (
        "(Cookie(secret=<hidden>), SetCookie(secret=<hidden>, max_age=5))"
    )
