"""What an arm of chain B repeats: of the arms of chain A that it names, the one with the lowest validation loss.

Only validation losses and curves of A's records are read, never its predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.config.schema import ArmConfig, StreamConfig, config_of
from fusionlab.errors import UserError
from fusionlab.records.record import read_records
from fusionlab.study.plan import Plan
from fusionlab.training.recipe import Recipe
from fusionlab.training.replay import replay


@dataclass(frozen=True)
class Chosen:
    """The recipe of a training, and what it repeats, for its record."""

    recipe: Recipe
    told: dict[str, Any] | None = None

    @classmethod
    def of(cls, plan: Plan, study: Path, config: ArmConfig | StreamConfig) -> Chosen:
        """The config's own recipe; of chain B, the repetition of what was chosen. Of equal losses, the lowest rate."""
        if not config.chosen_by:
            return cls(config.stage.recipe)
        losses, made = {}, {}
        arms = {arm.signature: arm for arm in plan.arms}
        for rate, signature in config.chosen_by.items():
            arm = arms[signature]
            place = plan.job(arm.job).published(study)
            records = {one["signature"]: one for one in read_records(place)} if place.is_dir() else {}
            result = records.get(signature, {}).get("result", {})
            losses[rate] = result.get("val_loss")
            if losses[rate] is not None:
                made[rate] = replay(config_of(arm).stage.recipe, result), signature, result.get("converged")
        if not made:
            raise UserError(
                "no rate is left to choose: of chain A, each has failed", got=f"lr={', '.join(losses)}",
                hint="lower rates; the failed arms of chain A say why",
            )  # fmt: skip
        best = min(made, key=lambda rate: (losses[rate], float(rate)))
        recipe, signature, converged = made[best]
        told = {
            "signature": signature, "rate": recipe.of.lr, "drops": recipe.drops, "steps": recipe.ends[-1],
            "val_losses": losses, "converged": converged,
        }  # fmt: skip
        return cls(recipe, told)
