"""The learning curve of an arm: one row a validation, with the training since the one before (a stretch).

    epoch                      passes over the training set so far, 2.5 in the middle of the third; 0 if not trained
    step                       steps taken so far
    train_loss, train_accuracy mean over the stretch's clips, in training mode: with dropout, while the weights change
    val_loss, val_accuracy     mean over the clips and views of the validation set; the loss as the recipe measures it
                               None in a training without a validation, whose stretches end at the same steps
    rate                       the learning rate of the last step
    gradient_norm              mean of ‖g‖₂ over the stretch's steps, before clipping

The sums of the present stretch are Python floats, added step by step, and lie in the checkpoint. So an interrupted arm
has the curve of an uninterrupted one bit for bit, and an arm alone has the curve of the arm in company. A stretch that
was begun by an older version, without sums, has None in the columns of its training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Row = dict[str, float | int | None]
TRAINING = ("train_loss", "train_accuracy", "rate", "gradient_norm")  # columns that need the sums of an epoch


@dataclass
class Sums:
    """Sums over the steps of the present stretch."""

    steps: int = 0
    clips: int = 0
    loss: float = 0.0
    correct: int = 0
    norm: float = 0.0
    rate: float = 0.0


@dataclass
class Curve:
    """The rows so far, and the sums of the present stretch.

    `seconds` of each stretch are the cohort's; of an interrupted one, those after the interruption.
    """

    rows: list[Row] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)

    def add_batch(self, loss: float, correct: float, clips: int) -> None:
        self.sums.loss += loss * clips
        self.sums.correct += int(correct)
        self.sums.clips += clips

    def add_step(self, norm: float, rate: float) -> None:
        self.sums.steps += 1
        self.sums.norm += norm
        self.sums.rate = rate

    def add_validation(
        self, step: int, val_loss: float | None, val_accuracy: float | None, seconds: float, steps_per_epoch: int
    ) -> None:
        sums, before = self.sums, self.rows[-1]["step"] if self.rows else 0
        training: Row = dict.fromkeys(TRAINING)
        if sums.steps and sums.steps == step - (before or 0):
            training = {
                "train_loss": sums.loss / sums.clips,
                "train_accuracy": sums.correct / sums.clips,
                "rate": sums.rate,
                "gradient_norm": sums.norm / sums.steps,
            }
        whole, rest = divmod(step, steps_per_epoch)
        epoch = step / steps_per_epoch if rest else whole
        self.rows.append({"epoch": epoch, "step": step, "val_loss": val_loss, "val_accuracy": val_accuracy, **training})
        self.seconds.append(seconds)
        self.sums = Sums()

    def state(self) -> dict[str, Any]:
        return {"rows": [dict(row) for row in self.rows], "seconds": list(self.seconds), "sums": asdict(self.sums)}

    @classmethod
    def restored(cls, state: Mapping[str, Any] | None, losses: Sequence[float], steps_per_epoch: int) -> Curve:
        """The curve of a checkpoint. `state` is None in an older one, which has validation losses only."""
        if state is not None:
            return cls([dict(row) for row in state["rows"]], list(state["seconds"]), Sums(**state["sums"]))
        rows: list[Row] = []
        for epoch, loss in enumerate(losses, start=1):
            known = {"epoch": epoch, "step": epoch * steps_per_epoch, "val_loss": loss, "val_accuracy": None}
            rows.append({**known, **dict.fromkeys(TRAINING)})
        return cls(rows)
