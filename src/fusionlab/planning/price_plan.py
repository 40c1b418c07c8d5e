"""From options to a priced plan."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from fusionlab.config.overrides import take_switch
from fusionlab.errors import show
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.planning.pack_study import pack_study
from fusionlab.planning.possible_tests import check_tests
from fusionlab.planning.preflight import check_pairs, missing_weights
from fusionlab.pricing.study_price import Pricing, StudyPrice
from fusionlab.sizes.sizing import Sizes


def plan_with_price(words: Sequence[str]) -> StudyPrice:
    """Plan and price. Nothing is written, unless the word `calibrate=true` measures: that is kept for later plans."""
    words, calibrate = take_switch(words, "calibrate")
    return price_of(plan_study(words), calibrate)


def price_of(study: PlannedStudy, calibrate: bool = False) -> StudyPrice:
    """The price of a planned study, packed into jobs as a sweep packs it."""
    check_pairs(study)
    check_tests(study)
    sizes = Sizes()
    packed = pack_study(study, sizes)
    pricing = Pricing(packed.plan, packed.folder, packed.run, workers=packed.workers, sizes=sizes)
    if calibrate:
        pricing.calibrate(partial(show, file=sys.stderr))  # the price itself may be JSON
    price = pricing.price()
    missing = tuple(missing_weights(study))
    return replace(price, equal=packed.equal, bound=packed.bound, too_large=packed.too_large, missing=missing)
