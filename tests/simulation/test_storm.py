"""Storms: two phases, everything from one seed; and the journal of a storm that fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posthouse.adapters.invariants import Violation
from posthouse.adapters.journal import read, replay
from posthouse.adapters.model.checked import CheckedGateway
from posthouse.adapters.simulation import Client, Drawn, PendingCall, Recorded, Recording, Seeded, Storm, attempt
from posthouse.adapters.simulation import __main__ as command
from posthouse.adapters.simulation.clients.protocols.pages import Page
from posthouse.adapters.simulation.clients.protocols.proxies import TRUSTED, trusting
from posthouse.adapters.simulation.journals import Journals, SavedJournal
from posthouse.adapters.simulation.storms.failures import Error, Failed, Run
from posthouse.adapters.simulation.storms.narrowing import Part
from posthouse.adapters.simulation.storms.scenario import SMALL_LIMITS, draw_config, draw_machine, draw_scenario
from posthouse.adapters.simulation.storms.service import service as sample_service
from posthouse.adapters.simulation.storms.storm import StormReport
from posthouse.core import Config, RpcError, Service, UsageError
from posthouse.core.calls.calls import Calls

from .traces import differences, main, traces


@pytest.mark.parametrize("seed", range(20))
def test_a_storm_ends_with_every_call_answered(seed: int) -> None:
    calm = Storm(seed).run(10.0)
    assert calm.steps > 0
    assert calm.simulated >= 10.0


def test_equal_seeds_make_equal_storms() -> None:
    once = Storm(5).run(5.0)
    assert Storm(5).run(5.0) == once
    assert Storm(6).run(5.0).trace != once.trace


def test_a_seed_makes_the_same_storm_in_every_process() -> None:
    assert differences([sys.executable, sys.executable], first=500, seeds=6, seconds=8.0) == []


@pytest.mark.parametrize("seed", range(5000, 5010))
def test_a_journal_changes_nothing_in_its_storm(seed: int) -> None:
    alone, recorded = Storm(seed), Storm(seed, journal=Journals().add)
    for storm in (alone, recorded):
        storm.run(4.0)
    assert (recorded.world.steps, recorded.world.now) == (alone.world.steps, alone.world.now)


def test_storms_that_differ_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def found(python: str, hash_seed: int, *_: float, trio: bool) -> dict[int, str]:
        return {7: "same", 8: f"{python} {hash_seed}"}

    monkeypatch.setattr("tests.simulation.traces.traces", found)
    assert main(["other", "--first", "7", "--seeds", "2"]) == 1
    python = sys.executable
    first, second, third = f"{python} 7 ({python})", f"{python} 8 ({python})", "other 9 (other)"
    assert capsys.readouterr().out == f"seed 8 differs: {first}, {second}, {third}\n2 storms, 1 differ\n"


def test_an_interpreter_that_cannot_run_storms_is_named() -> None:
    with pytest.raises(RuntimeError, match="does not run the storms"):
        traces(sys.executable, 0, first=1, seeds=0, seconds=1.0)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_storms_can_be_drawn_from_a_function(data: st.DataObject) -> None:
    calm = Storm(Drawn(lambda n: data.draw(st.integers(0, n - 1)))).run(1.0)
    assert calm.simulated >= 1.0


def test_a_storm_can_be_repeated_from_its_choices() -> None:
    recording = Recording(Seeded(11))
    calm = Storm(recording).run(5.0)
    assert calm == Storm(Recorded(recording.choices)).run(5.0)
    of_seed = Storm(11).run(5.0)  # its seed is a number, which chooses its scenes: their steps are others
    assert (calm.simulated, calm.calls, calm.trace) == (of_seed.simulated, of_seed.calls, of_seed.trace)


def test_the_simplest_storm_has_no_faults() -> None:
    storm = Storm(Recorded({}))
    assert storm.scenario.config == Config()
    assert storm.run(5.0).calls > 0


def test_every_small_limit_is_a_limit() -> None:
    for name, options in SMALL_LIMITS.items():
        for option in options:
            assert getattr(Config(**{name: option}), name) == option


def test_storms_differ_in_limits_and_faults() -> None:
    made = [draw_scenario(Seeded(seed).stream("swarm")) for seed in range(50)]
    assert len({str(scenario) for scenario in made}) > 45
    assert any(scenario.config == Config() for scenario in made)
    assert "limits" in str(made[0])
    configs = [draw_config(Seeded(seed).stream("swarm")) for seed in range(300)]
    shrunk = {name for name in SMALL_LIMITS for config in configs if getattr(config, name) != getattr(Config(), name)}
    assert shrunk == SMALL_LIMITS.keys()


def test_a_fair_machine_never_fails_to_accept() -> None:
    swarms = [Seeded(seed).stream("swarm") for seed in range(400)]
    machines = [Seeded(seed).stream("machine") for seed in range(400)]
    scenarios = [draw_machine(machine, draw_scenario(swarm)) for machine, swarm in zip(machines, swarms, strict=True)]
    fair = [scenario.conditions.machine for scenario in scenarios if scenario.fair]
    assert {faults.accept for faults in fair} == {0}
    assert any(faults.partial for faults in fair)
    assert {scenario.conditions.machine.accept for scenario in scenarios} == {0, 20, 100, 500}
    assert {scenario.config.max_blocking_queue for scenario in scenarios if scenario.fair} == {256}


def test_proxies_are_trusted_in_some_storms_and_limits_per_address_then_are_small() -> None:
    streams = [Seeded(seed).stream("proxies") for seed in range(400)]
    drawn = [trusting(Config(), stream, fair=False) for stream in streams]
    trusted = [config for config in drawn if config.trust_proxies]
    assert 100 < len(trusted) < 220
    assert {config.trust_proxies for config in trusted} == set(TRUSTED)
    assert {config.proxy_headers for config in trusted} == {"x-forwarded", "forwarded"}
    assert {config.max_connections_per_address for config in trusted} == {None, 1, 2}
    assert {config for config in drawn if not config.trust_proxies} == {Config()}
    fair = [trusting(Config(), Seeded(seed).stream("proxies"), fair=True) for seed in range(400)]
    assert {config.max_connections_per_address for config in fair} == {None}
    small = Config(max_head_bytes=400)
    assert {trusting(small, Seeded(seed).stream("proxies"), fair=True) for seed in range(50)} == {small}


def test_the_requests_of_one_connection_come_from_different_clients_of_a_proxy() -> None:
    forwarding = (((b"X-Forwarded-For", b"192.0.2.1"),), ((b"X-Forwarded-For", b"192.0.2.2"),))
    page = Page(b"localhost", forwarding=forwarding)
    sent = [dict(page.of(number).headers)[b"X-Forwarded-For"] for number in range(4)]
    assert sent == [b"192.0.2.1", b"192.0.2.2", b"192.0.2.1", b"192.0.2.2"]
    assert b"X-Forwarded-For" not in dict(Page(b"localhost").headers)


def test_a_storm_can_run_any_service() -> None:
    service = Service("mine", public=True)
    answered: list[Any] = []

    @service.method
    def double(number: int) -> int:
        return number * 2

    def workload(client: Client) -> None:
        client.call("double", client.stream.choose(9)).then(lambda call: answered.append(call.status))

    Storm(3, service=service, workload=workload).run(20.0)
    assert "result" in answered
    with pytest.raises(UsageError):
        Storm(3, service=service)


def test_a_failed_storm_of_a_users_service_names_its_scenario_and_leaves_a_journal(tmp_path: Path) -> None:
    service = Service("mine", public=True)

    @service.method
    def double(number: int) -> int:
        return number * 2

    def workload(client: Client) -> None:
        client.call("double", 4).then(lambda call: fail_if(call.status == "result"))

    def fail_if(fails: bool) -> None:
        assert not fails, "as it should"

    with pytest.raises(AssertionError) as raised:
        Storm(3, service=service, workload=workload).run(20.0)
    assert any(" with limits " in note for note in raised.value.__notes__)
    failed = attempt(3, 20.0, tmp_path, service=service, workload=workload)
    assert isinstance(failed, Failed)
    assert failed.journal is not None
    assert replay(read(failed.journal.path), service, check=True, gateway=CheckedGateway).failure is None


def test_a_client_that_broke_the_protocol_may_get_any_error() -> None:
    storm = Storm(1)
    client = storm.world.client("client 0")
    call = PendingCall("1", "ask", {"token": "a"}, 0.0)
    call.end("error", 1.0, error=RpcError(1, "no"))
    with pytest.raises(Violation, match="a call got an error that it cannot have"):
        storm._sample._check(client, "ask", {"token": "a"}, call)
    client.broke_protocol = True
    storm._sample._check(client, "ask", {"token": "a"}, call)


def test_no_shutdown_begins_in_the_second_phase() -> None:
    for storming in (True, False):
        storm = Storm(1)
        storm._shut_down_under_load(1.0)
        storm._raging = storming
        storm.world.run(2 * storm.scenario.conditions.links.latency)
        assert storm.world.process.board.draining is storming


# What is left of one that fails


def forget_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot is not given back when the call had its outcome already."""
    original = Calls.handler_ended

    def handler_ended(self: Calls, call: Any, connection: Any) -> bool:
        first = original(self, call, connection)
        if not first:
            self.handlers += 1
        return first

    monkeypatch.setattr(Calls, "handler_ended", handler_ended)


def first_failure(folder: Path | None, seeds: int = 40) -> Failed:
    """The first storm that fails."""
    for seed in range(1, seeds):
        outcome = attempt(seed, 20.0, folder)
        if isinstance(outcome, Failed):
            return outcome
    raise AssertionError("none failed")


def test_a_failure_leaves_a_shrunk_journal_and_a_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_a_slot(monkeypatch)
    failed = first_failure(tmp_path)
    assert failed.error.sentence == "calls: a slot for each handler"
    left = failed.journal
    assert left is not None
    assert left.replays
    assert 0 < left.entries < 50
    assert left.entries < left.recorded
    assert failed.run.repeat in str(failed)
    journal = read(left.path)
    failure = replay(journal, sample_service, check=True, gateway=CheckedGateway).failure
    assert failure is not None
    assert isinstance(failure.error, Violation)
    assert failure.error.sentence == failed.error.sentence
    again = attempt(failed.run.seed, failed.run.seconds)
    assert isinstance(again, Failed)
    assert (again.error.text, again.error.steps) == (failed.error.text, failed.error.steps)
    monkeypatch.undo()
    assert replay(journal, sample_service, check=True, gateway=CheckedGateway).failure is None
    assert isinstance(attempt(failed.run.seed, failed.run.seconds), StormReport)


def test_the_command_runs_storms_and_counts_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--seeds", "3", "--first", "1", "--seconds", "2", "--quiet", "--journals", str(tmp_path)]
    assert command.main([*arguments, "--jobs", "1"]) == 0
    assert capsys.readouterr().out.startswith("3 seeds from 1 in ")
    assert command.main([*arguments, "--jobs", "1", "--minutes", "0"]) == 0
    assert command.main([*arguments, "--jobs", "2"]) == 0
    assert "0 failed" in capsys.readouterr().out
    assert command.main([*arguments, "--jobs", "1", "--traces"]) == 0
    assert f"1 {Storm(1).run(2.0).trace}\n2 " in capsys.readouterr().out


def test_the_command_runs_a_part_of_a_storm(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seeds", "1", "--first", "3", "--seconds", "2", "--quiet", "--jobs", "1", "--traces"]
    for words, part in (
        (["--clients", "none"], Part(())),
        (["--clients", "0,2", "--quiet-server"], Part((0, 2), quiet_server=True)),
    ):
        assert command.main([*arguments, *words]) == 0
        assert f"3 {Storm(3, part=part).run(2.0).trace}\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["--clients", "all"])
    assert "argument --clients" in capsys.readouterr().err


def test_the_command_reports_failures_and_stops_after_ten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    error = Error("calls: x", "Violation: calls: x", 0.5, 7)
    failed = Failed(Run(9, 1.0), error, "limits {}", SavedJournal("a.journal", 3, 9, replays=True))
    monkeypatch.setattr(command, "attempt", lambda seed, seconds, folder, part: failed)
    assert command.main(["--jobs", "1", "--quiet", "--journals", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.count("seed 9 failed at 0.500 s, step 7: Violation: calls: x") == command.MAX_FAILURES
    assert "python -m posthouse.adapters.simulation --first 9 --seeds 1 --seconds 1" in out
    assert "10 failed" in out


def test_an_invalid_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        command.main(["--seeds", "0"])
    assert exit.value.code == 2
    assert "0 is not 1 or more" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["--traces", "--jobs", "2"])
    assert "needs --jobs 1" in capsys.readouterr().err
