"""A terminal for tests: commands run in a working directory, and what they leave there."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionlab.cli import run

LINE = ("fusion=conv,sum", "layer=relu5")  # the line that the README begins with
FAST = "debug=fast"
WAIT = 300  # seconds; a command here takes less than a minute, also on a machine that does other things
NOT_REPRODUCED = ("circumstances", "log")


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def table(self) -> str:
        """What is printed between the lines that name the study and the time."""
        return self.out.partition("\n")[2].partition("\ntime:")[0].strip()


def lasting(plan: str) -> str:
    """Without the memory and the disk space that are free just now."""
    return re.sub(r"[\d.]+ [KMGT]iB (free|for each|too little)", "", plan)


def typed(verb: str, words: Sequence[str]) -> int:
    """The exit code of a verb, in this process."""
    module = importlib.import_module(f"fusionlab.{verb}")
    try:
        run(module.main, module.__doc__, getattr(module, "FLAGS", None), argv=list(words))
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("a verb leaves the process")


@dataclass(frozen=True)
class Lab:
    """A working directory, and the folder of the data. `enter`: words before each command, which say where it runs."""

    home: Path
    data: Path
    enter: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, verb: str, *words: str, **variables: str) -> subprocess.Popen[str]:
        return self.start_words(sys.executable, "-m", f"fusionlab.{verb}", *words, **variables)

    def start_words(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Any program."""
        self.home.mkdir(parents=True, exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if name != "FUSIONLAB_CRASH_AT"}
        process = subprocess.Popen(
            [*self.enter, *words],
            cwd=self.home,
            env={**inherited, "FUSIONLAB_DATA": str(self.data), **self.variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_interruptible,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """End what a test that failed has left running."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=WAIT)

    def run(self, verb: str, *words: str, **variables: str) -> Done:
        return ended(self.start(verb, *words, **variables))

    @property
    def study(self) -> Path:
        """The one study that there is."""
        (plan,) = (self.home / "runs").glob("*/plan.json")
        return plan.parent

    @property
    def videos(self) -> Path:
        """The folder of the small brush; sets of other tests lie beside it."""
        from fusionlab.config.compose import tree
        from fusionlab.config.run_config import RunConfig
        from fusionlab.config.schema import ArmConfig
        from fusionlab.data.brush.brush import Brush
        from fusionlab.jobs.job_data import make_dataset

        config = tree({"debug": "fast"}).with_leaves({"run.data": str(self.data)})
        dataset = make_dataset(ArmConfig.of(config).data, RunConfig.of(config))
        assert isinstance(dataset, Brush)
        return dataset.root

    def found(self, pattern: str) -> list[Path]:
        """What matches a pattern in runs/. A command may be at work: `rglob` raises when a folder vanishes."""
        walked = os.walk(self.home / "runs")
        places = (Path(place, name) for place, folders, files in walked for name in (*folders, *files))
        return [place for place in places if place.match(pattern)]

    def records(self) -> dict[str, Any]:
        """Arm -> all that is reproducible of what it left: its record, its predictions."""
        found: dict[str, Any] = {}
        for place in self.found("published/*/run.json"):
            record = json.loads(place.read_text(encoding="utf-8"))
            kept = {name: value for name, value in record.items() if name not in NOT_REPRODUCED}
            predictions = place.with_name("predictions.csv")
            text = predictions.read_text(encoding="utf-8") if predictions.is_file() else None
            assert found.setdefault(record["name"], (kept, text)) == (kept, text), "one arm, one result"
        return found


def _interruptible() -> None:
    """As in a terminal. What a script starts in the background ignores Ctrl-C, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(process: subprocess.Popen[str]) -> Done:
    try:
        out, err = process.communicate(timeout=WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it goes on for ever\n{out}\n{err}") from None
    return Done(process.returncode, out, err)


def processes_of(folder: Path) -> list[int]:
    """The processes whose command line names a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes()
        except OSError:  # it has just ended
            continue
        if os.fsencode(folder) in line:
            found.append(int(place.parent.name))
    return found
