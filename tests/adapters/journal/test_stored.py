"""Answers of a store in a journal: they are read as they were, but for the hashes of passwords."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace
from posthouse.adapters.journal import read, record
from posthouse.adapters.journal.arguments import read_argument, write_argument
from posthouse.adapters.journal.run import Run, with_recorded_results
from posthouse.adapters.journal.stored import without_passwords
from posthouse.core.gateway import Gateway
from posthouse.core.operations.operations import Busy, Failed, Hashed, Refused
from posthouse.core.service.service import Service
from posthouse.core.store.outcomes import Done, MaybeApplied
from posthouse.core.store.requests import FindUser, UserChanged
from posthouse.core.store.rows import RevocationRow, SessionRow, TokenRow, UserRow
from posthouse.core.values.config import Config
from posthouse.core.values.effects import AskStore
from posthouse.core.values.peers import Identity, OperationId
from posthouse.transports.policy import Policy

ADA = UserRow(user="ada", password="$argon2id$canary", profile=b'"\xff"', created_at=1.5)
TOKEN = TokenRow(id="t", user="ada", digest=b"\0\xff" * 16, created_at=1.0)
SESSION = SessionRow(
    id="s",
    identity=Identity("ada", ("read",)),
    current=b"\1" * 32,
    previous=b"\2" * 32,
    retired=(b"\3" * 32,),
    created_at=0.0,
    used_at=0.5,
    ends_at=9.0,
)
REVOCATION = RevocationRow(("work", "ada"), 1.0, 2.0)

VALUES = [None, True, "s", (), ("a", "b"), ADA, (ADA, ADA), (TOKEN, ADA), SESSION, (REVOCATION,)]


@pytest.mark.parametrize(
    "outcome",
    [
        *(Done(value) for value in (*VALUES, UserChanged(ADA, ("s",)))),
        *(Refused("full"), Failed(), Busy(), MaybeApplied()),
    ],
)
def test_an_outcome_is_read_as_it_was_written(outcome: object) -> None:
    written = json.decode(json.encode(write_argument("outcome", outcome)))
    assert read_argument("outcome", written) == outcome


@pytest.mark.parametrize("value", [ADA, (ADA,), ((TOKEN, ADA),), UserChanged(ADA)])
def test_no_hash_of_a_password_is_written(value: Any) -> None:
    hidden = without_passwords(Done(value))
    assert b"canary" in json.encode(write_argument("outcome", Done(value)))
    assert b"canary" not in json.encode(write_argument("outcome", hidden))
    assert replace(hidden, value=type(hidden.value)) == Done(type(value))


@pytest.mark.parametrize("outcome", [Failed(), Done(), Done(replace(ADA, password=None)), Done(SESSION), None])
def test_an_outcome_without_passwords_stays(outcome: object) -> None:
    assert without_passwords(outcome) == outcome


def test_a_recorded_gateway_with_a_store_outside_is_recorded_and_replayed_as_one() -> None:
    lines: list[bytes] = []
    service = Service("stored", sessions="on")
    core = record(service, Config(), Policy(), lines.append, wall=0.0, entropy=bytes, store="sqlite").gateway
    assert core.store is None
    core._storage.on("test", lambda *_: None)
    operation = core._storage.begin("test", 1, FindUser("ada"), 1.0)
    assert core.outbox == [AskStore(OperationId(1), FindUser("ada"))]
    core.conclude(OperationId(1), Done(ADA), 2.0)
    assert operation == 1
    assert b"canary" not in b"".join(lines)
    journal = read(lines)
    assert (journal.header.store, journal.header.machine) == ("sqlite", "gateway")
    run = Run(journal.header, with_recorded_results(service))
    assert isinstance(run.machine, Gateway)
    assert run.machine.store is None


def test_the_hash_of_a_password_that_was_made_is_hidden() -> None:
    assert without_passwords(Hashed("canary")) == Hashed("$hidden")
