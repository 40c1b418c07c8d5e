"""Check that the nets of a study can be tested as it asks, before hours of training.

Nets run on shapes. The sizes and lengths of the test videos are those in the packed store, or the usual ones of the
data set. Where neither is known, the job checks the net's own test before it trains, and the others when it tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fusionlab.config.build import Blueprint
from fusionlab.config.other_tests import Config, tested_by
from fusionlab.config.schema import StreamConfig, config_of
from fusionlab.data.ablation import Ablation
from fusionlab.data.views import Sampling, testing_view
from fusionlab.errors import UserError
from fusionlab.planning.grid import PlannedStudy
from fusionlab.pricing.clip_counts import DataSets
from fusionlab.records.other_tests import OPTIONS, Asked, OtherTest
from fusionlab.sizes.sizing import content_key
from fusionlab.study.plan import Arm

SHOWN = 3  # arms that an error names
NOT_BUILT = ("optim", "split", "stage_one", "chosen_by", "weights", "val")  # parts of a config that no shape depends on


def check_tests(study: PlannedStudy) -> None:
    """Raise a `UserError` for arms that cannot be tested as asked, with their names."""
    checks = _Checks(DataSets(study.run))
    reasons: dict[str, list[tuple[str, UserError]]] = {}  # what was typed -> arms
    for arm in study.plan.arms:
        for typed, error in checks.of(arm, study.run.asked if arm.has_row else Asked()):
            reasons.setdefault(typed, []).append((arm.name, error))
    for typed, arms in reasons.items():
        names = ", ".join(name for name, _ in arms[:SHOWN]) + " …" * (len(arms) > SHOWN)
        error = arms[0][1]
        raise UserError(
            f"{len(arms)} of {len(study.plan.arms)} arms cannot be tested with {typed}: {error.what}",
            got=names + (f": {error.got}" if error.got else ""),
            hint=_instead(typed, study.run.asked),
        )


def _instead(typed: str, asked: Asked) -> str:
    """What to type."""
    word, _, value = typed.rpartition("=")
    values = next((getattr(asked, option) for option, (own, *_) in OPTIONS.items() if own == word), ("middle", value))
    left = ",".join(one for one in values if one != value)
    return f"{f'{word}={left}' if left else f'the same without {word}='}; or a command without these arms"


class _Checks:
    """Nets that differ in their seeds only are checked once; on the same views, those that are built alike."""

    def __init__(self, data: DataSets) -> None:
        self.data, self.blueprint = data, Blueprint()
        self._known: dict[str, list[tuple[str, UserError]]] = {}
        self._on_views: dict[object, UserError | None] = {}

    def of(self, arm: Arm, asked: Asked) -> list[tuple[str, UserError]]:
        """What was typed, and why it is impossible."""
        if (key := content_key(arm)) not in self._known:
            self._known[key] = list(self._errors(arm, asked))
        return self._known[key]

    def _errors(self, arm: Arm, asked: Asked) -> Iterator[tuple[str, UserError]]:
        config = config_of(arm)
        own = config.data.sampling.test
        built = {part: one for part, one in arm.config.items() if part not in NOT_BUILT}
        for views in dict.fromkeys([own, *asked.tests]):
            if error := self._refusal(tested_by(config, OtherTest(views)), content_key(replace(arm, config=built))):
                yield f"data.sampling.test={views}" if views == own else f"test={views}", error
        stream = config.stream if isinstance(config, StreamConfig) else None
        for test in asked.ablated(own, stream):
            assert test.ablate is not None
            if why := Ablation.parse(test.ablate).no_effect(tested_by(config, test).data.sampling):
                yield f"ablate={test.ablate}", UserError(why)

    def _refusal(self, config: Config, built: str) -> UserError | None:
        """Why a net cannot work with its test views. `built`: what it is built of."""
        how: Sampling = config.data.sampling
        videos = [] if how.one_shape else self.data.test_videos(config)
        key = built, how.whole, *videos
        if key not in self._on_views:
            self._on_views[key] = None
            try:
                self.blueprint.expect_views(
                    config, list(dict.fromkeys(testing_view(*one, how, 0).shape for one in videos))
                )
            except UserError as error:
                self._on_views[key] = error
        return self._on_views[key]
