"""Studies that are refused when they are planned; tests/commands tries the same as they are typed."""

from __future__ import annotations

import pytest

from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        ("tower_weight=1,1.0 keep_motion=true", "two points of the grid are the same arm"),
        ("tower_weight=0.3", "tower_weight has no effect"),
        ("layer=relu5,ReLU5", "an axis has a value twice"),
        ("data.sampling.stacking=bidirectional", "bidirectional stacking needs backward flow"),
        ("backbone=resnet18 layer=layer3 backbone.appearance.partial_bn=true", "and none are loaded"),
    ],
)
def test_a_study_that_would_mislead_is_refused(typed: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        plan_study(typed.split())
