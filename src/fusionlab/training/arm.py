"""One net of the grid with its own schedule, best weights and end.

It needs no Trainer: `measure` is its forward pass, `gradient_norms` and `clip` read its gradients, `rate` is for its
parameter group, `record_validation` is called after each validation. An arm that is done or failed has no forward pass,
no gradient and no step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from fusionlab.training.curve import Curve
from fusionlab.training.phases import freeze, layers_below
from fusionlab.training.recipe import Recipe
from fusionlab.training.weights import State, copy_to_cpu
from fusionlab.two_stream.multitask import MultitaskNet
from fusionlab.two_stream.net import Features, Needs, Net
from fusionlab.two_stream.scores import balanced_weights

Status = Literal["training", "done", "failed"]


class ArmModule(nn.Module):
    """An arm in training. `trained` is empty if it is only evaluated (late fusion)."""

    def __init__(self, name: str, net: Net, recipe: Recipe) -> None:
        super().__init__()
        self.name = name
        self.signature = ""  # of the arm in its plan, if it has one: a checkpoint is of this arm alone
        self.net = net
        self.recipe = recipe
        self.class_weights: Tensor | None
        self.second_weights: Tensor | None  # of the second task's classes
        for name_of_weights in ("class_weights", "second_weights"):
            self.register_buffer(name_of_weights, None, persistent=False)  # moves with the arm
        self._frozen = self._layers_below(recipe.from_layer)  # in all phases
        freeze(self._frozen)
        self.trained = tuple(p for p in net.parameters() if p.requires_grad)
        self.status: Status = "training"
        self.reason: str | None = None
        self.steps = 0  # optimiser steps taken
        self.losses: list[float] = []  # of all validations
        self.curve = Curve()
        self.best: State | None = None  # the weights that are kept: at the lowest of them, or at the last
        self.best_loss = math.inf
        self.best_step: int | None = None

    @property
    def needs(self) -> Needs:
        """The layers of each stream that the net reads."""
        return self.net.needs

    @property
    def active(self) -> bool:
        return self.status == "training"

    def measure(self, features: Features, label: Tensor) -> tuple[Tensor, Tensor]:
        """The net's loss in training, and the number of correct clips."""
        assert (self.class_weights is None) == (self.recipe.class_weights == "none"), "weigh_classes was not called"
        weights = None if self.class_weights is None else self.class_weights[label]
        loss, correct = self.net.loss_and_correct(features, label, weights)
        return loss, correct.to(loss.dtype)

    def measure_second(self, features: Features, label: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the net's second task, and the number of correct clips."""
        assert (self.second_weights is None) == (self.recipe.class_weights == "none"), "weigh_classes was not called"
        weights = None if self.second_weights is None else self.second_weights[label]
        loss, correct = cast(MultitaskNet, self.net).second.loss_and_correct(features, label, weights)
        return loss, correct.to(loss.dtype)

    def validate(self, features: Features, label: Tensor) -> tuple[Tensor, Tensor]:
        """What the recipe's validation measures, without weights of classes, and the number of correct clips."""
        if self.recipe.measure == "loss":
            value, correct = self.net.loss_and_correct(features, label)
        else:
            value, correct = self.net.nll_and_correct(features, label)
        return value, correct.to(value.dtype)

    def weigh_classes(self, counts: Sequence[int], second: Sequence[int] | None = None) -> None:
        """Give each class its weight in the training loss, where the recipe asks for it.

        `counts`: its clips; `second`: those of the second task's classes.
        """
        if self.recipe.class_weights == "balanced":
            self.class_weights = balanced_weights(counts)
            self.second_weights = None if second is None else balanced_weights(second)

    # -- one step

    def enter_phase(self, steps_per_epoch: int) -> None:
        """Before a step: let the layers that it trains have gradients."""
        if self.recipe.first.epochs:
            early = self.steps < self.recipe.first_steps(steps_per_epoch)
            freeze(self._layers_below(self.recipe.first.from_layer), early, frozenset(self.trained))
        freeze(self._frozen)

    def _layers_below(self, layer: str | None) -> list[nn.Module]:
        """Of a stream's tower; other nets have no such layers."""
        if layer is None:
            return []
        (tower,) = self.net.own_towers.values()
        return layers_below(tower, layer)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The arm's groups in the cohort's optimiser: one, or more where biases have a rate or a decay of their own.

        What has its regulariser in the loss has no decay. What is not trained in the first phase is apart, since
        torch's fused kernels need all momenta of a group, or none.
        """
        recipe, trained, regularised = self.recipe, set(self.trained), set(self.net.regularised)
        apart = not recipe.bias_rate == recipe.bias_decay == 1
        later = {p for layer in self._layers_below(recipe.first.from_layer) for p in layer.parameters()}
        of: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.net.named_parameters():
            if parameter in trained:
                kind = apart and name.rpartition(".")[2] == "bias", parameter in regularised, parameter in later
                of.setdefault(kind, []).append(parameter)
        groups = []
        for (bias, no_decay, _), parameters in sorted(of.items(), key=lambda own: own[0]):
            rate, decay = (recipe.bias_rate, recipe.bias_decay) if bias else (1.0, 1.0)
            numbers = {"lr": recipe.lr * rate, "weight_decay": 0.0 if no_decay else recipe.weight_decay * decay}
            factor = {"factor": rate} if apart else {}
            groups.append({"params": parameters, **factor, **numbers, **recipe.own})
        return groups

    def rate(self, steps_per_epoch: int) -> float:
        return self.recipe.rate(self.steps, steps_per_epoch, self.losses)

    def gradients(self) -> list[list[Tensor]]:
        """Those of the whole net, or of each of its parts that are trained apart."""
        parts = [part.parameters() for part in self.net.apart.values()] or [iter(self.trained)]
        return [own for part in parts if (own := [p.grad for p in part if p.grad is not None])]

    def gradient_norms(self) -> tuple[Tensor, ...]:
        """‖g‖₂ over all parameters, of each part; not finite if one element is not."""
        return tuple(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(own))) for own in self.gradients())

    def clip(self, *norms: float) -> None:
        """g ← g · min(1, clip / ‖g‖₂), where `norms` has ‖g‖₂ of each part of this arm alone."""
        for own, norm in zip(self.gradients(), norms, strict=True):
            if 0 < self.recipe.clip < norm:
                torch._foreach_mul_(own, self.recipe.clip / norm)

    # -- its end

    def drop_gradients(self) -> None:
        """Delete the gradients: the optimiser skips parameters without one, also decay and momentum."""
        for parameter in self.trained:
            parameter.grad = None

    def fail(self, reason: str) -> None:
        self.status, self.reason, self.best = "failed", reason, None
        self.drop_gradients()

    def finish(self) -> None:
        self.status = "done"
        self.drop_gradients()

    def next_validation(self, steps_per_epoch: int) -> int:
        """The step after which the arm is validated next; also the present one, if its validation is missing."""
        return self.recipe.validation_step(len(self.curve.rows) + 1, steps_per_epoch)

    def validations_left(self, steps_per_epoch: int) -> set[int]:
        """The steps of all validations that may come."""
        numbers = range(len(self.curve.rows) + 1, self.recipe.most_validations(steps_per_epoch) + 1)
        return {self.recipe.validation_step(number, steps_per_epoch) for number in numbers}

    @property
    def converged(self) -> bool | None:
        """Whether it ended by converging; None where its recipe has another end, or nothing was trained."""
        if self.recipe.until != "converged" or not self.trained:
            return None
        return self.recipe.schedule.converged(self.losses)

    def record_validation(
        self, loss: float | None, accuracy: float | None, steps_per_epoch: int, seconds: float = 0.0
    ) -> None:
        """Record a validation; keep the weights if the loss is the lowest so far (of equals the first), or each time.

        Which of the two, and whether it was the last validation, says the recipe. A loss of None is the end of a
        stretch after which nothing is validated.
        """
        self.curve.add_validation(self.steps, loss, accuracy, seconds, steps_per_epoch)
        if not (self._finite_weights() if loss is None else math.isfinite(loss)):
            what = "weights that are not finite" if loss is None else f"validation loss {loss}"
            self.fail(f"diverged by step {self.steps}: {what}")
            return
        if loss is not None:
            self.losses.append(loss)
        if loss is None or loss < self.best_loss or self.recipe.weights == "last":
            self.best_loss = math.inf if loss is None else loss
            self.best_step, self.best = self.steps, copy_to_cpu(self.net.state_dict())
        waiting = len(self.losses) - 1 - self.losses.index(min(self.losses)) if self.losses else 0
        last = len(self.curve.rows) >= self.recipe.most_validations(steps_per_epoch)
        if not self.trained or last or 0 < self.recipe.patience <= waiting or self.converged:
            self.finish()

    def _finite_weights(self) -> bool:
        return all(bool(torch.isfinite(one).all()) for one in self.trained)

    # -- checkpoints

    def state(self) -> dict[str, Any]:
        """All that a resumed arm needs, as plain tensors, numbers and strings."""
        return {
            "signature": self.signature,
            "status": self.status,
            "reason": self.reason,
            "steps": self.steps,
            "losses": list(self.losses),
            "best": self.best,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "curve": self.curve.state(),
            "net": dict(self.net.state_dict()),
        }

    def restore(self, state: Mapping[str, Any], steps_per_epoch: int) -> None:
        self.net.load_state_dict(state["net"])
        self.status, self.reason = state["status"], state["reason"]
        self.steps, self.losses = state["steps"], list(state["losses"])
        self.best, self.best_loss, self.best_step = state["best"], state["best_loss"], state["best_step"]
        self.curve = Curve.restored(state.get("curve"), self.losses if self.trained else (), steps_per_epoch)
