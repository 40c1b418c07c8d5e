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
