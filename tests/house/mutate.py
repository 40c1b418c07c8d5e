"""The mutation check: `make mutants`, or `python tests/house/mutate.py --only two_stream --jobs 2`.

mutants.txt holds changes that would make a result wrong, or remove a guard, without an error. Each is made in a copy of
the tree, where some test must fail. A test run is a fork of this process, which has imported the third parties.
Exit code 1: fewer than `LEAST` are killed, the tree itself fails, or a mutant's old text is not in its file once.

    training/arm.py training/test_arm.py    the file, below src/fusionlab, and its tests, below tests; without any,
    - self.losses.index(self.best_loss)     the tests of its package. Then the old text, one line or several, which
    + len(self.losses)                      stands in the file exactly once, and the new one
    = the reason why it changes nothing     of an equivalent mutant, which is not run and not counted
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tree import ROOT, files

FILE = Path(__file__).with_name("mutants.txt")
LEAST = 0.97  # the share that must be killed
THIRD = (
    "pytest",
    "torch",
    "pytorch_lightning",
    "torchvision",
    "pandas",
    "scipy.stats",
    "statsmodels.formula.api",
    "cv2",
    "av",
    "safetensors",
)  # not hydra, which is a plugin of pytest
NO_TESTS = (4, 5)  # pytest's exit codes for a wrong command and for no tests


@dataclass(frozen=True)
class Mutant:
    """One change of one file; `reason` says why an equivalent one changes nothing."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    reason: str = ""

    @property
    def package(self) -> str:
        return self.file.partition("/")[0].removesuffix(".py")

    def line(self, root: Path = ROOT) -> int:
        before, _, _ = self.source(root).partition(self.old)
        return before.count("\n") + 1

    def source(self, root: Path = ROOT) -> str:
        return self.path(root).read_text(encoding="utf-8")

    def path(self, root: Path) -> Path:
        return root / "src" / "fusionlab" / self.file

    def error(self) -> str | None:
        """Why the mutant is none."""
        if not self.path(ROOT).is_file():
            return "no such file"
        if (count := self.source().count(self.old)) != 1:
            return f"its old text stands in the file {count} times"
        if self.old == self.new:
            return "it changes nothing"
        try:
            compile(self.mutated(), self.file, "exec")
        except SyntaxError as error:
            return f"it is no Python: {error}"
        return None

    def mutated(self) -> str:
        return self.source().replace(self.old, self.new)

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line()}\n    - "
            + "\n    - ".join(self.old.split("\n"))
            + "".join(f"\n    + {line}" for line in self.new.split("\n") if self.new)
        )


def parse(text: str) -> list[Mutant]:
    """The mutants of a list; blocks are parted by empty lines, lines with # are comments."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        file, *tests = lines[0].split()
        parts = {sign: "\n".join(line[2:] for line in lines[1:] if line[0] == sign) for sign in "-+="}
        assert parts["-"] and all(line[0] in parts for line in lines[1:]), f"not a mutant: {block}"
        tests = tests or [file.partition("/")[0]]
        found.append(Mutant(file, parts["-"], parts["+"], tuple(f"tests/{one}" for one in tests), parts["="]))
    return found


@dataclass(frozen=True)
class Run:
    """A test run: of a mutant, or of the tree as it is."""

    tests: Sequence[str]
    mutant: Mutant | None = None


def outcomes(runs: Sequence[Run], copies: Sequence[Path], limit: float) -> Iterator[tuple[Run, int, float, Path]]:
    """(run, exit code of its tests, seconds, its copy), as they end; one that hangs is ended, with a code below 0."""
    waiting, free = list(runs), list(copies)
    running: dict[int, tuple[Run, Path, float]] = {}
    while waiting or running:
        while waiting and free:
            run, copy = waiting.pop(0), free.pop()
            if run.mutant is not None:
                run.mutant.path(copy).write_text(run.mutant.mutated(), encoding="utf-8")
                os.utime(run.mutant.path(copy), (1, 1))  # another time than the compiled file has
            running[_start(run, copy)] = (run, copy, time.monotonic())
        time.sleep(0.05)
        for pid, (run, copy, started) in list(running.items()):
            seconds = time.monotonic() - started
            if run.mutant is not None and seconds > limit:
                os.killpg(pid, signal.SIGKILL)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            if run.mutant is not None:
                shutil.copy2(run.mutant.path(ROOT), run.mutant.path(copy))
            yield run, os.waitstatus_to_exitcode(status), seconds, copy
            free.append(copy)
            del running[pid]


def _start(run: Run, copy: Path) -> int:
    """Fork; the child runs pytest in the copy, and never returns."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 70
    try:
        os.setsid()
        log = os.open(copy.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(copy)
        del sys.modules["tree"]  # it is the checkout's
        ours = (str(ROOT / "src"), str(FILE.parent))
        sys.path[:] = [str(copy / "src"), *(place for place in sys.path if place not in ours)]
        os.environ["PYTHONPATH"] = sys.path[0]
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = True
        options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={copy.with_suffix('.tmp')}"]
        code = int(
            sys.modules["pytest"].main([*options, "-m", "not slow and not notebook and not cluster", *run.tests])
        )
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def log_of(copy: Path) -> str:
    return copy.with_suffix(".log").read_text(encoding="utf-8", errors="replace")


def make_copy(folder: Path) -> Path:
    for file in files():
        place = folder / file.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place)
    compileall.compile_dir(folder / "src", quiet=1)
    return folder


def check(mutants: Sequence[Mutant], folder: Path, jobs: int, limit: float) -> int:
    """Run all; the exit code."""
    if wrong := [f"{one.file}: {one.error()}\n{one.old}" for one in mutants if one.error()]:
        print("\n\n".join(wrong))
        return 1
    copies = [make_copy(folder / f"copy{number}") for number in range(jobs)]
    paths = sorted({test for one in mutants if not one.reason for test in one.tests})
    for run, code, _, copy in list(
        outcomes([Run(part) for n in range(jobs) if (part := paths[n::jobs])], copies, limit)
    ):
        if code:
            print(f"the tests of the tree fail: {' '.join(run.tests)}\n{log_of(copy)[-4000:]}")
            return 1
    counts: Counter[tuple[str, bool]] = Counter()
    survivors = []
    runs = [Run(one.tests, one) for one in mutants if not one.reason]
    for run, code, seconds, _ in outcomes(runs, copies, limit):
        assert run.mutant is not None
        killed = code != 0 and code not in NO_TESTS
        counts[run.mutant.package, killed] += 1
        if not killed:
            survivors.append(run.mutant)
        word = "hangs" if code == -signal.SIGKILL else "killed" if killed else "no tests" if code else "SURVIVES"
        print(f"{word:<8} {seconds:4.0f} s  {run.mutant.file}:{run.mutant.line()}", flush=True)
    return report(counts, survivors, [one for one in mutants if one.reason])


def report(counts: Counter[tuple[str, bool]], survivors: Sequence[Mutant], equivalent: Sequence[Mutant]) -> int:
    print("\n| package | killed | of |\n| --- | ---: | ---: |")
    for package in sorted({package for package, _ in counts}):
        killed = counts[package, True]
        print(f"| {package} | {killed} | {killed + counts[package, False]} |")
    killed, total = sum(n for (_, dead), n in counts.items() if dead), counts.total()
    share = killed / max(total, 1)
    print(f"| all | {killed} | {total} |\n\n{share:.1%} killed, {LEAST:.0%} needed")
    for one in equivalent:
        print(f"\nequivalent: {one}\n    = {one.reason}")
    for one in survivors:
        print(f"\nsurvivor: {one}\n    tests: {' '.join(one.tests)}")
    return int(not total or share < LEAST)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="PATTERN", help="a regular expression, for a file or a text")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument(
        "--limit", type=float, default=300, metavar="SECONDS", help="a test run that takes longer hangs"
    )
    typed = parser.parse_args(words)
    mutants = [
        one for one in parse(FILE.read_text("utf-8")) if re.search(typed.only, f"{one.file}\n{one.old}\n{one.new}")
    ]
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    for name in THIRD:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        return check(mutants, Path(folder), typed.jobs, typed.limit)


if __name__ == "__main__":
    sys.exit(main())
