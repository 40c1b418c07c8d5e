"""From scores to published records: each arm is published as soon as it is recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionlab.backbones.pretrained import Loaded
from fusionlab.config import build
from fusionlab.config.catalogue import TITLED
from fusionlab.config.compose import title
from fusionlab.config.mask_secrets import masked
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import config_of
from fusionlab.errors import UserError, one_line, show
from fusionlab.jobs.curve_loggers import CurveLoggers
from fusionlab.jobs.job_cost import JobCost
from fusionlab.jobs.job_data import Data
from fusionlab.jobs.provenance import provenance
from fusionlab.jobs.test_results import OneTest
from fusionlab.records.crash import crash_point
from fusionlab.records.environment import describe_environment
from fusionlab.records.other_tests import FOLDER, OtherTest
from fusionlab.records.record import WEIGHTS, new_record, write_record
from fusionlab.results import head_scores
from fusionlab.sizes.sizing import Sizes
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm
from fusionlab.training.evaluate import Scores
from fusionlab.training.fit import Outcome
from fusionlab.training.weights import State, write_weights
from fusionlab.two_stream.describe import Description


@dataclass
class Recorder:
    """Writes the records of one job's arms into its attempt."""

    attempt: Attempt
    data: Data
    run: RunConfig
    cost: JobCost
    blueprint: build.Blueprint = field(default_factory=build.Blueprint)
    started: float = field(default_factory=time.monotonic)
    not_promised: list[str] = field(default_factory=list)  # notes on what an interruption may change
    environment: Mapping[str, Any] = field(default_factory=describe_environment)  # once: it asks git, among others
    _prepared: dict[str, dict[str, Any]] = field(default_factory=dict)  # by arm
    _sizes: Sizes = field(default_factory=Sizes)

    def __post_init__(self) -> None:
        self.loggers = CurveLoggers(self.run.logger, self.attempt)

    def done(
        self,
        arm: Arm,
        outcome: Outcome,
        scores: Scores,
        videos: list[str],
        size: Description,
        state: State,
        initial: Loaded | None = None,
        others: Mapping[OtherTest, OneTest] | None = None,
        second: Data | None = None,
        chosen: Mapping[str, Any] | None = None,
    ) -> None:
        """Write and publish the record of an arm whose training ended, with its predictions, heads and weights.

        `initial`: the file that it started from, if any. `others`: its other tests, published with it. `second`: the
        data of its second task. `chosen`: what it repeats of another training. Files are not synced one by one:
        `publish` syncs them all.
        """
        folder, config = self.attempt.result / arm.name, config_of(arm)
        tested = OneTest.of(self.data.dataset, videos, scores, arm.name)
        store = self.data.store
        result = {
            **tested.counts(self.data, self.blueprint, config),
            "classes": dict(zip(self.data.dataset.classes, self.data.kinds, strict=True)),
            "val_loss": outcome.val_loss,
            "best_step": outcome.best_step,
            "steps": outcome.steps,
            "converged": outcome.converged,
            "parameters": size.parameters,
            "trained_parameters": size.trained_parameters,
            "svm_parameters": size.svm_parameters,
            "layers": size.layers,
            "weights": outcome.weights,
            "data": self.data.content(config.data),
            "decoder": store.made["decoder"],
            "flow": store.made["flow"],
            "curves": list(outcome.curve),
        }
        if chosen is not None:  # it ended where the other training did
            result |= {"chosen": dict(chosen), "converged": chosen["converged"]}
        if second is not None:
            result["second_data"] = second.store.hash
        if config.data.quarantine:
            result["quarantined"] = self._quarantined(config.split, frozenset(config.data.quarantine))
        if tested.heads:
            result["heads"] = head_scores.write_heads(folder / head_scores.FILE, tested.heads, sync=False)
        if (macs := self._multiply_adds(arm)) is not None:
            result["multiply_adds"] = macs
        if initial is not None:
            result["initial_weights"] = {"origin": initial.origin, "sha256": initial.sha256, "notes": initial.notes}
            if initial.trained_on:
                result["initial_weights"]["trained_on"] = initial.trained_on
        if arm.kind == "stream" or self.run.keep != "none":  # later studies start from the streams
            write_weights(folder / WEIGHTS, state, provenance(config, arm.signature, initial), sync=False)
        self._write(self.attempt.result, arm, outcome, tested, result=result)
        for test, one in (others or {}).items():
            about = {"signature": arm.signature, "weights": outcome.weights}
            counts = one.counts(self.data, self.blueprint, config)
            one.write(folder / FOLDER / test.name, test, about, counts, self.around)
        crash_point(f"{'stream' if arm.kind == 'stream' else 'cohort'}.before_publish")
        for line in self.attempt.publish(arm.name).differences:
            show(one_line(f"{arm.name}: differs from what is published: {line}"))

    @property
    def around(self) -> dict[str, Any]:
        """The circumstances of a test."""
        seconds = round(time.monotonic() - self.started, 1)
        return {**self.environment, "device": build.device_name(self.run), "seconds": seconds}

    def _multiply_adds(self, arm: Arm) -> int | None:
        """Of a clip in testing; None for a part that cannot be measured on shapes alone."""
        try:
            return self._sizes.of(arm).costs.macs
        except UserError:
            return None

    def _quarantined(self, split: int, quarantine: frozenset[str]) -> dict[str, int]:
        """The number of quarantined videos of each list; the config has their names."""
        lists = zip(("train", "test"), self.data.dataset.lists(split), strict=True)
        return {which: sum(name in quarantine for name, _ in entries) for which, entries in lists}

    def prepare(self, arm: Arm) -> dict[str, Any]:
        """What a record takes from its arm's config alone. Asked for before the training, it delays no publication."""
        if arm.name not in self._prepared:
            system = self.blueprint.system(config_of(arm))
            self._prepared[arm.name] = {"ceilings": self.data.dataset.ceilings(system), "titles": titles_of(arm)}
        return self._prepared[arm.name]

    def failed(self, arm: Arm, reason: str, outcome: Outcome | None = None) -> None:
        """The record of an arm that diverged or could not be built; it is kept in the attempt's folder."""
        result = {"curves": list(outcome.curve)} if outcome is not None and outcome.curve else {}
        self._write(
            self.attempt.failed, arm, outcome,
            status="failed", reason=reason, log=str(self.attempt.log), result=result,
        )  # fmt: skip

    def _write(
        self,
        where: Path,
        arm: Arm,
        outcome: Outcome | None,
        tested: OneTest | None = None,
        **content: Any,
    ) -> None:
        around = {
            **self.around,
            "job": self.cost.to_dict(build.device(self.run)),
            "run": masked(self.run.tree, "run"),  # an older plan may hold a secret
        }
        if outcome is not None:
            around["epoch_seconds"] = list(outcome.seconds)
        if self.not_promised:
            around["not_promised"] = self.not_promised
        if why := self.loggers.log_result(arm, content.get("status", "done"), content["result"]):
            around["logger_failed"] = one_line(why)
        record = new_record(
            name=arm.name,
            kind=arm.kind,
            axes=arm.axes,
            signature=arm.signature,
            control=arm.control,
            config=arm.config,
            stage_one=arm.config.get("stage_one", {}),
            **self.prepare(arm),
            circumstances=around,
            **content,
        )
        predictions = None if tested is None else tested.predictions
        towers = None if tested is None else tested.towers
        sync = where != self.attempt.result
        write_record(where / arm.name, record, predictions, towers=towers, sync=sync)


def titles_of(arm: Arm) -> dict[str, str]:
    """The titles for tables in the yamls of an arm's parts, if they have titles."""
    titles = {group: title(group, str(arm.axes[group])) for group in TITLED if group in arm.axes}
    return {group: one for group, one in titles.items() if one is not None}
