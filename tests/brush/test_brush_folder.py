"""The made folder: UCF101's layout, whole or not there, the same from the same seed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from brush_fakes import CONF, KNOBS

from fusionlab.data.brush import brush as module
from fusionlab.data.brush.brush import GROUPS, MADE, Brush, Knobs
from fusionlab.data.brush.labels import ASKED, LABELS
from fusionlab.data.brush.scene import SIZE
from fusionlab.data.ucf101 import UCF101, group_of, read_classes
from fusionlab.errors import UserError
from fusionlab.records.signature import signature
from fusionlab.video.decode import READERS, read, reader

CONFIGURED = {name: value for name, value in CONF["dataset"].items() if name != "_target_"}
SMALL = {"what": 1, "binding": 1, "frames": 3}


def make(root: Path, **knobs: float) -> Brush:
    brush = Brush(**{**SMALL, **knobs})
    brush.make(root, say=lambda _: None)
    return brush


def contents(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Brush:
    return make(tmp_path_factory.mktemp("a folder with blanks"))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three groups only: 45 clips."""
    monkeypatch.setattr(module, "GROUPS", 3)


@pytest.fixture
def copy(made: Brush, tmp_path: Path) -> Path:
    """A copy of the made folder that a test may damage."""
    shutil.copytree(made.root, tmp_path / made.root.name)
    return tmp_path / made.root.name


def test_ucf101s_own_reader_reads_it(made: Brush) -> None:
    ucf = UCF101(made.root)
    assert ucf.classes == made.classes == [label.name for label in LABELS]
    assert read_classes(made.root / "classInd.txt") == made.classes
    videos = ucf.videos()
    assert videos == made.videos() and len(videos) == len(LABELS) * GROUPS
    on_disk = {str(file.relative_to(made.root)) for file in made.root.rglob("*.avi")}
    assert on_disk == {name for name, _ in videos}
    for name, label in videos:
        assert name.startswith(f"{made.classes[label]}/v_{made.classes[label]}_g") and made.path(name).is_file()


def test_three_splits_and_no_group_on_both_sides(made: Brush) -> None:
    tested: Counter[str] = Counter()
    for split in (1, 2, 3):
        train, test = made.lists(split)
        assert not {made.group(name) for name, _ in train} & {made.group(name) for name, _ in test}
        assert not {group_of(name) for name, _ in train} & {group_of(name) for name, _ in test}
        assert sorted(train + test) == made.videos()
        assert {label for _, label in train} == {label for _, label in test} == set(range(len(LABELS)))
        tested.update({made.group(name) for name, _ in test})
    assert set(tested.values()) == {1} and len(tested) == GROUPS, "each group is tested in one split"
    with pytest.raises(UserError, match="no such split"):
        made.lists(4)


def test_a_group_that_is_on_both_sides_is_refused(copy: Path) -> None:
    with (copy / "testlist01.txt").open("a") as test:
        test.write("HandTeeth/v_HandTeeth_g24_c02.avi\n")
    with pytest.raises(UserError, match="both the training and the test list"):
        UCF101(copy).lists(1)


def test_each_kind_has_400_test_clips_with_the_knobs_as_they_are() -> None:
    brush = Brush(**CONFIGURED)
    for split in (1, 2, 3):
        test = range((split - 1) * GROUPS // 3 + 1, split * GROUPS // 3 + 1)
        for kind in ASKED:
            names = [
                name
                for number, label in enumerate(LABELS)
                if label.kind == kind
                for name, group in brush._names(number)
                if group in test
            ]
            assert len(set(names)) == len(names) >= 400


def test_the_config_says_what_the_class_does() -> None:
    assert {**vars(KNOBS), "grounds": "clip"} == CONFIGURED


@pytest.mark.parametrize("by", READERS)
def test_all_clips_have_one_length_and_size(by: str, made: Brush) -> None:
    shapes = {read(made.path(name), reader(by)).shape for name, _ in made.videos()[::7]}
    assert shapes == {(SMALL["frames"], SIZE, SIZE, 3)}


def test_every_packet_is_a_key_frame_of_a_lossless_codec(made: Brush) -> None:
    for name, _ in made.videos()[::5]:
        with av.open(str(made.path(name))) as container:
            (stream,) = container.streams
            packets = [packet for packet in container.demux(stream) if packet.size]
            assert stream.codec_context.name == "png" and len(packets) == SMALL["frames"]
            assert all(packet.is_keyframe for packet in packets)


def test_made_twice_is_equal_bit_for_bit_and_another_seed_is_not(few: None, tmp_path: Path) -> None:
    first, again, other = (make(tmp_path / name, seed=seed).root for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert contents(again) == contents(first) and again.name == first.name != other.name
    one, differing = contents(first), contents(other)
    assert all(one[name] != differing[name] for name in one if name.endswith(".avi"))
    assert one["testlist01.txt"] == differing["testlist01.txt"]


def test_in_several_processes_it_is_the_same(few: None, tmp_path: Path) -> None:
    alone, together = Brush(**SMALL), Brush(**SMALL)
    alone.make(tmp_path / "alone", say=lambda _: None)
    together.make(tmp_path / "together", processes=2, say=lambda _: None)
    assert contents(alone.root) == contents(together.root)


def test_it_is_recognised_and_not_made_again(made: Brush, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "draw", None)
    before = contents(made.root)
    again = Brush(**SMALL)
    again.make(made.root.parent, say=lambda told: pytest.fail(told))
    assert again.root == made.root and contents(again.root) == before
    assert made.root.name == signature(made.knobs.recipe())
    assert json.loads((made.root / MADE).read_text())["recipe"] == made.knobs.recipe()


def test_every_knob_makes_another_folder() -> None:
    other = {"seed": 1, "frames": 4, "what": 2, "binding": 2, "noise": 1.0, "clutter": 0, "shake": 0.5,
             "hue_distance": 0.5, "decoy_speed": 0.8, "vocabulary": "brush2", "order": 1, "how": 1,
             "still": 1, "exchange": True, "grounds": "clip"}  # fmt: skip
    assert set(other) | {"version", "segment", "pause", "segments"} == set(vars(KNOBS))
    names = {signature(Knobs(**{**SMALL, name: value}).recipe()) for name, value in other.items()}  # type: ignore[arg-type]
    assert len(names | {signature(Knobs(**SMALL).recipe())}) == len(other) + 1
    assert signature(Knobs(noise=2).recipe()) == signature(Knobs(noise=2.0).recipe())


def cut_a_video(folder: Path) -> None:
    video = next(folder.rglob("*.avi"))
    video.write_bytes(video.read_bytes()[:-100])


def of_another_recipe(folder: Path) -> None:
    made = json.loads((folder / MADE).read_text())
    made["recipe"]["seed"] = 99
    (folder / MADE).write_text(json.dumps(made))


DAMAGE = {
    "a video is cut": cut_a_video,
    "a video is gone": lambda folder: next(folder.rglob("*.avi")).unlink(),
    "a list is gone": lambda folder: (folder / "testlist02.txt").unlink(),
    "a list is longer": lambda folder: (folder / "trainlist01.txt").write_text(
        (folder / "trainlist01.txt").read_text() + "\n"
    ),
    "a file more": lambda folder: (folder / "HandTeeth" / "notes.txt").write_text("mine"),
    "made.json is gone": lambda folder: (folder / MADE).unlink(),
    "made.json is cut": lambda folder: (folder / MADE).write_text((folder / MADE).read_text()[:-20]),
    "made.json holds something else": lambda folder: (folder / MADE).write_text("[]"),
    "the folder of another recipe": of_another_recipe,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_refused_and_not_touched(damage: str, copy: Path) -> None:
    DAMAGE[damage](copy)
    before = contents(copy)
    with pytest.raises(UserError, match="files in this folder have changed") as error:
        make(copy.parent)
    assert error.value.got == str(copy) and error.value.hint == f"remove it: rm -r '{copy}'"
    assert contents(copy) == before


@pytest.mark.parametrize("by", READERS)
def test_what_is_damaged_inside_a_video_is_found_when_it_is_read(by: str, copy: Path) -> None:
    """As the docstring says: sizes are compared at once, contents when they are read."""
    assert make(copy.parent).root == copy
    video = next(copy.rglob("*.avi"))
    whole, bytes_ = read(video, reader(by)), video.read_bytes()
    draw = np.random.default_rng(0)
    for at in draw.integers(len(bytes_) // 3, len(bytes_) * 9 // 10, 20):
        video.write_bytes(bytes_[:at] + bytes([bytes_[at] ^ 0x10]) + bytes_[at + 1 :])
        try:
            seen = read(video, reader(by))
        except UserError:
            continue
        np.testing.assert_array_equal(seen, whole, f"byte {at} changes a picture without a word")


def test_a_killed_making_is_never_used_and_the_next_one_works(few: None, tmp_path: Path) -> None:
    dying = f"""
import os
from pathlib import Path
from fusionlab.data.brush import brush
brush.GROUPS, brush.CHUNK = 3, 10
draw, done = brush.draw, []
def dies(folder, knobs, clips):
    if done:
        os._exit(9)
    draw(folder, knobs, clips)
    done.append(clips)
brush.draw = dies
brush.Brush(**{SMALL}).make(Path({str(tmp_path)!r}) / "here", say=lambda _: None)
"""
    assert subprocess.run([sys.executable, "-c", dying]).returncode == 9
    right = make(tmp_path / "elsewhere").root
    final = tmp_path / "here" / right.name
    attempt = final.with_name(f".{final.name}.making")
    assert not final.exists() and len(list(attempt.rglob("*.avi"))) == 10
    (attempt / "HandTeeth" / "of an older version.avi").write_text("rest")
    assert contents(make(tmp_path / "here").root) == contents(right)
    assert not attempt.exists()


def test_what_fails_while_it_is_made_leaves_no_set(few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at the last step: only the rename makes it a set."""
    for step in ("publish", "write_json"):
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise UserError("the disk is full")

            patch.setattr(module, step, full)
            with pytest.raises(UserError, match="disk is full"):
                make(tmp_path)
        assert not [child for child in tmp_path.iterdir() if not child.name.startswith(".")]
    assert len(make(tmp_path).videos()) == 3 * len(LABELS)


BAD = [
    ("frames", 1, "2 … 1000, a whole number"), ("frames", 2.5, "2 … 1000, a whole number"),
    ("frames", "many", "2 … 1000, a whole number"), ("what", -1, "0 … 99, a whole number"),
    ("binding", 100, "0 … 99, a whole number"), ("noise", -1, "0 … 40"), ("noise", float("nan"), "0 … 40"),
    ("noise", "loud", "0 … 40"), ("clutter", -1, "0 … 100, a whole number"), ("shake", 1.5, "0 … 1"),
    ("hue_distance", 0, "0.1 … 1"), ("decoy_speed", 2, "0.5 … 1.5"), ("what", True, "0 … 99, a whole number"),
]  # fmt: skip


@pytest.mark.parametrize("name, value, allowed", BAD)
def test_a_knob_out_of_range_is_told_with_what_is_allowed(name: str, value: float, allowed: str) -> None:
    with pytest.raises(UserError, match=f"invalid {name} of brush") as error:
        Brush(**{name: value})
    assert error.value.got == str(value) and error.value.allowed == (allowed,)
    assert error.value.hint == f"data.dataset.{name}={getattr(Knobs, name)}"
    Brush(**{name: getattr(Knobs, name)})


def test_a_drawing_of_another_version_is_told() -> None:
    with pytest.raises(UserError, match="only the current version") as error:
        Brush(version=module.VERSION + 1)
    assert error.value.allowed == (f"version {module.VERSION}",)


def test_lists_before_it_is_made_are_refused() -> None:
    with pytest.raises(UserError, match="not made yet"):
        Brush().lists(1)


def test_lists_and_sizes_are_known_before_it_is_made(made: Brush) -> None:
    planned = Brush(**vars(made.knobs))
    for split in (1, 2, 3):
        assert planned.planned_lists(split) == made.lists(split)
        extent, (train, test) = planned.extent(split), made.lists(split)
        assert extent is not None
        assert (extent.train, extent.test, extent.videos) == (len(train), len(test), len(made.videos()))
    films = [read(made.path(name)).shape for name, _ in made.videos()]
    assert extent.frames == sum(count for count, *_ in films)
    assert {(height, width) for _, height, width, _ in films} == {extent.size}
    assert planned.extent(4) is None
