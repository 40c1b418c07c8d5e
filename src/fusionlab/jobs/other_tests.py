"""Other tests of arms that are published: what is missing is made from their weights and stored beside their records.

A test is written into a temporary folder and renamed to its name; the first one stays, and a record never changes. Arms
of one job, which share their frozen streams, are tested in one pass over the data. Combinations come last: they need
the stored scores of heads only.
"""

from __future__ import annotations

import shutil
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fusionlab.config import build
from fusionlab.config.other_tests import Config, wanted
from fusionlab.config.schema import StreamConfig, config_of
from fusionlab.config.val import ValConfig
from fusionlab.data.validation import CUT
from fusionlab.errors import UserError, one_line, show
from fusionlab.jobs.measure import Bench
from fusionlab.jobs.retest import TrainedArm, open_arm, read_study, record_of
from fusionlab.jobs.stored_heads import Pair, Place, combine
from fusionlab.jobs.test_results import OneTest, count
from fusionlab.records.environment import describe_environment
from fusionlab.records.files import publish
from fusionlab.records.group import write_for_group
from fusionlab.records.other_test_file import arm_identity, expect_files, read_other_test
from fusionlab.records.other_tests import COMBINATIONS, FOLDER, OWN, TEST, VALIDATION, Asked, OtherTest
from fusionlab.records.predictions import read_predictions, tower_file
from fusionlab.records.record import WEIGHTS
from fusionlab.study.plan import Arm, Plan
from fusionlab.training.weights import fingerprint, read_weights

Say = Callable[[str], None]


def add_tests(folder: str | Path, names: Sequence[str], asked: Asked, say: Say = show) -> int:
    """Make the tests that are missing, of the arms of these names or of all. Returns 0 if none is missing then, else 1.

    Each reason why one is missing is a line.
    """
    study = Path(folder)
    plan, arms = read_study(study, names)
    if plan.group is not None:
        write_for_group(plan.group)
    adding = Adding(plan, study, asked, lambda line: say(one_line(line)))
    needed = [arm for arm in adding.streams_below(arms) if arm not in arms] if asked.combine else []
    for job in dict.fromkeys(arm.job for arm in (*needed, *arms)):  # a plan has its streams first
        adding.measure([arm for arm in (*needed, *arms) if arm.job == job])
    for arm in arms:
        adding.combine(arm)
    for arm_name, reasons in adding.reasons.items():
        for test, why in reasons.items():
            adding.say(f"{arm_name}: not tested{test and f' by {test}'}: {why}")
    return int(bool(adding.reasons))


@dataclass
class Adding:
    """Adds what is missing to the arms of one study."""

    plan: Plan
    study: Path
    asked: Asked
    say: Say
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)  # arm -> test -> why it is missing
    blueprint: build.Blueprint = field(default_factory=build.Blueprint)
    _places: dict[str, Place | None] = field(default_factory=dict)  # by arm
    _heads: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by arm

    @cached_property
    def environment(self) -> dict[str, Any]:
        return dict(describe_environment())

    def streams_below(self, arms: Sequence[Arm]) -> list[Arm]:
        """The streams of late fusions, whose scores are combined."""
        needs = {need for arm in arms if arm.kind == "late" for need in self.plan.job(arm.job).needs}
        return [arm for arm in self.plan.arms if arm.job in needs]

    def place(self, arm: Arm) -> Place | None:
        """The published arm, or None. A missing record is reported once."""
        if arm.name not in self._places:
            found, own = record_of(self.plan, self.study, arm), config_of(arm).data.sampling.test
            self._places[arm.name] = None if isinstance(found, str) else Place(*found, own)
            if isinstance(found, str):
                self._fail(arm.name, None, found)
        return self._places[arm.name]

    def heads(self, arm: Arm) -> tuple[str, ...]:
        """The heads whose scores a test keeps."""
        if arm.name not in self._heads:
            config = config_of(arm)
            own = (config.stream,) if isinstance(config, StreamConfig) else self.blueprint.net(config).head_names
            self._heads[arm.name] = own
        return self._heads[arm.name]

    def missing(self, arm: Arm, place: Place) -> list[OtherTest]:
        """The tests that a network has to make."""
        heads, own = self.heads(arm), OtherTest(place.own)
        tests = wanted(self.asked, config_of(arm), heads)
        if self.asked.combine and heads and place.own in self.asked.protocols(place.own):
            tests = [own, *tests]  # an older record has no heads
        return [test for test in tests if not self._is_there(arm, place, test)]

    def uncombined(self, arm: Arm, place: Place) -> list[OtherTest]:
        """The combinations that are not there, of an arm with two heads, or of the heads of two streams."""
        if arm.kind == "stream" or (arm.kind != "late" and len(self.heads(arm)) < 2):
            return []
        tests = [test for test in self.asked.shown(place.own) if test.combine != OWN]
        return [test for test in tests if not self._is_there(arm, place, test)]

    def _is_there(self, arm: Arm, place: Place, test: OtherTest) -> bool:
        """Whether a test was made. A damaged one counts as made and is reported as a failure."""
        folder = place.folder_of(test)
        if folder is not None and folder != place.folder:
            try:
                expect_files(folder, read_other_test(folder, test, arm_identity(place.record))["result"])
            except UserError as error:
                self._fail(arm.name, test, f"{error.brief}; rm -r '{folder}', then the same command")
        return folder is not None

    def measure(self, arms: Sequence[Arm]) -> None:
        """The missing tests of arms of one job that need the network."""
        places: dict[str, Place] = {}
        opened: dict[str, TrainedArm] = {}
        tests: dict[str, list[OtherTest]] = {}
        for arm in arms:
            place = self.place(arm)
            if place is None or not (left := self.missing(arm, place)):
                continue
            one = self._open(arm, place, next(iter(opened.values()), None))
            if isinstance(one, str):
                for test in left:
                    self._fail(arm.name, test, one)
            else:
                places[arm.name], opened[arm.name], tests[arm.name] = place, one, left
        if not opened:
            return
        first = next(iter(opened.values()))
        bench = Bench(first.data, first.trunk, build.device(first.run), self.blueprint, self.say)
        nets: dict[str, tuple[Config, Any]] = {name: (one.config, one.net) for name, one in opened.items()}
        begun = time.monotonic()
        try:
            for test, results in bench.measure(nets, tests, self._fail):
                around = self._around(build.device_name(first.run), begun)
                for name, made in results.items():
                    counts = made.counts(first.data, self.blueprint, opened[name].config)
                    self._publish(places[name], test, made, counts, around)
                begun = time.monotonic()
        except Exception as error:  # such as out of memory: the arms of other jobs are tested all the same
            traceback.print_exception(error)
            for name, place in places.items():
                for test in self.missing(opened[name].arm, place):
                    self._fail(name, test, f"{type(error).__name__}: {error}")

    def _open(self, arm: Arm, place: Place, beside: TrainedArm | None) -> TrainedArm | str:
        """The arm with its own weights and data, or the reason why it cannot be tested."""
        weights, result = place.folder / WEIGHTS, place.record["result"]
        try:
            if weights.is_file() and fingerprint(read_weights(weights)) != result.get("weights"):
                return f"its weights are not those of its record ({weights})"
            one = open_arm(self.plan, self.study, arm, beside)
            if isinstance(one, str) or one.data.content(one.config.data) == result.get("data"):
                return one
            return "it was trained on other data than what is there now"
        except UserError as error:
            return error.brief

    def combine(self, arm: Arm) -> None:
        """The missing combinations of an arm's heads, or of those of its streams."""
        if (place := self.place(arm)) is None:
            return
        for test in self.uncombined(arm, place):
            begun = time.monotonic()
            try:
                pairs = {of: self._pair(arm, place, test.views, of) for of in (TEST, *COMBINATIONS[test.combine])}
                predictions, chosen = combine(test.combine, pairs)
                towers = self._towers(place, test)
                kinds = list(place.record["result"]["classes"].values())
                counts = {**count(predictions, kinds), "chosen": chosen}
                if towers:
                    known = place.record["result"]["towers"]
                    counts["towers"] = {
                        one: {**count(own, kinds), "ceilings": known[one].get("ceilings", {})}
                        for one, own in towers.items()
                    }
                self._publish(place, test, OneTest(predictions, towers, {}), counts, self._around("cpu", begun))
            except UserError as error:
                self._fail(arm.name, test, error.brief)

    def _pair(self, arm: Arm, place: Place, views: str, of: str) -> Pair:
        if of == VALIDATION and (held := ValConfig.of(arm.config).held_out) != CUT:
            raise UserError(
                "the weight is chosen on the validation part of the training list, and these nets have none",
                got=f"val.list={held}", hint="combine=logits or combine=svm; or val=cut",
            )  # fmt: skip
        sources = [place]
        if arm.kind == "late":
            below = [one for one in map(self.place, self.streams_below([arm])) if one is not None]
            sources = sorted(below, key=lambda one: str(one.record["config"]["stream"]))
        pair = Pair.of([source.read(OtherTest(views, of=of)) for source in sources])
        if pair is None:
            raise UserError("there is one head, and so nothing to combine", got=arm.name)
        return pair

    def _towers(self, place: Place, test: OtherTest) -> dict[str, Any]:
        """The predictions of a control's towers, each with one head, which no combination changes."""
        folder = place.folder_of(OtherTest(test.views))
        if folder is None or "towers" not in place.record["result"]:
            return {}
        return {tower: read_predictions(folder / tower_file(tower)) for tower in place.record["result"]["towers"]}

    def _publish(
        self, place: Place, test: OtherTest, one: OneTest, counts: dict[str, Any], around: dict[str, Any]
    ) -> None:
        tests = place.folder / FOLDER
        temporary = tests / f".{uuid.uuid4().hex}.tmp"
        try:
            one.write(temporary, test, arm_identity(place.record), counts, around)
            publish(temporary, tests / test.name)
        finally:
            with suppress(OSError):
                shutil.rmtree(temporary, ignore_errors=True)

    def _around(self, device: str, begun: float) -> dict[str, Any]:
        return {**self.environment, "device": device, "seconds": round(time.monotonic() - begun, 1)}

    def _fail(self, arm: str, test: OtherTest | None, why: str) -> None:
        self.reasons.setdefault(arm, {})[test.name if test else ""] = why
