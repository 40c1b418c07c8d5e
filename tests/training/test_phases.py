"""Towers that are trained from a layer upwards, always or in the first epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from training_fakes import CLASSES, Data, block

from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.training import checkpoint
from fusionlab.training.cohort import Cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.phases import expect_layers, freeze
from fusionlab.training.recipe import Recipe, parse_recipe
from fusionlab.two_stream.net import StreamNet
from fusionlab.two_stream.trunk import Trunk


def tower() -> Tower:
    layers = {
        "conv1": nn.Conv2d(3, 4, 3, padding=1), "norm1": nn.BatchNorm2d(4), "relu1": nn.ReLU(),
        "drop1": nn.Dropout(0.5), "conv2": nn.Conv2d(4, 4, 3, padding=1), "norm2": nn.BatchNorm2d(4),
        "relu2": nn.ReLU(), "fc8": Classifier(4, CLASSES, 6), "softmax": nn.Softmax(dim=1),
    }  # fmt: skip
    return Tower(layers, {name: name for name in ("relu1", "relu2", "fc8", "softmax")}, 3, 6)


class States(pl.Callback):
    """The tower's state after each step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        (arm,) = module.arms.values()
        self.seen.append({name: one.clone() for name, one in arm.net.tower.state_dict().items()})


def recipe(name: str = "adam", **changes: Any) -> Recipe:
    numbers = block(weights="last", name=name, **changes)
    if name == "sgd":
        del numbers["betas"]
        numbers["momentum"] = 0.9
    return parse_recipe(numbers)


def made(**changes: Any) -> Cohort:
    net = StreamNet(tower(), "appearance", seed=0)
    return Cohort(Trunk(), {"one": net}, recipe(**changes), seed=0)


def trained(**changes: Any) -> list[dict[str, Tensor]]:
    """The states, with the one before the training in front."""
    cohort, states = made(**changes), States()
    before = {name: one.clone() for name, one in cohort.arms["one"].net.tower.state_dict().items()}
    fit(cohort, Data(), observers=[states])
    return [before, *states.seen]


def moved(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {name.partition(".")[0] for name in one if not torch.equal(one[name], other[name])}


def test_below_the_layer_nothing_moves() -> None:
    states = trained(from_layer="conv2")
    assert moved(states[0], states[-1]) == {"conv2", "norm2", "fc8"}
    arm = made(from_layer="conv2").arms["one"]
    assert len(arm.trained) == 6, "and the optimiser does not have it"


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("bias_rate", [1.0, 2.0])
def test_the_first_phase_trains_the_layers_above_alone_and_then_all(name: str, bias_rate: float) -> None:
    """An epoch has six steps. Validations come between, and after the phase batch statistics move again."""
    states = trained(first={"from_layer": "conv2", "epochs": 1}, name=name, bias_rate=bias_rate)
    assert moved(states[0], states[6]) == {"conv2", "norm2", "fc8"}
    assert moved(states[6], states[7]) == {"conv1", "norm1", "conv2", "norm2", "fc8"}


def test_a_first_phase_is_the_training_of_these_layers_alone() -> None:
    """With the same dropout below them."""
    schedule = {"name": "constant", "warmup": 0}
    phase = trained(first={"from_layer": "fc8", "epochs": 2}, schedule=schedule)
    alone = trained(from_layer="fc8", schedule=schedule)
    assert all(not moved(one, other) for one, other in zip(phase[:13], alone[:13], strict=True))
    assert moved(phase[13], alone[13])


def test_both_at_once() -> None:
    states = trained(from_layer="conv2", first={"from_layer": "fc8", "epochs": 1})
    assert moved(states[0], states[6]) == {"fc8"}
    assert moved(states[6], states[-1]) == {"conv2", "norm2", "fc8"}


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("every", [4, 8])
def test_interrupted_in_a_phase_and_after_it(every: int, name: str, tmp_path: Path) -> None:
    phase: dict[str, Any] = {"first": {"from_layer": "conv2", "epochs": 1}, "name": name}
    whole = fit(made(**phase), Data())["one"]

    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
            if module.step == every + 1:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(made(**phase), Data(), folder=tmp_path, checkpoint_every=every, observers=[Stop()])
    again: Outcome = fit(made(**phase), Data(), resume_from=tmp_path / checkpoint.FILE)["one"]
    assert whole.state is not None and again.state is not None
    assert not moved(whole.state, again.state) and whole.curve == again.curve


def test_what_was_never_trained_stays_frozen() -> None:
    layer = nn.Linear(2, 2)
    freeze([layer])
    freeze([layer], False, {layer.weight})
    assert layer.weight.requires_grad and not layer.bias.requires_grad


@pytest.mark.parametrize("changes", [{"from_layer": "conv3"}, {"first": {"from_layer": "softmax", "epochs": 1}}])
def test_an_unknown_layer_is_answered_with_the_towers(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="unknown layer of the tower") as error:
        expect_layers(parse_recipe(block(**changes)), tower())
    assert "conv2" in str(error.value) and "fc8" in str(error.value)
