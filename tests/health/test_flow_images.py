"""Images of flow that are not imported yet: the doctor finds in them what it finds in a store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import doctor_fakes as fakes
import numpy as np
import pytest
from doctor_fakes import FIRST, NAMES, TESTED, WORDS, names, wrong
from terminal import Done

Say = Callable[..., Done]


@pytest.fixture
def images(home: Path, doctor: Callable[..., tuple[int, dict[str, Any]]]) -> Callable[[], tuple[int, dict[str, Any]]]:
    root = fakes.images(home)
    return lambda: doctor("flow=imported", f"run.flow={root}")


def test_sound_images_of_flow(images: Callable[[], tuple[int, dict[str, Any]]], home: Path) -> None:
    status, report = images()
    assert (status, report["findings"], report["not_looked_at"]) == (0, [], [])
    assert report["looked_at"]["images of flow"] == str(home / "flow")
    assert report["looked_at"]["fields"] == len(NAMES) * (fakes.FRAMES - 1)


@pytest.mark.parametrize(
    "change, hypothesis",
    [
        (lambda plane: plane[::-1], "flipped"),
        (lambda plane: plane[:, ::-1], "mirrored"),
        (lambda plane: plane[::-1, ::-1], "turned by 180°"),
        (lambda plane: cv2.resize(plane.T, plane.shape[::-1]), "transposed"),
        (lambda plane: 255 - plane, "negated"),
    ],
)
def test_a_fault_of_images_of_flow(
    images: Callable[[], tuple[int, dict[str, Any]]],
    home: Path,
    change: Callable[[np.ndarray], np.ndarray],
    hypothesis: str,
) -> None:
    fakes.change_images(home / "flow", lambda plane: np.ascontiguousarray(change(plane)))
    status, report = images()
    (found,) = report["findings"]
    assert (status, found["severity"], found["numbers"]["hypothesis"]) == (1, "wrong", hypothesis)
    assert "run.flow=" in found["remedy"]


def test_images_of_another_shape_than_the_frames(say: Say, home: Path) -> None:
    """The doctor refuses the same videos as prepare does."""
    root = fakes.images(home)
    for file in (root / Path(FIRST).with_suffix("")).iterdir():
        plane = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert cv2.imwrite(str(file), plane.T)
    words = [*(word for word in WORDS if not word.startswith(("flow=", "data.store.size="))), "flow=imported"]
    words += [f"run.data={home}", f"run.flow={root}", "data.store.size=null"]
    report = json.loads(say("doctor", *words, "--json").out)
    assert (wrong(report), names(report, "flow-images")) == (["flow-images"], [FIRST])
    assert "transposed?" in report["findings"][0]["files"][0]["why"]
    done = say("prepare", *words)
    assert done.status != 0 and "transposed?" in done.err and FIRST in done.err


def test_fields_that_are_missing_in_images_of_flow(
    images: Callable[[], tuple[int, dict[str, Any]]], home: Path
) -> None:
    """Three at the end of each video, one at the end of another, and one in between."""
    for file in (home / "flow").rglob("flow_?_0000[789].png"):
        file.unlink()
    status, report = images()
    assert (status, wrong(report), sorted(names(report, "flow-count"))) == (1, ["flow-count"], sorted(NAMES))
    assert report["findings"][0]["files"][0]["why"] == "6 fields, and 10 frames"


def test_images_that_cannot_be_used(images: Callable[[], tuple[int, dict[str, Any]]], home: Path) -> None:
    empty_one, gap, none = (home / "flow" / Path(name).with_suffix("") for name in (TESTED, FIRST, NAMES[2]))
    (empty_one / "flow_x_00003.png").write_bytes(b"")
    for axis in "xy":
        (gap / f"flow_{axis}_00004.png").unlink()
    shutil.rmtree(none)
    status, report = images()
    assert (status, wrong(report)) == (1, ["flow-images"])
    assert sorted(names(report, "flow-images")) == sorted([TESTED, FIRST, NAMES[2]])


def test_one_field_less_is_usual(images: Callable[[], tuple[int, dict[str, Any]]], home: Path) -> None:
    for axis in "xy":
        (home / "flow" / Path(FIRST).with_suffix("") / f"flow_{axis}_00009.png").unlink()
    status, report = images()
    assert (status, wrong(report), names(report, "flow-count-by-one")) == (0, [], [FIRST])


def test_a_folder_without_images_of_flow(doctor: Callable[..., tuple[int, dict[str, Any]]], tmp_path: Path) -> None:
    status, report = doctor("flow=imported", f"run.flow={tmp_path / 'nothing'}")
    assert (status, wrong(report)) == (1, ["flow-images"])
