"""An arm: one net of the grid with its own schedule, its own best and its own end.

It holds all that its training is, and needs no Trainer: `loss` forward, `sick` and `clip` on its gradients,
`rate` for its parameter group, `validated` after each epoch. An arm that has finished or failed is left
alone: no forward pass, no gradient, no step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fusionlab.training.recipe import Recipe
from fusionlab.training.weights import State, copied
from fusionlab.two_stream.net import Features, Needs, Net

Status = Literal["training", "done", "failed"]


class Arm(nn.Module):
    def __init__(self, name: str, net: Net, recipe: Recipe) -> None:
        super().__init__()
        self.name = name
        self.net = net
        self.recipe = recipe
        # what the optimiser moves; nothing for an arm that is only evaluated (late fusion)
        self.trained = tuple(p for p in net.parameters() if p.requires_grad)
        self.status: Status = "training"
        self.reason: str | None = None
        self.steps = 0  # optimiser steps taken
        self.losses: list[float] = []  # validation losses, one an epoch
        self.best: State | None = None  # the weights at the lowest of them
        self.best_loss = math.inf
        self.best_step: int | None = None

    @property
    def needs(self) -> Needs:
        """Which layers of which stream the net reads."""
        return self.net.needs

    @property
    def active(self) -> bool:
        return self.status == "training"

    def loss(self, features: Features, label: Tensor) -> Tensor:
        """The net's own: of its one tower, or of its two."""
        loss: Tensor = self.net.loss(features, label)
        return loss

    # -- one step

    def group(self) -> dict[str, Any]:
        """Its parameter group in the optimiser."""
        numbers = {"lr": self.recipe.lr, "weight_decay": self.recipe.weight_decay}
        return {"params": list(self.trained), **numbers, **self.recipe.own}

    def rate(self, steps_per_epoch: int) -> float:
        steps = self.recipe.epochs * steps_per_epoch
        return self.recipe.lr * self.recipe.schedule(self.steps, steps, self.losses)

    def gradients(self) -> list[Tensor]:
        return [p.grad for p in self.trained if p.grad is not None]

    def gradient_norm(self) -> Tensor:
        """‖g‖₂ over all of the arm's parameters; not finite as soon as one element is not."""
        norms: list[Tensor] = list(torch._foreach_norm(self.gradients()))
        norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
        return norm

    def clip(self, norm: float) -> None:
        """g ← g · min(1, clip / ‖g‖₂), with the norm of this arm's gradient alone."""
        if 0 < self.recipe.clip < norm:
            torch._foreach_mul_(self.gradients(), self.recipe.clip / norm)

    # -- its end

    def leave(self) -> None:
        """Without gradients the optimiser passes the arm by: no decay, no momentum, nothing."""
        for parameter in self.trained:
            parameter.grad = None

    def fail(self, reason: str) -> None:
        self.status, self.reason, self.best = "failed", reason, None
        self.leave()

    def finish(self) -> None:
        self.status = "done"
        self.leave()

    def validated(self, loss: float) -> None:
        """Take in one epoch's validation loss; keep the weights if it is the lowest so far (of equals the
        first)."""
        if not math.isfinite(loss):
            self.fail(f"diverged by step {self.steps}: validation loss {loss}")
            return
        self.losses.append(loss)
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.best = loss, self.steps, copied(self.net.state_dict())
        waited = len(self.losses) - 1 - self.losses.index(self.best_loss)
        patience = self.recipe.patience
        if not self.trained or len(self.losses) >= self.recipe.epochs or 0 < patience <= waited:
            self.finish()

    # -- checkpoints

    def state(self) -> dict[str, Any]:
        """Plain tensors, numbers and strings: all that an interrupted arm needs to go on."""
        return {
            "status": self.status,
            "reason": self.reason,
            "steps": self.steps,
            "losses": list(self.losses),
            "best": self.best,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "net": dict(self.net.state_dict()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.status, self.reason = state["status"], state["reason"]
        self.steps, self.losses = state["steps"], list(state["losses"])
        self.best, self.best_loss, self.best_step = state["best"], state["best_loss"], state["best_step"]
