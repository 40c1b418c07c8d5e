"""What a trained net says of videos it has not seen: scores, predictions, accuracy.

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
from fusionlab.training.arm import Arm
from fusionlab.training.cohort import Batch, Cohort, Trunk
from fusionlab.two_stream.net import union
from fusionlab.two_stream.scores import scores


@dataclass(frozen=True)
class Scores:
    """Row r of everything belongs to video `index[r]`, in rising order of the data's index."""

    index: list[int]
    label: list[int]
    of: dict[str, Tensor]  # arm's name -> (videos, classes) float32, rows sum to 1

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

    `fail` takes an error of one net, which has no scores then; without it, errors are raised.
    """
    where = torch.device(device)
    trunk.to(where)
    modes = {name: net.training for name, net in nets.items()}
    for net in nets.values():
        net.to(where).eval()
    needs = union(net.needs for net in nets.values())  # type: ignore[misc]
    labels: dict[int, int] = {}
    views: dict[int, int] = {}
    # Plain floats: thousands of small tensors between a batch's large ones would split the memory that those free.
    sums: dict[str, dict[int, list[float]]] = {name: {} for name in nets}
    with torch.no_grad():
        for batch in loader:
            moved = {name: value.to(where) for name, value in batch.items()}
            videos = batch["index"].tolist()
            for video, label in zip(videos, batch["label"].tolist(), strict=True):
                assert labels.setdefault(video, label) == label, f"video {video} has two labels"
                views[video] = views.get(video, 0) + 1
            features = cast(Trunk, trunk).features(moved, needs)
            mark()
            for name in tuple(sums):
                try:
                    found = scores(nets[name](features).float())
                    if not found.isfinite().all():
                        raise ValueError("its scores are not numbers")
                    for video, row in zip(videos, found.tolist(), strict=True):
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
    )


def evaluate_cohort(cohort: Cohort, loader: Iterable[Batch], *, device: str = "cpu") -> Scores:
    """Scores of the cohort's arms that are done, with their best weights (as `fit` leaves them). An arm whose net
    cannot be evaluated fails, and no other.
    """
    done: dict[str, Arm] = {name: arm for name, arm in cohort.arms.items() if arm.status == "done"}

    def fail(name: str, error: Exception) -> None:
        traceback.print_exception(error)
        done[name].fail(f"error in its evaluation: {type(error).__name__}: {error}")

    return evaluate(cohort.trunk, {name: arm.net for name, arm in done.items()}, loader, device=device, fail=fail)


def accuracy(predicted: Sequence[int], label: Sequence[int], kinds: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """{kind: {correct, total}} with `kinds` the kind of each class, and all of them together under "all"."""
    counts = {kind: {"correct": 0, "total": 0} for kind in ("all", *dict.fromkeys(kinds))}
    for guess, truth in zip(predicted, label, strict=True):
        for kind in ("all", *([kinds[truth]] if kinds else [])):
            counts[kind]["correct"] += int(guess == truth)
            counts[kind]["total"] += 1
    return counts
