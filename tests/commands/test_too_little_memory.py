"""An arm that asks for more memory than there is: numbers and what to type; its companions are trained."""

from __future__ import annotations

import pytest
from disturbed_parts import write_parts
from terminal import FAST, Lab


@pytest.mark.slow
def test_an_arm_without_enough_memory_stops_no_other(fresh: Lab) -> None:
    write_parts(fresh.home)
    done = fresh.run("sweep", "fusion=greedy,sum", "layer=relu5", FAST)
    assert done.status == 1
    (line,) = (line for line in done.err.splitlines() if line.startswith("failed: "))
    assert line.startswith("failed: fusion=greedy") and "out of memory: RuntimeError: " in line
    assert f"{1 << 50} bytes" in line, "what was asked"
    assert " GiB are free, this process had " in line, "what there is"
    assert "  try: optim.fusion.micro_batch=…" in done.err, "what to type"
    assert {name.split(",")[0] for name in fresh.records()} > {"fusion=sum", "fusion=control"}
