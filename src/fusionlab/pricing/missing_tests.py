"""The tests that a sweep adds to arms that are done, from their weights: their number, work and time."""

from __future__ import annotations

from dataclasses import dataclass

from fusionlab.config.schema import config_of
from fusionlab.errors import UserError
from fusionlab.pricing.arm_states import States
from fusionlab.pricing.job_work import other_tests, test_macs
from fusionlab.pricing.speeds import Speeds
from fusionlab.records.other_tests import FILE, FOLDER, Asked, OtherTest
from fusionlab.sizes.sizing import Sized, Sizes
from fusionlab.study.plan import Plan


@dataclass(frozen=True)
class MissingTests:
    """`macs`, `seconds`: None if unknown. Combinations of stored scores need no network and are not counted."""

    arms: int
    tests: int
    macs: int | None
    seconds: float | None


def missing_tests(plan: Plan, states: States, asked: Asked, sizes: Sizes, speeds: Speeds) -> MissingTests | None:
    """Those of all jobs; None if none is missing. Arms of one job are tested in one pass over the data."""
    arms: set[str] = set()
    count, macs, seconds = 0, list[int | None](), list[float | None]()
    for job in plan.jobs if asked else ():
        done = [plan.arm(name) for name in job.arms if states.arms[name] == "done"]
        try:
            sized = [sizes.of(arm) for arm in done]
        except UserError:  # a user's part that does not run without weights: nothing is known of its job
            continue
        tests: dict[OtherTest, list[Sized]] = {}
        for test, own in other_tests(sized, asked).items():
            lacking = [one for one in own if not (states.places[one.arm.name] / FOLDER / test.name / FILE).is_file()]
            if lacking:
                tests[test] = lacking
        if not tests:
            continue
        arms |= {one.arm.name for own in tests.values() for one in own}
        count += sum(map(len, tests.values()))
        clips, speed = speeds.data.clips(config_of(done[0])), speeds.of(done, done)
        work = None if clips is None else sum(test_macs(test, own, sizes, clips) for test, own in tests.items())
        rate = None if speed is None else speed.view_rate or speed.step_rate
        macs.append(work)
        seconds.append(None if work is None or speed is None or not rate else speed.start_s + work / rate)
    if not count:
        return None
    return MissingTests(
        len(arms), count, None if None in macs else sum(one or 0 for one in macs),
        None if None in seconds else sum(one or 0.0 for one in seconds),
    )  # fmt: skip
