"""What is validated: a part of the training list, nothing, or the test list; and what is trained afterwards.

`then: retrain` makes two chains of each study. Chain A is trained on the list without its validation part, and chooses:
the rate, the steps at which it drops, the step at which the training stops. Chain B is trained anew on the whole list,
streams and arms, with the same seeds; it replays what A chose, at the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionlab.config.run_config import build
from fusionlab.data.validation import CUT, LISTS, NONE
from fusionlab.errors import UserError, unknown
from fusionlab.records.other_tests import COMBINATIONS, VALIDATION
from fusionlab.records.plan_file import KEEP, RETRAIN, THENS

if TYPE_CHECKING:
    from fusionlab.training.recipe import Recipe  # torch, which planning does without


@dataclass(frozen=True)
class ValConfig:
    """`list`: the validation list; `then`: whether chain B follows."""

    list: str
    then: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ValConfig:
        """The `val` of a composed config or of a recipe; older ones have none."""
        return build(cls, config.get("val", {}), "val.")

    def __post_init__(self) -> None:
        for leaf, words in (("list", LISTS), ("then", THENS)):
            if getattr(self, leaf) not in words:
                raise unknown(f"value of val.{leaf}", str(getattr(self, leaf)), words, form=f"val.{leaf}={{}}")
        if self.then == RETRAIN and self.list != CUT:
            raise UserError(
                "a training on the whole list repeats what was chosen on a part of it, and no part is held out",
                got=f"val.list={self.list} val.then={RETRAIN}", hint=f"val=cut val.then={RETRAIN}, or val.then={KEEP}",
            )  # fmt: skip

    @property
    def held_out(self) -> str:
        """The validation list of the training itself: that of chain B is none."""
        return NONE if self.then == RETRAIN else self.list

    def expect_recipes(self, recipes: Mapping[str, Recipe], chosen_by: Mapping[str, str] | None = None) -> None:
        """Raise a `UserError` for recipes that this list has nothing for. `recipes`: by their block of optim.

        `chosen_by`: of an arm of chain B, whose rate may be open.
        """
        for stage, recipe in recipes.items():
            if math.isnan(recipe.lr) and not chosen_by:
                raise UserError("a training needs a learning rate", got=f"optim.{stage}.lr=null", hint="1.0e-3")
        if self.list == NONE:
            wrong = {
                f"optim.{stage}.{option}": one
                for stage, recipe in recipes.items()
                for option, one in {
                    "weights=last": recipe.weights != "last",
                    "until=budget": recipe.until != "budget",
                    "patience=0": recipe.patience > 0,
                    "schedule={name: constant}": recipe.schedule.reacts,
                }.items()
            }
            if needed := [f"'{one}'" if " " in one else one for one, is_wrong in wrong.items() if is_wrong]:
                raise UserError(
                    "without a validation, weights, drops of the rate and the end of a training cannot be chosen",
                    got=f"val.list={NONE}", hint=" ".join(needed),
                )  # fmt: skip
        for stage, recipe in recipes.items() if self.then == RETRAIN else ():
            if recipe.weights == "best" and recipe.schedule.falls:
                at = f"optim.{stage}"
                raise UserError(
                    "a schedule of known length, cut at the best step, never comes to its low rates",
                    got=f"val.then={RETRAIN}, {at}.weights=best, {at}.schedule.name={recipe.schedule.name}",
                    hint=f"{at}.weights=last; or '{at}.schedule={{name: plateau}}'",
                )  # fmt: skip

    def expect_choice(self, recipes: Mapping[str, Recipe], select: str | None, combine: Collection[str] = ()) -> None:
        """Raise a `UserError` where nothing can be chosen, or nothing is.

        `select`: the axis that a table selects; `combine`: how the scores of the nets will be combined.
        """
        if self.held_out != CUT and (how := next((one for one in combine if VALIDATION in COMBINATIONS[one]), None)):
            raise UserError(
                "this combination chooses its weight on the validation part of the training list, and the nets of the "
                "table have none", got=f"combine={how} val.list={self.list} val.then={self.then}",
                hint=f"combine=logits or combine=svm; or val={CUT} val.then={KEEP}",
            )  # fmt: skip
        if self.list == NONE and select is not None:
            raise UserError(
                "a selection is by the validation loss, and nothing is validated",
                got=f"select={select} val.list={NONE}", hint=f"select=null with it, or val={CUT}",
            )  # fmt: skip
        if self.then == RETRAIN and select is None and not any(map(chooses, recipes.values())):
            raise UserError(
                "nothing is chosen on the validation part, so there is nothing to repeat on the whole list",
                got=f"val.then={RETRAIN}, weights=last without plateau, patience or select",
                hint=f"val={NONE}, which trains on the whole list at once",
            )  # fmt: skip


def chooses(recipe: Recipe) -> bool:
    """Whether the training of an arm by this recipe chooses anything by its validation."""
    return recipe.weights == "best" or recipe.patience > 0 or recipe.schedule.reacts
