"""From options to a priced plan."""

from __future__ import annotations

from collections.abc import Sequence

from fusionlab.errors import unknown
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.planning.sweep_loop import workers
from fusionlab.pricing.study_price import Pricing, StudyPrice

CALIBRATE = "calibrate"


def plan_with_price(words: Sequence[str]) -> StudyPrice:
    """Plan and price; nothing is written. The word `calibrate=true` measures, in a child process."""
    own = [word for word in words if word.partition("=")[0] == CALIBRATE]
    study = plan_study([word for word in words if word not in own])
    calibrate = False
    for word in own:
        value = word.partition("=")[2].lower()
        if value not in ("true", "false"):
            raise unknown("choice for calibrate", value, ["true", "false"], form="calibrate={}")
        calibrate = value == "true"
    return price_of(study, calibrate)


def price_of(study: PlannedStudy, calibrate: bool = False) -> StudyPrice:
    """The price of a planned study."""
    return Pricing(study.plan, study.folder, study.run, workers=workers(study.run, study.threads)).price()
