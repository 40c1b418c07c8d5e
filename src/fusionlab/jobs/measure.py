"""Other tests of trained nets above one trunk. Each test reads the data once for all nets."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fusionlab.config.build import Blueprint
from fusionlab.config.other_tests import Config, tested_by
from fusionlab.data.ablation import Ablation
from fusionlab.data.views import TESTS
from fusionlab.errors import UserError
from fusionlab.jobs.job_data import Data
from fusionlab.jobs.test_results import OneTest
from fusionlab.records.other_tests import OtherTest
from fusionlab.training.cohort import Batch
from fusionlab.training.evaluate import evaluate
from fusionlab.two_stream.net import Net
from fusionlab.two_stream.trunk import Trunk

if TYPE_CHECKING:
    from fusionlab.data.module import TwoStreamData, Which
Failed = Callable[[str, OtherTest, str], None]  # arm, test, reason


@dataclass(frozen=True)
class Bench:
    """What nets are tested with."""

    data: Data
    trunk: Trunk
    device: str
    blueprint: Blueprint
    say: Callable[[str], None]

    def measure(
        self,
        nets: Mapping[str, tuple[Config, Net]],
        tests: Mapping[str, Sequence[OtherTest]],
        failed: Failed,
    ) -> Iterator[tuple[OtherTest, dict[str, OneTest]]]:
        """Each test with the results of its arms. An arm that fails has none, and `failed` gets the reason.

        `nets`: of one cohort, by arm. `tests`: by arm.
        """
        for test in dict.fromkeys(test for own in tests.values() for test in own):
            named = [name for name, own in tests.items() if test in own]
            try:
                loader, videos = self._open(tested_by(nets[named[0]][0], test), test)
            except UserError as error:
                for name in named:
                    failed(name, test, error.brief)
                continue
            fitting = {name: nets[name][1] for name in named if self._fits(name, nets[name][0], test, failed)}
            if not fitting:
                continue
            nets_of_it = f"{len(fitting)} net{'s' * (len(fitting) > 1)}"
            self.say(f"test {test.name}: {nets_of_it}, {len(videos)} videos × {TESTS[test.views]} views")

            def fail(name: str, error: Exception, test: OtherTest = test) -> None:
                traceback.print_exception(error)
                failed(name, test, f"{type(error).__name__}: {error}")

            scores = evaluate(self.trunk, fitting, loader, device=self.device, fail=fail)
            done = [name for name in fitting if name in scores.of]
            yield test, {name: OneTest.of(self.data.dataset, videos, scores, name) for name in done}

    def _open(self, config: Config, test: OtherTest) -> tuple[Iterable[Batch], list[str]]:
        """The views of a test, and the videos of its list. All arms of a cohort share them."""
        module = self._module(config, test)
        module.setup()
        which = cast("Which", test.of)
        if not module.entries[which]:
            raise UserError(f"there is no {test.of} list", got=test.name, hint="val=cut, which keeps one")
        return module.views(which), [video for video, _ in module.entries[which]]

    def _fits(self, name: str, config: Config, test: OtherTest, failed: Failed) -> bool:
        """Whether a net can work with the views of a test."""
        own = tested_by(config, test)
        try:
            self.blueprint.expect_views(own, self._module(own, test).test_shapes())
        except UserError as error:
            failed(name, test, error.brief)
            return False
        return True

    def _module(self, config: Config, test: OtherTest) -> TwoStreamData:
        return self.data.module(config, ablate=Ablation.parse(test.ablate) if test.ablate else None)
