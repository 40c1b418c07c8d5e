"""The doctor names each fault of stored flow, that one alone, and says where it cannot say."""

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
from doctor_fakes import FIRST, NAMES, TESTED, WORDS, names, replant, videos, wrong
from terminal import Done, typed

from fusionlab.health import doctor as doctor_module

Say = Callable[..., Done]


# -- faults of flow

SIGNS = {
    name: np.array(signs, dtype=np.float32)[:, None, None]
    for name, signs in {"u": (-1, 1), "v": (1, -1), "uv": (-1, -1)}.items()
}
Field = Callable[[np.ndarray, int], np.ndarray]


def transposed(field: np.ndarray) -> np.ndarray:
    """As a tool that takes rows for columns writes it, and resizes it to what it should have been."""
    height, width = field.shape[1:]
    return np.stack([cv2.resize(np.ascontiguousarray(plane.T), (width, height)) for plane in field])


FLOW: dict[str, tuple[Field, str, str | None]] = {
    "ahead": (lambda flow, k: flow[min(k + 1, len(flow) - 1)], "flow-shifted", "ahead"),
    "behind": (lambda flow, k: flow[max(k - 1, 0)], "flow-shifted", "behind"),
    "swapped": (lambda flow, k: flow[k][::-1], "flow-swapped", "swapped"),
    "sign of u": (lambda flow, k: flow[k] * SIGNS["u"], "flow-sign", "u negated"),
    "both signs": (lambda flow, k: flow[k] * SIGNS["uv"], "flow-sign", "negated"),
    "flipped": (lambda flow, k: flow[k][..., ::-1], "flow-flip", "mirrored"),
    "flipped as in a mirror": (lambda flow, k: flow[k][..., ::-1] * SIGNS["u"], "flow-flip", "mirrored, u negated"),
    "flipped top to bottom": (lambda flow, k: flow[k][:, ::-1], "flow-flip", "flipped"),
    "flipped with v negated": (lambda flow, k: flow[k][:, ::-1] * SIGNS["v"], "flow-flip", "flipped, v negated"),
    "transposed": (lambda flow, k: transposed(flow[k]), "flow-flip", "transposed"),
    "two frames behind": (lambda flow, k: flow[max(k - 2, 0)], "flow-shifted", "2 behind"),
    "four frames behind": (lambda flow, k: flow[k - 4], "flow-unlike", None),
}


@pytest.mark.parametrize("name", FLOW)
def test_a_fault_of_all_flow_is_found_alone(
    doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path, name: str
) -> None:
    field, code, hypothesis = FLOW[name]
    replant(home, field)
    status, report = doctor()
    assert (status, wrong(report)) == (1, [code])
    (found,) = report["findings"]
    assert found["numbers"]["hypothesis"] == hypothesis and "fusionlab.prepare" in found["remedy"]


def test_a_store_that_is_written_anew_is_as_sound(
    doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path
) -> None:
    """And nothing is remembered of what lay in its place when the doctor looked before."""
    replant(home, FLOW["swapped"][0])
    assert wrong(doctor()[1]) == ["flow-swapped"]
    replant(home, FLOW["swapped"][0])
    assert doctor()[1]["findings"] == []


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_blank_and_constant_fields(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path, value: float) -> None:
    replant(
        home, lambda flow, k: np.full_like(flow[k], value) if k in (4, 5) else flow[k], changed=lambda n: n == FIRST
    )
    status, report = doctor()
    assert (status, wrong(report), names(report, "flow-blank")) == (1, ["flow-blank"], [FIRST])
    assert report["findings"][0]["files"][0]["why"].startswith("2 of 9 fields")


@pytest.mark.parametrize("third", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2))])
def test_every_third_field_blank_where_little_moves(
    doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path, third: int
) -> None:
    """A patch of 12 × 12 pixels moves by half a pixel to one and a half, and nothing else."""
    frames = fakes.patch(5)
    fakes.mpeg4(videos(home) / FIRST, frames)
    shutil.rmtree(fakes.stores(home))
    assert typed("prepare", [*WORDS, f"run.data={home}"]) == 0
    assert wrong(doctor()[1]) == []
    replant(home, lambda flow, k: 0 * flow[k] if k % 3 == third else flow[k], changed=lambda n: n == FIRST)
    status, report = doctor()
    assert (status, wrong(report), names(report, "flow-blank")) == (1, ["flow-blank"], [FIRST])


def test_a_still_video_is_no_fault(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    fakes.mpeg4(videos(home) / FIRST, np.repeat(fakes.wander(1)[:1], fakes.FRAMES, axis=0))
    shutil.rmtree(fakes.stores(home))
    assert typed("prepare", [*WORDS, f"run.data={home}"]) == 0
    status, report = doctor()
    assert (status, wrong(report), names(report, "flow-unjudged-videos")) == (0, [], [FIRST])


@pytest.mark.parametrize("step, codes", [(3.0, []), (-3.0, ["flow-blank"])])
def test_a_constant_field_is_right_where_all_moves_alike(
    doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path, step: float, codes: list[str]
) -> None:
    """The camera goes to the left by 3 pixels a frame, so that all goes to the right."""
    wide = np.concatenate([fakes.wander(number)[0] for number in (1, 2)], axis=1)
    frames = [wide[:, 60 - 3 * k : 60 - 3 * k + fakes.WIDTH] for k in range(fakes.FRAMES)]
    fakes.mpeg4(videos(home) / FIRST, np.stack(frames))
    shutil.rmtree(fakes.stores(home))
    assert typed("prepare", [*WORDS, f"run.data={home}"]) == 0
    pan = np.array([step, 0], dtype=np.float32)[:, None, None]
    replant(home, lambda flow, k: np.zeros_like(flow[k]) + pan, changed=lambda name: name == FIRST)
    assert wrong(doctor()[1]) == codes


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_a_wrong_bound(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path, times: float) -> None:
    """8 pixels are told of levels that stand for 16, or 4."""
    replant(home, lambda flow, k: times * flow[k])
    status, report = doctor()
    assert (status, wrong(report)) == (1, ["flow-bound"])
    assert report["findings"][0]["numbers"]["bound"] == pytest.approx(8 / times, rel=0.1)


@pytest.mark.slow
def test_a_method_that_finds_too_little_is_noted_and_no_wrong_bound(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TV-L1 comes half the way of brush's small discs. Of such a store, too, a wrong bound is found."""
    monkeypatch.setattr(doctor_module, "_proof", lambda *_: [])  # of so few clips the probes would learn nothing
    quick = [f"data.store.flow.{less}" for less in ("warps=1", "outer_iterations=1", "median=1")]
    few = ["data.dataset.what=1", "data.dataset.binding=0", "data.dataset.frames=7", *quick]
    words = ["data=brush", "flow=tvl1", *few, f"run.data={tmp_path}", "run.workers=1"]
    assert typed("prepare", words) == 0
    report = json.loads(say("doctor", *words, "--json").out)
    assert wrong(report) == []
    (note,) = [one for one in report["findings"] if one["code"] == "flow-length"]
    assert note["numbers"]["scale by its own method"] == pytest.approx([1, 1, 1], abs=0.05)
    replant(tmp_path, lambda flow, k: flow[k] / 2)
    assert wrong(json.loads(say("doctor", *words, "--json").out)) == ["flow-bound"]


def test_a_wrong_zero(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    """Ten levels of v too many."""
    replant(home, lambda flow, k: flow[k] + np.array([0, 10 * 16 / 255], dtype=np.float32)[:, None, None])
    status, report = doctor()
    assert (status, wrong(report)) == (1, ["flow-zero"])
    assert report["findings"][0]["numbers"]["zero"] == pytest.approx([127.5, 137.5], abs=1)


def test_missing_flow(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    replant(home, keep=lambda name: name not in (FIRST, TESTED))
    status, report = doctor()
    assert (status, wrong(report), names(report, "flow-missing")) == (1, ["flow-missing"], [TESTED, FIRST])


def test_one_video_of_which_flow_is_wrong(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    replant(home, FLOW["swapped"][0], changed=lambda name: name == FIRST)
    status, report = doctor()
    assert (status, wrong(report), names(report, "flow-swapped")) == (1, ["flow-swapped"], [FIRST])


def test_fields_of_another_number(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    """The file is another one than was packed."""
    fakes.mpeg4(videos(home) / FIRST, fakes.wander(1)[:-3])
    status, report = doctor()
    assert (status, wrong(report), names(report, "flow-count")) == (1, ["flow-count"], [FIRST])


def first_part(home: Path) -> Path:
    """There are as many as the machine has work for."""
    return min(fakes.stores(home).glob("*/part-*/flow.bin"))


def test_damaged_bytes_of_the_store(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    file = first_part(home)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    status, report = doctor()
    assert (status, wrong(report), len(names(report, "store-damaged"))) == (1, ["store-damaged"], 1)


def test_a_store_that_is_cut(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    file = first_part(home)
    file.write_bytes(file.read_bytes()[:-1])
    status, report = doctor()
    assert (status, wrong(report)) == (1, ["store-broken"])


@pytest.mark.parametrize(
    "name, remedy",
    [
        ("ahead", "data.store.flow.offset=-1"),
        ("behind", "data.store.flow.offset=1"),
        ("swapped", "data.store.flow.order=yx"),
    ],
)
def test_of_imported_flow_it_says_what_to_type(
    doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path, name: str, remedy: str
) -> None:
    replant(home, FLOW[name][0])
    fakes.imported(home)
    (found,) = doctor()[1]["findings"]
    assert found["remedy"] == remedy


# -- where it cannot say


def test_of_still_videos_it_cannot_say_that_flow_is_right(say: Say, home: Path) -> None:
    for number, name in enumerate(NAMES):
        fakes.mpeg4(videos(home) / name, np.repeat(fakes.wander(number)[:1], fakes.FRAMES, axis=0))
    shutil.rmtree(fakes.stores(home))
    assert typed("prepare", [*WORDS, f"run.data={home}"]) == 0
    done = say("doctor", *WORDS, f"run.data={home}")
    assert done.status == 3 and "cannot say  flow-unjudged" in done.out
    assert "nothing is wrong" not in done.out and done.out.endswith("cannot say whether all is right: flow-unjudged\n")
    report = json.loads(say("doctor", *WORDS, f"run.data={home}", "--json").out)
    assert report["healthy"] is None and report["findings"][0]["severity"] == "cannot say"


def test_of_a_still_video_it_says_so(say: Say, home: Path) -> None:
    fakes.mpeg4(videos(home) / FIRST, np.repeat(fakes.wander(1)[:1], fakes.FRAMES, axis=0))
    shutil.rmtree(fakes.stores(home))
    assert typed("prepare", [*WORDS, f"run.data={home}"]) == 0
    done = say("doctor", *WORDS, f"run.data={home}")
    assert done.status == 0
    assert done.out.endswith("nothing is wrong in what was checked; cannot say of 1 video by themselves\n")


def test_all_quarantined(say: Say, home: Path, tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("".join(f"{name}\n" for name in NAMES))
    done = say("doctor", *WORDS, f"run.data={home}", f"data.quarantine={tmp_path / 'all.txt'}")
    assert done.status == 3 and "all videos are quarantined" in done.out and "nothing is wrong" not in done.out
    root = fakes.images(home)
    words = [*(word for word in WORDS if word != "flow=dis"), f"run.data={home}", "flow=imported", f"run.flow={root}"]
    done = say("doctor", *words, f"data.quarantine={tmp_path / 'all.txt'}")
    assert done.status == 3 and "all videos are quarantined" in done.out and "no flow images" not in done.out


def test_a_fault_in_half_of_the_videos_and_its_own_advice(say: Say, home: Path, tmp_path: Path) -> None:
    """After each quarantine of what it found, what is left is found too, or it says that it cannot say."""
    bad = set(NAMES[::2])
    replant(home, FLOW["flipped top to bottom"][0], changed=bad.__contains__)
    report = json.loads(say("doctor", *WORDS, f"run.data={home}", "--json").out)
    assert wrong(report) == ["flow-flip"] and set(names(report, "flow-flip")) == bad
