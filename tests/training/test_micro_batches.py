"""Gradient accumulation: micro-batches are one batch; alone, in company and interrupted an arm is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_fakes import CLASSES, FRAMES, SIZE, Data, Fused, Handing, Sick, Trunk, block, cohort, drawn

from fusionlab.records.draws import key
from fusionlab.training import checkpoint
from fusionlab.training.cohort import Cohort, micro_batches, seed_generators
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import BF16, FLOAT32, parse_recipe
from fusionlab.two_stream.net import Net


class Double(Net):
    """A classifier of pixels in float64, without dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.needs = {"appearance": ("input",)}
        self.top = drawn(nn.Linear(3 * FRAMES * SIZE**2, CLASSES).double(), 0)

    def forward(self, features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        return self.top(features["appearance"]["input"].flatten(1).double() / 255).unsqueeze(2)


def sgd(**changes: Any) -> dict[str, Any]:
    numbers = block(name="sgd", momentum=0.9, **changes)
    del numbers["betas"]
    return numbers


def trained(net: Net, trunk: nn.Module, **changes: Any) -> Outcome:
    recipe = parse_recipe(block(**changes))
    return fit(Cohort(trunk, {"one": net}, recipe, seed=0), Data())["one"]


def equal(one: Outcome, other: Outcome) -> bool:
    assert one.state is not None and other.state is not None
    return all(torch.equal(one.state[name], other.state[name]) for name in one.state)


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_micro_batches_are_one_batch(size: int, name: str) -> None:
    """Also the last batch of an epoch, of 2 clips. The loss and the norm in the curve are those of the batch."""
    recipes = [parse_recipe((block if name == "adam" else sgd)(micro_batch=micro)) for micro in (None, size)]
    one, parts = (fit(Cohort(Handing(), {"one": Double()}, made, seed=0), Data())["one"] for made in recipes)
    assert one.state is not None and parts.state is not None
    for place in one.state:
        assert torch.allclose(one.state[place], parts.state[place], rtol=1e-10, atol=1e-13)
    for row, other in zip(one.curve, parts.curve, strict=True):
        assert dict(row) == pytest.approx(dict(other), rel=1e-6)


def test_a_micro_batch_as_large_as_the_batch_changes_no_bit() -> None:
    one, other, parts = (trained(Fused(), Trunk(), micro_batch=size) for size in (None, 8, 7))
    assert equal(one, other) and not equal(one, parts), "another last bit, and other dropout"


@pytest.mark.parametrize(("precision", "steps"), [(FLOAT32, 18), (BF16, 4)])
def test_the_steps_are_those_of_a_loop_by_hand(precision: str, steps: int) -> None:
    """With dropout and batch statistics: of each micro-batch its own. In bfloat16 gradients add up in float32.

    Few steps of it, since one number that is rounded the other way is seen in all that follows.
    """
    recipe = parse_recipe(block(micro_batch=3, weights="last", epochs=None, steps=steps))
    data, trunk, net = Data(), Trunk(), Fused()
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    for step in range(steps):
        data.start_step = step
        batch = next(iter(data.train_dataloader()))
        optimiser.zero_grad()
        for number, first in enumerate(range(0, len(batch["label"]), 3)):
            part = {name: one[first : first + 3] for name, one in batch.items()}
            seed = key("dropout", 0, step, number) if number else key("dropout", 0, step)
            half = torch.autocast("cpu", torch.bfloat16, enabled=precision == BF16)
            with seed_generators(seed, torch.device("cpu")), half:
                loss, _ = net.train().loss_and_correct(trunk.features(part, net.needs), part["label"])
            (loss * (len(part["label"]) / len(batch["label"]))).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
        optimiser.param_groups[0]["lr"] = recipe.rate(step, 6, ())
        optimiser.step()
    ours = fit(Cohort(Trunk(), {"one": Fused()}, recipe, seed=0), Data(), precision=precision)["one"]
    assert ours.state is not None
    for name, value in net.state_dict().items():
        assert torch.allclose(ours.state[name], value, atol=1e-5), name


def test_an_arm_that_fails_in_one_micro_batch_leaves_with_all_its_gradients() -> None:
    sick = Sick(2)
    together = cohort({"sick": sick, "sum": Fused()}, parse_recipe(block(micro_batch=4)))
    ended = fit(together, Data())
    assert ended["sick"].status == "failed" and "diverged at step 1" in str(ended["sick"].reason)
    assert all(one.grad is None for one in sick.parameters()) and ended["sick"].steps == 0
    assert equal(ended["sum"], trained(Fused(), Trunk(), micro_batch=4))


def test_only_sick_arms_end_the_training() -> None:
    ended = fit(cohort({"sick": Sick(2)}, parse_recipe(block(micro_batch=4))), Data())
    assert ended["sick"].status == "failed"


BIASES: dict[str, Any] = {"micro_batch": 3, "bias_rate": 2.0, "bias_decay": 0.0}


def of_two(*names: str) -> Cohort:
    nets: dict[str, Net] = {name: Fused(name) for name in names}
    recipes = {"sum": parse_recipe(block(**BIASES)), "max": parse_recipe(block(**{**BIASES, "bias_rate": 1.0}))}
    return cohort(nets, {name: recipes[name] for name in names})


@pytest.mark.parametrize("names", [("sum",), ("max",), ("max", "sum")])
def test_with_two_groups_an_arm_is_the_same_alone_and_interrupted(names: tuple[str, ...], tmp_path: Path) -> None:
    """The checkpoint is of step 8 of 18, in mid-epoch, and of both arms."""
    whole = fit(of_two("sum", "max"), Data(), folder=tmp_path, checkpoint_every=8)
    content = checkpoint.read(tmp_path / checkpoint.FILE)
    assert len(content["optimiser"]["param_groups"]) == 4
    for ended in (fit(of_two(*names), Data(), resume_from=tmp_path / checkpoint.FILE), fit(of_two(*names), Data())):
        for name in names:
            assert equal(ended[name], whole[name]) and ended[name].curve == whole[name].curve


def test_groups_are_those_of_torch_by_hand() -> None:
    """Biases at twice the rate and without decay, in float64."""
    recipe = parse_recipe(sgd(clip=0.0, weight_decay=0.3, bias_rate=2.0, bias_decay=0.0, weights="last"))
    ours, net, data = fit(Cohort(Handing(), {"one": Double()}, recipe, seed=0), Data())["one"], Double(), Data()
    optimiser = torch.optim.SGD(
        [{"params": [net.top.weight], "weight_decay": 0.3}, {"params": [net.top.bias], "weight_decay": 0.0}],
        lr=1.0, momentum=0.9,
    )  # fmt: skip
    for step in range(18):
        data.start_step = step
        batch = next(iter(data.train_dataloader()))
        optimiser.zero_grad()
        net.loss_and_correct({"appearance": {"input": batch["appearance"]}}, batch["label"])[0].backward()
        for group, factor in zip(optimiser.param_groups, (1, 2), strict=True):
            group["lr"] = factor * recipe.rate(step, 6, ())
        optimiser.step()
    assert ours.state is not None
    for name, value in net.state_dict().items():
        assert torch.allclose(ours.state[name], value, rtol=1e-10, atol=1e-13), name


def test_neutral_factors_leave_one_group_as_it_was() -> None:
    made = cohort({"sum": Fused()}).configure_optimizers()
    (group,) = made.param_groups
    assert "factor" not in group and group["arm"] == "sum"


def test_a_batch_is_cut_in_order() -> None:
    batch = {"label": torch.arange(7), "index": torch.arange(7)}
    cut = [part["label"].tolist() for part in micro_batches(batch, 3)]
    assert cut == [[0, 1, 2], [3, 4, 5], [6]]
    assert micro_batches(batch, None)[0] is micro_batches(batch, 7)[0] is batch
