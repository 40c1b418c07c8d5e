import os
from pathlib import Path

import pytest

from fusionlab.data.ucf101 import UCF101, group_of, read_classes, read_list
from fusionlab.errors import UserError

SPLITS = os.environ.get("FUSIONLAB_SPLITS")
official = pytest.mark.skipif(not SPLITS, reason="FUSIONLAB_SPLITS does not name a folder of official lists")
COUNTS = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}

CLASSES = ["Archery", "Bowling"]
TRAIN = ["Archery/v_Archery_g08_c01.avi 1", "Bowling/v_Bowling_g08_c02.avi 2"]
TEST = ["Archery/v_Archery_g01_c01.avi", "Bowling/v_Bowling_g01_c01.avi"]


def write(folder: Path, end: str = "\n", train: list[str] | None = None, test: list[str] | None = None) -> UCF101:
    folder.mkdir(parents=True, exist_ok=True)
    lists = {
        "classInd": ["1 Archery", "2 Bowling"],
        "trainlist01": train or TRAIN,
        "testlist01": test or TEST,
    }
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_bytes(end.join([*lines, ""]).encode())
    return UCF101(folder / "videos", folder)


def test_crlf_and_lf_read_alike(tmp_path: Path) -> None:
    lf, crlf = write(tmp_path / "lf"), write(tmp_path / "crlf", "\r\n")
    assert lf.classes == crlf.classes == CLASSES
    assert lf.lists(1) == crlf.lists(1)
    train, test = crlf.lists(1)
    assert train == [("Archery/v_Archery_g08_c01.avi", 0), ("Bowling/v_Bowling_g08_c02.avi", 1)]
    assert test == [("Archery/v_Archery_g01_c01.avi", 0), ("Bowling/v_Bowling_g01_c01.avi", 1)]
    assert crlf.videos() == sorted(train + test)
    assert crlf.path(train[0][0]) == tmp_path / "crlf" / "videos" / "Archery" / "v_Archery_g08_c01.avi"


def test_a_group_is_class_and_number() -> None:
    assert group_of("Archery/v_Archery_g08_c01.avi") == "Archery/g08"
    with pytest.raises(UserError, match="gXX"):
        group_of("Archery/archery.avi")


@pytest.mark.parametrize(
    "train, what",
    [
        (["Archery/v_Archery_g08_c01.avi 2"], "disagrees"),
        (["Archry/v_Archery_g08_c01.avi 1"], "is it Archery"),
        (TRAIN + TRAIN[:1], "twice"),
        ([""], "empty"),
        ([*TRAIN, "Archery/v_Archery_g01_c07.avi 1"], "groups are in both"),
    ],
)
def test_bad_lists_are_told(tmp_path: Path, train: list[str], what: str) -> None:
    with pytest.raises(UserError) as error:
        write(tmp_path, train=train).lists(1)
    assert what in str(error.value)


def test_names_that_climb_out_are_refused(tmp_path: Path) -> None:
    for name in ("../Archery/v_Archery_g01_c01.avi", "/Archery/v_Archery_g01_c01.avi"):
        with pytest.raises(UserError, match="stay inside"):
            write(tmp_path).path(name)


def test_absent_lists_and_splits_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such list"):
        UCF101(tmp_path).lists(1)
    with pytest.raises(UserError, match="no such split"):
        write(tmp_path).lists(4)


# --- known by its name, found below the folder of the data ---


def unpacked(home: Path, *, videos: str = "", lists: str = "") -> None:
    """The lists of `write`, and an empty file for each video, in the folders that the archives may bring along."""
    write(home / lists)
    for line in (*TRAIN, *TEST):
        place = home / videos / line.partition(" ")[0]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def test_how_many_classes_there_are_is_known_without_any_file() -> None:
    named = UCF101(name="ucf101", classes=101)
    assert named.class_count == 101
    with pytest.raises(AssertionError):
        named.lists(1)


def test_another_number_of_classes_is_told_when_the_index_is_read(tmp_path: Path) -> None:
    unpacked(tmp_path / "mine")
    right, wrong = UCF101(name="mine", classes=2), UCF101(name="mine", classes=101)
    right.expect(tmp_path, split=1, packed=False)
    assert right.classes == CLASSES and right.class_count == 2
    with pytest.raises(UserError, match="another number of classes") as error:
        wrong.expect(tmp_path, split=1, packed=True)
    assert "2 in" in str(error.value) and "101" in str(error.value)


@pytest.mark.parametrize(
    "videos, lists", [("", ""), ("UCF-101", "ucfTrainTestlist"), ("UCF-101", ""), ("", "ucfTrainTestlist")]
)
def test_the_archives_as_they_were_unpacked(tmp_path: Path, videos: str, lists: str) -> None:
    unpacked(tmp_path / "ucf101", videos=videos, lists=lists)
    data = UCF101()
    data.expect(tmp_path, split=1, packed=False)
    data.make(tmp_path)
    assert len(data.videos()) == 4
    assert all(data.path(name).is_file() for name, _ in data.videos())


def test_what_is_not_there_is_told_with_its_place(tmp_path: Path) -> None:
    data = UCF101()
    with pytest.raises(UserError, match="lists of this data set are not there") as error:
        data.expect(tmp_path, split=1, packed=True)
    assert str(tmp_path / "ucf101" / "classInd.txt") in str(error.value)
    unpacked(tmp_path / "ucf101")
    (tmp_path / "ucf101" / TEST[1]).unlink()
    with pytest.raises(UserError, match="videos of this data set are not there") as error:
        UCF101().expect(tmp_path, split=1, packed=False)
    assert f"1 of 4: {tmp_path / 'ucf101' / TEST[1]}" in str(error.value)
    UCF101().expect(tmp_path, split=1, packed=True)  # the packed store holds what is read
    with pytest.raises(UserError, match="lists") as error:
        UCF101().expect(tmp_path, split=2, packed=True)
    assert "trainlist02.txt" in str(error.value)
    with pytest.raises(UserError, match="no such split"):
        UCF101().expect(tmp_path, split=4, packed=True)


@pytest.mark.parametrize("name", ["", "a/b", "../ucf101", "/data/ucf101", ".hidden", ".."])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(UserError, match=r"a folder below run\.data"):
        UCF101(name=name)


@official
@pytest.mark.parametrize("spelling", ["ucf101_lf", "ucf101_crlf"])
def test_the_official_lists(spelling: str) -> None:
    assert SPLITS is not None
    folder = Path(SPLITS) / spelling
    data = UCF101(folder / "videos", folder)
    assert len(data.classes) == 101
    for split, counts in COUNTS.items():
        train, test = data.lists(split)
        assert (len(train), len(test)) == counts
        assert not {group_of(n) for n, _ in train} & {group_of(n) for n, _ in test}
    assert len(data.videos()) == 13320
    assert {len(data.classes)} == {len({label for _, label in data.videos()})}


@official
def test_the_two_official_copies_agree_but_for_one_spelling() -> None:
    assert SPLITS is not None
    both = []
    for spelling in ("ucf101_lf", "ucf101_crlf"):
        classes = read_classes(Path(SPLITS) / spelling / "classInd.txt")
        entries = read_list(Path(SPLITS) / spelling / "trainlist01.txt", classes)
        both.append([(name.replace("HandStand", "Handstand"), label) for name, label in entries])
    assert both[0] == both[1]
