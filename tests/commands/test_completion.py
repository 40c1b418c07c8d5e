"""Completion: what a line can go on with, and the scripts in the shells themselves."""

from __future__ import annotations

import os
import pty
import resource
import select
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Done

from fusionlab.cli import commands
from fusionlab.completion import SCRIPTS, complete
from fusionlab.config.catalogue import groups

Say = Callable[..., Done]
HEAVY = {"torch", "hydra", "omegaconf", "yaml", "numpy", "pytorch_lightning", "pandas"}
SWEEP = "python -m fusionlab.sweep "


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("python -m fusionlab.sw", ["fusionlab.sweep"]),
        ("python -m fusionlab sw", ["sweep"]),
        ("python3 -m fusionlab ", list(commands())),
        ("python -m fus", [f"fusionlab.{name}" for name in commands()]),
        ("FUSIONLAB_DATA=x .venv/bin/python -m fusionlab sweep fusion=conv,su", ["fusion=conv,sum"]),
        (SWEEP + "fusi", ["fusion.", "fusion="]),
        (SWEEP + "fusion=", [f"fusion={name}" for name in groups()["fusion"]]),
        (SWEEP + "fusion=conv,", [f"fusion=conv,{name}" for name in groups()["fusion"] if name != "conv"]),
        (SWEEP + "fusion=conv,sum,m", ["fusion=conv,sum,max"]),
        (SWEEP + "+experiment=dose_n", ["+experiment=dose_noise"]),
        (SWEEP + "motion=vgg", ["motion=vgg16", "motion=vgg_m"]),
        (SWEEP + "lay", ["layer="]),
        (SWEEP + "layer=", ["layer=relu5"]),
        (SWEEP + "see", ["seed.", "seed="]),
        (SWEEP + "seed.", ["seed.data=", "seed.dropout=", "seed.init="]),
        (SWEEP + "optim.fusion.ep", ["optim.fusion.epochs="]),
        (SWEEP + "optim.", ["optim.fusion.", "optim.streams."]),
        (SWEEP + "keep_motion=t", ["keep_motion=true"]),
        (SWEEP + "run.de", ["run.device="]),
        (SWEEP + "optim=sgd optim.fusion.mo", ["optim.fusion.momentum="]),
        (SWEEP + "optim.fusion.mo", []),
        (SWEEP + "data=ucf101 data.dataset.", ["data.dataset.classes=", "data.dataset.counts=", "data.dataset.name="]),
        (SWEEP + "exc", ["exclude="]),
        (SWEEP + "--c", ["--cfg"]),
        (SWEEP + "--cfg ", ["job"]),
        ("python -m fusionlab.doctor --q", ["--quarantine"]),
        ("python -m fusionlab.work --", ["--session", "--retries", "--threads", "--help"]),
        ("python -m fusionlab.completion ", ["bash", "zsh", "fish"]),
        ("python -m fusionlab.report ", []),
        ("python -m fusionlab.nothing ", []),
        ("python -m pytest fus", []),
        ("python script.py fus", []),
        ("", []),
    ],
)
def test_a_line_goes_on_with(line: str, completions: list[str]) -> None:
    assert complete(line) == completions


def test_a_part_of_the_user_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "fusion").mkdir(parents=True)
    (tmp_path / "conf" / "fusion" / "mine.yaml").write_text("_target_: my.Fusion\nstrength: 3\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert complete(SWEEP + "fusion=mi") == ["fusion=mine"]
    assert complete(SWEEP + "fusion=mine fusion.s") == ["fusion.strength="]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_both_spellings_print_the_script(say: Say, shell: str) -> None:
    done = say("completion", shell)
    assert (done.status, done.out, done.err) == (0, SCRIPTS[shell] + "\n", "")
    command = [sys.executable, "-m", "fusionlab", "completion", shell]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == done.out


def test_another_shell_is_answered(say: Say) -> None:
    done = say("completion", "csh")
    assert done.status == 2 and "bash, zsh, fish" in done.err


def test_a_key_is_answered_in_a_fifth_of_a_second_without_hydra() -> None:
    """In seconds of the processor: what else the machine does is not counted."""
    command = ["-m", "fusionlab.completion", "--words", SWEEP + "fusion=conv,"]
    seconds = []
    for _ in range(20):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert statistics.median(seconds) <= 0.2
    done = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "fusionlab" in loaded and not loaded & HEAVY


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("python -m fusionlab.sweep fusion=conv,su", ["conv,sum"]),  # readline replaces what is behind the `=`
        ("python -m fusionlab.sweep fusion=co", ["compact", "control", "conv"]),
        ("python -m fusionlab.sw", ["fusionlab.sweep"]),
        ("python -m fusionlab swee", ["sweep"]),
        ("python -m fusionlab.sweep optim.fusion.ep", ["optim.fusion.epochs="]),
        ("python -m fusionlab.report ", []),
        ("python -m http.ser", []),
    ],
)
def test_bash_gets_the_replies(line: str, replies: list[str], tmp_path: Path) -> None:
    script = f"""{SCRIPTS["bash"]}
        COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDS=({sys.executable} ...)
        _fusionlab_complete
        printf '%s\\n' "${{#COMPREPLY[@]}}" "${{COMPREPLY[@]}}"
        complete -p python python3"""
    command = ["bash", "--norc", "-c", script, "bash", line]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    count, *lines = done.stdout.splitlines()
    assert (int(count), [one for one in lines if one and not one.startswith("complete ")]) == (len(replies), replies)
    assert lines[-2:] == [f"complete -o default -F _fusionlab_complete {name}" for name in ("python", "python3")]
    assert done.stderr == ""


def test_tab_in_a_terminal_completes(tmp_path: Path) -> None:
    """A real bash, with a key pressed."""
    child, terminal = pty.fork()
    if child == 0:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        os.chdir(tmp_path)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "PATH": path, "TERM": "dumb"})
    try:
        os.write(terminal, b'eval "$(python -m fusionlab.completion bash)"; echo read"y"\n')
        assert "ready" in _read_until(terminal, "ready")
        os.write(terminal, b"python -m fusionlab.sweep fusion=conv,su\tlay\t")
        assert "fusion=conv,sum layer=" in _read_until(terminal, "layer=")
    finally:
        os.write(terminal, b"\x03exit\n")
        os.close(terminal)
        os.waitpid(child, 0)


def _read_until(terminal: int, text: str) -> str:
    shown, end = "", time.monotonic() + 60
    while text not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_has_the_syntax_of_its_shell(shell: str, tmp_path: Path) -> None:
    """Read by the shell where it is installed; its structure is checked in any case."""
    if shutil.which(shell):
        file = tmp_path / "script"
        file.write_text(SCRIPTS[shell], encoding="utf-8")
        done = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    text = SCRIPTS[shell]
    assert text.count("-m fusionlab.completion --words") == 1
    opened, registered = {
        "bash": ("_fusionlab_complete() {", "complete -o default -F _fusionlab_complete python python3"),
        "zsh": ("_fusionlab_complete() {", "compdef _fusionlab_complete python python3"),
        "fish": ("function __fusionlab_complete", "-f -a '(__fusionlab_complete)'"),
    }[shell]
    assert text.startswith(opened) and registered in text
    for begin, end in ("{}", "()", "[]"):
        closed_cases = text.count(" ;;") if begin == "(" else 0  # `case x in pattern) … ;;` of bash
        assert text.count(begin) + closed_cases == text.count(end)
    assert text.count('"') % 2 == 0 and text.count("'") % 2 == 0
    if shell == "fish":
        blocks = [line.split()[0] for line in text.splitlines()]
        assert blocks.count("function") + blocks.count("for") == blocks.count("end")
