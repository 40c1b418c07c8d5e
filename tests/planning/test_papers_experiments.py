"""The experiments of the successors: what each plans, and which of the paper's figures stand beside its arms."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from terminal import FAST, Lab

from fusionlab.config.build import Blueprint
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.data.views import training_view
from fusionlab.planning.grid import plan_study
from fusionlab.results.load import Entry, load
from fusionlab.results.rows import make_rows
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.study.plan import Plan

CONF = Path(__file__).parents[2] / "conf"
SLOW = pytest.mark.slow
# experiment -> its arms: streams alone, late fusion, controls, fused
ARMS = {
    "i3d": {"stream": 6, "late": 3},
    "i3d_two_stream": {"stream": 6, "late": 3},
    "i3d_pretraining": {"stream": 4, "late": 2},
    "i3d_transfer": {"stream": 12, "late": 6},
    "s3d": {"stream": 7},  # six towers, and the one of the other stream
    "r2plus1d_table2": {"stream": 26},  # twelve towers with 8 and with 16 frames, and the one of the other stream
    "r2plus1d_kinetics": {"stream": 2, "late": 1},
    "r2plus1d_transfer": {"stream": 12, "late": 6},
    "tsn": {"stream": 12, "late": 6},
    "tsn_resnet": {"stream": 12, "late": 6},
    "fused3d": {"stream": 6, "late": 3, "control": 3, "fused": 3},
}


OWN = {
    "i3d": "i3d_table2", "i3d_two_stream": "i3d_table2", "i3d_pretraining": "i3d_table3", "i3d_transfer": "i3d_table5",
    "tsn_resnet": "i3d_table5", "fused3d": "i3d_table2",
}  # fmt: skip
# Of each family one is planned among the fast tests.
MANY = ("i3d", "i3d_two_stream", "i3d_transfer", "r2plus1d_table2", "r2plus1d_transfer", "tsn", "tsn_resnet", "fused3d")


@functools.cache
def planned(*words: str) -> Plan:
    """With a short table in place of the experiment's: composing a long one takes half of the time."""
    return plan_study([*words, "table=all"]).plan


def spec(table: str) -> Spec:
    return Spec.of(yaml.safe_load((CONF / "table" / f"{table}.yaml").read_text(encoding="utf-8")))


def printed(table: str, *words: str, figure: str = "accuracy") -> dict[str, str]:
    """The paper's figures beside the planned arms: (stream or late, and its axes) -> figure."""
    entries = [
        Entry(arm.name, arm.kind, "missing", None, None, arm.axes, {"config": arm.config})
        for arm in planned(*words).arms
    ]
    found = {}
    for row in make_rows(entries, spec(table)):
        if row.paper and figure in row.paper.figures:
            system = "both" if row.kind == "late" else str(row.axes["streams"])
            axes = [str(one) for axis, one in row.axes.items() if axis not in ("streams", "fusion", "layer")]
            found[" ".join([system, *axes])] = row.paper.figures[figure]
    return found


@pytest.mark.parametrize("experiment", [pytest.param(one, marks=SLOW if one in MANY else ()) for one in ARMS])
def test_an_experiment_plans_its_arms(experiment: str) -> None:
    assert Counter(arm.kind for arm in planned(f"experiment={experiment}").arms) == ARMS[experiment]


@pytest.mark.parametrize("experiment", [one for one in ARMS if one != "tsn"])  # its table is tsn_resnet's
def test_its_table_is_one_of_the_papers(experiment: str) -> None:
    defaults = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8"))["defaults"]
    (table,) = [one["override /table"] for one in defaults if "override /table" in one]
    assert table == OWN.get(experiment, experiment)
    assert spec(table).paper


@SLOW
def test_the_streams_of_i3d_are_trained_once_for_both_tables() -> None:
    one, two = (
        {arm.signature for arm in planned(f"experiment={name}").arms if arm.kind == "stream"}
        for name in ("i3d", "i3d_pretraining")
    )
    assert len(one & two) == 2, "those on Kinetics from ImageNet's weights"


@SLOW
def test_the_figures_beside_i3d() -> None:
    assert printed("i3d_table2", "experiment=i3d") == {
        "appearance i3d ucf101": "84.5", "motion i3d ucf101": "90.6", "both i3d ucf101": "93.4",
        "appearance i3d hmdb51": "49.8", "motion i3d hmdb51": "61.9", "both i3d hmdb51": "66.4",
        "appearance i3d kinetics": "71.1", "motion i3d kinetics": "63.4", "both i3d kinetics": "74.2",
    }  # fmt: skip
    assert printed("i3d_table1", "experiment=i3d", "data=kinetics", figure="parameters") == {"both i3d": "25M"}
    one = ("experiment=i3d", "data=hmdb51")
    assert printed("i3d_table2", *one)["both i3d"] == "66.4", "where data is no axis"
    assert not printed("i3d_table2", *one, "weights=null", "weights.head=keep"), "from scratch"
    assert not printed("i3d_table2", *one, "split=2")


@SLOW
def test_the_figures_beside_the_two_streams_of_frames() -> None:
    assert printed("i3d_table2", "experiment=i3d_two_stream") == {
        "appearance inception ucf101": "83.6", "motion inception ucf101": "85.6", "both inception ucf101": "91.2",
        "appearance inception hmdb51": "43.2", "motion inception hmdb51": "56.3", "both inception hmdb51": "58.3",
        "appearance inception kinetics": "62.2", "motion inception kinetics": "52.4", "both inception kinetics": "65.6",
    }  # fmt: skip
    assert printed("i3d_table1", "experiment=i3d_two_stream", "data=kinetics", figure="parameters") == {
        "both inception": "12M"
    }


def test_the_figures_with_and_without_imagenet() -> None:
    words = "experiment=i3d_pretraining"
    assert printed("i3d_table3", words) == {
        "appearance i3d None keep": "68.4", "motion i3d None keep": "61.5", "both i3d None keep": "71.6",
        "appearance i3d imagenet fresh": "71.1", "motion i3d imagenet fresh": "63.4",
        "both i3d imagenet fresh": "74.2",
    }  # fmt: skip
    assert printed("i3d_table3", words, figure="top5")["motion i3d None keep"] == "83.4"
    assert printed("r2plus1d_kinetics", words) == {
        "appearance i3d None keep": "67.5", "appearance i3d imagenet fresh": "72.1",
        "motion i3d imagenet fresh": "65.3", "both i3d imagenet fresh": "75.7",
    }  # fmt: skip


@SLOW
def test_the_figures_of_i3d_from_kinetics() -> None:
    from_imagenet, words = printed("i3d_table5", "experiment=i3d_transfer"), "experiment=i3d_transfer"
    assert len(from_imagenet) == 18, "beside each split"
    assert [from_imagenet[f"{which} i3d {data} 3"] for data in ("ucf101", "hmdb51") for which in SYSTEMS] == [
        "95.6", "96.7", "98.0", "74.8", "77.1", "80.7",
    ]  # fmt: skip
    alone = printed("i3d_table5", words, "weights.appearance=rgb_kinetics.pt", "weights.motion=flow_kinetics.pt")
    assert [alone[f"{which} i3d {data} 1"] for data in ("ucf101", "hmdb51") for which in SYSTEMS] == [
        "95.1", "96.5", "97.8", "74.3", "77.3", "80.9",
    ]  # fmt: skip
    assert printed("i3d_table4", words, figure="full") == {
        "both i3d ucf101 1": "98.0/97.6", "both i3d hmdb51 1": "81.2/81.3",
    }  # fmt: skip


SYSTEMS = ("appearance", "motion", "both")


def test_the_figures_beside_s3d() -> None:
    found = printed("s3d", "experiment=s3d")
    assert found == {"appearance i3d": "71.1", "appearance s3d": "72.2", "appearance s3d_g": "74.7"}


def test_the_towers_of_s3d_differ_in_their_kernels_alone() -> None:
    towers = [arm.config["tower"] for arm in planned("experiment=s3d").arms if arm.config["stream"] == "appearance"]
    names = ("kernels", "first", "last")
    assert len({tuple(tower[name] for name in names) for tower in towers}) == 6
    (same,) = {repr({name: one for name, one in tower.items() if name not in names}) for tower in towers}
    assert "'dropout': 0.5, 'padding': 'tensorflow'" in same


@SLOW
def test_the_figures_beside_residual_networks() -> None:
    found = printed("r2plus1d_table2", "experiment=r2plus1d_table2")
    assert len(found) == 24
    assert (found["appearance r2d 8"], found["appearance rmc3 16"]) == ("59.5", "65.0")
    assert (found["appearance r2plus1d 8"], found["appearance r2plus1d 16"]) == ("64.8", "68.0")
    deeper = ("experiment=r2plus1d_table2", "backbone.appearance.depth=34")
    assert not printed("r2plus1d_table2", *deeper), "the paper's have 18 layers"


def test_the_figures_beside_r2plus1d() -> None:
    found = printed("r2plus1d_kinetics", "experiment=r2plus1d_kinetics")
    assert list(found.values()) == ["72.0", "67.5", "73.9"]


@SLOW
def test_the_figures_beside_r2plus1d_from_other_data() -> None:
    words = "experiment=r2plus1d_kinetics"
    files = ("weights.appearance=r2plus1d_rgb_sports1m.pt", "weights.motion=r2plus1d_flow_sports1m.pt")
    assert list(printed("r2plus1d_kinetics", words, *files, "weights.head=fresh").values()) == ["74.3", "68.5", "75.4"]
    words = "experiment=r2plus1d_transfer"
    found = printed("r2plus1d_transfer", words)
    assert len(found) == 18
    assert [found[f"{which} r2plus1d hmdb51 2"] for which in SYSTEMS] == ["74.5", "76.4", "78.7"]
    found = printed("r2plus1d_transfer", words, *files)
    assert [found[f"{which} r2plus1d ucf101 2"] for which in SYSTEMS] == ["93.6", "93.3", "95.0"]


@SLOW
def test_the_figures_beside_segment_networks() -> None:
    found = printed("i3d_table5", "experiment=tsn")
    assert found == {f"both inception {data} {split}": figure
                     for data, figure in (("ucf101", "94.2"), ("hmdb51", "69.4")) for split in (1, 2, 3)}  # fmt: skip
    assert not printed("i3d_table5", "experiment=tsn_resnet"), "the paper's network is Inception"
    assert not printed("i3d_table5", "experiment=tsn", "consensus=scores")


@pytest.mark.parametrize(
    ("experiment", "parameters"),
    [  # features; with 1 more for each filter and channel of flow; and the classifier
        ("tsn", (5_599_904 + 1024 * 101 + 101, 5_599_904 + (10 - 3) * 64 * 49 + 1024 * 101 + 101)),
        pytest.param(
            "tsn_resnet",
            (23_508_032 + 2048 * 101 + 101, 23_508_032 + (10 - 3) * 64 * 49 + 2048 * 101 + 101),
            marks=SLOW,
        ),
    ],
)
def test_segment_networks_are_what_their_paper_says(experiment: str, parameters: tuple[int, int]) -> None:
    arms = planned(f"experiment={experiment}", "data=ucf101", "split=1").arms
    late = ArmConfig.of(next(arm.config for arm in arms if arm.kind == "late"))
    blueprint = Blueprint()
    towers = blueprint.towers(late.backbone, late.data)
    assert towers[0].classes == 101
    made: Any = blueprint.net(late)
    assert (made.weight, made.consensus) == (0.4, "logits") and made.weight * 1.5 == pytest.approx(1 - made.weight)
    assert tuple(sum(p.numel() for p in tower.parameters()) for tower in towers) == parameters
    for tower in towers:
        still = [getattr(part, "never_trains", False) for part in tower.modules() if "Norm" in type(part).__name__]
        assert still.count(False) == 1 and not still[0], "all batch norms but the first"
    for arm in arms:
        if arm.kind == "stream":
            how = StreamConfig.of(arm.config).data.sampling
            view = training_view(300, 256, 342, how.of_streams, 0, 0, 0)
            assert [int(centre - 2) * 3 // 295 for centre in view.centres] == [0, 1, 2], "one in each segment"
            assert how.views == 250 and how.of_streams.snippets == 3


@SLOW
def test_the_figures_and_parameters_of_3d_fused() -> None:
    found = printed("i3d_table2", "experiment=fused3d")
    assert [found[f"both conv3d_paper all inception {data}"] for data in ("ucf101", "hmdb51", "kinetics")] == [
        "89.3", "56.8", "67.2",
    ]  # fmt: skip
    assert printed("i3d_table1", "experiment=fused3d", "data=kinetics", figure="parameters") == {
        "both inception": "12M", "both conv3d_paper all inception": "39M",
    }  # fmt: skip
    (arm,) = (arm for arm in planned("experiment=fused3d", "data=kinetics").arms if arm.kind == "fused")
    config = ArmConfig.of(arm.config)
    size = Blueprint().describe(config).parameters
    appearance, motion = (5_599_904, 5_599_904 + (20 - 3) * 64 * 49)  # up to mixed_5c
    box, classifier = 3 * 3 * 3 * 2048 * 512 + 512, 512 * 400 + 400
    assert size == appearance + motion + box + classifier == 39_770_384
    norms = sum(p.numel() for tower in Blueprint().towers(config.backbone, config.data) for part in tower.modules()
                if "Norm" in type(part).__name__ for p in part.parameters())  # fmt: skip
    of_colour = size - norms - (20 - 3) * 64 * 49
    assert of_colour == 2 * 5_585_344 + box + classifier and f"{of_colour / 1e6:.2f}" == "39.69"
    whole: Any = Blueprint().net(config)  # with its own towers
    net = whole.top
    assert net.temporal.pool_text(5) == ("pool3d", "3×3×3/1, mean 5×5/1") and net.above["fc"].in_channels == 512
    Blueprint().expect_views(config, [(1, 224, 224), (25, 224, 224), (250, 224, 224)])


# --- one of each family, for real ---

BRUSH = (
    "data=brush", "flow=dis", "data.sampling.crop=48", "data.sampling.crops=square",
    "optim.streams.batch_size=32", FAST,
)  # fmt: skip
NARROW = ("backbone.appearance.width=0.125", "backbone.motion.width=0.125")
CLIPS = ("data.sampling.snippets=8", "data.sampling.stream_snippets=8")


@pytest.fixture
def lab(together: Path, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, together / "data")
    yield made
    made.close()


@SLOW
@pytest.mark.parametrize(
    "experiment, words, table, arms",
    [
        ("i3d", ("weights=null", "weights.head=keep", *NARROW, *CLIPS), "i3d_table2", 3),
        ("s3d", ("appearance=s3d_g", NARROW[0], *CLIPS), "s3d", 2),
        ("r2plus1d_table2", ("appearance=r2d,r2plus1d", NARROW[0], CLIPS[0], "data.store.size=null"),
         "r2plus1d_table2", 3),
        ("tsn", ("split=1", "weights=null", "weights.head=keep", "backbone.appearance.partial_bn=false",
                 "backbone.motion.partial_bn=false", *NARROW), "i3d_table5", 3),
        ("fused3d", ("weights=null", "weights.head=keep", "temporal.channels=24", "temporal.side=2",
                     "data.sampling.stride=2", *NARROW), "i3d_table2", 5),
    ],
)  # fmt: skip
def test_one_of_each_family_runs_on_brush(
    experiment: str, words: tuple[str, ...], table: str, arms: int, lab: Lab
) -> None:
    done = lab.run("sweep", f"experiment={experiment}", *BRUSH, *words)
    assert done.status == 0, done.err
    entries = load(lab.study)
    assert [entry.status for entry in entries if entry.kind != "tower"] == ["done"] * arms
    made = make_table(entries, spec(table))
    assert len([row for row in made.rows if row.kind != "tower"]) == arms
    assert any("no comparable row" in note for note in made.notes), "brush is not Kinetics"
