"""Batch files and the queue, with programs that stand for SLURM's; tests/cluster has a real one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.study.launchers import LOCAL, LauncherConfig
from fusionlab.study.launchers.slurm import Slurm, expect_slurm

# Each program notes its words; squeue answers from a file, in which scancel finds nothing to do but to empty it.
PROGRAMS = {
    "sbatch": "n=$(($(cat count 2>/dev/null || echo 6) + 1)); echo $n >count; [ ! -e refuse-$n ] || "
    '{ echo "sbatch: error: invalid partition specified: gou" >&2; exit 1; }; echo "$n;cluster"',
    "squeue": "cat queue 2>/dev/null || true",
    "scancel": ": >queue",
    "scontrol": '[ "$1" = requeue ] || cat "job-$4"',
}


def config(**options: object) -> LauncherConfig:
    return LauncherConfig(**{**LOCAL, "name": "slurm", **options})  # type: ignore[arg-type]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the programs; `words` has what they were called with."""
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/bash\ncd {tmp_path}\necho "{name} $*" >>words\n{text}\n', encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def words(slurm: Path) -> list[str]:
    return (slurm / "words").read_text(encoding="utf-8").splitlines()


def submit(study: Path, options: LauncherConfig | None = None, workers: int = 4, **left: int) -> Slurm:
    launcher = Slurm(options or config(), left=lambda: left, variables={"FUSIONLAB_DATA": "/my data/$HOME"})
    launcher.start(study, workers, threads=2, session="s1", retries=1)
    return launcher


def test_videos_first_and_without_a_gpu(slurm: Path, tmp_path: Path) -> None:
    submit(tmp_path / "study", prepare=1, stream=2, cohort=9)
    notes = [json.loads(place.read_text()) for place in (tmp_path / "study" / "workers").glob("*.json")]
    by_kinds = {tuple(note["kinds"]): note for note in notes}
    assert {kinds: note["workers"] for kinds, note in by_kinds.items()} == {("prepare",): 1, ("stream", "cohort"): 4}
    first, second = ((tmp_path / "study" / "workers" / f"{by_kinds[k]['name']}.sh") for k in by_kinds)
    texts = {("--gres=gpu:1" in place.read_text()): place for place in (first, second)}
    cpu, gpu = texts[False], texts[True]
    assert " kinds=prepare " in cpu.read_text() and " kinds=stream,cohort " in gpu.read_text()
    assert words(slurm) == [f"sbatch --parsable {cpu}", f"sbatch --parsable --dependency=afterany:7 {gpu}"]


def test_what_is_done_gets_no_array(slurm: Path, tmp_path: Path) -> None:
    submit(tmp_path / "study", cohort=2)
    assert len(words(slurm)) == 1 and "dependency" not in words(slurm)[0]


def test_a_batch_file_runs_a_worker(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run by a shell, in a folder whose name has blanks, quotes and a percent sign."""
    study = tmp_path / "my 'study' 50%"
    study.mkdir()
    (study / "plan.json").touch()
    python = tmp_path / "python"
    python.write_text('#!/bin/bash\npwd\necho "$FUSIONLAB_DATA|$SET|$#"\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    submit(study, config(setup=("SET='a b'; export SET",), python=f"{python} -s"), cohort=1)
    (script,) = (study / "workers").glob("*.sh")
    done = subprocess.run(["bash", script], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    where, environment, *typed = done.stdout.splitlines()
    assert (where, environment) == (str(tmp_path), "/my data/$HOME|a b|11")
    own = ["kinds=stream,cohort", "--session", "s1", "--retries", "1", "--threads", "2"]
    assert typed == ["-s", "-m", "fusionlab.work", str(study), *own]
    log = f"{tmp_path}/my 'study' 50%%/workers/{script.stem}-%a.log"
    assert "--output" not in script.read_text(), "a batch file cannot hold every path"
    assert words(slurm) == [f"sbatch --parsable --output={log} {script}"], "a percent sign of a path is doubled"


def test_a_batch_file_passes_signals_on_and_asks_to_be_queued_again(slurm: Path, tmp_path: Path) -> None:
    """The worker, in a container without scontrol, ends with 75 some time after the signal."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "plan.json").touch()
    python = tmp_path / "python"
    lines = ["#!/bin/bash", "trap 'sleep 0.3; exit 75' USR1", "trap 'sleep 0.3; exit 130' TERM", f"touch {tmp_path}/up"]
    python.write_text("\n".join([*lines, "while :; do sleep 0.05; done"]) + "\n", encoding="utf-8")
    python.chmod(0o755)
    submit(tmp_path / "study", config(python=str(python)), cohort=1)
    (script,) = (tmp_path / "study" / "workers").glob("*.sh")
    for number, status in ((signal.SIGUSR1, 0), (signal.SIGTERM, 130)):
        (tmp_path / "up").unlink(missing_ok=True)
        process = subprocess.Popen(["bash", script], env={**os.environ, "SLURM_JOB_ID": "12"})
        while not (tmp_path / "up").exists():
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(20) == status, number
    assert words(slurm).count("scontrol requeue 12") == 1


def test_a_copied_study_has_no_jobs_in_the_queue(slurm: Path, tmp_path: Path) -> None:
    submit(tmp_path / "study", stream=1)
    (name,) = [place.stem for place in (tmp_path / "study" / "workers").glob("*.json")]
    (slurm / "queue").write_text(f"7_0|{name}|RUNNING|n1|None\n", encoding="utf-8")
    shutil.copytree(tmp_path / "study", tmp_path / "copy")
    (tmp_path / "study").rename(tmp_path / "moved")
    assert Slurm().list(tmp_path / "copy") == Slurm().cancel(tmp_path / "copy") == ()
    assert [one.name for one in Slurm().list(tmp_path / "moved")] == ["7_0"]


@pytest.mark.parametrize(("line", "status"), [("false", 67), ("cd /nowhere", 67), ("true", 0)])
def test_a_command_of_the_setup_that_fails_ends_the_worker(slurm: Path, tmp_path: Path, line: str, status: int) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "plan.json").touch()
    submit(tmp_path / "study", config(setup=(line, "true"), python="true"), cohort=1)
    (script,) = (tmp_path / "study" / "workers").glob("*.sh")
    done = subprocess.run(["bash", script], capture_output=True, text=True)
    assert done.returncode == status and ("run.launcher.setup failed" in done.stderr) == bool(status)


def test_a_node_that_does_not_see_the_folder_ends_at_once(slurm: Path, tmp_path: Path) -> None:
    submit(tmp_path / "study", cohort=1)
    (script,) = (tmp_path / "study" / "workers").glob("*.sh")
    done = subprocess.run(["bash", script], capture_output=True, text=True)
    assert done.returncode == 66 and "does not see" in done.stderr


def test_options_become_directives(slurm: Path, tmp_path: Path) -> None:
    own = config(
        partition="gpu", account="me", time="4:00:00", memory=1.5, cpus=6, gpus=2, directives=("--exclude=n7",)
    )
    submit(tmp_path / "study", own, stream=1)
    (script,) = (tmp_path / "study" / "workers").glob("*.sh")
    found = re.findall(r"#SBATCH (\S+)", script.read_text())
    wanted = {"--partition=gpu", "--account=me", "--time=4:00:00", "--mem=1536M", "--cpus-per-task=6", "--gres=gpu:2",
              "--exclude=n7", "--requeue", "--signal=B:USR1@120", "--array=0-0"}  # fmt: skip
    assert wanted <= set(found)
    assert not any("qos" in one or "constraint" in one for one in found)


def test_no_gpu_is_asked_for_where_the_cpu_computes(slurm: Path, tmp_path: Path) -> None:
    Slurm(config(), device="cpu", left=lambda: {"stream": 1}).start(tmp_path, 1, threads=None, session="s")
    (script,) = (tmp_path / "workers").glob("*.sh")
    assert "gres" not in script.read_text()


def test_only_the_study_s_own_jobs_are_listed_and_cancelled(slurm: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    launcher = submit(study, stream=2)
    (name,) = [place.stem for place in (study / "workers").glob("*.json")]
    (study / "workers" / "fusionlab-foreign.json").write_text('{"name": "fusionlab-0123456789,root"}')
    (study / "workers" / "fusionlab-00000000.json").write_text("damaged")
    (slurm / "queue").write_text(
        f"7_0|{name}|RUNNING|n1|None\n7_1|{name}|PENDING||Resources\n9|another|RUNNING|n2|None\n", encoding="utf-8"
    )
    running, queued = Slurm().list(study)
    assert (running.name, running.state, running.host, running.reason) == ("7_0", "running", "n1", None)
    assert (queued.name, queued.state, queued.host, queued.reason) == ("7_1", "queued", None, "Resources")
    assert running.log == study / "workers" / f"{name}-0.log"
    assert f"--name={name}" in words(slurm)[-1].split()
    assert [one.name for one in launcher.end()] == ["7_0", "7_1"]
    assert "scancel 7_0 7_1" in words(slurm)
    assert Slurm().cancel(study) == ()


def test_a_refused_array_takes_back_the_first(slurm: Path, tmp_path: Path) -> None:
    (slurm / "refuse-8").touch()
    (slurm / "queue").write_text("")
    with pytest.raises(UserError, match="SLURM refuses: sbatch") as refused:
        submit(tmp_path / "study", prepare=1, stream=1)
    assert refused.value.got == "sbatch: error: invalid partition specified: gou", "the scheduler's own words"
    assert any(line.startswith("squeue") for line in words(slurm))


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ("JobState=FAILED ExitCode=66:0", "does not see the study's folder"),
        ("JobState=FAILED ExitCode=0:53", "cannot write the log"),
        ("JobState=FAILED ExitCode=127:0", "no such python"),
        ("JobState=NODE_FAIL ExitCode=0:0", None),
        ("JobState=FAILED ExitCode=70:0", "exit code 70:0"),
        ("JobState=COMPLETED ExitCode=0:0", None),
        ("JobState=FAILED ExitCode=1:0", None),
        ("JobState=CANCELLED ExitCode=0:15", None),
    ],
)
def test_a_worker_that_ended_without_its_work_is_named(
    slurm: Path, tmp_path: Path, facts: str, why: str | None
) -> None:
    launcher = submit(tmp_path / "study", stream=1)
    (slurm / "job-7").write_text(f"JobId=7 ArrayTaskId=0 NodeList=n1 {facts}\n")
    found = {worker.name: text for worker, text in launcher.strayed().items()}
    assert set(found) == ({"7_0"} if why else set())
    assert why is None or why in found["7_0"]


def test_no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"(?s)no SLURM here.*launcher=script"):
        expect_slurm()
    assert Slurm().list(tmp_path) == (), "without a note the queue is not asked"
