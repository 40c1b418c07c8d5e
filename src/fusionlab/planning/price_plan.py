"""From options to a priced plan."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from fusionlab.errors import show, unknown
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.planning.pack_study import pack_study
from fusionlab.pricing.study_price import Pricing, StudyPrice
from fusionlab.sizes.sizing import Sizes

CALIBRATE = "calibrate"


def plan_with_price(words: Sequence[str]) -> StudyPrice:
    """Plan and price. Nothing is written, unless the word `calibrate=true` measures: that is kept for later plans."""
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
    """The price of a planned study, packed into jobs as a sweep packs it."""
    sizes = Sizes()
    packed = pack_study(study, sizes)
    pricing = Pricing(packed.plan, packed.folder, packed.run, workers=packed.workers, sizes=sizes)
    if calibrate:
        pricing.calibrate(partial(show, file=sys.stderr))  # the price itself may be JSON
    price = pricing.price()
    return replace(price, equal=packed.equal, bound=packed.bound, too_large=packed.too_large)
