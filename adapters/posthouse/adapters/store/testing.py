"""The conformance kit: what every store must do, as checks for the tests of a store.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    @pytest.mark.anyio
    async def test_it_is_a_store(check: Check, tmp_path: Path) -> None:
        await check(lambda place: PostgresStore(...))

The function that a check gets makes a store that is not open. A place is a short name: a store of a new place is empty;
one that is made for a place again, after the first one was closed, has its rows. A check raises AssertionError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
from msgspec.structs import replace
from posthouse.core.operations.operations import Refused
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import OTHER_VERSION, STOLEN, UNKNOWN, Done, StoreOutcome
from posthouse.core.store.requests import (
    AddSession,
    AddToken,
    AddUser,
    EndSession,
    FindSession,
    FindToken,
    ListUsers,
    Request,
    ResumeSession,
    SessionAdded,
    Sweep,
    UpdateSession,
    UseSession,
)
from posthouse.core.store.rows import SessionRow, TokenRow, UserRow
from posthouse.core.values.peers import Identity

from .draws import IDLE, Draws, digest, everything, script, session_of
from .store import Store

Make = Callable[[str], Store]
Check = Callable[[Make], Awaitable[None]]


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    """The store, open until the end of the block."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def each_rule_counts(make: Make) -> None:
    """A script of requests has the outcomes that a MemoryStore gives."""
    memory = MemoryStore()
    async with opened(make("script")) as store:
        for step, request in enumerate(script()):
            await _compare(store, memory, request, f"step {step} of the script")


async def it_answers_as_the_rules_say(make: Make) -> None:
    """Random sequences of requests have the outcomes that a MemoryStore gives, and leave the same rows."""
    for seed in range(12):
        memory = MemoryStore()
        draws = Draws(seed, memory)
        async with opened(make(f"rules-{seed}")) as store:
            for step in range(100):
                request = draws.request()
                await _compare(store, memory, request, f"sequence {seed}, step {step}")


async def _compare(store: Store, memory: MemoryStore, request: Request, where: str) -> None:
    expected, outcome = memory.perform(request), await store.perform(request)
    assert outcome == expected, f"{where}: the outcome of {request} is {outcome}: it must be {expected}"


async def it_keeps_its_rows_when_it_is_closed(make: Make) -> None:
    """A store that is opened again has every row. (Not for a store in memory.)"""
    for seed in range(4):
        memory = MemoryStore()
        draws = Draws(seed, memory)
        for part in range(3):
            async with opened(make(f"kept-{seed}")) as store:
                for request in everything():
                    await _compare(store, memory, request, f"sequence {seed}, opened for the {part + 1}. time")
                for step in range(30):
                    await _compare(store, memory, draws.request(), f"sequence {seed}, part {part}, step {step}")


async def _all(store: Store, requests: Sequence[Request]) -> list[StoreOutcome]:
    """The outcomes of requests that are performed at the same time."""
    outcomes: dict[int, StoreOutcome] = {}

    async def perform(number: int, request: Request) -> None:
        outcomes[number] = await store.perform(request)

    async with anyio.create_task_group() as group:
        for number, request in enumerate(requests):
            group.start_soon(perform, number, request)
    return [outcomes[number] for number in range(len(requests))]


async def of_writes_at_the_same_time_one_wins(make: Make) -> None:
    """Updates of one version, and uses of a new secret beside the old one: each has one order, in which the rules
    hold."""
    async with opened(make("races")) as store:
        for turn in range(10):
            id = f"race-{turn}"
            assert await store.perform(session_of(id, "one")) == Done(SessionAdded(session_of(id, "one").row))
            updates = [
                UpdateSession(f"{number:032x}", id, b'{"by":%d}' % number, (), 1, 100, 0.0, IDLE)
                for number in range(20)
            ]
            outcomes = await _all(store, updates)
            won = [outcome for outcome in outcomes if isinstance(outcome, Done)]
            assert len(won) == 1, f"{len(won)} of 20 updates of one version were done: it must be one"
            assert outcomes.count(OTHER_VERSION) == 19
            resumes = [
                ResumeSession(f"{number:032x}", id, digest("one"), digest(f"new {number}"), 0.0, IDLE)
                for number in range(5)
            ]
            outcomes = await _all(store, resumes)
            assert all(isinstance(outcome, Done) for outcome in outcomes)  # nobody has used one of the new secrets
            uses = [UseSession(f"{number:032x}", id, digest(f"new {number}"), 0.0, IDLE) for number in range(5)]
            outcomes = await _all(store, uses)
            assert STOLEN in outcomes, "a secret that was replaced was used, and no theft was seen"
            assert await store.perform(FindSession(id, 0.0, IDLE)) == Done(None)


async def writes_of_one_row_keep_their_order(make: Make) -> None:
    """Writes that are begun one after the other, without waiting for their outcomes, are done in this order."""
    async with opened(make("order")) as store:
        for turn in range(10):
            id = f"order-{turn}"
            update = UpdateSession("2" * 32, id, b'{"a":1}', (), 1, 100, 0.0, IDLE)
            outcomes: list[StoreOutcome | None] = [None] * 4
            requests: list[Request] = [session_of(id, "one"), update, EndSession("3" * 32, id), update]
            async with anyio.create_task_group() as group:
                for number, request in enumerate(requests):
                    await _begun(group, store, request, outcomes, number)
            assert outcomes[0] == Done(SessionAdded(session_of(id, "one").row))
            assert isinstance(outcomes[1], Done)
            assert outcomes[2:] == [Done(True), UNKNOWN]


async def _begun(
    group: anyio.abc.TaskGroup, store: Store, request: Request, outcomes: list[StoreOutcome | None], number: int
) -> None:
    """Begin a request, and return when it runs."""

    async def perform(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        task_status.started()
        outcomes[number] = await store.perform(request)

    await group.start(perform)


async def texts_come_back_as_they_were(make: Make) -> None:
    """Names, labels and data of every kind of characters, and times to the last digit."""
    texts = (
        "\0",
        "a\0b",
        "\x7f",
        "'; DROP TABLE users; --",
        "%s {x} \\",
        "Zoë",
        "日本",
        "\U0001f40e",
        " ",
        "x" * 1_000,
    )
    async with opened(make("texts")) as store:
        for number, text in enumerate(texts):
            at = 1_700_000_000.1 + number / 3
            user = UserRow(user=text, password=text, scopes=(text,), profile=b'"\xf0\x9f\x90\x8e"', created_at=at)
            token = TokenRow(id=f"t{number}", user=text, digest=digest(text), label=text, created_at=at)
            identity = Identity(text, (text,), at + 1e6, text, at)
            row = SessionRow(
                id=f"s{number}", identity=identity, current=digest(text), created_at=at, used_at=at, ends_at=at + 1e6
            )
            for request in (AddUser("1", user, 99), AddToken("2", token, 99), AddSession("3", row, 99, 99, at, 1e6)):
                outcome = await store.perform(request)
                assert isinstance(outcome, Done), f"{request}: {outcome}"
            assert await store.perform(FindToken(digest(text))) == Done((token, user)), f"{text!r} has changed"
            assert await store.perform(FindSession(f"s{number}", at, 1e6)) == Done(row), f"{text!r} has changed"
        listed = await store.perform(ListUsers("", len(texts)))
        assert isinstance(listed, Done)
        assert [row.user for row in listed.value] == sorted(texts), "users are listed by the code points of their names"


async def one_that_lasts_hides_none_that_have_expired(make: Make) -> None:
    """Sessions that end early are found, also behind one that was made before and lasts longer."""
    lasting = session_of("lasting", "one")
    ending = [
        replace(lasting, row=replace(lasting.row, id=f"ending-{number}", ends_at=5.0 + number)) for number in range(4)
    ]
    async with opened(make("ends")) as store:
        for request in (lasting, *reversed(ending)):
            assert await store.perform(request) == Done(SessionAdded(request.row))
        assert await store.perform(Sweep("1" * 32, 4.9, IDLE)) == Done(())
        assert await store.perform(Sweep("2" * 32, 6.0, IDLE)) == Done(("ending-0", "ending-1"))
        assert await store.perform(Sweep("3" * 32, 8.0, IDLE, 1)) == Done(("ending-2",))
        newest = replace(lasting, row=replace(lasting.row, id="newest"), most=2, now=8.0)
        made = Done(SessionAdded(newest.row, ("ending-3",)))
        assert await store.perform(newest) == made, "a session that has expired must make room"


async def a_renewed_session_has_the_newest_data(make: Make) -> None:
    """A session that takes the place of another has the changes that were begun before it, and not those that were
    begun behind it. The other one goes on, and is not counted."""
    async with opened(make("renewed")) as store:
        for turn in range(10):
            old, new = f"old-{turn}", session_of(f"new-{turn}", "two")
            await store.perform(session_of(old, "one"))
            updates = [UpdateSession(f"{n:032x}", old, b'{"n":%d}' % n, (), None, 100, 0.0, IDLE) for n in range(8)]
            outcomes: list[StoreOutcome | None] = [None] * 9
            requests: list[Request] = [*updates[:4], replace(new, replaces=old, most=2 * turn + 1), *updates[4:]]
            async with anyio.create_task_group() as group:
                for number, request in enumerate(requests):
                    await _begun(group, store, request, outcomes, number)
            row = replace(new.row, data=b'{"n":3}', version=5, replaces=(old,))
            assert outcomes[4] == Done(SessionAdded(row)), f"the outcome of a renewal is {outcomes[4]}"
            assert await store.perform(FindSession(row.id, 0.0, IDLE)) == Done(row)
            found = await store.perform(FindSession(old, 0.0, IDLE))
            assert isinstance(found, Done)
            assert found.value.version == 9, "a session whose place another one takes must go on"


async def the_first_use_of_a_session_ends_those_that_it_replaces(make: Make) -> None:
    """A session that takes the place of another ends it in the transaction that first uses its secret, not before."""
    uses: tuple[Request, ...] = (
        UseSession("4" * 32, "new-0", digest("two"), 0.0, IDLE),
        ResumeSession("5" * 32, "new-1", digest("two"), digest("three"), 0.0, IDLE),
    )
    for turn, use in enumerate(uses):
        oldest, old, new = f"oldest-{turn}", f"old-{turn}", f"new-{turn}"
        async with opened(make(f"established-{turn}")) as store:
            await store.perform(session_of(oldest, "zero"))
            await store.perform(replace(session_of(old, "one"), replaces=oldest))
            made = await store.perform(replace(session_of(new, "two"), replaces=old))
            row = replace(session_of(new, "two").row, replaces=(old, oldest))
            assert made == Done(SessionAdded(row)), f"the outcome of a second renewal is {made}"
            for id in (oldest, old):
                found = await store.perform(FindSession(id, 0.0, IDLE))
                assert isinstance(found, Done)
                assert found.value is not None, "a session whose place another one takes must go on until that is used"
            used = await store.perform(use)
            assert isinstance(used, Done)
            assert used.value.replaces == (), "a session that was used takes the place of no other any more"
            for id in (oldest, old):
                assert await store.perform(FindSession(id, 0.0, IDLE)) == Done(None), (
                    "a session whose place another one has taken must end when that is first used"
                )
            full = replace(session_of("last", "four"), most=2)
            assert isinstance(await store.perform(full), Done), "sessions that have ended must not be counted"


async def a_refusal_changes_nothing(make: Make) -> None:
    """What a store refuses leaves every row as it was, but for a stolen session, which ends."""
    for seed in range(4):
        memory = MemoryStore()
        draws = Draws(1_000 + seed, memory)
        async with opened(make(f"refused-{seed}")) as store:
            for _ in range(40):
                before = [await store.perform(request) for request in everything()]
                request = draws.request()
                outcome = await store.perform(request)
                if isinstance(memory.perform(request), Refused) and outcome != STOLEN:
                    after = [await store.perform(request) for request in everything()]
                    assert after == before, f"{request} must be refused, and has changed rows"


CHECKS: Final[tuple[Check, ...]] = (
    each_rule_counts,
    it_answers_as_the_rules_say,
    of_writes_at_the_same_time_one_wins,
    writes_of_one_row_keep_their_order,
    texts_come_back_as_they_were,
    one_that_lasts_hides_none_that_have_expired,
    a_renewed_session_has_the_newest_data,
    the_first_use_of_a_session_ends_those_that_it_replaces,
    a_refusal_changes_nothing,
    it_keeps_its_rows_when_it_is_closed,
)
"""Every check. The last one is not for a store in memory."""
