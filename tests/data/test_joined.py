import os
from collections import Counter
from pathlib import Path

import pytest
import yaml

from fusionlab.data.brush.brush import Brush
from fusionlab.data.hmdb51 import HMDB51
from fusionlab.data.joined import Joined
from fusionlab.data.ucf101 import UCF101
from fusionlab.errors import UserError

SPLITS = os.environ.get("FUSIONLAB_SPLITS")
OWN = yaml.safe_load((Path(__file__).parents[2] / "conf" / "data" / "hmdb51_ucf101.yaml").read_text())["dataset"]


def write(folder: Path, *classes: str) -> UCF101:
    """A set of a training and a test video for each class."""
    folder.mkdir(parents=True)
    (folder / "classInd.txt").write_text("".join(f"{place} {name}\n" for place, name in enumerate(classes, 1)))
    for which, group in (("train", 8), ("test", 1)):
        names = [f"{name}/v_{name}_g{group:02d}_c01.avi\n" for name in classes]
        (folder / f"{which}list01.txt").write_text("".join(names))
    for name in classes:
        for group in (1, 8):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / f"v_{name}_g{group:02d}_c01.avi").touch()
    return UCF101(folder)


@pytest.fixture
def joined(tmp_path: Path) -> Joined:
    main, other = write(tmp_path / "main", "Run", "Walk"), write(tmp_path / "other", "Bowl", "Walk", "Yawn")
    return Joined(main, other, leave_out=["Walk"])


def test_training_has_both_sets_and_testing_one(joined: Joined) -> None:
    train, test = joined.lists(1)
    assert joined.classes == ["Run", "Walk", "Bowl", "Yawn"] and joined.class_count == 4
    assert [joined.classes[label] for _, label in train] == ["Run", "Walk", "Bowl", "Yawn"]
    assert [name.partition("/")[0] for name, _ in train] == ["main", "main", "other", "other"]
    assert test == [("main/Run/v_Run_g01_c01.avi", 0), ("main/Walk/v_Walk_g01_c01.avi", 1)]
    assert set(train + test) < set(joined.videos()), "another split trains on the other videos"
    assert not any("Walk" in name for name, _ in joined.videos() if name.startswith("other/"))
    assert dict(zip(joined.classes, joined.kinds.values(), strict=True)) == dict.fromkeys(joined.classes, "action")


def test_files_and_groups_are_those_of_the_parts(joined: Joined, tmp_path: Path) -> None:
    for name, _ in joined.videos():
        part, _, own = name.partition("/")
        assert joined.path(name) == tmp_path / part / own and joined.path(name).is_file()
    assert joined.group("main/Run/v_Run_g08_c01.avi") == "main/Run/g08"
    joined.expect(tmp_path, split=1, packed=False)
    (tmp_path / "other" / "Yawn" / "v_Yawn_g01_c01.avi").unlink()
    with pytest.raises(UserError, match="videos of this data set are missing"):
        joined.expect(tmp_path, split=1, packed=False)
    joined.expect(tmp_path, split=1, packed=False, quarantine=["other/Yawn/v_Yawn_g01_c01.avi"])
    with pytest.raises(UserError, match="begins with its set"):
        joined.path("Run/v_Run_g08_c01.avi")


@pytest.mark.parametrize("out, what", [([], "classes of one name"), (["Walk", "Swim"], "does not have")])
def test_classes_that_do_not_fit(tmp_path: Path, out: list[str], what: str) -> None:
    made = Joined(write(tmp_path / "a", "Walk"), write(tmp_path / "b", "Bowl", "Walk"), leave_out=out)
    with pytest.raises(UserError, match=what):
        _ = made.classes


def test_the_parts_refuse_flow_and_sampling() -> None:
    made = Joined(Brush(vocabulary="brush2"), Brush(order=1))
    with pytest.raises(UserError, match="segments of the cycle"):
        made.expect_sampling(3, 6, (4, 4))

    class Colour:
        reads = "rgb"

    with pytest.raises(UserError, match="reads colour"):
        made.refuse_flow(Colour())
    assert made.ceilings("late") == Brush(vocabulary="brush2").ceilings("late")


@pytest.mark.skipif(not SPLITS, reason="FUSIONLAB_SPLITS does not name a folder of official lists")
def test_the_official_lists() -> None:
    """129 classes: the paper's 51 and 78. UCF101's list gives its training videos but those of 23 classes."""
    assert SPLITS is not None
    hmdb, ucf = HMDB51(Path(SPLITS) / "hmdb51", classes=51), UCF101(Path(SPLITS) / "ucf101_lf", classes=101)
    made = Joined(hmdb, ucf, OWN["leave_out"])
    assert len(OWN["leave_out"]) == 101 - 78 and made.class_count == len(made.classes) == 129
    train, test = made.lists(1)
    per_class = Counter(label for _, label in ucf.lists(1)[0])
    out = sum(per_class[ucf.classes.index(name)] for name in OWN["leave_out"])
    assert (len(train), len(test)) == (3570 + 9537 - out, 1530)
    assert {made.classes[label] for _, label in test} == set(hmdb.classes)
