"""Evaluation of trained nets on the test list: scores, predictions, accuracy.

score[v, c] = mean over the views of video v and over the net's time steps t of softmax(logits)[c, t]

The same of each of a net's heads (`Net.head_names`), and the mean of its logits, for fusions of stored scores.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusionlab.errors import out_of_memory
from fusionlab.records.activity import mark
from fusionlab.results.head_scores import Heads
from fusionlab.training.cohort import Batch, Cohort, FeatureSource
from fusionlab.two_stream.net import Features, Net, union
from fusionlab.two_stream.scores import scores

Counts = dict[str, dict[str, int]]
BLOCK = 256  # videos


@dataclass(frozen=True)
class Scores:
    """Row r of everything belongs to video `index[r]`; `index` rises. `clips`: the number of views of all videos.

    `of` also has the parts of nets that are tested by themselves, as `part_name` names them.
    """

    index: list[int]
    label: list[int]
    of: dict[str, Tensor]  # arm's name -> (videos, classes) float32, rows sum to 1
    clips: int = 0
    heads: dict[str, dict[str, Heads]] = field(default_factory=dict)  # arm's name -> head -> its means

    def predicted(self, name: str) -> list[int]:
        """The class of the highest score (of equals the first)."""
        return self.of[name].argmax(dim=1).tolist()


class _Sums:
    """Sums of rows per video, in large blocks: thousands of small arrays would fragment the memory of the batches."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._blocks: list[NDArray[np.float64]] = []

    def add(self, videos: Sequence[int], rows: NDArray[np.float32]) -> None:
        for video, row in zip(videos, rows, strict=True):
            block, place = divmod(self._places.setdefault(video, len(self._places)), BLOCK)
            if block == len(self._blocks):
                self._blocks.append(np.zeros((BLOCK, *row.shape)))
            self._blocks[block][place] += row

    def means(self, views: Mapping[int, int], index: Sequence[int]) -> NDArray[np.float32]:
        places = (divmod(self._places[video], BLOCK) for video in index)
        rows = [self._blocks[block][place] / views[v] for v, (block, place) in zip(index, places, strict=True)]
        return np.array(rows, dtype=np.float32)


def _rows(net: Net, features: Features) -> Tensor:
    """(N, 1 + 2 H, C): the scores, then of each named head the mean softmax and the mean logits."""
    heads = net.heads(features)
    kept = [head.float() for head in heads[: len(net.head_names)]]
    each = [mean for head in kept for mean in (scores(head), head.mean(dim=2))]
    return torch.stack([scores(net.combine(heads).float()), *each], dim=1)


def evaluate(
    trunk: nn.Module,
    nets: Mapping[str, Net],
    loader: Iterable[Batch],
    *,
    device: str = "cpu",
    fail: Callable[[str, Exception], None] | None = None,
) -> Scores:
    """Scores of every net and of its heads, float32, in one pass; a video's views may lie in different batches.

    `fail` is called with the error of one net, which then has no scores; without it, the error is raised.
    """
    where = torch.device(device)
    trunk.to(where)
    modes = {name: net.training for name, net in nets.items()}
    for net in nets.values():
        net.to(where).eval()
    needs = union(net.needs for net in nets.values())
    labels: dict[int, int] = {}
    views: dict[int, int] = {}
    sums = {name: _Sums() for name in nets}
    with torch.no_grad():
        for batch in loader:
            moved = {name: value.to(where) for name, value in batch.items()}
            videos = batch["index"].tolist()
            for video, label in zip(videos, batch["label"].tolist(), strict=True):
                assert labels.setdefault(video, label) == label, f"video {video} has two labels"
                views[video] = views.get(video, 0) + 1
            features = cast(FeatureSource, trunk).features(moved, needs)
            mark()
            for name in tuple(sums):
                try:
                    rows = _rows(nets[name], features).cpu().numpy()
                    if not np.isfinite(rows).all():
                        raise ValueError("its scores are not numbers")
                    sums[name].add(videos, rows)
                except Exception as error:
                    if fail is None or out_of_memory(error):
                        raise
                    fail(name, error)
                    del sums[name]
    for name, net in nets.items():
        net.train(modes[name])
    index = sorted(labels)
    of: dict[str, Tensor] = {}
    heads: dict[str, dict[str, Heads]] = {}
    for name, own in sums.items():
        net, means = nets[name], own.means(views, index)
        of[name] = torch.from_numpy(means[:, 0].copy())
        heads[name] = {
            head: Heads(means[:, 1 + 2 * k].copy(), None if head in net.margins else means[:, 2 + 2 * k].copy())
            for k, head in enumerate(net.head_names)
        }
        of |= {part_name(name, part): torch.from_numpy(heads[name][part].softmax) for part in net.apart}
    return Scores(index, [labels[video] for video in index], of, sum(views.values()), heads)


def evaluate_cohort(cohort: Cohort, loader: Iterable[Batch], *, device: str = "cpu") -> Scores:
    """Scores of the arms that are done, with their best weights (as `fit` leaves them).

    An error of one net fails only its arm.
    """
    done = {name: arm for name, arm in cohort.arms.items() if arm.status == "done"}

    def fail(name: str, error: Exception) -> None:
        traceback.print_exception(error)
        done[name].fail(f"error in its evaluation: {type(error).__name__}: {error}")

    return evaluate(cohort.trunk, {name: arm.net for name, arm in done.items()}, loader, device=device, fail=fail)


def part_name(arm: str, stream: str) -> str:
    """The name of an arm's part among `Scores`; no arm's name has a slash."""
    return f"{arm}/{stream}"


def count_correct(predicted: Sequence[int], label: Sequence[int], groups: Sequence[str] = ()) -> Counts:
    """{group: {correct, total}}; `groups` names the group of each class, and "all" is the sum over all classes."""
    counts = {group: {"correct": 0, "total": 0} for group in ("all", *dict.fromkeys(groups))}
    for guess, truth in zip(predicted, label, strict=True):
        for group in ("all", *([groups[truth]] if groups else [])):
            counts[group]["correct"] += int(guess == truth)
            counts[group]["total"] += 1
    return counts
