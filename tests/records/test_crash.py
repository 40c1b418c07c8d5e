import ast
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.records.crash import POINTS, VARIABLE, crash_point

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src" / "fusionlab"

CHILD = """
from fusionlab.records.crash import crash_point
for step in range(4):
    crash_point("stream.step"); print(step, flush=True)
"""


@pytest.mark.parametrize(
    ("at", "printed"),
    [("stream.step", []), ("stream.step:3", ["0", "1"]), ("cohort.step", ["0", "1", "2", "3"])],
)
def test_dies_at_the_kth_time_and_nowhere_else(at, printed, monkeypatch):
    monkeypatch.setenv(VARIABLE, at)
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False)
    assert done.stdout.split() == printed
    assert done.returncode == (0 if len(printed) == 4 else -signal.SIGKILL)


@pytest.mark.parametrize("at", ["stream.stp", "stream.step:0", "stream.step:x"])
def test_a_point_that_would_never_be_reached_is_told(at, monkeypatch):
    monkeypatch.setenv(VARIABLE, at)
    with pytest.raises(UserError):
        crash_point("cohort.step")


def test_every_point_is_told_in_the_docstring():
    import fusionlab.records.crash as module

    assert all(point in module.__doc__ for point in POINTS)
    with pytest.raises(AssertionError):
        crash_point("never listed")


def test_the_points_are_those_of_the_code():
    """Each call of `crash_point` names a listed point, and each point has a call. A name may be an f-string."""
    patterns = []
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "crash_point(" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "crash_point":
                (name,) = node.args
                parts = name.values if isinstance(name, ast.JoinedStr) else [name]
                texts = (re.escape(one.value) if isinstance(one, ast.Constant) else ".+" for one in parts)
                patterns.append("".join(texts))
    assert len(patterns) > 8
    for pattern in patterns:
        assert any(re.fullmatch(pattern, point) for point in POINTS), pattern
    for point in POINTS:
        assert any(re.fullmatch(pattern, point) for pattern in patterns), point


def test_a_recovery_test_kills_at_every_point():
    """A new step in the code, with its point, fails here until a test kills there and continues."""
    killed = set()
    for file in TESTS.rglob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        if file != Path(__file__) and ("CRASH_AT" in text or "records.crash import" in text):
            texts = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
            killed |= {one.partition(":")[0] for one in texts if isinstance(one, str)}
    assert set(POINTS) <= killed, sorted(set(POINTS) - killed)
