"""A cohort of one stream that is trained on two data sets, against a loop, and interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_fakes import block, interrupted

from fusionlab.backbones.tiny import Tiny
from fusionlab.data.batches import SECOND, second_task
from fusionlab.records.draws import key
from fusionlab.training.checkpoint import FILE
from fusionlab.training.cohort import Cohort, seed_generators
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import parse_recipe
from fusionlab.two_stream.multitask import MultitaskNet
from fusionlab.two_stream.trunk import Trunk

CLASSES, OTHERS, ROWS, EPOCH = 4, 3, 6, 5
NUMBERS = {"name": "sgd", "momentum": 0.9, "lr": 0.002, "clip": 0.0, "schedule": {"name": "constant", "warmup": 0}}


def recipe(**changes: Any) -> Any:
    numbers = {name: one for name, one in block().items() if name != "betas"}
    return parse_recipe({**numbers, **NUMBERS, "epochs": 2, **changes})


def clips(seed: str, step: int, classes: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(key("sample", seed, step))
    pixels = torch.randint(256, (ROWS, 4, 1, 16, 16), dtype=torch.uint8, generator=draw)
    return {"motion": pixels, "label": torch.randint(classes, (ROWS,), generator=draw), "index": torch.arange(ROWS)}


def batch(step: int) -> dict[str, Tensor]:
    second = clips("second", step, OTHERS)
    return {**clips("main", step, CLASSES), **{f"{SECOND}{name}": one for name, one in second.items()}}


class Loader:
    def __init__(self, batches: list[dict[str, Tensor]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter(self.batches)


class Data:
    start_step = 0

    def prepare_data(self) -> None: ...
    def setup(self, stage: str) -> None: ...
    def train_dataloader(self) -> Loader:
        return Loader([batch(self.start_step + n) for n in range(EPOCH - self.start_step % EPOCH)])

    def val_dataloader(self) -> Loader:
        return Loader([clips("validation", 0, CLASSES)])


def net() -> MultitaskNet:
    second = Tiny(4, classes=OTHERS, size=16, width=8)
    tower = Tiny(4, classes=CLASSES, size=16, width=8, dropout=0.5)
    return MultitaskNet(tower, "motion", second.get_submodule("fc8"), seed=1)


def cohort(of: Any) -> Cohort:
    return Cohort(Trunk(), {"motion": net()}, of, seed=2)


@pytest.fixture(scope="module")
def whole() -> Outcome:
    torch.set_num_threads(1)
    return fit(cohort(recipe()), Data(), job="stream")["motion"]


def test_each_step_is_one_of_torch_s_optimiser_on_the_sum_of_both_losses(whole: Outcome) -> None:
    own = net().train()
    optimiser = torch.optim.SGD(own.parameters(), lr=0.002, momentum=0.9, weight_decay=1e-3)
    losses = []
    for step in range(2 * EPOCH):
        both = batch(step)
        optimiser.zero_grad()
        with seed_generators(key("dropout", 2, step), torch.device("cpu")):
            main = own.loss({"motion": {"input": both["motion"]}}, both["label"])
            other = own.second.loss({"motion": {"input": both["second.motion"]}}, both["second.label"])
        (main + other).backward()
        optimiser.step()
        losses.append(float(main.detach() + other.detach()))
    assert whole.state is not None
    for name, one in own.state_dict().items():
        torch.testing.assert_close(whole.state[name], one, atol=1e-6, rtol=1e-5)
    curve = [row["train_loss"] for row in whole.curve]
    assert curve == pytest.approx([sum(losses[:EPOCH]) / EPOCH, sum(losses[EPOCH:]) / EPOCH], rel=1e-5)


def test_the_classes_of_each_list_have_its_own_weights() -> None:
    """As many clips of class c as its weight says, for both losses."""
    own, usual = cohort(recipe(class_weights="balanced")), cohort(recipe())
    counts, second = [1, 2, 3, 6], [6, 2, 1]
    for one in (own, usual):
        one.steps_per_epoch = EPOCH
        one.arms["motion"].net.eval()
        one.arms["motion"].weigh_classes(counts, second)
    both = batch(0)
    found, without = (float(one.training_step(both, 0).detach()) for one in (own, usual))
    by_hand, alone = 0.0, net().eval()
    for of, given, clips_of in ((alone, both, counts), (alone.second, second_task(both), second)):
        for row, label in enumerate(given["label"].tolist()):
            loss = of.loss({"motion": {"input": given["motion"][row : row + 1]}}, given["label"][row : row + 1])
            by_hand += float(loss.detach()) * sum(clips_of) / (len(clips_of) * clips_of[label]) / ROWS
    assert found == pytest.approx(by_hand, rel=1e-5) and found != pytest.approx(without, rel=1e-3)


def test_micro_batches_are_of_both_data_sets() -> None:
    """Without dropout, whose draws are those of a micro-batch, they give the gradient of the whole batch."""
    gradients = []
    for size in (None, 4):
        own = cohort(recipe(micro_batch=size, clip=0.0))
        own.steps_per_epoch = EPOCH
        own.arms["motion"].net.eval()
        own.training_step(batch(0), 0).backward()
        gradients.append({name: one.grad for name, one in own.arms["motion"].net.named_parameters()})
    for name, one in gradients[0].items():
        assert one is not None
        torch.testing.assert_close(gradients[1][name], one, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("at", [3, 6])
def test_interrupted_it_is_the_undisturbed_one(whole: Outcome, at: int, tmp_path: Path) -> None:
    with interrupted(at):
        fit(cohort(recipe()), Data(), folder=tmp_path, checkpoint_every=2, job="stream")
    again = fit(cohort(recipe()), Data(), resume_from=tmp_path / FILE, job="stream")["motion"]
    assert (again.weights, again.steps, again.val_loss) == (whole.weights, whole.steps, whole.val_loss)


def test_an_error_of_the_second_task_fails_the_stream() -> None:
    class Broken(Data):
        def train_dataloader(self) -> Loader:
            return Loader([{**one, "second.label": one["second.label"] + OTHERS} for one in super().train_dataloader()])

    (outcome,) = fit(cohort(recipe()), Broken(), job="stream").values()
    assert outcome.status == "failed" and "error at step 1" in str(outcome.reason)


def test_the_second_part_of_a_batch() -> None:
    assert set(second_task(batch(0))) == {"motion", "label", "index"} and second_task(clips("main", 0, 2)) == {}
