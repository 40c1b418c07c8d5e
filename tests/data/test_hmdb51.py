import os
from collections import Counter
from pathlib import Path

import pytest

from fusionlab.data.hmdb51 import HMDB51, group_of
from fusionlab.errors import UserError

SPLITS = os.environ.get("FUSIONLAB_SPLITS")
official = pytest.mark.skipif(not SPLITS, reason="FUSIONLAB_SPLITS does not name a folder of official lists")

# Names as HMDB51 has them: signs that shells know, a dash in front, the class in the source, several underscores.
ODD = [
    "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi",
    "(HQ)_Rugby_[1]_clap_u_nm_np1_fr_goo_0.avi",
    "-_FREE_HUGS_-_Abrazos_clap_u_cm_np2_ba_goo_10.avi",
    "best_clap_attack_ever!_clap_h_nm_np1_fr_goo_0.avi",
    "A&B+C;D@E~_clap_h_nm_np1_fr_goo_0.avi",
    "__Kill_Bill__clap_u_cm_np10_fr_med_1.avi",
]
CODES = {
    "clap": {**dict.fromkeys(ODD, 1), "boom_snap_clap_(challenge)_clap_u_nm_np1_fr_med_1.avi": 2, "A_clap_u_0.avi": 0},
    "brush_hair": {"A_brush_hair_u_nm_np1_ba_goo_0.avi": 1, "B_brush_hair_u_nm_np1_ba_goo_0.avi": 2},
}
UNUSED = "clap/A_clap_u_0.avi"


def write(home: Path, end: str = " \n", lists: str = "", **codes: dict[str, int]) -> HMDB51:
    """The three splits are alike but for an exchange of their codes."""
    (home / lists).mkdir(parents=True, exist_ok=True)
    for name, lines in {**CODES, **codes}.items():
        for split in (1, 2, 3):
            text = "".join(f"{video} {code}{end}" for video, code in lines.items())
            (home / lists / f"{name}_test_split{split}.txt").write_bytes(text.encode())
    return HMDB51(home, home / lists, classes=2)


def touch(home: Path, *below: str) -> None:
    for name, codes in CODES.items():
        folder = home.joinpath(*below) / name
        folder.mkdir(parents=True)
        for video in codes:
            (folder / video).touch()


@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", " \r\n", "\n\n"])
def test_the_three_codes(tmp_path: Path, end: str) -> None:
    data = write(tmp_path, end)
    train, test = data.lists(1)
    assert data.classes == ["brush_hair", "clap"] and data.class_count == 2
    assert train == [("brush_hair/A_brush_hair_u_nm_np1_ba_goo_0.avi", 0), *((f"clap/{name}", 1) for name in ODD)]
    assert [label for _, label in test] == [0, 1]
    assert data.unused(1) == [(UNUSED, 1)]
    assert data.videos() == sorted([*train, *test, (UNUSED, 1)]), "decoded once, whatever a split uses"


def test_odd_names_on_a_real_disk(tmp_path: Path) -> None:
    write(tmp_path / "hmdb51")
    touch(tmp_path / "hmdb51")
    data = HMDB51(classes=2)
    data.expect(tmp_path, split=1, packed=False)
    for name, _ in data.videos():
        assert data.path(name) == tmp_path / "hmdb51" / name and data.path(name).is_file()


@pytest.mark.parametrize(
    "videos, lists", [("", ""), ("hmdb51_org", "testTrainMulti_7030_splits"), ("hmdb51_org", ""), ("", "splits")]
)
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "class in class"])
def test_the_archives_as_they_were_unpacked(tmp_path: Path, videos: str, lists: str, nested: bool) -> None:
    write(tmp_path / "hmdb51", lists=lists)
    touch(tmp_path / "hmdb51", videos)
    if nested:  # `unrar x clap.rar clap/`
        for name in CODES:
            folder = tmp_path / "hmdb51" / videos / name
            folder.rename(tmp_path / "away")
            folder.mkdir()
            (tmp_path / "away").rename(folder / name)
    data = HMDB51(classes=2)
    data.expect(tmp_path, split=3, packed=False)
    assert all(data.path(name).is_file() for name, _ in data.videos())


@pytest.mark.parametrize(
    "name, group",
    [
        ("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "brush_hair/April_09"),
        ("pour/How_to_pour_beer_pour_u_nm_np1_fr_goo_0.avi", "pour/How_to_pour_beer"),
        ("pour/How_to_pour_beer__eh__pour_u_nm_np1_fr_goo_0.avi", "pour/How_to_pour_beer__eh_"),
        ("wave/prelinger_LetsBeGo1953_wave_u_cm_np10_ba_med_3.avi", "wave/prelinger_LetsBeGo1953"),
        ("sword/sword_fight_sword_f_cm_np2_ba_med_0.avi", "sword/sword_fight"),
    ],
)
def test_a_group_is_class_and_source(name: str, group: str) -> None:
    assert group_of(name) == group


def test_a_name_of_another_class_has_no_group() -> None:
    with pytest.raises(UserError, match="source_class_"):
        group_of("pour/April_09_brush_hair_u_nm_np1_ba_goo_0.avi")


def test_a_source_in_two_classes_is_a_note_and_in_both_lists_of_one_class_a_leak(tmp_path: Path) -> None:
    data = write(tmp_path)
    assert data.notes == ["1 sources appear in more than one class, where they are other groups: A"]
    assert write(tmp_path, clap={"C_clap_0.avi": 1, "D_clap_0.avi": 2}).notes == []
    with pytest.raises(UserError, match="groups are in both") as error:
        write(tmp_path, clap={"A_clap_u_nm_np1_ba_goo_0.avi": 1, "A_clap_u_nm_np1_ba_goo_1.avi": 2}).lists(1)
    assert "1: clap/A" in str(error.value)


@pytest.mark.parametrize(
    "clap, told",
    [
        ({"A_clap_0.avi": 3}, "clap_test_split1.txt:1: A_clap_0.avi 3"),
        ({"A_wave_0.avi": 1}, "not one of this list's class"),
        ({"../A_clap_0.avi": 1}, "stay inside"),
        ({"A_clap_0.avi": 1, "A_clap_0.avi ": 2}, "twice: clap_test_split1.txt:2"),
        ({}, "this list is empty"),
        ({"A_clap_0.avi": 0, "B_clap_0.avi": 2}, "no video in the training list"),
    ],
)
def test_bad_lists_are_told(tmp_path: Path, clap: dict[str, int], told: str) -> None:
    with pytest.raises(UserError) as error:
        write(tmp_path, clap=clap).lists(1)
    assert told in str(error.value).replace("\n  got:      1", "")


def test_lists_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lists of this data set are missing") as error:
        HMDB51(classes=51).expect(tmp_path, split=1, packed=True)
    assert "<class>_test_split1.txt" in str(error.value) and "hmdb51_org.rar" in str(error.value)
    write(tmp_path / "hmdb51")
    for name in CODES:
        (tmp_path / "hmdb51" / f"{name}_test_split2.txt").unlink()
    HMDB51(classes=2).expect(tmp_path, split=1, packed=True)
    with pytest.raises(UserError, match="lists of this data set are missing") as error:
        HMDB51(classes=2).expect(tmp_path, split=2, packed=True)
    assert "brush_hair_test_split2.txt" in str(error.value) and "clap_test_split2.txt" in str(error.value)
    with pytest.raises(UserError, match="no such split"):
        HMDB51(classes=2).expect(tmp_path, split=4, packed=True)
    with pytest.raises(UserError, match="not the number of classes"):
        HMDB51(classes=51).expect(tmp_path, split=1, packed=True)


def test_absent_videos_are_told_and_those_of_another_spelling_found(tmp_path: Path) -> None:
    write(tmp_path / "hmdb51")
    touch(tmp_path / "hmdb51")
    clap = tmp_path / "hmdb51" / "clap"
    (clap / ODD[0]).rename(clap / ODD[0].upper())
    (clap / ODD[2]).unlink()
    data = HMDB51(classes=2)
    with pytest.raises(UserError, match="videos of this data set are missing") as error:
        data.expect(tmp_path, split=1, packed=False)
    assert f"1 of {len(data.videos())}" in str(error.value) and f"clap/{ODD[2]}" in str(error.value)
    assert data.path(f"clap/{ODD[0]}") == clap / ODD[0].upper()


@official
def test_the_official_lists() -> None:
    assert SPLITS is not None
    data = HMDB51("videos", Path(SPLITS) / "hmdb51", classes=51)
    for split in (1, 2, 3):
        train, test = data.lists(split)
        assert (len(train), len(test), len(data.unused(split))) == (3570, 1530, 1666)
        assert Counter(label for _, label in train) == dict.fromkeys(range(51), 70)
        assert Counter(label for _, label in test) == dict.fromkeys(range(51), 30)
        for name, label in (*train, *test):
            assert name.startswith(f"{data.classes[label]}/")
        assert not {name for name, _ in train} & {name for name, _ in test}
        assert not {data.group(name) for name, _ in train} & {data.group(name) for name, _ in test}
    videos = data.videos()
    assert len(videos) == 6766 and len({name for name, _ in videos}) == 6766
    names = [name.partition("/")[2] for name, _ in videos]
    assert sum(bool(set(name) & set("#!+()&;@[]~")) for name in names) == 536
    assert sum(name.startswith("-") for name in names) == 13
    assert data.notes[0].startswith("271 sources appear in more than one class")


@official
def test_a_line_less_in_an_official_list_is_told(tmp_path: Path) -> None:
    assert SPLITS is not None
    for file in (Path(SPLITS) / "hmdb51").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    wave = tmp_path / "wave_test_split2.txt"
    lines = wave.read_text().splitlines(keepends=True)
    wave.write_text("".join(line for line in lines if line != next(one for one in lines if one.strip().endswith("2"))))
    data = HMDB51("videos", tmp_path, classes=51)
    assert len(data.lists(1)[0]) == 3570
    with pytest.raises(UserError, match="split 2 are not the official ones") as error:
        data.lists(2)
    assert "3570 and 1529" in str(error.value) and "3570 and 1530" in str(error.value)


@official
def test_a_video_that_no_split_uses_counts_too(tmp_path: Path) -> None:
    """Without it the lists have their length, and the set has a video less."""
    assert SPLITS is not None
    files = {file.name: file.read_text() for file in (Path(SPLITS) / "hmdb51").iterdir()}
    whole = HMDB51("videos", Path(SPLITS) / "hmdb51", classes=51)
    unused = set.intersection(*({name for name, _ in whole.unused(split)} for split in (1, 2, 3)))
    video = sorted(unused)[0].partition("/")[2]
    for name, text in files.items():
        (tmp_path / name).write_text("".join(one for one in text.splitlines(True) if not one.startswith(video)))
    with pytest.raises(UserError, match="all splits together are not the official ones") as error:
        HMDB51("videos", tmp_path, classes=51).videos()
    assert "6765" in str(error.value) and "6766" in str(error.value)
