import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from fusionlab.data.folder import Folder
from fusionlab.errors import UserError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_folders_of_both_lists(tmp_path: Path, test: str) -> None:
    touch(tmp_path, "train/walk/a.mp4", "train/run/b 1.AVI", "train/run/deep/c.webm", f"{test}/walk/a.mp4")
    touch(tmp_path, "train/run/notes.txt", "train/run/.d.mp4", "train/.cache/x.mp4", "train/run/.deep/y.mp4")
    data = Folder(tmp_path)
    assert data.classes == ["run", "walk"]
    assert data.lists(1) == (
        [("train/run/b 1.AVI", 0), ("train/run/deep/c.webm", 0), ("train/walk/a.mp4", 1)],
        [(f"{test}/walk/a.mp4", 1)],
    )
    assert all(data.path(name).is_file() for name, _ in data.videos()) and len(data.videos()) == 4
    assert "own group" in data.notes[0]
    with pytest.raises(UserError, match="no such split"):
        data.lists(2)


def test_lists_beside_the_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a 1.mp4", "run/b.mp4", "run/c.mp4")
    (tmp_path / "train.txt").write_bytes(b"run/b.mp4\r\n./walk/a 1.mp4\r\n")
    (tmp_path / "test.txt").write_text("run/c.mp4\n")
    data = Folder(tmp_path)
    assert data.lists(1) == ([("run/b.mp4", 0), ("walk/a 1.mp4", 1)], [("run/c.mp4", 0)])
    (tmp_path / "test.txt").write_text("rum/c.mp4\n../c.mp4\nrun/../../c.mp4\n")
    with pytest.raises(UserError) as error:
        Folder(tmp_path).lists(1)
    assert "2: test.txt:1: rum/c.mp4" in str(error.value) and "did you mean run ?" in str(error.value)
    assert "stay inside its folder: 1: test.txt:3" in str(error.value)
    (tmp_path / "test.txt").write_text("run/d.mp4\nrun/b.mp4.mp4\n")
    with pytest.raises(UserError, match="videos of this data set are missing") as error:
        Folder(tmp_path, name=tmp_path.name).expect(tmp_path.parent, split=1, packed=False)
    assert "2 of 4" in str(error.value) and "run/b.mp4.mp4, run/d.mp4" in str(error.value)


def persons(root: Path) -> None:
    touch(root, *(f"{name}/p{person:02d}_{clip}.mp4" for name in ("run", "walk") for person in range(10)
                  for clip in range(3)))  # fmt: skip


def test_else_a_part_is_cut_off_by_group_the_same_each_time(tmp_path: Path) -> None:
    persons(tmp_path)
    data = Folder(tmp_path, group=r"p\d+", test=0.3)
    train, test = data.lists(1)
    assert sorted(train + test) == data.videos() and len(data.videos()) == 60
    assert Counter(label for _, label in test) == {0: 9, 1: 9}, "three persons of ten"
    assert not {name.split("_")[0].split("/")[1] for name, _ in train} & {
        name.split("_")[0].split("/")[1] for name, _ in test
    }, "a person is of all classes"
    assert Folder(tmp_path, group=r"p\d+", test=0.3).lists(1) == (train, test)
    assert data.lists(2) != (train, test) and data.videos() == sorted(train + test)
    assert [note for note in data.notes if "cut off" in note] and not [note for note in data.notes if "own" in note]


@pytest.mark.parametrize(
    "group, name",
    [
        (None, "run/p01_2.mp4"), (r"p\d+", "p01"), (r"(.+)_\d+$", "run/p01"), (r"p(\d+)", "01"),
        (r"(\w+)/p(\d+)", "run/01"),
    ],
)  # fmt: skip
def test_a_group_is_what_the_expression_finds(tmp_path: Path, group: str | None, name: str) -> None:
    touch(tmp_path, "run/p01_2.mp4")
    assert Folder(tmp_path, group=group).group("run/p01_2.mp4") == name
    touch(tmp_path, "train/run/p01_2.mp4", "test/run/p01_3.mp4")
    assert group is None or Folder(tmp_path, group=group).group("train/run/p01_2.mp4") == name


def test_a_group_in_both_folders_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "train/run/p01_2.mp4", "train/walk/p02_2.mp4", "test/run/p01_3.mp4", "test/walk/p03_1.mp4")
    with pytest.raises(UserError, match="groups are in both") as error:
        Folder(tmp_path, group=r"p\d+").lists(1)
    assert "1: p01" in str(error.value)
    assert len(Folder(tmp_path).lists(1)[1]) == 2


@pytest.mark.parametrize(
    "names, knobs, told",
    [
        (["run/a.mp4"], {}, "two class folders or more"),
        (["run/a.mp4", "walk/a.txt"], {}, "hold no video to learn from"),
        (["run/a.mp4", "walk/a.mp4"], {}, "needs two groups or more"),
        (["run/a.mp4", "run/b.mp4", "walk/a.mp4", "walk/b.mp4"], {"group": r"p\d+"}, "has no group in it"),
        (["run/a.mp4", "run/b.mp4", "walk/a.mp4", "walk/b.mp4"], {"group": "x?"}, "has no group in it"),
        (["train/run/a.mp4", "train/walk/a.mp4", "test/hop/a.mp4"], {}, "hold no video to learn from"),
        (["train/run/a.mp4", "train/walk/a.mp4", "test/hop/a.txt"], {}, "hold no video to learn from"),
        (["train/run/a.mp4", "train/walk/a.mp4", "test/run/a.txt"], {}, "the test list of this data set is empty"),
    ],
)
def test_bad_folders_are_told(tmp_path: Path, names: list[str], knobs: dict[str, str], told: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UserError) as error:
        Folder(tmp_path, group=knobs.get("group")).lists(1)
    assert told in str(error.value)


@pytest.mark.skipif(sys.platform == "darwin", reason="its disks take UTF-8 only")
def test_names_that_no_list_can_hold_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "run/a.mp4", "walk/b.mp4", "walk/c\n.mp4")
    Path(os.fsdecode(bytes(tmp_path / "run") + b"/caf\xe9.mp4")).touch()
    with pytest.raises(UserError, match="one line of text in UTF-8") as error:
        Folder(tmp_path).lists(1)
    assert r"2: 'run/caf\udce9.mp4', 'walk/c\n.mp4'" in str(error.value)
    str(error.value).encode("utf-8")


@pytest.mark.parametrize(
    "knobs", [{"test": 0.5}, {"test": 0.0}, {"group": "("}, {"group": 3}, {"classes": 1}, {"classes": "many"}]
)
def test_knobs_that_mean_nothing_are_refused(knobs: dict[str, float | str]) -> None:
    with pytest.raises(UserError, match=next(iter(knobs)) if "classes" in knobs else "part|expression"):
        Folder(**knobs)  # type: ignore[arg-type]


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="class folders of this data set are missing") as error:
        Folder(classes=2).expect(tmp_path, split=1, packed=False)
    assert str(tmp_path / "folder") in str(error.value) and "train/<class>/<video>" in str(error.value)
    with pytest.raises(UserError, match="number of classes is unknown") as error:
        _ = Folder().class_count
    assert "data.dataset.classes=7" in str(error.value)
    persons(tmp_path / "folder")
    Folder(classes=2).expect(tmp_path, split=1, packed=False)
    with pytest.raises(UserError, match="not the number of classes"):
        Folder(classes=3).expect(tmp_path, split=1, packed=False)
