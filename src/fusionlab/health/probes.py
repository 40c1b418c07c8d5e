"""Two probes that try to read a label from pictures: a linear one and a small convolutional one.

Each is tested on clips that it was not fitted to: the clips are split into two halves, and each half is tested by the
probe of the other. So every clip counts once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Targets = dict[str, NDArray[np.int64]]
Guess = Callable[[Tensor, dict[str, Tensor], Tensor], dict[str, Tensor]]


@dataclass(frozen=True)
class Accuracy:
    """Correct answers among n, with Wilson's interval at 95 %."""

    right: int
    n: int

    @property
    def value(self) -> float:
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        z, p, n = 1.96, self.value, self.n
        middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {self.n}"


def linear(train: Tensor, targets: dict[str, Tensor], test: Tensor) -> dict[str, Tensor]:
    """Ridge regression on one-hot classes, dual form; values and sizes, pooled 2×2, are the features."""

    def features(x: Tensor) -> Tensor:
        both = torch.cat([x, x.abs()], dim=1)
        return F.avg_pool2d(both, 2).flatten(1)

    seen, unseen = features(train), features(test)
    mean, scale = seen.mean(0), seen.std(0) + 1e-3
    seen, unseen = (seen - mean) / scale, (unseen - mean) / scale
    gram = seen @ seen.T
    gram += 0.3 * gram.diagonal().mean() * torch.eye(len(gram))
    solved = {name: _one_hot(t) for name, t in targets.items()}
    weights = {name: torch.linalg.solve(gram, hot - hot.mean(0)) for name, hot in solved.items()}
    cross = unseen @ seen.T
    return {name: (cross @ weights[name] + solved[name].mean(0)).argmax(1) for name in targets}


def convolutional(train: Tensor, targets: dict[str, Tensor], test: Tensor, epochs: int = 10) -> dict[str, Tensor]:
    """Two convolutions and a layer for each question, trained together with Adam."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classes = {name: int(t.max()) + 1 for name, t in targets.items()}
        mean, scale = train.mean((0, 2, 3), keepdim=True), train.std()
        trunk = nn.Sequential(
            nn.Conv2d(train.shape[1], 16, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        width = trunk(train[:1]).shape[1]
        heads = nn.ModuleDict({name: nn.Linear(width, count) for name, count in classes.items()})
        every = [*trunk.parameters(), *heads.parameters()]
        adam = torch.optim.Adam(every, lr=2e-3, weight_decay=1e-4)
        for _ in range(epochs):
            for batch in torch.randperm(len(train)).split(50):  # type: ignore[no-untyped-call]
                inner = trunk((train[batch] - mean) / scale)
                loss = torch.stack([F.cross_entropy(heads[name](inner), t[batch]) for name, t in targets.items()]).sum()
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step()
        with torch.no_grad():
            inner = trunk((test - mean) / scale)
            return {name: heads[name](inner).argmax(1) for name in targets}


PROBES: dict[str, Guess] = {"linear": linear, "convolutional": convolutional}


def probe(how: str, pictures: NDArray[Any], targets: Targets, clip: NDArray[np.int64]) -> dict[str, Accuracy]:
    """The accuracy of each target, read from the pictures (n, C, H, W); pictures of one clip stay in one half."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        x = torch.from_numpy(pictures).float() - 127.5
        y = {name: torch.from_numpy(np.asarray(t)) for name, t in targets.items()}
        first = np.isin(clip, np.random.default_rng(0).permutation(np.unique(clip))[::2])
        halves = [torch.from_numpy(half) for half in (first, ~first)]
        right = dict.fromkeys(targets, 0)
        for train, test in (halves, halves[::-1]):
            guessed = PROBES[how](x[train], {name: t[train] for name, t in y.items()}, x[test])
            for name, guess in guessed.items():
                right[name] += int((guess == y[name][test]).sum())
    finally:
        torch.set_num_threads(threads)
    return {name: Accuracy(count, len(x)) for name, count in right.items()}


def _one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels).float()
