"""Evaluation of trained nets on the test list: scores, predictions, accuracy.

score[v, c] = mean over the views of video v and over the net's time steps t of softmax(logits)[c, t]
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from fusionlab.errors import out_of_memory
from fusionlab.records.activity import mark
from fusionlab.training.arm import ArmModule
from fusionlab.training.cohort import Batch, Cohort, FeatureSource
from fusionlab.two_stream.net import Net, union
from fusionlab.two_stream.scores import scores

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Scores:
    """Row r of everything belongs to video `index[r]`; `index` rises. `clips`: the number of views of all videos."""

    index: list[int]
    label: list[int]
    of: dict[str, Tensor]  # arm's name -> (videos, classes) float32, rows sum to 1
    clips: int = 0

    def predicted(self, name: str) -> list[int]:
        """The class of the highest score (of equals the first)."""
        return self.of[name].argmax(dim=1).tolist()


def evaluate(
    trunk: nn.Module,
    nets: Mapping[str, nn.Module],
    loader: Iterable[Batch],
    *,
    device: str = "cpu",
    fail: Callable[[str, Exception], None] | None = None,
) -> Scores:
    """Scores of every net, float32, in one pass; a video's views may lie in different batches.

    `fail` is called with the error of one net, which then has no scores; without it, the error is raised.
    """
    where = torch.device(device)
    trunk.to(where)
    modes = {name: net.training for name, net in nets.items()}
    for net in nets.values():
        net.to(where).eval()
    needs = union(net.needs for net in nets.values())  # type: ignore[misc]
    labels: dict[int, int] = {}
    views: dict[int, int] = {}
    # Plain floats: thousands of small tensors would fragment the memory that a batch's large ones free.
    sums: dict[str, dict[int, list[float]]] = {name: {} for name in nets}
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
                    rows = scores(nets[name](features).float())
                    if not rows.isfinite().all():
                        raise ValueError("its scores are not numbers")
                    for video, row in zip(videos, rows.tolist(), strict=True):
                        before = sums[name].get(video, [0.0] * len(row))
                        sums[name][video] = [a + b for a, b in zip(before, row, strict=True)]
                except Exception as error:
                    if fail is None or out_of_memory(error):
                        raise
                    fail(name, error)
                    del sums[name]
    for name, net in nets.items():
        net.train(modes[name])
    index = sorted(labels)
    return Scores(
        index=index,
        label=[labels[video] for video in index],
        of={name: torch.tensor([[one / views[v] for one in sums[name][v]] for v in index]) for name in sums},
        clips=sum(views.values()),
    )


def evaluate_cohort(cohort: Cohort, loader: Iterable[Batch], *, device: str = "cpu") -> Scores:
    """Scores of the arms that are done, with their best weights (as `fit` leaves them), and of their parts.

    An error of one net fails only its arm.
    """
    done: dict[str, ArmModule] = {}
    nets: dict[str, Net] = {}
    for name, arm in cohort.arms.items():
        if arm.status == "done":
            own = with_parts(name, arm.net)
            done |= dict.fromkeys(own, arm)
            nets |= own

    def fail(name: str, error: Exception) -> None:
        traceback.print_exception(error)
        done[name].fail(f"error in its evaluation: {type(error).__name__}: {error}")

    return evaluate(cohort.trunk, nets, loader, device=device, fail=fail)


def with_parts(name: str, net: Net) -> dict[str, Net]:
    """An arm's net by its name, and the parts of it that are tested by themselves."""
    return {name: net, **{part_name(name, stream): part for stream, part in net.apart.items()}}


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
