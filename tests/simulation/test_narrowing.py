"""A storm that fails only in the simulator is made smaller, and the smaller one fails in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from posthouse.adapters.journal import read
from posthouse.adapters.simulation import Client, StormReport, attempt
from posthouse.adapters.simulation.storms.failures import Failed, narrowed
from posthouse.adapters.simulation.storms.narrowing import MAX_TRIES, SHORTEST, Narrowing, Part
from posthouse.adapters.simulation.storms.storm import Storm, Workload
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.peers import Identity

service = Service("mine", public=True)


@service.method
def double(number: int) -> int:
    """Twice as much."""
    return number * 2


def test_narrowing_leaves_out_clients_and_time_that_the_failure_does_not_need() -> None:
    tried: list[tuple[float, Part]] = []

    def fails(seconds: float, part: Part) -> bool:
        tried.append((seconds, part))
        return seconds >= 3.0 and {2, 5} <= set(part.clients or ())

    narrowing = Narrowing(20.0, Part(tuple(range(9))), fails)
    narrowing.narrow()
    assert (narrowing.seconds, narrowing.part) == (5.0, Part((2, 5), quiet_server=True))
    assert len(tried) < 30


def test_narrowing_keeps_a_storm_that_needs_everything() -> None:
    whole = Part((0, 1), quiet_server=False)
    narrowing = Narrowing(20.0, whole, lambda seconds, part: seconds == 20.0 and part == whole)
    narrowing.narrow()
    assert (narrowing.seconds, narrowing.part) == (20.0, whole)


@given(st.sets(st.integers(0, 15)), st.floats(0.0, 20.0), st.booleans())
def test_the_narrowed_storm_still_fails(needed: set[int], least: float, ruled: bool) -> None:
    tries = 0

    def fails(seconds: float, part: Part) -> bool:
        nonlocal tries
        tries += 1
        return seconds >= least and needed <= set(part.clients or ()) and not (ruled and part.quiet_server)

    narrowing = Narrowing(20.0, Part(tuple(range(16))), fails)
    narrowing.narrow()
    assert tries <= MAX_TRIES
    assert fails(narrowing.seconds, narrowing.part)
    assert narrowing.part.quiet_server is not ruled
    assert narrowing.seconds / 2 < least or narrowing.seconds <= SHORTEST * 2
    assert needed == set(narrowing.part.clients or ()) or tries > MAX_TRIES // 2


def test_a_failure_only_in_the_simulator_leaves_a_smaller_storm_and_a_command(tmp_path: Path) -> None:
    def workload(client: Client) -> None:
        client.call("double", 4).then(lambda call: fail_if(client.name == "client 1" and call.status == "result"))

    def fail_if(fails: bool) -> None:
        assert not fails, "as it should"

    seed = 2  # four clients
    failed = attempt(seed, 20.0, tmp_path, service=service, workload=workload)
    assert isinstance(failed, Failed)
    assert failed.run.part == Part((1,), quiet_server=True)
    assert failed.run.repeat.endswith("service=…, workload=…, part=Part(clients=(1,), quiet_server=True))")
    assert "posthouse replay" in str(failed)
    assert "seed-2.journal MODULE:SERVICE --check" in str(failed)
    assert "fails only in the simulator" in str(failed)
    journal = failed.journal
    assert journal is not None
    assert not journal.replays
    assert journal.entries < journal.recorded / 2
    assert len(read(journal.path).entries) == journal.entries
    again = attempt(seed, failed.run.seconds, service=service, workload=workload, part=failed.run.part)
    assert isinstance(again, Failed)
    assert (again.error.sentence, again.error.now) == (failed.error.sentence, failed.error.now)


def test_an_exception_from_another_line_is_another_failure() -> None:
    acted: set[str] = set()

    def workload(client: Client) -> None:
        acted.add(client.name)
        if {"client 1", "client 2"} <= acted:
            raise KeyError("it takes two")
        if acted == {"client 1"} and client.connections > 3:
            raise KeyError("another")
        client.call("double", 4)
        client.half_close()

    failed = attempt(2, 20.0, service=service, workload=workload)
    assert isinstance(failed, Failed)
    assert "it takes two" in failed.error.text
    least = narrowed(lambda seed, **rest: begun(acted, seed, workload, **rest), failed)
    assert least.run.part.clients == (1, 2)
    assert "it takes two" in least.error.text


def begun(acted: set[str], seed: int, workload: Workload, **rest: Any) -> Storm:
    """A storm in which nobody has acted yet."""
    acted.clear()
    return Storm(seed, service=service, workload=workload, **rest)


def test_clients_have_the_given_identities() -> None:
    users = set()
    mine = Service("mine", public=True)

    @mine.method(scopes={"vault"})
    def look(context: Context) -> None:
        users.add(context.user)

    carol = Identity("carol", ("vault",))
    outcome = attempt(2, 5.0, service=mine, workload=lambda client: client.call("look"), identities=[carol])
    assert isinstance(outcome, StormReport)
    assert users == {"carol"}


def test_a_storm_that_does_not_fail_again_is_reported_so(tmp_path: Path) -> None:
    calls = 0

    def workload(client: Client) -> None:
        nonlocal calls
        calls += 1
        assert calls != 1

    failed = attempt(2, 1.0, tmp_path, service=service, workload=workload)
    assert isinstance(failed, Failed)
    assert "it depends on more than its seed" in failed.error.text
    assert failed.journal is None
