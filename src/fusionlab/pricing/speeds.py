"""How fast this machine class trains and tests: multiply-adds a second, from jobs that have run or were calibrated.

    seconds = start + steps · (trunk_macs / trunk_rate + net_macs / step_rate) − first_saves / step_rate
              + evaluated / view_rate + arms · record_s

From records both rates of a step are one, and all numbers are medians over jobs: over those of exactly the same arms
(other seeds), so that a step takes what it took; else over those with the same towers, threads and precision. In
between comes a calibration, which measures the frozen towers apart, and reads no clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fusionlab.config.schema import config_of
from fusionlab.data.validation import CUT
from fusionlab.errors import UserError
from fusionlab.pricing.calibrate import Calibrated, Calibration
from fusionlab.pricing.clip_counts import USUAL, Clips, DataSets
from fusionlab.pricing.job_work import Work, work_of
from fusionlab.pricing.past_jobs import PastJob, content_of, middle
from fusionlab.records.signature import signature
from fusionlab.sizes.sizing import Sizes
from fusionlab.study.plan import Arm

MOST_ALIKE = 12  # jobs with the same towers of which a rate is the median, the newest


@dataclass(frozen=True)
class Speed:
    """Rates in multiply-adds a second; seconds of a job's start, and of recording an arm. `peak`: bytes, at most."""

    source: str
    step_rate: float | None
    view_rate: float | None
    start_s: float
    record_s: float
    peak: int | None = None
    same: bool = True  # of the same arms
    trunk_rate: float | None = None  # of the frozen towers in a step; None: as that of the step
    tried: bool = False  # of a calibration, which has no test and writes no checkpoint: its peak may be too low

    def seconds(self, work: Work) -> float | None:
        """The time of a job; None where a rate is missing."""
        view_rate = self.view_rate or self.step_rate
        if (work.steps and not self.step_rate) or (work.evaluated and not view_rate):
            return None
        step = work.trunk_macs / (self.trunk_rate or self.step_rate or 1.0) + work.net_macs / (self.step_rate or 1.0)
        steps = work.steps * step - work.first_saves / (self.step_rate or 1.0)
        evaluated = work.evaluated / view_rate if view_rate else 0.0
        return self.start_s + steps + evaluated + work.arms * self.record_s


def speed_of(source: str, measured: Sequence[tuple[PastJob, Work]], same: bool) -> Speed:
    """The medians over jobs."""
    rows = [_rates(past, work) for past, work in measured]
    step, view, start, record = ([one for one in column if one is not None] for column in zip(*rows, strict=True))
    peaks = [past.peak for past, _ in measured if past.peak]
    rest = middle(start) or 0.0, middle(record) or 0.0, max(peaks, default=None)
    return Speed(source, middle(step), middle(view), *rest, same)


def _rates(past: PastJob, work: Work) -> tuple[float | None, float | None, float | None, float | None]:
    """(step rate, view rate, seconds of the start, seconds of recording an arm) of one job."""
    stretch = work.steps / work.validations if work.steps else 0
    validations = past.steps / stretch if stretch else 1
    evaluated = validations * work.validation_views * work.view_macs + work.tested
    if past.views_s is not None:
        steps = past.steps * (past.step_s or 0.0)
        start = max(0.0, past.seconds - steps - past.views_s - past.record_s)
        step_rate = work.step_macs / past.step_s if past.step_s else None
        return step_rate, evaluated / past.views_s if past.views_s else None, start, past.record_s / work.arms
    if past.epochs and stretch:  # one rate for all that an epoch with its validation, and the test do
        rate = (stretch * work.step_macs + work.validation_views * work.view_macs) / (middle(past.epochs) or 1.0)
        rest = past.seconds - sum(past.epochs) - work.tested / rate
        return rate, rate, max(0.0, rest), 0.0
    rate = (past.steps * work.step_macs + evaluated) / past.seconds  # the start is in it
    return rate, rate, 0.0, 0.0


class Speeds:
    """The speeds that earlier jobs give; each past job is measured once, and only if a planned job needs it."""

    def __init__(self, past: Iterable[PastJob], calibration: Calibration, sizes: Sizes, data: DataSets) -> None:
        self.calibration, self.sizes, self.data = calibration, sizes, data
        self._same: dict[tuple[str, ...], list[PastJob]] = defaultdict(list)
        self._alike: dict[str, list[PastJob]] = defaultdict(list)
        self._known: dict[Any, Speed | None] = {}
        for job in past:
            self._same[job.contents].append(job)
            self._alike[tower_key(job.arms[0])].append(job)

    def knows(self, arms: Sequence[Arm]) -> bool:
        """Whether a job of exactly these arms has run."""
        return self._key(arms) in self._same

    def of(self, arms: Sequence[Arm], job: Sequence[Arm]) -> Speed | None:
        """The speed for arms that one job trains; None if no earlier job is like it. `job`: all arms of their job."""
        key = self._key(arms)
        same = self._speed(key, self._same[key], same=True) if key in self._same else None
        if same is not None:
            return same
        if (found := self.calibration.of(arms) or self.calibration.of(job)) is not None:
            return self._calibrated(found, same=len(found.arms) == len(arms))
        towers = tower_key(arms[0])
        return self._speed(towers, self._alike.get(towers, []), same=False)

    def _key(self, arms: Sequence[Arm]) -> tuple[str, ...]:
        return tuple(sorted(content_of(arm.config) for arm in arms))

    def _calibrated(self, found: Calibrated, same: bool) -> Speed:
        """The rates of a calibration. Its steps read no clips, and its start loads no libraries."""
        batch = config_of(found.arms[0]).stage.batch_size
        work = work_of([self.sizes.of(arm) for arm in found.arms], self.sizes, Clips(batch, 1, 1, None, USUAL))
        assert work is not None
        apart = 0 < found.trunk_s < found.step_s
        net_s, net_macs = (found.step_s - found.trunk_s, work.net_macs) if apart else (found.step_s, work.step_macs)
        return Speed(
            f"calibrated on {found.date}", net_macs / net_s if net_s else None,
            work.view_macs / found.view_s if found.view_s else None, found.setup_s, 0.0, found.peak, same,
            work.trunk_macs / found.trunk_s if apart else None, tried=True,
        )  # fmt: skip

    def _speed(self, key: Any, jobs: Sequence[PastJob], same: bool) -> Speed | None:
        if key not in self._known:
            measured = [(job, work) for job in jobs[:MOST_ALIKE] if (work := self._work(job)) is not None]
            like = "of the same arms" if same else "of these towers, by multiply-adds"
            source = f"{len(measured)} earlier job{'s' * (len(measured) > 1)} {like}"
            self._known[key] = speed_of(source, measured, same) if measured else None
        return self._known[key]

    def _work(self, job: PastJob) -> Work | None:
        """The work of a job that has run; its data set may be gone, and a part of its networks."""
        try:
            config = config_of(job.arms[0])
            sized = [self.sizes.of(arm) for arm in job.arms]
            return work_of(sized, self.sizes, self.data.clips(config) or _clips_of(job, config), job.asked)
        except (UserError, KeyError, TypeError, ValueError, AttributeError):
            return None


def _clips_of(job: PastJob, config: Any) -> Clips | None:
    """The numbers of clips that the steps of a record tell, if its lists are gone."""
    recipe = config.stage.recipe
    if recipe.patience or recipe.budgets > 1 or not recipe.epochs or config.chosen_by:
        return None  # its steps do not tell how many an epoch has
    train = round(job.steps / recipe.epochs) * config.stage.batch_size // config.stage.passes
    fraction = config.data.sampling.validation if config.val.held_out == CUT else 0
    return Clips(train, round(train * fraction / (1 - fraction)), 0, None, (0, 0)) if train else None


def tower_key(arm: Arm) -> str:
    """Equal for streams, or cohorts, with the same towers, threads and precision."""
    towers: dict[str, Any] = {part: arm.config[part] for part in ("stream", "tower", "backbone") if part in arm.config}
    return signature({**towers, "trainer": arm.config["trainer"]})
