"""A cohort: arms that share frozen streams and data, trained in one pass over the data.

    loss = Σ over the active arms of the arm's own loss

The trunk runs once a batch, without gradients; each arm's gradient is then its own, because nothing that
requires one is shared. What would couple the arms is kept out: one optimiser with a parameter group an arm,
clipping and finite checks arm by arm before the step, dropout from (seed, step), and an arm that diverged or
ended leaves the sum instead of being multiplied by 0 (0 · inf is NaN). So alone, in company, in any order and
after a resume an arm takes the same steps.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fusionlab.errors import out_of_memory
from fusionlab.records.draws import key
from fusionlab.training.arm import Arm
from fusionlab.training.dropout import drawn_by
from fusionlab.training.optimiser import optimiser
from fusionlab.training.recipe import Recipe
from fusionlab.two_stream.net import Features, Needs, Net, union

Batch = Mapping[str, Tensor]


class Trunk(Protocol):
    """What stands below the arms: frozen towers, or nothing (then it hands the inputs on as the layer
    `input`)."""

    def features(self, batch: Batch, needs: Needs) -> Features: ...


class Cohort(pl.LightningModule):
    """`recipes`: one for all arms or one an arm, of one optimiser. `seed` draws the dropout.

    `step` counts the steps taken since the beginning of the training, across interruptions; Lightning's own
    counters start from 0 in every process and are not used.
    """

    def __init__(
        self,
        trunk: nn.Module,
        nets: Mapping[str, Net],
        recipes: Recipe | Mapping[str, Recipe],
        *,
        seed: int,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        each = recipes if isinstance(recipes, Mapping) else dict.fromkeys(nets, recipes)
        self.arms = {name: Arm(name, net, each[name]) for name, net in nets.items()}
        # a list, since an arm's name may hold dots and a name in a ModuleDict may not
        self.members = nn.ModuleList(self.arms.values())
        self.seed = seed
        self.step = 0
        self.steps_per_epoch = 0  # the data's, set before the training
        self.optimiser_state: dict[str, Any] | None = None  # of a checkpoint, for the optimiser to come
        self._sums: dict[str, float] = {}
        self._count = 0
        names = {arm.recipe.name for arm in self.arms.values() if arm.trained}
        assert nets and len(names) <= 1, f"a cohort has one optimiser, got {sorted(names)}"

    def active(self) -> list[Arm]:
        """The arms that are still being trained."""
        return [arm for arm in self.arms.values() if arm.active and arm.trained]

    def unmeasured(self) -> list[Arm]:
        """Arms without parameters that have not seen their one validation yet."""
        return [arm for arm in self.arms.values() if arm.active and not arm.trained]

    @property
    def epochs(self) -> int:
        return max((arm.recipe.epochs for arm in self.active()), default=0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One group an arm, of those that ended too: a checkpoint has a place for them."""
        arms = [arm for arm in self.arms.values() if arm.trained]
        made = optimiser(arms[0].recipe.name, [{"arm": arm.name, **arm.group()} for arm in arms])
        if self.optimiser_state is not None:
            made.load_state_dict(self.optimiser_state)
            self.optimiser_state = None
        return made

    # -- a step

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        arms = self.active()
        features = self.trunk_features(batch, arms)
        tried = []
        for arm in arms:
            before = write_counts(features)
            with drawn_by(key("dropout", self.seed, self.step), self.device):
                loss = attempted(arm, features, batch["label"])
            if write_counts(features) != before:  # what all others read
                arm.fail(f"error at step {arm.steps + 1}: it changes its input in place")
                features, loss = self.trunk_features(batch, arms), None
            tried.append((arm, loss))
        losses = [(arm, loss) for arm, loss in tried if loss is not None]
        kept = []
        for (arm, loss), value in zip(losses, numbers([loss for _, loss in losses]), strict=True):
            if math.isfinite(value):
                kept.append(loss)
            else:
                arm.fail(f"diverged at step {arm.steps + 1}: loss {value}")
        if not kept:  # nobody is left: a sum of nothing, which moves nothing
            return torch.zeros((), device=self.device, requires_grad=True)
        return torch.stack(kept).sum()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Each arm's gradient is looked at, clipped and given its rate by itself."""
        for arm in self.active():
            if not arm.gradients():
                arm.fail(f"error at step {arm.steps + 1}: none of its parameters has a gradient")
        arms = self.active()
        for arm, norm in zip(arms, numbers([arm.gradient_norm() for arm in arms]), strict=True):
            if math.isfinite(norm):
                arm.clip(norm)
            else:
                arm.fail(f"diverged at step {arm.steps + 1}: gradient {norm}")
        for group in optimizer.param_groups:
            group["lr"] = self.arms[group["arm"]].rate(self.steps_per_epoch)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.step += 1
        for arm in self.active():
            arm.steps += 1

    # -- validation

    def on_validation_epoch_start(self) -> None:
        self._count = 0
        self._sums = {arm.name: 0.0 for arm in (*self.active(), *self.unmeasured())}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        arms = [self.arms[name] for name in self._sums]
        if not arms:
            return
        features = self.trunk_features(batch, arms)
        tried = [(arm, attempted(arm, features, batch["label"])) for arm in arms]
        losses = [(arm, loss) for arm, loss in tried if loss is not None]
        for (arm, _), loss in zip(losses, numbers([loss for _, loss in losses]), strict=True):
            self._sums[arm.name] += loss * len(batch["label"])
        for arm in arms:
            if arm.status == "failed":
                del self._sums[arm.name]
        self._count += len(batch["label"])

    def on_validation_epoch_end(self) -> None:
        """An arm's validation loss is the mean of its loss over clips, views and time steps."""
        for name, total in self._sums.items():
            assert self._count, "the validation loader gave no clips"
            self.arms[name].validated(total / self._count)

    def trunk_features(self, batch: Batch, arms: Iterable[Arm]) -> Features:
        trunk = cast(Trunk, self.trunk)
        with torch.no_grad():
            return trunk.features(batch, union(arm.needs for arm in arms))


def attempted(arm: Arm, features: Features, label: Tensor) -> Tensor | None:
    """The arm's loss. An error in its own net is its own failure, not the cohort's: None.

    Memory that is used up is everybody's matter: which arm meets it first says nothing of that arm.
    """
    try:
        return arm.loss(features, label)
    except Exception as error:
        if out_of_memory(error):
            raise
        traceback.print_exc()
        arm.fail(f"error at step {arm.steps + 1}: {type(error).__name__}: {error}")
        return None


def write_counts(features: Features) -> list[int]:
    """How often each map was written to."""
    return [one._version for layers in features.values() for one in layers.values()]


def numbers(values: list[Tensor]) -> list[float]:
    """Scalars from the device in one transfer."""
    return torch.stack([value.detach() for value in values]).tolist() if values else []
