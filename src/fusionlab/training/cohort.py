"""The LightningModule: one cohort of arms, trained in one pass over the data.

    frame + flow ── trunk ──┬── arm 1: net = fusion + temporal head + layers above ── loss 1 ─┐
                            ├── arm 2: net ─────────────────────────────────────────── loss 2 ─┼─ Σ
                            └── arm n: net ─────────────────────────────────────────── loss n ─┘

- `Cohort` is the only LightningModule of fusionlab. `training_step` sums the losses of the arms that still train.
- The **trunk** (`two_stream.Trunk`) holds the two trained streams, frozen, in eval mode. It computes, once a batch and
  without gradients, each layer that some arm fuses at. To train one stream, it hands on the batch itself.
- An **arm** (`arm.ArmModule`) is one point of the grid: its **net** (a `two_stream.Net`: a fusion, a temporal head and
  the layers above), its recipe, its best weights and its end.
- **Why arms share one module**: decoding clips and computing the streams is most of the work and the same for all arms;
  twelve arms in one pass took a ninth of the CPU time of twelve processes.
- **Why sharing changes nothing**: nothing that requires a gradient is shared, so the gradient of the sum in an arm is
  the gradient of its own loss. The optimiser has a parameter group for each arm; clipping and the check for NaN are
  done for each arm before the step; dropout follows from (seed, step). An arm that is done or failed leaves the sum; it
  is not multiplied by 0, since 0 · inf is NaN. So an arm takes the same steps alone, in company, in any order and after
  a resume.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fusionlab.data.batches import second_task
from fusionlab.errors import out_of_memory
from fusionlab.records.draws import key
from fusionlab.training.arm import ArmModule
from fusionlab.training.recipe import Recipe, make_optimiser
from fusionlab.two_stream.net import Features, Needs, Net, union

Batch = Mapping[str, Tensor]


class FeatureSource(Protocol):
    """A trunk: frozen towers, or none (then it returns the inputs as the layer `input`)."""

    def features(self, batch: Batch, needs: Needs) -> Features: ...


class Cohort(pl.LightningModule):
    """A cohort of arms as a LightningModule.

    `recipes`: one for all arms or one for each, all with one optimiser. `seed`: that of the dropout. `step` counts the
    steps since the beginning of the training, also those before an interruption. Lightning's own counters start from 0
    in every process and are not used.
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
        self.arms = {name: ArmModule(name, net, each[name]) for name, net in nets.items()}
        # a list, since an arm's name may hold dots and a name in a ModuleDict may not
        self.members = nn.ModuleList(self.arms.values())
        self.seed = seed
        self.step = 0
        self.steps_per_epoch = 0  # of the data, set before the training
        self.optimiser_state: dict[str, Any] | None = None  # from a checkpoint, until there is an optimiser
        self._sums: dict[str, list[float]] = {}  # of a validation: arm -> [loss, correct]
        self._count = 0
        self._started: float | None = None  # of the present stretch
        names = {arm.recipe.name for arm in self.arms.values() if arm.trained}
        assert nets and len(names) <= 1, f"a cohort has one optimiser, got {sorted(names)}"
        (self.micro_batch,) = {arm.recipe.micro_batch for arm in self.arms.values()}  # one pass over the data
        self._accumulates = False  # in the present step

    def active(self) -> list[ArmModule]:
        """The arms that are still being trained."""
        return [arm for arm in self.arms.values() if arm.active and arm.trained]

    def untrained(self) -> list[ArmModule]:
        """Arms without parameters, before their one validation."""
        return [arm for arm in self.arms.values() if arm.active and not arm.trained]

    @property
    def steps(self) -> int:
        """The steps of the whole training, at most."""
        return max(arm.recipe.most_steps(self.steps_per_epoch) for arm in self.arms.values())

    def validations_left(self) -> list[int]:
        """The steps of all validations that may come, in order; also the present one, if its validation is missing."""
        return sorted(set().union(*(arm.validations_left(self.steps_per_epoch) for arm in self.active())))

    def due(self) -> list[ArmModule]:
        """The arms that are to be validated at the present step."""
        return [arm for arm in self.active() if arm.next_validation(self.steps_per_epoch) == arm.steps]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The parameter groups of each arm, also of arms that ended, so that a checkpoint's optimiser always fits."""
        arms = [arm for arm in self.arms.values() if arm.trained]
        groups = [{"arm": arm.name, **group} for arm in arms for group in arm.parameter_groups()]
        made = make_optimiser(arms[0].recipe.name, groups)
        if self.optimiser_state is not None:
            made.load_state_dict(self.optimiser_state)
            self.optimiser_state = None
        return made

    # -- a step

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of the batch; of several micro-batches that of the last, and the gradients of those before it."""
        parts = micro_batches(batch, self.micro_batch)
        for arm in self.active():
            arm.enter_phase(self.steps_per_epoch)
            if len(parts) > 1:  # Lightning would clear them between the last loss and its backward pass
                arm.drop_gradients()
        self._accumulates = len(parts) > 1
        for number, part in enumerate(parts):
            loss = self._loss(part, number)
            if len(parts) > 1:
                loss = loss * (len(part["label"]) / len(batch["label"]))
            if number < len(parts) - 1:
                with torch.autocast(self.device.type, enabled=False):
                    loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        if not self._accumulates:
            optimizer.zero_grad()

    def _loss(self, batch: Batch, number: int) -> Tensor:
        """The sum of the arms' losses over one micro-batch."""
        arms = self.active()
        features = self.trunk_features(batch, arms)
        measured: dict[ArmModule, tuple[Tensor, Tensor]] = {}
        second = second_task(batch)
        other = self.trunk_features(second, arms) if second else {}
        place = (self.step, number) if number else (self.step,)
        for arm in arms:
            versions = write_counts(features)
            with seed_generators(key("dropout", self.seed, *place), self.device):
                pair = try_measure(arm, arm.measure, features, batch["label"])
                if second and pair is not None:
                    pair = add_loss(pair, try_measure(arm, arm.measure_second, other, second["label"]))
            if write_counts(features) != versions:  # all other arms read these maps
                arm.fail(f"error at step {arm.steps + 1}: it changes its input in place")
                features, pair = self.trunk_features(batch, arms), None
            if pair is not None:
                measured[arm] = pair
        for arm, value, correct in to_floats(measured):
            if math.isfinite(value):
                arm.curve.add_batch(value, correct, len(batch["label"]))
            else:
                arm.fail(f"diverged at step {arm.steps + 1}: loss {value}")
                del measured[arm]
        if not measured:  # no arm is left: a loss without effect
            return torch.zeros((), device=self.device, requires_grad=True)
        return torch.stack([loss for loss, _ in measured.values()]).sum()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Check and clip the gradient of each arm separately, and set its rate."""
        for arm in self.active():
            if not arm.gradients():
                arm.fail(f"error at step {arm.steps + 1}: none of its parameters has a gradient")
        arms = self.active()
        for arm, *norms in to_floats({arm: arm.gradient_norms() for arm in arms}):
            if math.isfinite(norm := math.hypot(*norms)):
                arm.clip(*norms)
                arm.curve.add_step(norm, arm.rate(self.steps_per_epoch))
            else:
                arm.fail(f"diverged at step {arm.steps + 1}: gradient {norm}")
        for group in optimizer.param_groups:
            group["lr"] = self.arms[group["arm"]].rate(self.steps_per_epoch) * group.get("factor", 1.0)

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

    def on_train_epoch_start(self) -> None:
        self._started = time.monotonic()

    def on_validation_epoch_start(self) -> None:
        if self._started is None:  # a validation without training
            self._started = time.monotonic()
        self._count = 0
        # a callback of a user that ends the training has Lightning validate at once, to keep what there is
        arms = self.active() if self.trainer.should_stop else self.due()
        self._sums = {arm.name: [0.0, 0.0] for arm in (*arms, *self.untrained())}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        arms = [self.arms[name] for name in self._sums]
        if not arms:
            return
        features = self.trunk_features(batch, arms)
        tried = {arm: try_measure(arm, arm.validate, features, batch["label"]) for arm in arms}
        for arm, value, correct in to_floats({arm: pair for arm, pair in tried.items() if pair is not None}):
            self._sums[arm.name][0] += value * len(batch["label"])
            self._sums[arm.name][1] += correct
        for arm in arms:
            if arm.status == "failed":
                del self._sums[arm.name]
        self._count += len(batch["label"])

    def on_validation_epoch_end(self) -> None:
        """Record each arm's validation loss: the mean over clips and views."""
        assert self._count or not self._sums, "the validation loader gave no clips"
        seconds = self._seconds()
        for name, (loss, correct) in self._sums.items():
            mean, accuracy = loss / self._count, correct / self._count
            self.arms[name].record_validation(mean, accuracy, self.steps_per_epoch, seconds)
            # for callbacks of users, in `trainer.callback_metrics`
            self.log_dict({f"{name}/val_loss": mean, f"{name}/val_accuracy": accuracy}, logger=False)

    def end_stretch(self, arms: Iterable[ArmModule]) -> None:
        """Record the end of a stretch of these arms, after which nothing is validated."""
        seconds = self._seconds()
        for arm in list(arms):
            arm.record_validation(None, None, self.steps_per_epoch, seconds)

    def _seconds(self) -> float:
        """The seconds of the present stretch, which ends."""
        seconds = 0.0 if self._started is None else time.monotonic() - self._started
        self._started = None
        return round(seconds, 3)

    def trunk_features(self, batch: Batch, arms: Iterable[ArmModule]) -> Features:
        trunk = cast(FeatureSource, self.trunk)
        with torch.no_grad():
            return trunk.features(batch, union(arm.needs for arm in arms))


Measure = Callable[[Features, Tensor], tuple[Tensor, Tensor]]


def try_measure(arm: ArmModule, measure: Measure, features: Features, label: Tensor) -> tuple[Tensor, Tensor] | None:
    """The arm's loss and correct clips; None after an error of its net, which fails this arm alone.

    An out-of-memory error is raised, since any arm of the cohort could be the first that has it.
    """
    try:
        return measure(features, label)
    except Exception as error:
        if out_of_memory(error):
            raise
        traceback.print_exc()
        arm.fail(f"error at step {arm.steps + 1}: {type(error).__name__}: {error}")
        return None


@contextmanager
def seed_generators(seed: int, device: torch.device) -> Iterator[None]:
    """Start the default generators of the CPU and of `device` from `seed`; restore them afterwards.

    torch's dropout takes no generator. All arms of a cohort get the same draws: layers of equal shape drop the same
    units, and comparisons are paired. The generators are seeded one by one, since `torch.manual_seed` writes down a
    stack trace for each accelerator that has not started, which takes longer than a tiny arm's forward pass.
    """
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def add_loss(pair: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
    """The losses of two tasks together, and the correct clips of the first."""
    return None if second is None else (pair[0] + second[0], pair[1])


def micro_batches(batch: Batch, size: int | None) -> list[Batch]:
    """The batch in parts of `size` clips, the last of which may be smaller."""
    count = len(batch["label"])
    if size is None or size >= count:
        return [batch]
    return [{name: one[k : k + size] for name, one in batch.items()} for k in range(0, count, size)]


def write_counts(features: Features) -> list[int]:
    """The number of writes to each map."""
    return [one._version for layers in features.values() for one in layers.values()]


def to_floats(scalars: Mapping[ArmModule, tuple[Tensor, ...]]) -> list[tuple[Any, ...]]:
    """{arm: scalars} -> [(arm, *floats)], from the device in one transfer."""
    if not scalars:
        return []
    values = iter(torch.stack([one.detach() for row in scalars.values() for one in row]).tolist())
    return [(arm, *islice(values, len(row))) for arm, row in scalars.items()]
