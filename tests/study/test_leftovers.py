"""What a study no longer needs is found, and nothing else."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fusionlab import prune
from fusionlab.errors import UserError
from fusionlab.jobs import recorder
from fusionlab.records.files import read_json, to_json
from fusionlab.records.record import CHECKPOINT, WEIGHTS, new_record, write_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.ledger import Ledger
from fusionlab.study.leftovers import DAY, leftovers
from fusionlab.study.plan import Plan, read
from fusionlab.training import checkpoint


def write(attempt: Attempt, arm: str) -> None:
    folder = attempt.result / arm
    write_record(folder, new_record(name=arm, kind="fused", axes={}, signature=arm, config={}, result={}))
    (folder / WEIGHTS).write_bytes(b"12345")


def file(path: Path, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1234567")
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


@pytest.fixture
def study(tmp_path, make_plan):
    """Two arms of job `k`: x was published twice, z once; of job `m` one arm is left, and an attempt runs."""
    study = tmp_path / "runs" / "x"
    make_plan({"k": ([], [{"x": "", "z": ""}]), "m": ([], [{"u": "", "v": ""}])}).write(study)
    books = Ledger(study, read(study), session="s")
    first = books.claim("k")
    file(first.folder / CHECKPOINT)
    write(first, "x")
    first.publish("x")
    first.end("interrupted")
    second = books.claim("k")
    for arm in "xz":
        write(second, arm)
        second.publish(arm)
    file(second.folder / CHECKPOINT)
    second.end("done")
    begun = books.claim("m")
    file(begun.folder / CHECKPOINT)
    write(begun, "u")
    begun.publish("u")
    begun.end("interrupted")
    running = books.claim("m")
    file(running.folder / CHECKPOINT)
    write(running, "u")  # it comes second, but runs
    file(running.folder / ".half.tmp", 2 * DAY)
    file(study / ".plan.json.1.tmp", 2 * DAY)
    file(study / ".plan.json.2.tmp", DAY / 2)
    return study


def found(study: Path, keep: str = "best") -> dict[str, int]:
    return {str(one.path.relative_to(study)): one.bytes for one in leftovers(study, keep)}


SECOND = "jobs/k/attempts/002/result/x"
USUAL = {".plan.json.1.tmp", "jobs/k/attempts/001/checkpoint.pt", "jobs/k/attempts/002/checkpoint.pt", SECOND}


def test_the_names_are_those_of_what_jobs_write() -> None:
    assert (CHECKPOINT, WEIGHTS) == (checkpoint.FILE, recorder.WEIGHTS)


def test_what_is_found_by_what_is_kept(study: Path) -> None:
    assert set(found(study)) == USUAL
    assert set(found(study, "last")) == {".plan.json.1.tmp", SECOND}
    weights = {f"jobs/{job}/published/{arm}/weights.pt" for job, arm in ("kx", "kz", "mu")}
    assert set(found(study, "none")) == USUAL | weights
    record = (study / SECOND / "run.json").stat().st_size
    sizes = found(study, "none")
    assert (sizes[SECOND], sizes[".plan.json.1.tmp"], sizes["jobs/k/published/x/weights.pt"]) == (record + 5, 7, 5)


def test_an_attempt_without_an_end_is_left_alone_until_it_is_dead(study: Path) -> None:
    first = Attempt(study / "jobs" / "k", 1)
    first.end_file.unlink()
    assert set(found(study)) == USUAL - {"jobs/k/attempts/001/checkpoint.pt"}
    claim = read_json(first.claim_file)
    first.claim_file.write_text(to_json({**claim, "pid": 2**22 + 1}))
    assert set(found(study)) == USUAL


@pytest.mark.parametrize("keep", ["best", "last", "none"])
def test_only_what_is_found_is_deleted_and_only_once(study: Path, keep: str) -> None:
    before = {str(path.relative_to(study)) for path in study.rglob("*")}
    places = leftovers(study, keep)
    gone = {name for name in before for one in places if (study / name).is_relative_to(one.path)}
    for one in places:
        one.delete()
    assert {str(path.relative_to(study)) for path in study.rglob("*")} == before - gone
    assert leftovers(study, keep) == []
    states = Ledger(study, read(study)).states()
    assert (states["k"].name, states["m"].name) == ("published", "running")


def test_links_are_not_followed(study: Path, tmp_path: Path) -> None:
    victim = file(tmp_path / "victim" / CHECKPOINT)
    old = file(tmp_path / "victim" / ".old.tmp", 2 * DAY)
    for name, target in {"deep": victim.parent, ".x.tmp": old}.items():
        (study / name).symlink_to(target)
    attempts = study / "jobs" / "k" / "attempts"
    (attempts / "001" / CHECKPOINT).unlink()
    (attempts / "001" / CHECKPOINT).symlink_to(victim)
    shutil.rmtree(attempts / "002")
    (attempts / "002").symlink_to(victim.parent)
    shutil.rmtree(study / "jobs" / "k" / "published" / "x")
    (study / "jobs" / "k" / "published" / "x").symlink_to(victim.parent)
    file(victim.parent / WEIGHTS)
    assert set(found(study, "none")) == {
        ".plan.json.1.tmp", "jobs/k/published/z/weights.pt", "jobs/m/published/u/weights.pt"
    }  # fmt: skip
    (tmp_path / "link").symlink_to(study)
    with pytest.raises(UserError, match="a link to a study"):
        leftovers(tmp_path / "link", "best")
    (study / "jobs" / "k").rename(tmp_path / "k")
    (study / "jobs" / "k").symlink_to(tmp_path / "k")
    with pytest.raises(UserError, match="is a link"):
        leftovers(study, "best")


def test_of_shared_streams_only_the_weights_stay(study: Path) -> None:
    plan = read(study)
    streams = study.parent / "streams"
    streams.mkdir()
    (study / "jobs" / "k").rename(streams / ("a" * 16))
    jobs = [replace(job, kind="stream", folder=f"../streams/{'a' * 16}") if job.id == "k" else job for job in plan.jobs]
    (study / "plan.json").write_text(Plan.of(plan.command, jobs, plan.arms).to_json())
    for place in streams.rglob("job.json"):
        place.unlink()
    assert Ledger(study, read(study)).state("k").name == "published"
    places = {os.path.relpath(one.path, study) for one in leftovers(study, "none")}
    of_stream = {name.replace("jobs/k", f"../streams/{'a' * 16}") for name in USUAL if name.startswith("jobs/k/")}
    assert places == {".plan.json.1.tmp", "jobs/m/published/u/weights.pt", *of_stream}


def test_a_plan_that_names_the_streams_of_others_is_refused(study: Path, tmp_path: Path) -> None:
    plan = read(study)
    file(tmp_path / "others" / "streams" / ("a" * 16) / "attempts" / "001" / CHECKPOINT)
    folder = str(tmp_path / "others" / "streams" / ("a" * 16))
    jobs = [replace(job, kind="stream", folder=folder) if job.id == "k" else job for job in plan.jobs]
    (study / "plan.json").write_text(Plan.of(plan.command, jobs, plan.arms).to_json())
    with pytest.raises(UserError, match="neither in the study nor beside it"):
        leftovers(study, "best")


def test_the_command_lists_and_deletes_only_with_yes(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study.parent / "streams").mkdir()
    words = [str(study.parent / "streams"), str(study), "keep=none"]
    count = len(leftovers(study, "none"))
    assert prune.main(words) == 0
    told = capsys.readouterr().out
    assert len(leftovers(study, "none")) == count and told.endswith("nothing was deleted; --yes deletes it\n")
    assert "streams: not a study\n" in told and f"7 B  {study / 'jobs/k/attempts/001' / CHECKPOINT}: checkpoint" in told
    assert prune.main(words, yes=True) == 0
    told = capsys.readouterr().out
    assert f"{study}: {count} places, " in told and told.endswith(" deleted\n")
    assert prune.main(words) == 0
    assert capsys.readouterr().out.endswith(f"{study}: 0 places, 0 B\n")


def test_of_several_folders_those_that_cannot_be_read_are_named_and_the_others_pruned(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, none = study.parent / "damaged", study.parent / "none"
    damaged.mkdir()
    (damaged / "plan.json").write_text("{")
    none.mkdir()
    assert prune.main([str(damaged), str(none), str(study)], yes=True) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{damaged}: not a readable JSON file")
    assert told[1] == f"{none}: not a study"
    assert told[-1].startswith(f"{study}: {len(USUAL)} places") and not found(study)
    with pytest.raises(UserError):
        prune.main([str(damaged)])


def test_the_folder_of_data_does_not_matter(study: Path, tmp_path: Path) -> None:
    """It is never touched."""
    plan = read(study)
    jobs = [replace(job, config={**job.config, "run": {"data": str(tmp_path / "elsewhere")}}) for job in plan.jobs]
    (study / "plan.json").write_text(Plan.of(plan.command, jobs, plan.arms).to_json())
    assert set(found(study)) == USUAL
