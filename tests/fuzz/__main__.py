"""`python -m tests.fuzz`: the fuzzers from the command line. See docs/internals/fuzzing.md."""

# ruff: noqa: T201 (a command prints)

from __future__ import annotations

import argparse
import sys
import time
import traceback
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.planting import plant
from tests.fuzz.registry import TARGETS
from tests.fuzz.session import ROOT, Finding, Session
from tests.fuzz.shrinking import complaint, shrink
from tests.fuzz.target import Target

EPILOGUE = """\
python -m tests.fuzz --list                       the targets
python -m tests.fuzz TARGET --seconds 60          fuzz
python -m tests.fuzz TARGET FILE…                 run these inputs: what repeats a finding
python -m tests.fuzz TARGET FILE --minimise       make one that found something smaller
python -m tests.fuzz TARGET --minimise            replace the committed corpus by the fewest entries that reach as much
python -m tests.fuzz TARGET --planted             fuzz a copy with a planted bug, from the seeds alone
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command. 0: nothing was found; 1: something was; 2: it cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", epilog=EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="?", help="its name")
    parser.add_argument("files", nargs="*", type=Path, help="inputs to run")
    parser.add_argument("--list", action="store_true", help="say what targets there are")
    parser.add_argument("--seconds", type=int, default=60, help="how long to fuzz (60)")
    parser.add_argument("--minimise", action="store_true", help="minimise the corpus, or one input")
    parser.add_argument("--planted", action="store_true", help="fuzz a copy with a planted bug")
    options = parser.parse_args(arguments)
    if options.list:
        for target in TARGETS.values():
            print(f"{target.name:18} {(target.run.__doc__ or '').partition(chr(10))[0]}")
        return 0
    if options.target not in TARGETS:
        names = ", ".join(TARGETS)
        parser.error("name a target" + (f", not {options.target!r}" if options.target else "") + f": {names}")
    target = TARGETS[options.target]
    if options.seconds <= 0:
        parser.error("--seconds must be above 0")
    missing = [str(file) for file in options.files if not file.is_file()]
    if missing:
        parser.error(f"there is no file {', '.join(missing)}")
    if options.files:
        return minimise_input(target, options.files) if options.minimise else repeat(target, options.files)
    if find_spec("atheris") is None:
        parser.error("fuzzing needs atheris, which is not installed here (it has no wheel for every platform)")
    if options.planted:
        return fuzz_planted(target, options.seconds)
    return minimise_corpus(target) if options.minimise else fuzz(target, options.seconds)


def repeat(target: Target, files: list[Path]) -> int:
    """Run these inputs and show what each finds."""
    found = 0
    for file in files:
        try:
            target.run(file.read_bytes())
        except Exception:
            found = 1
            traceback.print_exc()
            print(f"{file}: a finding")
        else:
            print(f"{file}: nothing")
    return found


def minimise_input(target: Target, files: list[Path]) -> int:
    """Write each input that finds something beside itself, smaller."""
    for file in files:
        data = file.read_bytes()
        if complaint(target.run, data) is None:
            print(f"{file}: the target finds nothing in it")
            return 2
        smaller = shrink(target.run, data)
        file.with_suffix(".min").write_bytes(smaller)
        print(f"{file.with_suffix('.min')}: {len(data)} bytes became {len(smaller)}: {smaller!r}")
    return 0


def minimise_corpus(target: Target) -> int:
    """Merge what sessions found into the committed corpus."""
    before, after = session_of(target).merge()
    print(f"{target.corpus.relative_to(ROOT)}: {before} entries became {after}")
    return 0


def session_of(target: Target) -> Session:
    """The session whose folders outlive it."""
    return Session(target, ROOT / ".setup" / "fuzz" / target.name)


def fuzz(target: Target, seconds: int) -> int:
    """Fuzz, and say what to do about a finding."""
    session = session_of(target)
    follow(session, seconds)
    if session.finding is None:
        print(f"{target.name}: nothing found in {seconds} s: {session.last}")
        return 0
    tell(target, session.finding)
    return 1


def fuzz_planted(target: Target, seconds: int) -> int:
    """Fuzz a copy with the target's bug. It is a failure not to find it."""
    bug = target.planted
    print(f"{target.name}: planted in {bug.file}: {bug.what}")
    with TemporaryDirectory() as folder:
        session = Session(target, Path(folder) / "session", root=plant(bug, Path(folder) / "copy"))
        began = time.monotonic()
        follow(session, seconds, seeds_alone=True)
        took = time.monotonic() - began
        if session.finding is None:
            print(f"{target.name}: not found in {seconds} s: {session.last}")
            return 1
        print(f"{target.name}: found after {took:.1f} s, {session.finding.runs:,} runs: {session.finding.reason}")
        return 0


def follow(session: Session, seconds: int, *, seeds_alone: bool = False) -> None:
    """Show how far it is: on a terminal in one line that moves, else now and then."""
    began = shown = time.monotonic()
    moving = sys.stdout.isatty()
    for progress in session.fuzz(seconds=seconds, seeds_alone=seeds_alone):
        now = time.monotonic()
        if now - shown >= (0.2 if moving else 30.0):
            shown = now
            line = f"{session.target.name}: {now - began:.0f} of {seconds} s: {progress}"
            print(f"\r\x1b[K{line}" if moving else line, end="" if moving else "\n", flush=True)
    if moving:
        print()


def tell(target: Target, finding: Finding) -> None:
    """What was found, and what to do now."""
    print(finding.said)
    print(f"{target.name}: a finding: {finding.file}")
    print(f"repeat it:      .venv/bin/python -m tests.fuzz {target.name} {finding.file}")
    print(f"make it small:  .venv/bin/python -m tests.fuzz {target.name} {finding.file} --minimise")
    print(f"once mended, keep it in {target.findings.relative_to(ROOT)}/ under a name that says what it was")


if __name__ == "__main__":
    sys.exit(main())
