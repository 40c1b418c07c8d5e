"""Findings about a store that follow from what it says of itself."""

from types import SimpleNamespace
from typing import Any, cast

import cv2
import pytest

from fusionlab.health import flow_checks
from fusionlab.health.findings import NOTE
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
