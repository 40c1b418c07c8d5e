"""What a validation chooses: never by a test label, unless it is asked for; and chain B repeats what chain A chose."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from stage_fakes import Splits, Trained, found

from fusionlab.data.dataset import Entry
from fusionlab.jobs.job_data import Data
from fusionlab.records.record import read_record
from fusionlab.study.plan import Arm, Job
from fusionlab.training import fit as fitting

BEST = [  # by which a validation chooses the drops, the end and the weights
    "optim=sgd",
    *(f"optim.{stage}.{leaf}" for stage in ("streams", "fusion")
      for leaf in ("until=budget", "schedule.wait=1", "schedule.factor=0.5", "epochs=5", "validations=5")),
    "optim.streams.lr=0.05", "optim.fusion.lr=0.05",
]  # fmt: skip
SELECT = ["optim.fusion.lr=0.02,0.1", "run.table.select=optim.fusion.lr"]


class Permuted(Splits):
    """The set whose test labels are wrong."""

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        train, test = super().lists(split)
        return train, [(name, (label + 1) % len(self.classes)) for name, label in test]


def train_all(of: Trained) -> dict[str, dict[str, Any]]:
    """The results of all arms, streams first."""
    of.run_all()
    return {arm.name: read_record(of.place(arm))["result"] for arm in of.plan.arms}


def study(small: Data, folder: Path, words: list[str]) -> Trained:
    return Trained.planned(folder / "runs" / "study", small, *words)


CHOSEN = ("weights", "val_loss", "best_step", "steps", "converged", "curves", "chosen")  # of a result


def both(small: Data, folder: Path, words: list[str]) -> list[dict[str, dict[str, Any]]]:
    """Results with the right test labels, and with wrong ones."""
    wrong = replace(small, dataset=Permuted(small.dataset.root))  # type: ignore[attr-defined]
    return [train_all(study(data, folder / name, words)) for name, data in (("right", small), ("wrong", wrong))]


@pytest.mark.parametrize(
    "words",
    [
        BEST,
        [*BEST[:-1], *SELECT],
        ["val=none"],
        [*BEST, "val.then=retrain"],
        [*BEST[:-1], *SELECT, "val.then=retrain"],
        [*SELECT, "val.then=retrain"],
    ],
    ids=["cut", "select", "none", "retrain", "retrain and select", "retrain where only the rate is chosen"],
)
def test_no_choice_reads_a_test_label(small: Data, tmp_path: Path, words: list[str]) -> None:
    right, wrong = both(small, tmp_path, words)
    assert right.keys() == wrong.keys()
    for name, one in right.items():
        assert one["weights"] or one["trained_parameters"] == 0
        assert [one.get(leaf) for leaf in CHOSEN] == [wrong[name].get(leaf) for leaf in CHOSEN], name
    assert all(one["predictions"] != wrong[name]["predictions"] for name, one in right.items()), "the test reads them"


def test_validated_on_the_test_list_labels_choose(small: Data, tmp_path: Path) -> None:
    right, wrong = both(small, tmp_path, [*BEST, "val=test_as_released"])
    assert all(one["val_loss"] != wrong[name]["val_loss"] for name, one in right.items())
    assert any(one["weights"] != wrong[name]["weights"] for name, one in right.items() if one["weights"])


# -- chain B


@pytest.fixture(scope="module")
def retrained(small: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    made = study(small, tmp_path_factory.mktemp("retrained"), [*BEST[:-1], *SELECT, "val.then=retrain"])
    train_all(made)
    return made


def chain(of: Trained, then: str) -> list[Arm]:
    return [arm for arm in of.plan.arms if arm.axes["val.then"] == then]


def repeated(of: Trained) -> list[tuple[Arm, dict[str, Any], list[tuple[Arm, dict[str, Any]]]]]:
    """Each trained arm of chain B with its result, and those of chain A that it names."""
    by_signature = {arm.signature: arm for arm in of.plan.arms}
    named = [(arm, [by_signature[one] for one in arm.config["chosen_by"].values()])
             for arm in chain(of, "retrain") if arm.kind != "late"]  # fmt: skip
    result = lambda arm: read_record(of.place(arm))["result"]  # noqa: E731
    return [(arm, result(arm), [(one, result(one)) for one in first]) for arm, first in named]


def rates(result: dict[str, Any]) -> list[tuple[int, float]]:
    return [(row["step"], row["rate"]) for row in result["curves"]]


def test_chain_b_repeats_the_rate_the_drops_and_the_end(retrained: Trained) -> None:
    dropped = 0
    for arm, result, first in repeated(retrained):
        assert len(first) == (1 if arm.kind == "stream" else 2)
        losses = {one.signature: own["val_loss"] for one, own in first}
        chosen, own = min(first, key=lambda pair: pair[1]["val_loss"])
        told = result["chosen"]
        assert told["signature"] == chosen.signature and min(losses.values()) == losses[chosen.signature]
        optim = chosen.config["optim"]
        assert told["rate"] == (optim if arm.kind == "stream" else optim["fusion"])["lr"]
        stop = own["best_step"]
        assert (result["steps"], result["best_step"], told["steps"]) == (stop, stop, stop)
        kept = [pair for pair in rates(own) if pair[0] <= stop]
        assert rates(result) == kept, "the same rates at the same steps"
        assert {row["val_loss"] for row in result["curves"]} == {None} and result["val_loss"] is None
        changes = [end for (end, rate), (_, after) in pairwise(kept) if after != rate]
        assert [one for one in told["drops"] if one != stop] == changes
        dropped += len(changes)
    assert dropped, "some rate dropped before the end"


def test_chain_b_is_trained_on_the_whole_list_and_stands_on_its_own_streams(retrained: Trained) -> None:
    below = {arm.signature for arm in chain(retrained, "retrain") if arm.kind == "stream"}
    for arm in chain(retrained, "retrain"):
        assert set(arm.config.get("stage_one", {}).values()) <= below
    for _, result, first in repeated(retrained):
        whole, part = (one["curves"][0] for one in (result, first[0][1]))
        per_epoch = [row["step"] / row["epoch"] for row in (whole, part)]
        assert per_epoch == [24 // 8, 18 // 8]


def test_the_rate_of_chain_b_is_a_result_and_no_part_of_its_config(retrained: Trained) -> None:
    for arm in chain(retrained, "retrain"):
        if arm.kind in ("fused", "control"):
            assert arm.config["optim"]["fusion"]["lr"] is None and set(arm.config["chosen_by"]) == {"0.02", "0.1"}
            assert "optim.fusion.lr" not in arm.axes


@pytest.mark.parametrize("kind", ["stream", "cohort"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_chain_b_interrupted_is_chain_b_undisturbed(
    retrained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, at: int
) -> None:
    """A second folder has chain A's records; its job of chain B is stopped after a step, and tried again."""
    shutil.copytree(retrained.study.parent, tmp_path / "runs")
    again = replace(retrained, study=tmp_path / "runs" / retrained.study.name)
    arms = [arm for arm in chain(again, "retrain") if (arm.kind == "stream") == (kind == "stream")]
    job: Job = again.plan.job(arms[0].job)
    whole = {name: read_record(job.published(again.study) / name)["result"] for name in job.arms}
    shutil.rmtree(job.path(again.study))
    job = replace(job, config={**job.config, "run": {**job.config["run"], "checkpoint_every": 1}})
    reached = 0

    class Stopped(Exception):
        pass

    def stop(name: str) -> None:
        nonlocal reached
        reached += 1
        if reached == at:
            raise Stopped

    with found(again.data):
        with monkeypatch.context() as patch:
            patch.setattr(fitting, "crash_point", stop)
            with pytest.raises(Stopped):
                again.run(job)
        assert not job.published(again.study).exists() or not list(job.published(again.study).iterdir())
        again.run(job, 2)
    for name in job.arms:
        result = read_record(job.published(again.study) / name)["result"]
        assert [result.get(leaf) for leaf in CHOSEN] == [whole[name].get(leaf) for leaf in CHOSEN]


def test_a_rate_that_diverged_is_no_choice_and_stops_nothing(small: Data, tmp_path: Path) -> None:
    words = [*BEST[:-1], "optim.fusion.lr=0.05,1e30", SELECT[1], "val.then=retrain"]
    made = study(small, tmp_path, words).run_all()
    (fused,) = (arm for arm in chain(made, "retrain") if arm.kind == "fused")
    chosen = read_record(made.place(fused))["result"]["chosen"]
    assert chosen["rate"] == 0.05 and chosen["val_losses"]["1e+30"] is None


def test_where_each_rate_diverged_the_arm_of_chain_b_fails_alone(small: Data, tmp_path: Path) -> None:
    words = [*BEST[:-1], "optim.fusion.lr=1e29,1e30", SELECT[1], "val.then=retrain"]
    made = study(small, tmp_path, words).run_all()
    (fused,) = (arm for arm in chain(made, "retrain") if arm.kind == "fused")
    (late,) = (arm for arm in chain(made, "retrain") if arm.kind == "late")
    assert made.place(late).is_dir() and not made.place(fused).exists()
    failed = read_record(made.plan.job(fused.job).path(made.study) / "attempts" / "001" / "failed" / fused.name)
    assert failed["reason"].startswith("no rate is left to choose: of chain A, each has failed")
