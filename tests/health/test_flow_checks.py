"""Findings about a store that follow from what it says of itself."""

from types import SimpleNamespace
from typing import Any, cast

import cv2
import pytest
from verdict_fakes import ahead_of, pair

from fusionlab.health import flow_checks
from fusionlab.health.field_checks import CheckedVideo
from fusionlab.health.findings import NOTE
from fusionlab.health.flow_evidence import RIGHT
from fusionlab.video.store import Store


@pytest.mark.parametrize(
    "flow, noted",
    [
        ({"method": "tvl1", "opencv": "3.4.1"}, True),
        ({"method": "dis", "refinements": 5, "opencv": "3.4.1"}, True),
        ({"method": "dis", "refinements": 0, "opencv": "3.4.1"}, False),
        ({"method": "farneback", "opencv": "3.4.1"}, False),
        ({"method": "tvl1", "opencv": cv2.__version__}, False),
        ({"method": "imported"}, False),
    ],
)
def test_another_version_of_opencv_is_noted_where_its_fields_differ(flow: dict[str, Any], noted: bool) -> None:
    store = cast(Store, SimpleNamespace(made={"flow": flow}, videos={}, notes={}, folder="store", bound=20.0))
    findings = flow_checks.counts([], store)
    assert [(one.code, one.severity) for one in findings] == [("flow-version", NOTE)] * noted
    assert all(word in one.what for one in findings for word in ("3.4.1", cv2.__version__, flow["method"]))


def test_a_fault_that_some_videos_show_is_looked_for_in_those_that_show_little() -> None:
    ahead, right = pair(0.4, ahead_of(0.4, 0.0)), pair(0.02, 0.4)
    videos = {
        "plain": [ahead] * 3,
        "also": [ahead] * 3,
        "little": [ahead],
        **{f"sound {n}": [right] * 3 for n in range(6)},
    }
    checked = [CheckedVideo(name, 9, compared=True, evidence=tuple(seen)) for name, seen in videos.items()]
    origin = flow_checks.Origin({"method": "dis"}, 20.0, "again")
    findings, of_set = flow_checks.findings(checked, origin)
    assert of_set.holds == RIGHT and [one.code for one in findings] == ["flow-shifted"]
    assert sorted(findings[0].files) == ["also", "little", "plain"]
    alone = flow_checks.findings([one for one in checked if one.name not in ("plain", "also")], origin)[0]
    assert alone == [], "one pair says too little by itself"
