import csv
import os
from pathlib import Path

import pytest

from fusionlab.data.ucf101 import UCF101, group_of, read_classes, spelled
from fusionlab.errors import UserError
from fusionlab.video.decode import reader

SPLITS = os.environ.get("FUSIONLAB_SPLITS")
CLIPS = os.environ.get("FUSIONLAB_CLIPS")
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
        (["Archery/v_Archery_g08_c01.avi 2"], "trainlist01.txt:1: Archery/v_Archery_g08_c01.avi 2 (1 there)"),
        (["Archry/v_Archery_g08_c01.avi 1"], "did you mean Archery"),
        (TRAIN + TRAIN[:1], "twice"),
        ([""], "empty"),
        ([*TRAIN, "Archery/v_Archery_g01_c07.avi 1"], "groups are in both"),
        ([*TRAIN, "Archery/v_Archery_g01_c01.avi 1"], "videos are in both"),
        ([*TRAIN, "../Archery/v_Archery_g08_c01.avi 1"], "trainlist01.txt:3: ../Archery/v_Archery_g08_c01.avi"),
        ([*TRAIN, "/Archery/v_Archery_g08_c01.avi 1"], "stay inside"),
        (TRAIN[:1], "classes of the test list have no video in the training list"),
    ],
)
def test_bad_lists_are_told(tmp_path: Path, train: list[str], what: str) -> None:
    with pytest.raises(UserError) as error:
        write(tmp_path, train=train).lists(1)
    assert what in str(error.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    train = [*TRAIN, TRAIN[0], "Archry/v_Archery_g08_c05.avi 1", "Bowling/v_Bowling_g09_c02.avi 1"]
    with pytest.raises(UserError) as error:
        write(
            tmp_path, train=[*train, "Bowlin/v_Bowling_g10_c02.avi"], test=["Archery/../v_Archery_g01_c01.avi", "…"]
        ).lists(1)
    for told in (
        "a list names a class that is not in the class index: 4: trainlist01.txt:4", "trainlist01.txt:6",
        "testlist01.txt:2", "did you mean Archery ?",
        "disagrees with the class index: 1: trainlist01.txt:5", "twice: 1: trainlist01.txt:3",
        "and there are more errors in these lists",
    ):  # fmt: skip
        assert told in str(error.value), error.value


@pytest.mark.parametrize("index", [["1 Archery", "3 Bowling"], ["1 Archery", "2 Archery"], ["1 Archery", "1 Bowling"],
                                   ["Archery", "Bowling"], ["0 Archery", "1 Bowling"], [""]])  # fmt: skip
def test_a_class_index_counts_from_one_and_names_each_once(tmp_path: Path, index: list[str]) -> None:
    write(tmp_path)
    (tmp_path / "classInd.txt").write_text("\n".join(index))
    with pytest.raises(UserError):
        read_classes(tmp_path / "classInd.txt")


def test_names_that_climb_out_are_refused(tmp_path: Path) -> None:
    for name in ("../Archery/v_Archery_g01_c01.avi", "/Archery/v_Archery_g01_c01.avi"):
        with pytest.raises(UserError, match="stay inside"):
            write(tmp_path).path(name)


def test_absent_lists_and_splits_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="list not found"):
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
    with pytest.raises(UserError, match="not the number of classes") as error:
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
    with pytest.raises(UserError, match="lists of this data set are missing") as error:
        data.expect(tmp_path, split=1, packed=True)
    assert str(tmp_path / "ucf101" / "classInd.txt") in str(error.value)
    unpacked(tmp_path / "ucf101")
    (tmp_path / "ucf101" / TEST[1]).unlink()
    with pytest.raises(UserError, match="videos of this data set are missing") as error:
        UCF101().expect(tmp_path, split=1, packed=False)
    assert f"1 of 4 in {tmp_path / 'ucf101'}: {TEST[1]}" in str(error.value)
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


# --- two spellings ---

OTHER = "HandstandPushups/v_HandStandPushups_g01_c01.avi"
PLAIN = "HandstandPushups/v_HandstandPushups_g01_c01.avi"


@pytest.mark.parametrize("listed", [OTHER, PLAIN])
@pytest.mark.parametrize("on_disk", [OTHER, PLAIN])
def test_a_video_has_one_name_and_is_found_under_either_spelling(tmp_path: Path, listed: str, on_disk: str) -> None:
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 HandstandPushups\n")
    (tmp_path / "trainlist01.txt").write_text(f"{TRAIN[0]}\n{listed.replace('g01', 'g08')} 2\n")
    (tmp_path / "testlist01.txt").write_text(f"{listed}\n")
    for name in (TRAIN[0].split()[0], on_disk, on_disk.replace("g01", "g08")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    data = UCF101(tmp_path, classes=2)
    data.expect(tmp_path, split=1, packed=False)
    assert data.lists(1)[1] == [(PLAIN, 1)] and spelled(OTHER) == spelled(PLAIN) == PLAIN
    assert data.path(PLAIN) == tmp_path / on_disk
    pairs = [f"{one} is {one.replace('v_Handstand', 'v_HandStand')}" for one in (PLAIN, PLAIN.replace("g01", "g08"))]
    told = f"2 files are spelled in another way: {', '.join(pairs)}"
    assert data.notes == ([told] if on_disk == OTHER else [])


def test_only_the_class_in_a_name_is_spelled_anew() -> None:
    for name in ("Archery/v_Archery_g01_c01.avi", "Archery/v_Bowling_g01_c01.avi", "v_Archery_g01_c01.avi"):
        assert spelled(name) == name


def test_another_case_is_found_where_only_one_file_fits(tmp_path: Path) -> None:
    data = write(tmp_path)
    (tmp_path / "videos/bowling").mkdir(parents=True)
    (tmp_path / "videos/bowling/V_Bowling_g08_C02.AVI").touch()
    name = "Bowling/v_Bowling_g08_c02.avi"
    assert data.path(name) == tmp_path / "videos/bowling/V_Bowling_g08_C02.AVI"
    assert data.notes == [f"1 files are spelled in another way: {name} is bowling/V_Bowling_g08_C02.AVI"]
    (tmp_path / "videos/bowling/V_bowling_g08_C02.AVI").touch()
    assert write(tmp_path).path(name) == tmp_path / "videos" / name, "two fit, so none does"
    with pytest.raises(UserError, match="videos of this data set are missing") as error:
        write(tmp_path).expect(tmp_path, split=1, packed=False)
    assert name in str(error.value) and "4 of 4" in str(error.value)


def test_a_file_is_not_taken_for_another_video_of_the_lists(tmp_path: Path) -> None:
    train = [*TRAIN, "Archery/v_Archery_g08_C01.avi 1"]
    for name in ("Archery/v_Archery_g08_c01.avi", "Bowling/v_Bowling_g08_c02.avi", *TEST):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).touch()
    with pytest.raises(UserError, match="videos of this data set are missing") as error:
        write(tmp_path, train=train).expect(tmp_path, split=1, packed=False)
    assert "1 of 5" in str(error.value) and "g08_C01" in str(error.value)


# --- absent videos ---


def test_many_absent_videos_are_all_named_in_a_file_that_can_be_the_quarantine(tmp_path: Path) -> None:
    from fusionlab.config.quarantine_file import names

    train = [f"Archery/v_Archery_g08_c{clip:02d}.avi 1" for clip in range(1, 16)] + TRAIN[1:]
    unpacked(tmp_path / "ucf101")
    write(tmp_path / "ucf101", train=train)
    with pytest.raises(UserError) as error:
        UCF101(classes=2).expect(tmp_path, split=1, packed=False, quarantine={TEST[0]})
    absent = [f"Archery/v_Archery_g08_c{clip:02d}.avi" for clip in range(2, 16)]
    told, file = str(error.value), tmp_path / "ucf101.absent.txt"
    assert f"14 of 17 in {tmp_path / 'ucf101'}: " in told and f"data.quarantine='{file}'" in told
    assert ", ".join(absent[:10]) + " …" in told and absent[10] not in told
    assert names(str(file)) == sorted([*absent, TEST[0]])
    UCF101(classes=2).expect(tmp_path, split=1, packed=False, quarantine=names(str(file)))


def test_a_file_that_has_come_since_is_found(tmp_path: Path) -> None:
    unpacked(tmp_path / "ucf101")
    (tmp_path / "ucf101" / TEST[1]).unlink()
    data = UCF101()
    with pytest.raises(UserError, match="videos of this data set are missing"):
        data.expect(tmp_path, split=1, packed=False)
    (tmp_path / "ucf101" / TEST[1]).touch()
    assert data.path(TEST[1]).is_file()
    data.expect(tmp_path, split=1, packed=False)


def test_few_are_named_here_and_where_all_are_absent_nothing_is_written(tmp_path: Path) -> None:
    unpacked(tmp_path / "ucf101")
    for name in (TRAIN[0].split()[0], TEST[1]):
        (tmp_path / "ucf101" / name).unlink()
    with pytest.raises(UserError) as error:
        UCF101().expect(tmp_path, split=1, packed=False)
    assert "2 of 4" in str(error.value) and "data.quarantine=FILE" in str(error.value)
    write(tmp_path / "none" / "ucf101")
    with pytest.raises(UserError) as error:
        UCF101().expect(tmp_path / "none", split=1, packed=False)
    assert "4 of 4" in str(error.value) and "quarantine" not in str(error.value)
    assert not list(tmp_path.rglob("*.absent.txt"))


# --- the known counts ---


def many(folder: Path, train: int, test: int, classes: int = 101) -> UCF101:
    """Lists of any length with as many classes as UCF101."""
    names = [f"Class{number:03d}" for number in range(1, classes + 1)]

    def line(number: int, group: int) -> str:
        name = names[number % classes]
        return f"{name}/v_{name}_g{group:02d}_c{number // classes:03d}.avi"

    folder.mkdir(exist_ok=True)
    (folder / "classInd.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names, 1)))
    (folder / "trainlist01.txt").write_text("\n".join(line(number, 8) for number in range(train)))
    (folder / "testlist01.txt").write_text("\n".join(line(number, 1) for number in range(test)))
    return UCF101(folder, classes=classes)


def test_lists_that_were_cut_are_told_with_the_known_counts(tmp_path: Path) -> None:
    whole = many(tmp_path, 9537, 3783)
    assert [len(entries) for entries in whole.lists(1)] == [9537, 3783] and len(whole.videos()) == 13320
    for train, test in ((9536, 3783), (9537, 3782)):
        with pytest.raises(UserError, match="not the official ones") as error:
            many(tmp_path, train, test).lists(1)
        assert f"{train} and {test} videos" in str(error.value) and "9537 and 3783" in str(error.value)
        assert "data.dataset.counts=false" in str(error.value)
        meant = UCF101(tmp_path, classes=101, counts=False)
        assert [len(entries) for entries in meant.lists(1)] == [train, test]
    assert len(many(tmp_path, 1000, 100, classes=100).lists(1)[0]) == 1000, "some of the classes are another set"


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
def test_the_two_official_copies_are_the_same_set() -> None:
    assert SPLITS is not None
    lf, crlf = (UCF101("videos", Path(SPLITS) / one, classes=101) for one in ("ucf101_lf", "ucf101_crlf"))
    raw = [(Path(SPLITS) / one / "trainlist01.txt").read_text() for one in ("ucf101_lf", "ucf101_crlf")]
    assert [text.count("v_HandStandPushups_") for text in raw] == [0, 100], "they are spelled differently"
    for split in COUNTS:
        assert lf.lists(split) == crlf.lists(split)
    assert lf.videos() == crlf.videos()


@official
def test_a_line_less_in_an_official_list_is_told(tmp_path: Path) -> None:
    assert SPLITS is not None
    for file in (Path(SPLITS) / "ucf101_lf").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "testlist02.txt").write_text("".join((tmp_path / "testlist02.txt").read_text().splitlines(True)[1:]))
    cut = UCF101("videos", tmp_path, classes=101)
    assert len(cut.lists(1)[0]) == 9537
    with pytest.raises(UserError, match="the lists of split 2 are not the official ones"):
        cut.videos()


def flow_frames() -> dict[str, int]:
    assert SPLITS is not None
    with (Path(SPLITS) / "ucf101_flow_frame_counts.csv").open(newline="") as file:
        return {spelled(row["video"]): int(row["flow_frames"]) for row in csv.DictReader(file)}


@official
def test_all_videos_have_a_known_number_of_flow_fields() -> None:
    assert SPLITS is not None
    videos = UCF101("videos", Path(SPLITS) / "ucf101_lf", classes=101).videos()
    stems = {Path(name).stem.lower() for name, _ in videos}
    counts = flow_frames()
    assert len(counts) == 13320 and {name.lower() for name in counts} == stems
    assert min(counts.values()) > 10


@official
@pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")
@pytest.mark.parametrize("clip", ["v_SoccerJuggling_g23_c01", "v_SoccerJuggling_g24_c01"])
def test_the_known_numbers_are_those_of_decoded_frames(clip: str) -> None:
    assert CLIPS is not None
    (path,) = Path(CLIPS).rglob(f"{clip}.avi")
    assert sum(1 for _ in reader().frames(path)) - 1 == flow_frames()[clip]


@official
def test_the_size_that_is_known_before_any_file_is_that_of_the_real_lists() -> None:
    assert SPLITS is not None
    extent = UCF101(classes=101).extent(2)
    assert extent is not None and (extent.train, extent.test) == COUNTS[2]
    with (Path(SPLITS) / "ucf101_flow_frame_counts.csv").open() as file:
        fields = [int(row["flow_frames"]) for row in csv.DictReader(file)]
    assert extent.videos == len(fields) and extent.frames == sum(fields) + len(fields)


def test_no_size_is_known_of_a_set_that_is_not_the_official_one() -> None:
    assert UCF101(classes=7).extent(1) is None
    assert UCF101(classes=101, counts=False).extent(1) is None
    assert UCF101(classes=101).extent(4) is None
