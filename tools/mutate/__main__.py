"""Mutation testing of core, transports and the server: does a module's own test file notice each small mistake in it?

`python -m tools.mutate [MODULE ...]`, as `make mutate MODULES="flow http1"`. It works on a copy, so that editing may go
on, and keeps what it found in `.setup/mutation`: the next run takes up from there, but for modules that changed, or
whose tests did. It prints each module's score and every survivor, and exits with 1 when the score is below 85 % or a
survivor is not explained in docs/internals/mutation.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path
from typing import Final

from . import report, trial
from .mutants import Mutant, mutants
from .results import Module, Outcome, find_modules

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = "adapters benchmarks core docs examples tests tools transports typings pyproject.toml".split()
DEMANDED: Final = 0.85


@dataclass(frozen=True)
class Laboratory:
    """Where mutants are tried: in a copy of the project, one module in each of some processes at a time. With
    `ask_others` the other tests are asked about what a module's own leave alive, unless it is among the `known`."""

    root: Path
    folder: Path
    jobs: int
    ask_others: bool
    known: set[tuple[str, str]]

    def __post_init__(self) -> None:
        for name in COPIED:
            source, target = self.root / name, self._copy / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules", ".setup"))
            elif source.exists():
                shutil.copy2(source, target)

    @property
    def _copy(self) -> Path:
        return self.folder / f"copy-{os.getpid()}"

    def clear(self) -> None:
        """Nothing is tried any more."""
        shutil.rmtree(self._copy, ignore_errors=True)

    def has_work(self, module: Module, made: list[Mutant]) -> bool:
        """Is there a mutant that has to be tried yet?"""
        outcomes = {mutant.change: module.outcomes.get(mutant.key) for mutant in made}
        asked = [change for change, outcome in outcomes.items() if outcome is Outcome.PASSED]
        return None in outcomes.values() or (
            self.ask_others and any((str(module), change) not in self.known for change in asked)
        )

    def examine(self, modules: dict[Module, list[Mutant]]) -> None:
        """Try what has no outcome yet, module by module. What comes of it is kept in the folder."""
        copy = self._copy
        waiting, slots = deque(modules), list(range(self.jobs))
        running: dict[int, tuple[Module, int]] = {}
        while waiting or running:
            while waiting and slots:
                module, slot = waiting.popleft(), slots.pop(0)
                pid = os.fork()
                if not pid:
                    self._work(module, modules[module], copy, slot)
                running[pid] = module, slot
            pid, status = os.wait()
            module, slot = running.pop(pid)
            slots.append(slot)
            slots.sort()
            if status:
                for pid in running:
                    os.kill(pid, signal.SIGTERM)
                raise SystemExit(f"{module} could not be tried")
            module.load(self.folder, survivors=False)
            print(report.line(module), file=sys.stderr, flush=True)

    def _work(self, module: Module, made: list[Mutant], copy: Path, slot: int) -> None:
        """All of one module, in a process of its own."""
        status = 1
        try:
            log = copy / f"log-{slot}"
            self._try(module, made, module.subject(copy), log, Turns(copy / "turn").take)
            status = 0
        except trial.Broken as broken:
            print(f"{broken}\n{module}: its own tests fail, and nothing is mutated yet", file=sys.stderr, flush=True)
        finally:
            os._exit(status)

    def _try(
        self, module: Module, made: list[Mutant], subject: trial.Subject, log: Path, ready: Callable[[], None]
    ) -> None:
        untried = [mutant for mutant in made if mutant.key not in module.outcomes]
        if untried:
            ready()
            for mutant, status in zip(untried, trial.statuses(subject, untried, log, ready), strict=True):
                killed = Outcome.LATE if os.WIFSIGNALED(status) else Outcome.KILLED
                module.outcomes[mutant.key] = killed if status else Outcome.PASSED
        module.save(self.folder)
        for mutant in made if self.ask_others else ():
            if module.outcomes[mutant.key] is not Outcome.PASSED or (str(module), mutant.change) in self.known:
                continue
            ready()
            noticed = bool(subject.others) and trial.thorough(
                subject, mutant, subject.others, trial.OTHERS_SECONDS, log
            )
            module.outcomes[mutant.key] = Outcome.ELSEWHERE if noticed else Outcome.SURVIVED
            module.save(self.folder)


class Turns:
    """While the machine has more to do than it has processors for, only one of our processes goes on at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w")

    def take(self) -> None:
        """Before each of the trials, or many that belong together: wait for the turn, if there are turns."""
        flock(self._file, LOCK_UN)
        if os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5:
            flock(self._file, LOCK_EX)


def sampled(made: list[Mutant], size: int | None) -> list[Mutant]:
    """Of so many, these, spread evenly. All for None."""
    if size is None or size >= len(made):
        return made
    return [made[index * len(made) // size] for index in range(size)]


def mutate(modules: list[Module], chosen: argparse.Namespace, folder: Path) -> list[report.Survivor]:
    """Try every mutant that has no outcome yet, and return those that nobody noticed."""
    made = {module: sampled(mutants(module.file.read_text()), chosen.sample) for module in modules}
    known = report.explained(chosen.root)
    for module in modules:
        module.load(folder, survivors=chosen.survivors)
        found, module.outcomes = module.outcomes, {}
        for mutant in made[module]:
            outcome = found.get(mutant.key)
            again = chosen.survivors and outcome is not None and outcome.alive
            if outcome is not None and not (again and (str(module), mutant.change) not in known):
                module.outcomes[mutant.key] = outcome
    laboratory = Laboratory(chosen.root, folder, chosen.jobs, not chosen.own, known)
    try:
        laboratory.examine({module: made[module] for module in modules if laboratory.has_work(module, made[module])})
    finally:
        laboratory.clear()
    return [(module, mutant) for module in modules for mutant in made[module] if module.outcomes[mutant.key].alive]


def main(arguments: list[str]) -> int:
    """Make the mutants, try them, and report."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutate", description="Mutation testing of core, transports and the server."
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="flow or core/flow; all when none is named")
    parser.add_argument("--own", action="store_true", help="ask a module's own tests only")
    parser.add_argument(
        "--survivors", action="store_true", help="try only what has survived before and is not explained"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="at most N mutants of each module")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="modules at a time")
    parser.add_argument("--write", action="store_true", help="put the table of scores into docs/internals/mutation.md")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="FOLDER", help="another project of this layout")
    chosen = parser.parse_args(arguments)
    os.nice(15)
    trial.prepare()
    modules = find_modules(chosen.root, chosen.modules)
    alive = mutate(modules, chosen, chosen.root / ".setup" / "mutation")
    known = report.explained(chosen.root)
    unknown = [(module, mutant) for module, mutant in alive if (str(module), mutant.change) not in known]
    for module in modules:
        print(report.line(module))
    for module, mutant in unknown:
        print(report.survivor(module, mutant))
    made, killed = sum(len(module.outcomes) for module in modules), sum(module.killed for module in modules)
    print(
        f"{killed} of {made} mutants killed: {report.percent(killed, made)}; "
        f"{len(alive) - len(unknown)} survivors are explained, {len(unknown)} are not"
    )
    if chosen.write:
        report.write_table(chosen.root, modules)
    return 1 if unknown or killed < DEMANDED * made else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
