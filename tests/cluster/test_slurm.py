"""A study by workers of a real SLURM: the records of a local sweep, whatever happens to workers, nodes and commands."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from disturbed_parts import go_on, slow_down, steps
from slurm_cluster import Cluster, until
from slurm_studies import PACED, SLURM, claims, on_login, results
from terminal import FAST, Lab, ended

STREAMS = ("streams=appearance", "streams=motion")
GRID = ("sweep", "fusion=sum,max,cat,conv,bilinear,product", "layer=relu5", "seed.init=0,1", FAST)


def log(lab: Lab, attempt: int) -> str:
    (place,) = lab.home.glob(f"runs/*/jobs/cohort-*/attempts/{attempt:03d}/log.txt")
    return place.read_text(encoding="utf-8")


def in_mid_epoch(lab: Lab, sweep: subprocess.Popen[str] | None = None) -> dict[str, Any]:
    """Wait until the cohort has made some of an epoch's seven steps; returns its claim."""
    until(lambda: len(steps(lab.home)) >= 3, "three training steps", sweep)
    (claim,) = claims(lab, "cohort")
    return claim


def wait_for_line(command: subprocess.Popen[str], text: str) -> None:
    """Read what the command prints up to a line with this text."""
    assert command.stderr is not None
    assert any(text in line for line in command.stderr), f"it does not say: {text}"


def expect_undisturbed(lab: Lab, undisturbed: dict[str, Any]) -> None:
    """Equal bit for bit, each arm published once, no attempt with another result."""
    assert results(lab) == undisturbed
    ends = [claim["end"] for claim in claims(lab) if "end" in claim]
    assert not [line for end in ends for line in end["differences"]]
    published = [arm for end in ends for arm in end["published"]]
    assert len(published) == len(set(published)), "an arm is published once"


def test_a_grid_equals_the_local_one_and_each_worker_has_its_own_device(
    cluster: Cluster, lab: Lab, study: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    local = Lab(tmp_path_factory.mktemp("local"), study.data)
    alone = local.run(*GRID, "run.workers=2")
    assert alone.status == 0, alone.err
    far = on_login(cluster, lab.home / "far", study.data)
    done = far.run(*GRID, *SLURM)
    assert done.status == 0, done.err
    assert done.table == alone.table
    records = far.records()
    assert len(records) >= 12 and records == local.records()

    training = [claim for claim in claims(far) if claim["kind"] != "prepare"]
    assert {claim["device"] for claim in training} <= {"0", "1"}, "one GPU of its node"
    assert {claim["device"] for claim in claims(far, "prepare")} == {"cpu"}, "no GPU decodes videos"
    places = {claim["scheduler"]["job"]: (claim["host"], claim["device"]) for claim in training}
    assert len(set(places.values())) == len(places) > 1, "two workers never share a device"


def test_arms_that_raise_exit_or_are_killed_are_recorded_with_logs(lab: Lab, study: Lab) -> None:
    done = lab.run("sweep", "fusion=raises,exits,killed,conv", FAST, *SLURM)
    assert done.status == 1 and "Traceback" not in done.err
    told = {line.split("fusion=")[1].split(",")[0]: line for line in done.err.splitlines() if "failed: fusion=" in line}
    assert set(told) == {"raises", "exits", "killed"}
    for name, reason in (("raises", "this arm raises"), ("exits", "exit status 3"), ("killed", "SIGKILL")):
        assert reason in told[name]
        assert Path(told[name].partition("(log: ")[2].rstrip(")")).is_file()
    whole, beside = study.records(), lab.records()
    assert {one.split(",")[0] for one in beside} == {
        "fusion=control",
        "fusion=conv",
        "fusion=late",
        "streams=appearance",
        "streams=motion",
    }
    assert beside == {name: whole[name] for name in beside}


def test_scancel_stops_a_worker_and_the_same_command_goes_on(
    cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]
) -> None:
    slow_down(lab.home)
    sweep = lab.start(*PACED, *SLURM)
    claim = in_mid_epoch(lab, sweep)
    cluster.run("scancel", claim["scheduler"]["job"])
    until(lambda: "end" in claims(lab, "cohort")[0], "the worker has noted its end")
    done = ended(sweep)
    assert done.status == 1 and "this continues it:" in done.err
    assert "fusion=paced" not in "".join(lab.records())

    go_on(lab.home)
    again = lab.run(*PACED, *SLURM)
    assert again.status == 0, again.err
    assert "continuing at step" in log(lab, 2)
    expect_undisturbed(lab, undisturbed)


def test_a_node_that_goes_down_gives_its_worker_to_another(
    cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]
) -> None:
    slow_down(lab.home)
    sweep = lab.start(*PACED, *SLURM)
    first = in_mid_epoch(lab, sweep)
    cluster.set_node(first["host"], "DOWN")
    until(lambda: len(claims(lab, "cohort")) == 2, "a second attempt", sweep)
    go_on(lab.home)
    done = ended(sweep)
    assert done.status == 0, done.err
    second = claims(lab, "cohort")[1]
    assert second["scheduler"] == {"job": first["scheduler"]["job"], "restart": 1, "node": second["host"]}
    assert second["host"] != first["host"]
    expect_undisturbed(lab, undisturbed)


def test_a_node_without_power(cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]) -> None:
    """Nothing can be noted by the worker, and SLURM needs a while to see it."""
    slow_down(lab.home)
    sweep = lab.start(*PACED, *SLURM)
    first = in_mid_epoch(lab, sweep)
    cluster.switch_off(first["host"])
    until(lambda: len(claims(lab, "cohort")) == 2, "a second attempt", sweep)
    go_on(lab.home)
    done = ended(sweep)
    assert done.status == 0, done.err
    assert claims(lab, "cohort")[1]["host"] != first["host"]
    expect_undisturbed(lab, undisturbed)


def test_a_lost_slurmd_means_two_attempts_at_once(cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]) -> None:
    """SLURM starts the job again on another node, while nobody tells the first worker to end."""
    slow_down(lab.home, 10)  # SLURM needs half a minute to see it
    sweep = lab.start(*PACED, *SLURM)
    first = in_mid_epoch(lab, sweep)
    cluster.kill_slurmd(first["host"])
    until(lambda: {line.split()[0] for line in steps(lab.home)} == {"n1", "n2"}, "both nodes train", sweep)
    go_on(lab.home)
    done = ended(sweep)
    assert done.status == 0, done.err
    until(lambda: all("end" in claim for claim in claims(lab, "cohort")), "both attempts have ended")
    expect_undisturbed(lab, undisturbed)


def test_the_controller_may_be_away_for_a_while(cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]) -> None:
    slow_down(lab.home)
    sweep = lab.start(*PACED, *SLURM)
    in_mid_epoch(lab, sweep)
    cluster.kill_controller()
    go_on(lab.home)
    until(lambda: "end" in claims(lab, "cohort")[0], "the worker does not need the controller")
    assert sweep.poll() is None, "the command waits for an answer"
    cluster.start_controller()
    done = ended(sweep)
    assert done.status == 0, done.err
    assert len(claims(lab, "cohort")) == 1
    expect_undisturbed(lab, undisturbed)


def test_a_killed_command_is_typed_again_and_submits_nothing_twice(
    cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]
) -> None:
    slow_down(lab.home, 5)
    sweep = lab.start(*PACED, *SLURM)
    in_mid_epoch(lab, sweep)
    sweep.kill()
    sweep.communicate()
    notes = set(lab.study.glob("workers/*.json"))
    queued = set(cluster.jobs())
    again = lab.start(*PACED, *SLURM)
    wait_for_line(again, "workers of this study that are there already: 1")
    assert set(cluster.jobs()) <= queued
    go_on(lab.home)
    done = ended(again)
    assert done.status == 0, done.err
    assert set(lab.study.glob("workers/*.json")) == notes
    assert len(claims(lab, "cohort")) == 1
    expect_undisturbed(lab, undisturbed)


def test_a_signal_before_the_time_limit_in_mid_epoch(cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]) -> None:
    """The worker saves its training and is queued again; the weights have the bits of the undisturbed ones."""
    slow_down(lab.home)
    sweep = lab.start(*PACED, *SLURM)
    first = in_mid_epoch(lab, sweep)
    cluster.run("scancel", "--signal=USR1", "--batch", first["scheduler"]["job"])
    until(lambda: "end" in claims(lab, "cohort")[0], "the worker has stopped its job", sweep)
    go_on(lab.home)
    done = ended(sweep)
    assert done.status == 0, done.err
    second = claims(lab, "cohort")[1]
    assert (second["scheduler"]["job"], second["scheduler"]["restart"]) == (first["scheduler"]["job"], 1)
    assert "continuing at step" in log(lab, 2)
    expect_undisturbed(lab, undisturbed)


def test_a_worker_that_makes_room_for_a_more_urgent_job(
    cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]
) -> None:
    """Preemption is SIGTERM, after a while SIGKILL, and the queue again."""
    slow_down(lab.home)
    sweep = lab.start(*PACED, *SLURM)
    first = in_mid_epoch(lab, sweep)
    words = ("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null")
    urgent = cluster.run("sbatch", "--parsable", *words, "--wrap=sleep 600")
    until(lambda: cluster.jobs().get(urgent, ("", ""))[0] == "RUNNING", "the urgent job runs", sweep)
    assert claims(lab, "cohort")[0]["end"]["outcome"] == "interrupted"
    go_on(lab.home)
    cluster.run("scancel", urgent)
    done = ended(sweep)
    assert done.status == 0, done.err
    second = claims(lab, "cohort")[1]
    assert (second["scheduler"]["job"], second["scheduler"]["restart"]) == (first["scheduler"]["job"], 1)
    assert "continuing at step" in log(lab, 2)
    expect_undisturbed(lab, undisturbed)


def test_a_study_that_is_longer_than_its_time_limit(cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]) -> None:
    slow_down(lab.home, 8)  # SLURM looks at time limits every half minute
    limit = ("run.launcher.time='\"1\"'", "run.launcher.signal=45")
    sweep = lab.start(*PACED, *SLURM, *limit)
    until(lambda: len(claims(lab, "cohort")) > 1, "a second attempt", sweep)
    go_on(lab.home)
    done = ended(sweep)
    assert done.status == 0, done.err
    first, *_, last = claims(lab, "cohort")
    assert first["end"]["outcome"] == "interrupted" and last["scheduler"]["restart"] > 0
    expect_undisturbed(lab, undisturbed)


def test_detached_then_status_cancel_and_the_same_command(
    cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]
) -> None:
    foreign = cluster.run(
        "sbatch", "--parsable", "--job-name=fusionlab-0123abcd", "--output=/dev/null", "--wrap=sleep 600"
    )
    slow_down(lab.home)
    done = lab.run(*PACED, *SLURM, "detach=true")
    assert done.status == 0, done.err
    folder = str(lab.study.relative_to(lab.home))
    assert [f"python -m fusionlab.{verb} {folder}" in done.out for verb in ("status", "cancel")] == [True, True]
    in_mid_epoch(lab)
    status = lab.run("status", folder)
    assert status.status == 1 and "running" in status.out

    cancelled = lab.run("cancel", folder)
    assert cancelled.status == 0 and cancelled.out.count("ended worker ") == 1
    until(lambda: set(cluster.jobs()) == {foreign}, "only the job of somebody else is left")
    assert claims(lab, "cohort")[0]["end"]["outcome"] == "interrupted"
    go_on(lab.home)
    again = lab.run(*PACED, *SLURM)
    assert again.status == 0, again.err
    expect_undisturbed(lab, undisturbed)
    assert set(cluster.jobs()) == {foreign}


def test_files_that_a_user_submits(cluster: Cluster, lab: Lab, undisturbed: dict[str, Any]) -> None:
    """launcher=script submits nothing, and its line does what launcher=slurm would."""
    script = ("launcher=script", *SLURM[1:])
    done = lab.run(*PACED, *script)
    assert done.status == 0, done.err
    assert not cluster.jobs()
    lines = done.out.splitlines()
    line = lines[lines.index("with SLURM:") + 1].strip()
    assert line.startswith("sbatch ")
    cluster.run("bash", "-c", line)
    until(lambda: not cluster.jobs(), "the workers have done all")
    expect_undisturbed(lab, undisturbed)


@pytest.mark.parametrize(
    "word, says",
    [
        ("run.launcher.partition=none", "invalid partition"),
        ("run.launcher.gpus=9", "Requested node configuration is not available"),
        ("run.launcher.constraint=h100", "Invalid feature specification"),
    ],
)
def test_what_the_scheduler_refuses_is_said_in_its_words(cluster: Cluster, lab: Lab, word: str, says: str) -> None:
    others = (one for one in SLURM if one.partition("=")[0] != word.partition("=")[0])
    done = lab.run(*PACED, *others, word)
    assert done.status == 2 and "Traceback" not in done.err
    assert says in done.err
    until(lambda: not cluster.jobs(), "nothing is left in the queue")


def test_without_slurm_it_is_said(lab: Lab) -> None:
    done = Lab(lab.home, lab.data).run(*PACED, *SLURM, PATH="/nowhere")
    assert done.status == 2 and "Traceback" not in done.err
    assert "no SLURM here" in done.err and "launcher=local" in done.err


def test_a_folder_that_the_nodes_do_not_see(cluster: Cluster, lab: Lab) -> None:
    done = lab.run(*PACED, *SLURM, f"run.root={cluster.private}")
    assert done.status == 1 and "Traceback" not in done.err
    assert "choose run.root on a file system that all nodes share" in done.err
