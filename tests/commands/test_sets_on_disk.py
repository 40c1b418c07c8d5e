"""Each data set of files that lie on a disk, tiny and real, through the command that packs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from terminal import Done

from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig
from fusionlab.jobs.job_data import open_data
from fusionlab.video import encode

Say = Callable[..., Done]
PACKED = ["data.store.size=32", "data.store.flow.finest_scale=0", "run.data=mine", "run.workers=1"]
SETS: dict[str, tuple[dict[str, str], list[str]]] = {
    "ucf101": (
        {
            "classInd.txt": "1 Archery\r\n2 HandstandPushups\r\n",
            "trainlist01.txt": "Archery/v_Archery_g08_c01.avi 1\r\n"
                               "HandstandPushups/v_HandstandPushups_g08_c01.avi 2\r\n",
            "testlist01.txt": "HandstandPushups/v_HandstandPushups_g01_c01.avi\r\n",
        },
        [
            "UCF-101/Archery/v_Archery_g08_c01.avi", "UCF-101/HandstandPushups/v_HandStandPushups_g08_c01.avi",
            "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi",
        ],
    ),
    "hmdb51": (
        {
            **{f"hug_test_split{n}.txt": "-_FREE_[#1]&;@(2)~!_hug_u_cm_np2_ba_goo_10.avi 1 \n#9_hug_u_0.avi 2 \n"
               for n in (1, 2, 3)},
            **{f"clap_test_split{n}.txt": "-_FREE_[#1]&;@(2)~!_clap_u_cm_np2_ba_goo_1.avi 1 \nx_clap_u_0.avi 0 \n"
               for n in (1, 2, 3)},
        },
        [
            "hmdb51_org/hug/-_FREE_[#1]&;@(2)~!_hug_u_cm_np2_ba_goo_10.avi", "hmdb51_org/hug/#9_hug_u_0.avi",
            "hmdb51_org/clap/-_FREE_[#1]&;@(2)~!_clap_u_cm_np2_ba_goo_1.avi", "hmdb51_org/clap/x_clap_u_0.avi",
        ],
    ),
    "kinetics": (
        {
            "train.csv": "label,youtube_id,time_start,time_end,split\n"
                         "riding a bike,-a_1,0,10,train\narchery,b,3,13,train\n",
            "val.csv": "label,youtube_id,time_start,time_end,split\narchery,c,0,10,validate\n",
        },
        ["train/riding_a_bike/-a_1_000000_000010.mp4", "train/archery/b_000003_000013.mkv", "val/c_000000_000010.mp4"],
    ),
    "something": (
        {
            "labels.json": json.dumps({"Moving something left": "0", "Holding something": "1"}),
            "train.json": json.dumps([{"id": "1", "template": "Moving [something] left"},
                                      {"id": "2", "template": "Holding [something]"}]),
            "validation.json": json.dumps([{"id": "3", "template": "Holding [something]"}]),
        },
        ["1.webm", "2.webm", "3.webm"],
    ),
    "folder": ({}, [f"{name}/clip {n}.mp4" for name in ("run", "walk") for n in range(4)]),
}  # fmt: skip
TOLD = {
    "ucf101": "data: 2 files are spelled in another way: HandstandPushups/v_HandstandPushups_g01_c01.avi is",
    "hmdb51": "data: 1 sources appear in more than one class, where they are other groups: -_FREE_[#1]&;@(2)~!",
    "kinetics": "data: ",
    "something": "data: 1 labels say left or right",
    "folder": "data: nothing says what is for testing",
}


def make(home: Path, name: str) -> None:
    """The files of a set; each video is a drifting texture of its own."""
    lists, videos = SETS[name]
    for file, text in lists.items():
        home.mkdir(parents=True, exist_ok=True)
        (home / file).write_bytes(text.encode())
    for number, video in enumerate(videos):
        texture = np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8)
        frames = np.stack([np.kron(texture[:8, t : t + 10], np.ones((4, 4, 1), np.uint8)) for t in range(6)])
        encode.write(home / "made.avi", frames)
        (home / video).parent.mkdir(parents=True, exist_ok=True)
        (home / "made.avi").rename(home / video)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_packed_and_its_notes_are_said_once(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make(tmp_path / "mine" / "videos" / name, name)
    words = [f"data={name}", "data.dataset.classes=2", *PACKED]
    done = say("prepare", *words)
    assert done.status == 0, done.err
    count = len(SETS[name][1])
    assert f"{count} videos in " in done.out
    assert (TOLD[name] in done.out) == (name != "kinetics"), done.out
    again = say("prepare", *words)
    assert again.status == 0 and "data: " not in again.out

    monkeypatch.chdir(tmp_path)
    config = tree({"data": name}).with_leaves(
        {"data.dataset.classes": 2, "data.store.size": 32, "data.store.flow.finest_scale": 0, "run.data": "mine"}
    )
    data = open_data(ArmConfig.of(config).data, RunConfig.of(config), lambda line: pytest.fail(f"made again: {line}"))
    train, test = data.dataset.lists(1)
    for video, label in (*train, *test):
        assert data.store.video(video).label == label
        assert data.store.frames(video, [0, 5]).shape == (2, 32, 40, 3)


def test_a_name_that_leads_out_is_refused_before_anything_is_read(say: Say, tmp_path: Path) -> None:
    home = tmp_path / "mine" / "videos" / "hmdb51"
    make(home, "hmdb51")
    with (home / "hug_test_split1.txt").open("a") as file:
        file.write("../../away_hug_0.avi 1\n/away_hug_1.avi 1\n")
    done = say("prepare", "data=hmdb51", "data.dataset.classes=2", *PACKED)
    assert (done.status, done.out) == (2, "")
    assert "stay inside" in done.err and "hug_test_split1.txt:3" in done.err
    assert not (tmp_path / "mine" / "stores").exists()


def test_an_edited_list_of_a_whole_set_is_refused(say: Say, tmp_path: Path) -> None:
    """101 classes are UCF101, and 9,537 videos are its first list."""
    home = tmp_path / "mine" / "videos" / "ucf101"
    names = [f"Class{number:03d}" for number in range(101)]
    home.mkdir(parents=True)
    (home / "classInd.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names, 1)))
    for which, group in (("train", 2), ("test", 1)):
        (home / f"{which}list01.txt").write_text("".join(f"{n}/v_{n}_g{group:02d}_c01.avi\n" for n in names))
    done = say("prepare", "data=ucf101", *PACKED)
    assert done.status == 2 and "101 and 101 videos" in done.err and "9537 and 3783" in done.err
    done = say("prepare", "data=ucf101", "data.dataset.counts=false", *PACKED)
    assert done.status == 2 and "are missing" in done.err and "202 of 202" in done.err
