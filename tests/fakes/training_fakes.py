"""Tiny towers, nets and data that really train, in the batch format of the house; nobody else's code is
needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fusionlab.records.draws import key
from fusionlab.training import fit as fitting
from fusionlab.training.cohort import Cohort
from fusionlab.training.recipe import Recipe, parse_recipe
from fusionlab.two_stream.net import Net

CLASSES, FRAMES, SIZE, FLOWS = 4, 2, 6, 2
Both = {"appearance": ("relu",), "motion": ("relu",)}


def block(**changes: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "name": "adam",
        "lr": 0.02,
        "betas": [0.9, 0.999],
        "weight_decay": 1e-3,
        "batch_size": 8,
        "epochs": 3,
        "patience": 0,
        "clip": 0.5,
        "schedule": {"name": "cosine", "warmup": 2},
    }
    return {**numbers, **changes}


def drawn(module: nn.Module, seed: int) -> nn.Module:
    """Every parameter from (seed, its own name), as the house draws them."""
    for name, parameter in module.named_parameters():
        generator = torch.Generator().manual_seed(key("init", seed, name))
        with torch.no_grad():
            parameter.normal_(0.0, 0.3, generator=generator)
    return module


class Frozen(nn.Module):
    """One convolution with batch statistics and dropout, so that a trunk in training mode would be seen."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, 4, (1, 3, 3))
        self.norm = nn.BatchNorm3d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.norm(self.conv((x.float() - 128) / 64)).relu())


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({"appearance": Frozen(3), "motion": Frozen(2 * FLOWS)})
        drawn(self, 100)
        self.requires_grad_(False)
        self.eval()
        self.asked: list[dict[str, tuple[str, ...]]] = []

    def train(self, mode: bool = True) -> Trunk:
        return super().train(False)

    def features(
        self, batch: Mapping[str, Tensor], needs: Mapping[str, tuple[str, ...]]
    ) -> dict[str, dict[str, Tensor]]:
        self.asked.append(dict(needs))
        return {
            stream: {
                layer: self.towers[stream](batch[stream]) if layer == "relu" else batch[stream] for layer in layers
            }
            for stream, layers in needs.items()
        }


class Handing(nn.Module):
    """The trunk of stage one: the inputs themselves."""

    def features(
        self, batch: Mapping[str, Tensor], needs: Mapping[str, tuple[str, ...]]
    ) -> dict[str, dict[str, Tensor]]:
        return {stream: {"input": batch[stream]} for stream in needs}


class Stream(Net):
    """A whole tower trained from its input."""

    def __init__(self, stream: str, seed: int = 0) -> None:
        super().__init__()
        self.stream = stream
        self.needs = {stream: ("input",)}
        self.tower = Frozen(3 if stream == "appearance" else 2 * FLOWS)
        self.top = nn.Conv3d(4, CLASSES, (1, 4, 4))
        drawn(self, seed)

    def forward(self, features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        return self.top(self.tower(features[self.stream]["input"])).flatten(2)


class Fused(Net):
    """x_a + x_b, or their maximum, dropout, and a classifier a time step; it has buffers too."""

    def __init__(self, how: str = "sum", seed: int = 0, width: int = 8) -> None:
        super().__init__()
        self.needs = dict(Both)
        self.how = how
        self.mix = nn.Conv3d(4, width, (1, 3, 3))
        self.norm = nn.BatchNorm3d(width)
        self.drop = nn.Dropout(0.5)
        self.top = nn.Conv3d(width, CLASSES, (1, 2, 2))
        drawn(self, seed)

    def forward(self, features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        x_a, x_b = features["appearance"]["relu"], features["motion"]["relu"]
        x = x_a + x_b if self.how == "sum" else torch.maximum(x_a, x_b)
        return self.top(self.drop(self.norm(self.mix(x)).relu())).flatten(2)


class Sick(Fused):
    """Not a number in the loss, or in the gradient alone, in the training step `at` (from 1)."""

    def __init__(self, at: int, where: str = "loss", seed: int = 0) -> None:
        super().__init__("sum", seed)
        self.at, self.where, self.calls = at, where, 0

    def forward(self, features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        logits = super().forward(features)
        self.calls += self.training
        if self.training and self.calls == self.at:
            return logits * float("nan") if self.where == "loss" else logits + (self.top.bias.sum() * 0).sqrt()
        return logits


class Broken(Fused):
    """An error of its own in the call `at` (from 1) of one mode: while it is trained, or validated."""

    def __init__(self, at: int, while_training: bool) -> None:
        super().__init__("sum")
        self.at, self.mode, self.calls = at, while_training, 0

    def forward(self, features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        self.calls += self.training is self.mode
        if self.training is self.mode and self.calls == self.at:
            raise RuntimeError("shapes do not fit")
        return super().forward(features)


class Late(Net):
    """No parameters: log of the mean of the two streams' mean colours, as if they were scores."""

    def __init__(self) -> None:
        super().__init__()
        self.needs = dict(Both)

    def forward(self, features: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        p = sum(features[s]["relu"].mean((3, 4)).softmax(1).mean(2, keepdim=True) for s in ("appearance", "motion"))
        return (p / 2).log()


class Clips(Dataset[dict[str, Any]]):
    """Label = (bright or dark) × (motion to and fro): neither stream alone knows it. Noise from the item's
    key."""

    def __init__(self, purpose: str, count: int, seed: int, views: int = 1) -> None:
        self.purpose, self.count, self.seed, self.views = purpose, count, seed, views

    def __len__(self) -> int:
        return self.count * self.views

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = item if isinstance(item, tuple) else (0, item)
        view, index = divmod(index, self.count)
        draws = np.random.Generator(np.random.Philox(key(self.purpose, self.seed, epoch, index + 1000 * view)))
        label = index % CLASSES
        a = draws.integers(0, 120, (3, FRAMES, SIZE, SIZE)) + 120 * (label // 2)
        b = draws.integers(0, 120, (2 * FLOWS, FRAMES, SIZE, SIZE)) + 120 * (label % 2)
        return {
            "appearance": torch.from_numpy(a.astype(np.uint8)),
            "motion": torch.from_numpy(b.astype(np.uint8)),
            "label": label,
            "index": index,
        }


class Steps:
    """The remaining batches of the epoch that contains `start_step`, as lists of (epoch, index)."""

    def __init__(self, count: int, batch_size: int, seed: int, start_step: int) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.epoch, self.first = divmod(start_step, -(-count // batch_size))

    def __len__(self) -> int:
        return -(-self.count // self.batch_size) - self.first

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.Generator(np.random.Philox(key("order", self.seed, self.epoch))).permutation(self.count)
        for start in range(self.first * self.batch_size, self.count, self.batch_size):
            yield [(self.epoch, int(index)) for index in order[start : start + self.batch_size]]


class Data(pl.LightningDataModule):
    """42 training clips: five batches of 8 and one of 2."""

    def __init__(self, seed: int = 0, count: int = 42, batch_size: int = 8) -> None:
        super().__init__()
        self.seed, self.count, self.batch_size, self.start_step = seed, count, batch_size, 0
        self.asked: list[str] = []

    def setup(self, stage: str) -> None:
        self.asked.append(f"setup {stage}")

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        self.asked.append("train")
        steps = Steps(self.count, self.batch_size, self.seed, self.start_step)
        return DataLoader(Clips("sample", self.count, self.seed), batch_sampler=steps)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        self.asked.append("val")
        return DataLoader(Clips("val", 10, self.seed, views=2), batch_size=8)

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        self.asked.append("test")
        return DataLoader(Clips("test", 20, self.seed, views=2), batch_size=16)


@contextmanager
def interrupted(at: int) -> Iterator[None]:
    """A training inside it that ends with an error at its crash point of this number."""
    reached = 0

    class Interrupted(Exception):
        pass

    def stop(name: str) -> None:
        nonlocal reached
        reached += 1
        if reached == at:
            raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "crash_point", stop)
        with pytest.raises(Interrupted):
            yield


def cohort(nets: Mapping[str, Net], recipes: Recipe | Mapping[str, Recipe] | None = None, seed: int = 0) -> Cohort:
    return Cohort(Trunk(), nets, recipes or parse_recipe(block()), seed=seed)
