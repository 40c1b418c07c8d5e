from pathlib import Path

import pytest

from fusionlab.data.kinetics import Kinetics
from fusionlab.errors import UserError

HEAD = "label,youtube_id,time_start,time_end,split"
TRAIN = ["riding a bike,-AbC_0_x123,0,10,train", '"cooking, on campfire",0123456789_,99,109,train']
TEST = ["riding a bike,zzzzzzzzzz1,1,11,val"]
BIKE, FIRE, TESTED = (
    "train/riding a bike/-AbC_0_x123_000000_000010.mp4",
    "train/cooking, on campfire/0123456789__000099_000109.mp4",
    "val/riding a bike/zzzzzzzzzz1_000001_000011.mp4",
)


def write(
    home: Path, train: list[str] | None = None, test: list[str] | None = None, *, head: str = HEAD, end: str = "\n",
    names: tuple[str, str] = ("train.csv", "val.csv"), bom: bool = False,
) -> Kinetics:  # fmt: skip
    home.mkdir(parents=True, exist_ok=True)
    for name, lines in zip(names, (TRAIN if train is None else train, TEST if test is None else test), strict=True):
        text = end.join([*([head] if head else []), *lines, ""])
        (home / name).write_bytes(b"\xef\xbb\xbf" * bom + text.encode())
    return Kinetics(home)


@pytest.mark.parametrize("test_list", ["val.csv", "validate.csv", "validation.csv"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_kinetics_own_lists(tmp_path: Path, test_list: str, end: str, bom: bool) -> None:
    data = write(tmp_path, end=end, names=("train.csv", test_list), bom=bom)
    assert data.classes == ["cooking, on campfire", "riding a bike"]
    assert data.lists(1) == ([(BIKE, 1), (FIRE, 0)], [(TESTED, 1)])
    assert data.videos() == sorted([(BIKE, 1), (FIRE, 0), (TESTED, 1)])
    assert [data.group(name) for name in (BIKE, FIRE, TESTED)] == ["-AbC_0_x123", "0123456789_", "zzzzzzzzzz1"]
    assert data.notes == []


def test_columns_stand_in_any_order_and_others_are_not_looked_at(tmp_path: Path) -> None:
    data = write(
        tmp_path, ["a1,7.0,17.0,surfing,0", "a2,7,17,archery,0"], ["b1,1,11,surfing,1"],
        head="youtube_id, time_start, time_end, Label, is_cc",
    )  # fmt: skip
    train, test = data.lists(1)
    assert train[0] == ("train/surfing/a1_000007_000017.mp4", 1)
    assert test == [("val/surfing/b1_000001_000011.mp4", 1)]


@pytest.mark.parametrize(
    "place",
    [
        BIKE, "train/riding_a_bike/-AbC_0_x123_000000_000010.mp4", "riding a bike/-AbC_0_x123_000000_000010.mp4",
        "riding_a_bike/-AbC_0_x123_000000_000010.mkv", "train/-AbC_0_x123_000000_000010.mp4",
        "-AbC_0_x123_000000_000010.webm",
    ],
)  # fmt: skip
def test_the_layouts_that_downloaders_leave(tmp_path: Path, place: str) -> None:
    data = write(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    assert data.path(BIKE) == tmp_path / place
    assert data.path(FIRE) == tmp_path / FIRE and not data.path(FIRE).exists()


@pytest.mark.parametrize("folder", ["val", "validate", "validation", "valid"])
def test_the_folder_of_the_test_list_has_several_names(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder / "riding a bike" / Path(TESTED).name
    place.parent.mkdir(parents=True)
    place.touch()
    assert write(tmp_path).path(TESTED) == place


def test_ids_that_differ_in_case_are_two_videos(tmp_path: Path) -> None:
    data = write(tmp_path)
    place = tmp_path / BIKE.replace("AbC", "aBC")
    place.parent.mkdir(parents=True)
    place.touch()
    assert data.path(BIKE) == tmp_path / BIKE


def test_two_clips_of_one_video_are_never_on_both_sides(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="groups are in both") as error:
        write(tmp_path, test=["riding a bike,-AbC_0_x123,50,60,val"]).lists(1)
    assert "1: -AbC_0_x123" in str(error.value)


def test_absent_videos_are_normal_and_can_be_left_out(tmp_path: Path) -> None:
    train = [*TRAIN, *(f"riding a bike,gone{number:02d},0,10,train" for number in range(30))]
    write(tmp_path / "kinetics", train)
    for name in (BIKE, FIRE, TESTED):
        (tmp_path / "kinetics" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kinetics" / name).touch()
    with pytest.raises(UserError, match="videos of this data set are missing") as error:
        Kinetics(classes=2).expect(tmp_path, split=1, packed=False)
    assert "30 of 33" in str(error.value) and "gone09" in str(error.value) and "gone10" not in str(error.value)
    file = tmp_path / "kinetics.absent.txt"
    assert str(file) in str(error.value)
    gone = [line.partition(" # ")[0] for line in file.read_text().splitlines()]
    assert len(gone) == 30 and gone[-1] == "train/riding a bike/gone29_000000_000010.mp4"
    Kinetics(classes=2).expect(tmp_path, split=1, packed=False, quarantine=gone)


@pytest.mark.parametrize(
    "train, test, told",
    [
        (["riding a bike,x,0,ten,train"], None, "train.csv:2: riding a bike,x,0,ten,train"),
        (["riding a bike,x,0"], None, "lines like `archery"),
        ([",x,0,10,train"], None, "lines like `archery"),
        (['riding a bike,"x,0,10,train'], None, "lines like `archery"),
        (["riding a bike,../../x,0,10,train"], None, "stay inside"),
        ([*TRAIN, TRAIN[0]], None, "twice"),
        (None, ["riding a bik,x,0,10,val"], "did you mean riding a bike ?"),
        ([], None, "this list is empty"),
        (None, [], "this list is empty"),
    ],
)
def test_bad_lists_are_told(tmp_path: Path, train: list[str] | None, test: list[str] | None, told: str) -> None:
    with pytest.raises(UserError) as error:
        write(tmp_path, train, test).lists(1)
    assert told in str(error.value)


def test_both_lists_are_told_at_once_and_each_time(tmp_path: Path) -> None:
    data = write(tmp_path, [*TRAIN, "x"], ["y"])
    for _ in range(2):
        with pytest.raises(UserError, match="lines like `archery") as error:
            data.lists(1)
        assert "2: train.csv:4: x, val.csv:2: y" in str(error.value)
    with pytest.raises(UserError, match="lines like `archery"):
        _ = data.classes


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lacks columns") as error:
        write(tmp_path, head="label,youtube_id,start,end").lists(1)
    assert "time_start, time_end" in str(error.value)


# --- a path and a label ---


@pytest.mark.parametrize(
    "train, test, names, classes",
    [
        (["a b/x.mp4 0", "y.mp4\t1"], ["z.mp4 1"], ("train.txt", "val.txt"), ["0", "1"]),
        (["a b/x.mp4,0", "y.mp4, 1"], ["z.mp4,1"], ("train.csv", "val.csv"), ["0", "1"]),
        (["a b/x.mp4,archery", "y.mp4,surfing"], ["z.mp4,surfing"], ("train.csv", "val.csv"), ["archery", "surfing"]),
    ],
)
def test_the_plain_format(
    tmp_path: Path, train: list[str], test: list[str], names: tuple[str, str], classes: list[str]
) -> None:
    data = write(tmp_path, train, test, head="", names=names)
    assert data.classes == classes
    assert data.lists(1) == ([("a b/x.mp4", 0), ("y.mp4", 1)], [("z.mp4", 1)])
    assert data.group("a b/x.mp4") == "a b/x.mp4"
    assert data.notes == ["3 videos are each their own group: their names have no YouTube id"]


def test_labels_are_numbers_and_not_their_texts(tmp_path: Path) -> None:
    """Of twelve classes, 10 comes behind 9."""
    lines = [f"v{number}.mp4 {number}" for number in (11, 3, 10, 0, 1, 2, 4, 9, 8, 7, 6, 5)]
    data = write(tmp_path, lines, ["t.mp4 10"], head="", names=("train.txt", "val.txt"))
    assert data.classes == [str(number) for number in range(12)]
    train, test = data.lists(1)
    assert all(name == f"v{label}.mp4" for name, label in train) and test == [("t.mp4", 10)]


def test_a_name_of_kinetics_is_known_in_the_plain_format_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="groups are in both"):
        write(tmp_path, ["x/abc_000000_000010.mp4 0"], ["y/abc_000020_000030.mp4 0"], head="").lists(1)


def test_numbers_are_named_by_a_list_of_classes(tmp_path: Path) -> None:
    lines = ["x.mp4 0", "y.mp4 2"], ["z.mp4 2"]
    with pytest.raises(UserError, match="are left out") as error:
        write(tmp_path, *lines, head="").lists(1)
    assert "1: 1" in str(error.value) and "classes.txt" in str(error.value)
    (tmp_path / "classes.txt").write_text("archery\nbowling\nriding a bike\n")
    data = write(tmp_path, *lines, head="")
    assert data.classes == ["archery", "bowling", "riding a bike"]
    assert data.lists(1) == ([("x.mp4", 0), ("y.mp4", 2)], [("z.mp4", 2)])
    (tmp_path / "classes.txt").write_text("archery\nbowling\n")
    with pytest.raises(UserError, match="an unknown class") as error:
        write(tmp_path, *lines, head="").lists(1)
    assert "train.csv:2" in str(error.value) and "val.csv:1" in str(error.value)


def test_absolute_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stay inside") as error:
        write(tmp_path, ["/data/x.mp4 0", "/data/y.mp4 1"], ["z.mp4 1"], head="").lists(1)
    assert "2: train.csv:1: /data/x.mp4, train.csv:2" in str(error.value) and "data set's folder" in str(error.value)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lists of this data set are missing") as error:
        Kinetics(classes=400).expect(tmp_path, split=1, packed=False)
    assert "kinetics/train.csv" in str(error.value) and "kinetics/val.csv" in str(error.value)
    write(tmp_path / "kinetics" / "annotations")
    Kinetics(classes=2).expect(tmp_path, split=1, packed=True)
    with pytest.raises(UserError, match="not the number of classes") as error:
        Kinetics(classes=400).expect(tmp_path, split=1, packed=True)
    assert "data.dataset.classes=2" in str(error.value)


def test_a_cell_of_millions_of_signs_is_a_wrong_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has lines like") as error:
        write(tmp_path, ['"' + "x" * 10**6 + '",abc,0,10,train'], []).lists(1)
    assert len(str(error.value)) < 3000
