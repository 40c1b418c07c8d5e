"""What is typed wrong: one clear message, exit code 2, no traceback, and nothing written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from terminal import Done

from fusionlab.errors import UserError

Say = Callable[..., Done]

# what is typed -> what must stand in the message: what, got, allowed, what to type
WRONG: list[tuple[str, list[str]]] = [
    ("fusoin=conv", ["unknown option", "fusoin", "fusion, grids, into, keep_motion", "did you mean fusion=conv ?"]),
    ("lr=0.1", ["unknown option", "optim.streams.lr=0.1 or optim.fusion.lr=0.1"]),
    ("optim.streams.lrr=1", ["unknown option", "optim.streams.epochs", "did you mean optim.streams.lr=1 ?"]),
    ("hydra.job.name=x", ["arms are named by their options", "run.folder=runs/my-study"]),
    ("+fusion=conv", ["set, not added", "try:      fusion=conv"]),
    ("conv", ["name=value", "fusion=conv,sum"]),
    ("--cfg", ["--cfg needs a value", "--cfg job"]),
    ("--cfg all", ["--cfg shows one config", "--cfg job"]),
    ("--config-name x", ["unknown flag", "try:      experiment=how"]),
    ("fusion=sun", ["unknown fusion", "got:      sun", "cat, compact, control, conv", "did you mean fusion=sum ?"]),
    ("fusion=conv,sun", ["unknown fusion", "did you mean fusion=sum ?"]),
    ("fusion=", ["unknown fusion", "bilinear, cat, compact, control, conv"]),
    ("fusion=[conv,sum]", ["fusion takes a name", "try:      fusion=conv,sum"]),
    ("fusion=conv,conv", ["twice", "fusion: conv"]),
    ("layer=glob(*)", ["glob() is for groups", "'fusion=glob(*)'"]),
    ("fusion=glob(z*)", ["matches no fusion", "bilinear, cat"]),
    ("seed=interval(0,5)", ["an axis needs values", "'seed=range(0,5)'"]),
    ("layer=relu9", ["unknown layer", "relu1, conv2", "did you mean layer=relu"]),
    ("layer=relu5,relu5", ["twice", "layer: relu5"]),
    ("layer=,", ["cannot be parsed"]),
    ("layer=[relu5]", ["layer is a name", "layer=relu5"]),
    ("data=bruhs", ["unknown data", "did you mean data=brush ?"]),
    ("data=ucf102", ["unknown data", "brush_still, folder, hmdb51", "did you mean data=ucf101 ?"]),
    ("backbone=vgg17", ["unknown backbone", "resnet50, rmc2", "vgg16, vgg_m", "did you mean backbone=vgg16 ?"]),
    ("appearance=vgg", ["unknown appearance", "vgg16, vgg_m", "did you mean appearance=vgg_m ?"]),
    ("motion=resnet34", ["unknown motion", "did you mean motion=resnet"]),
    ("backbone=[tiny,vgg_m]", ["backbone takes a name", "try:      backbone=tiny,vgg_m"]),
    ("backbone=tiny appearance=vgg_m motion=vgg16", ["backbone= has no effect: both streams are set"]),
    ("seed=1 seed.init=0 seed.data=0 seed.dropout=0", ["seed= has no effect: all three seeds", "leave seed=… out"]),
    ("backbone@backbone.third=tiny", ["no such place", "appearance=, backbone=, motion="]),
    ("backbone.width=16", ["unknown option", "backbone.appearance.width=16 or backbone.motion.width=16"]),
    ("width=16", ["unknown option", "backbone.appearance.width=16 or backbone.motion.width=16"]),
    ("motion.dropout=0", ["unknown option", "try:      backbone.motion.dropout=0"]),
    ("backbone=vgg_m", ["too small for this tower", "data.sampling.crop=48", "data.sampling.crop=59 or more"]),
    ("backbone=resnet18", ["unknown layer", "relu5", "layer1, layer2, layer3, layer4, fc, softmax"]),
    ("motion=resnet18", ["the motion tower has no layer relu5", "layer1, layer2", "(appearance:motion)"]),
    ("backbone=tiny,resnet18 layer=pool9", ["unknown layer", "pool9"]),
    ("data=ucf101 backbone=vgg_m layer=relu2:relu5", ["differ in size", "26×26 (stride 8)", "13×13 (stride 16)"]),
    ("layer=relu5:relu9", ["unknown layer", "relu9"]),
    ("layer=relu5+relu5", ["lie above the one before", "relu5"]),
    ("layer=relu5+fc8+softmax", ["fused once", "layer=softmax"]),
    ("fusion=bilinear layer=relu4+relu5", ["nothing can be fused above it", "layer=relu4"]),
    ("temporal=pool4d", ["unknown temporal", "conv3d, conv3d_paper, pool2d, pool3d", "did you mean temporal=pool"]),
    ("table=hwo", ["unknown table", "how, i3d_table1", "simonyan2014_table4, when, where", "did you mean table=how ?"]),
    ("experiment=demmo", ["unknown experiment", "did you mean experiment=demo ?"]),
    ("expriment=demo", ["unknown option", "did you mean experiment=demo ?"]),
    ("optim=adma", ["unknown optim", "did you mean optim=adam ?"]),
    ("debug=quick", ["unknown debug", "fast"]),
    ("logger=tensorbored", ["unknown logger", "did you mean logger=tensorboard"]),
    ("run.logger.name=x", ["unknown logger", "none, csv, tensorboard, wandb"]),
    ("streams=rgb", ["no such streams", "both, appearance, motion"]),
    ("above=nothing", ["unknown start of the layers above", "appearance, motion, fresh"]),
    ("above=motion layer=fc8", ["nothing stands above the fusion at fc8", "try:      above=appearance"]),
    ("above=fresh,motion fusion=bilinear", ["nothing stands above the fusion at relu5", "above=fresh"]),
    ("layer=relu5+softmax", ["always averaged behind the softmax", "layer=relu5 keep_motion=true"]),
    ("layer=relu5+fc8:softmax", ["of the same kind", "layer=fc8"]),
    ("layer=conv5+relu5 fusion=cat", ["72 channels arrive", "above=fresh"]),
    ("fusion=sum temporal=conv3d temporal.weight_a=0.5", ["takes a stack of both", "fusion=cat"]),
    ("temporal=pool3d temporal.stride=1", ["takes no steps", "temporal.extent=3 with it"]),
    ("fusion.init=sumAB", ["name for identity", "fusion.init=identity"]),
    ("fusion.init=1", ["unknown initialisation", "got:      1"]),
    ("backbone=resnet18 layer=layer3 temporal=pool3d_paper", ["the mean of all places", "temporal=pool3d or conv3d"]),
    ("backbone=resnet18 layer=layer3 backbone.appearance.partial_bn=true", ["none are loaded", "partial_bn=false"]),
    ("into=x", ["unknown tower that goes on above the fusion", "appearance, motion"]),
    ("into=motion layer=fc8", ["nothing stands above the fusion at fc8", "into=motion", "into=appearance"]),
    ("into=motion layer=fc8,softmax", ["nothing stands above", "into=motion"]),
    ("fusion=bilinear into=motion", ["nothing stands above the fusion at relu5"]),
    ("fusion=late into=motion", ["late fusion has both towers whole", "into=appearance"]),
    ("fusion=late keep_motion=true", ["late fusion has both towers whole", "keep_motion=false"]),
    ("fusion=late tower_weight=0.3", ["late fusion has both towers whole", "tower_weight=0.5"]),
    ("layer=fc8 keep_motion=true", ["no layers of a tower are above its class scores", "keep_motion=false"]),
    ("layer=relu5+fc8 keep_motion=true", ["at its class scores is kept", "keep_motion=false, or layer=relu5"]),
    ("keep_motion=1", ["keep_motion is true or false", "keep_motion=1"]),
    ("tower_weight=0.3", ["nothing to be weighed against", "keep_motion=true, or tower_weight=0.5"]),
    ("tower_weight=0.3,0.4", ["tower_weight has no effect", "keep_motion=true"]),
    ("tower_weight=1.5 keep_motion=true", ["tower_weight=1.5", "0 … 1"]),
    ("tower_weight=half keep_motion=true", ["tower_weight is a number", "tower_weight=0.5"]),
    ("weights=3", ["weights are a file's name", "null, imagenet, a file"]),
    ("weights.head=fresh", ["no weights are loaded", "weights=imagenet with it, or weights.head=keep"]),
    ("weights.head=new weights=a.pt", ["classifier of loaded weights", "keep, fresh"]),
    ("weights.tail=keep", ["unknown option", "weights.appearance, weights.motion, weights.head"]),
    ("weights=a.pt weights.appearance=b.pt weights.motion=c.pt", ["weights= has no effect: both streams"]),
    ("run.weights=null", ["run.weights is a name or a text", "run.weights=weights"]),
    ("data=ucf101 data.dataset.name=/data/ucf101", ["a folder below run.data", "run.data="]),
    ("data=ucf101 backbone=vgg_m data.dataset.counts=1", ["data.dataset.counts is true or false", "counts=1"]),
    ("data=folder backbone=vgg_m", ["unknown before the files are read", "data.dataset.classes=7"]),
    ("data=folder backbone=vgg_m data.dataset.classes=many", ["two classes or more", "data.dataset.classes=7"]),
    ("data=kinetics backbone=vgg_m data.dataset.classes=1", ["two classes or more", "data.dataset.classes=1"]),
    ("data=folder backbone=vgg_m data.dataset.test=0.7", ["below one half", "data.dataset.test=0.3"]),
    ("data=folder backbone=vgg_m data.dataset.group=7", ["invalid regular expression", "data.dataset.group='(.+)_"]),
    ("data=hmdb51 backbone=vgg_m data.dataset.group=x", ["unknown option", "data.dataset.counts"]),
    ("temporal=pool3d layer=fc7", ["pool3d needs a layer with a map", "layer=fc7", "temporal=pool2d"]),
    ("temporal=pool3d layer=fc6,fc7", ["needs a layer", "layer=fc6", "layer=relu5, or temporal=pool2d"]),
    ("temporal=pool3d layer=fc6 fusion=bilinear,conv", ["no cell of the grid can be", "(1 of 2)", "none", "a map"]),
    ("zip=[[fusion,layer]] fusion=conv,sum layer=relu3,relu4,relu5", ["equal numbers", "fusion has 2, layer has 3"]),
    ("zip=[[fusion,layr]] fusion=conv,sum layer=relu3,relu4", ["unknown axis in zip", "did you mean layer ?"]),
    ("zip=[fusion,layer] fusion=conv,sum layer=relu3,relu4", ["a list of lists", "zip=[[fusion,layer]]"]),
    ("zip=[[fusion,layer],[layer,seed]] fusion=conv,sum", ["twice", "layer"]),
    ("zip=[[fusion,layer]] fusion=conv,sum", ["unknown axis in zip", "layer"]),
    ("grids=[]", ["grids has no grid", "grids=[{fusion:[conv,sum]"]),
    ("grids=[{fusion:conv,run.folder:a},{fusion:sum}]", ["one for all parts", "run.folder:a", "run.folder=a beside"]),
    ("grids=[{experiment:how}]", ["one for all parts", "experiment=how beside"]),
    ("grids=[{seed:interval(0,1)}]", ["an axis needs values", "range(0,5)"]),
    ("exclude=[{seed.init:0}] seed=0,1", ["unknown axis in exclude", "seed.init", "did you mean seed ?"]),
    ("grids=[{fusion:[]}]", ["an axis has no values", "fusion="]),
    ("grids=[{fusion:[conv,sum]},{fusoin:max}]", ["unknown option", "fusoin", "did you mean fusion=max ?"]),
    ("grids=[{fusion:[conv,summ]}]", ["unknown fusion", "summ"]),
    ("fusion=conv grids=[{fusion:sum},{layer:relu3}]", ["both beside grids= and inside it", "fusion in one"]),
    ("exclude=[{fusion:sum},{fusion:conv}] fusion=sum,conv", ["removes every point"]),
    ("seed=range(0,100001)", ["more than 100,000 cells", "100,001 cells", "run.max_arms=100001"]),
    ("seed=range(0,5) run.max_arms=4", ["more than 4 cells", "run.max_arms=5"]),
    ("zip=[] seed=0,1", ["zip has no axes", "zip=[]"]),
    ("zip=[[fusion,layer]] fusion=conv,sum layer=relu4", ["this option has one value", "layer=…"]),
    ("data.sampling={snippets:2} data.sampling.crop=48", ["whole and in part", "data.sampling.crop inside"]),
    ("temporal=pool3d fusion=bilinear", ["bilinear fusion leaves none", "temporal=pool2d"]),
    ("fusion=cat layer=fc8", ["no layer above can take them", "fusion=conv"]),
    ("fusion.init=zero", ["unknown initialisation", "identity, 2sumAB", "gaussian"]),
    ("fusion=sum fusion.init=he", ["unknown option", "fusion.init"]),
    ("optim.streams.lr=fast", ["optim.streams.lr is a number", "got:      optim.streams.lr=fast"]),
    ("optim.streams.lr=0", ["optim.streams", "lr > 0"]),
    ("optim.streams.lr=null", ["optim.streams.lr is a number", "=null"]),
    ("optim.fusion.epochs=1.5", ["a whole number", "optim.fusion.epochs=1.5"]),
    ("optim.fusion.epochs=0", ["optim.fusion", "epochs ≥ 1"]),
    ("optim.fusion.batch_size=0", ["optim.fusion.batch_size=0", "1, 2, …"]),
    ("optim.fusion.betas=0.9", ["a list of 2 numbers", "optim.fusion.betas=[0.9,0.999]"]),
    ("optim.fusion.betas=[0.9,1.5]", ["betas", "between 0 and 1"]),
    ("optim.fusion.schedule.name=step", ["unknown schedule", "constant, cosine, plateau"]),
    ("optim.fusion=3", ["a group of options", "optim.fusion.lr"]),
    ("seed=one", ["seed is a whole number", "seed=0"]),
    ("seed=0.5", ["seed is a whole number"]),
    ("seed=-1", ["seed is a whole number from 0", "seed=0"]),
    ("seed=0,-1", ["seed is a whole number from 0"]),
    ("seed.init=-1", ["seed.init is a whole number from 0"]),
    ("seed.init=0,-1", ["seed.init is a whole number from 0"]),
    ("seed=range(-1,2)", ["seed is a whole number from 0"]),
    ("split=0", ["split is a whole number", "split=1"]),
    ("trainer.precision=16-mixed", ["precision", "trainer=bf16"]),
    ("trainer.precision=8", ["precision", "32-true, tf32, bf16-mixed"]),
    ("trainer.threads=0", ["trainer.threads", "1, 2, …"]),
    ("data.dataset.what=100", ["what", "0 … 99"]),
    ("data.dataset.what=0 data.dataset.binding=0", ["at least one kind", "data.dataset.what=18"]),
    ("data=brush_order data.sampling.stride=4", ["neighbouring segments", "T 3 with τ 14", "data.sampling.stride=14"]),
    ("data=brush_order data.sampling.fields=8", ["window of flow is longer", "data.dataset.pause=8"]),
    ("data.dataset.vocabulary=brush3", ["unknown vocabulary", "brush, brush2"]),
    ("data.sampling.apart=-1", ["apart", "0 … 999"]),
    ("flow=raft", ["reads colour", "flow=dis"]),
    ("data.dataset.frames=many", ["data.dataset.frames is a whole number"]),
    ("data.sampling.snippets=0", ["data.sampling.snippets"]),
    ("data.sampling.stride=[8,4]", ["data.sampling.stride=[4,8]"]),
    ("data.sampling.stride=[1,2,3]", ["data.sampling.stride=[2,6]"]),
    ("data.sampling.validation=0.7", ["below one half", "data.sampling.validation=0.1"]),
    ("data.sampling.crop=4", ["too small"]),
    ("data.sampling.crops=jiter", ["did you mean data.sampling.crops=jitter ?"]),
    ("data.sampling.test=frames", ["middle, frame, final, simonyan", "did you mean data.sampling.test=frame ?"]),
    ("data.sampling.stacking=trajectories", ["did you mean data.sampling.stacking=trajectory ?"]),
    ("data.sampling.stacking=bidirectional", ["backward flow", "data.store.backward=true with it"]),
    ("data.sampling.stacking=bidirectional data.sampling.fields=5", ["even number", "data.sampling.fields=6"]),
    ("data.sampling.subtract_mean=1", ["data.sampling.subtract_mean"]),
    ("data.store.bound=0", ["data.store.bound"]),
    ("data.store.size=small", ["data.store.size is a whole number"]),
    ("data.store.flow._target_=nowhere.Flow", ["cannot be built", "nowhere.Flow"]),
    ("backbone.motion.dropout=7", ["cannot be built", "dropout"]),
    ("fusion=conv fusion=sum", ["given twice", "fusion=a,b"]),
    ("layer=relu5 layer=relu4", ["given twice", "layer=a,b"]),
    ("exclude=[] exclude=[]", ["given twice"]),
    ("exclude=[{fusion:max}] fusion=conv,sum", ["matches no point", "fusion:max", "fusion=conv, fusion=sum"]),
    ("exclude=[{fusion:sun}] fusion=conv,sum", ["unknown fusion", "fusion=sum"]),
    ("exclude=[{fusoin:sum}] fusion=conv,sum", ["unknown axis in exclude", "fusion"]),
    ("exclude=[{fusion:sum}]", ["one point", "fusion=a,b"]),
    ("exclude=[fusion=sum] fusion=conv,sum", ["cannot be parsed", "'exclude=[{fusion:sum,layer:fc8}]'"]),
    ("exclude=3 fusion=conv,sum", ["a list of points", "'exclude=[{fusion:sum,layer:fc8}]'"]),
    ("exclude=[{fusion:conv},{fusion:sum}] fusion=conv,sum", ["removes every point"]),
    ("run.workers=0", ["run.workers", "auto, 1, 2, …", "run.workers=1"]),
    ("run.workers=two", ["run.workers"]),
    ("run.loaders=-1", ["run.loaders"]),
    ("run.loaders=some", ["run.loaders"]),
    ("run.retries=-1", ["run.retries", "0, 1, …"]),
    ("run.timeout=-1", ["run.timeout", "0, 1, …"]),
    ("run.memory=0", ["run.memory=0", "auto, a number above 0"]),
    ("run.memory=lots", ["run.memory=lots", "auto, a number above 0"]),
    ("run.checkpoint_every=-1", ["run.checkpoint_every", "30s, 5min, 1h", "run.checkpoint_every=5min"]),
    ("run.device=tpu", ["no such device", "auto, cpu, cuda"]),
    ("run.folder=3", ["run.folder=runs/3"]),
    ("run.root=null", ["run.root", "run.root=runs"]),
    ("run.grid=3", ["'run.grid={fusion:[conv,sum]}'"]),
    ("run.table.columns=[speed]", ["unknown column", "accuracy"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "parts"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_line_is_answered_and_nothing_is_written(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, parts: list[str]
) -> None:
    monkeypatch.setattr("fusionlab.planning.sweep_loop.run_study", lambda study: pytest.fail(f"begun: {study.folder}"))
    done = say("sweep", *line.split())
    assert (done.status, done.out) == (2, "")
    assert not [part for part in parts if part not in done.err], done.err
    what, *others = done.err.rstrip("\n").split("\n")
    assert what and not what.startswith(" ") and len(what) < 120
    assert "  got:      " in done.err
    assert "Traceback" not in done.err and "Error" not in what
    assert not [line for line in others if len(line) > 600], "a list that nobody reads"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("verb", "words", "parts"),
    [
        ("train", ["fusion=conv,sum"], ["train is for one arm", "python -m fusionlab.sweep"]),
        ("prepare", ["seed=0,1"], ["one store"]),
        ("prepare", ["data=ucf101"], ["lists of this data set are missing", "data/videos/ucf101", "run.data=…"]),
        ("signature", ["fusion=conv,sum"], ["several arms"]),
        ("signature", ["--why", "fusion=conv"], ["two sides"]),
        ("signature", ["--wy", "a", "b"], ["unknown flag", "--why"]),
        ("diff", ["one"], ["two runs"]),
        ("diff", ["no/a", "no/b"], ["no such file", "no/a"]),
        ("status", [], ["the folder of one study"]),
        ("status", ["nowhere"], ["no study in this folder", "nowhere"]),
        ("cancel", ["nowhere"], ["no study in this folder"]),
        ("test", [], ["a study's folder"]),
        ("test", ["nowhere"], ["no study in this folder"]),
        ("work", ["nowhere"], ["no study in this folder"]),
        ("work", ["nowhere", "--retries", "x"], ["--retries takes a whole number"]),
        ("report", [], ["report needs a folder"]),
        ("report", ["nowhere"], ["no such study folder", "nowhere"]),
        ("report", [".", "tabel=how"], ["does not know this option", "table=how"]),
        ("report", [".", "table=hwo"], ["unknown table", "did you mean table=how ?"]),
        ("report", ["."], ["no record"]),
        ("summary", ["fusion=sun"], ["unknown fusion"]),
    ],
)  # fmt: skip
def test_each_verb_says_what_it_takes(say: Say, tmp_path: Path, verb: str, words: list[str], parts: list[str]) -> None:
    done = say(verb, *words)
    assert (done.status, done.out) == (2, "")
    assert not [part for part in parts if part not in done.err], done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["weights=nowhere.pt"], ["no such weight file", "weights=nowhere.pt", "weights/nowhere.pt"]),
        (["weights.motion=nowhere.mat", "run.weights=mine"], ["no such weight file", "mine/nowhere.mat"]),
        (["weights=imagnet"], ["does not name a weight file", "did you mean weights=imagenet ?"]),
        (["weights=imagenet"], ["imagenet"]),  # there are none for this tower
        (
            ["data=ucf101", "backbone=vgg_m"],
            ["lists of this data set are missing", "data/videos/ucf101/classInd.txt", "RecognitionTask.zip"],
        ),
        (["data=ucf101", "backbone=vgg_m", "split=4"], ["no such split", "1, 2, 3"]),
        (["data=hmdb51", "backbone=vgg_m"], ["lists of this data set", "<class>_test_split1.txt", "hmdb51_org.rar"]),
        (["data=kinetics", "backbone=vgg_m"], ["lists of this data set", "kinetics/train.csv", "kinetics/val.csv"]),
        (["data=something", "backbone=vgg_m"], ["lists of this data set", "labels.json", "validation.json"]),
        (
            ["data=folder", "data.dataset.classes=7", "backbone=vgg_m"],
            ["class folders of this data set are missing", "data/videos/folder", "train/<class>/<video>"],
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["sweep", "train"])
def test_a_file_that_is_not_there_is_said_before_anything_starts(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, words: list[str], parts: list[str]
) -> None:
    from fusionlab.study.launchers.local import Local

    monkeypatch.setattr(Local, "start", lambda *_, **__: pytest.fail("workers were started"))
    planned = say("plan", *words)
    assert (planned.status, planned.err) == (0, ""), "on paper nothing is missed"
    done = say(verb, *words)
    assert (done.status, done.out) == (2, "")
    assert not [part for part in parts if part not in done.err], done.err
    assert not list(tmp_path.iterdir())


def test_a_weight_file_of_a_stream_that_is_trained_already_is_not_missed(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionlab.planning.grid import plan_study
    from fusionlab.planning.preflight import check_files

    monkeypatch.chdir(tmp_path)
    study = plan_study(["weights.motion=gone.pt"])
    with pytest.raises(UserError, match="no such weight file"):
        check_files(study)
    (motion,) = (job for job in study.plan.jobs if job.id.startswith("motion"))
    (motion.path(study.folder) / "published").mkdir(parents=True)
    check_files(study)


def test_a_weight_file_that_no_tower_can_start_from_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fusionlab.planning.grid import plan_study
    from fusionlab.planning.preflight import check_files

    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": torch.zeros(2, 2)}, "other.pt")
    Path("half.pt").write_bytes(Path("other.pt").read_bytes()[:200])
    for name, told in (("other.pt", "conv2.weight"), ("half.pt", "half.pt")):
        with pytest.raises(UserError) as refused:
            check_files(plan_study([f"weights.motion={name}"]))
        assert told in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half.pt", "other.pt"]


def test_a_weight_file_that_is_another_one_by_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature knows its name; what a trained stream started from is in its record."""
    from fusionlab.planning import preflight
    from fusionlab.planning.grid import plan_study

    monkeypatch.chdir(tmp_path)
    Path("mine.pt").write_bytes(b"as it was")
    study = plan_study(["weights.motion=mine.pt"])
    (motion,) = (job for job in study.plan.jobs if job.id.startswith("motion"))
    (motion.path(study.folder) / "published").mkdir(parents=True)
    began = {"sha256": hashlib.sha256(b"as it was").hexdigest()}
    monkeypatch.setattr(preflight, "read_records", lambda _: [{"status": "done", "result": {"initial_weights": began}}])
    preflight.check_files(study)
    Path("mine.pt").write_bytes(b"as it is now")
    with pytest.raises(UserError, match=r"motion stream started from other weights than mine\.pt holds now") as refused:
        preflight.check_files(study)
    assert "another name for the new file: weights.motion=" in str(refused.value)


def test_a_tower_of_the_user_s_that_is_none(say: Say, tmp_path: Path) -> None:
    own = tmp_path / "conf" / "backbone"
    own.mkdir(parents=True)
    (own / "pair.yaml").write_text("appearance: {_target_: fusionlab.backbones.tiny.Tiny}\n", encoding="utf-8")
    done = say("plan", "backbone=pair")
    assert done.status == 2
    assert "is one tower: `_target_`, `_partial_: true`" in done.err and "Traceback" not in done.err


def test_a_device_that_is_not_there(say: Say, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = say("sweep", "run.device=cuda")
    assert done.status == 2
    assert "no CUDA device" in done.err and "run.device=auto" in done.err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_another_study(say: Say, tmp_path: Path) -> None:
    from fusionlab.planning.grid import plan_study

    plan_study(["fusion=sum"]).plan.write(tmp_path / "mine")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    done = say("sweep", "fusion=conv", "run.folder=mine")
    assert (done.status, done.out) == (2, "")
    for part in (
        "holds another study: mine",
        "fusion=conv run.folder=mine",
        "python -m fusionlab.sweep fusion=sum",
        "another folder",
    ):
        assert part in done.err
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


def test_a_group_of_the_user_s_that_cannot_be_read(say: Say, tmp_path: Path) -> None:
    own = tmp_path / "conf" / "fusion"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("_target_: [unfinished\n", encoding="utf-8")
    done = say("plan", "fusion=mine")
    assert done.status == 2
    assert "config" in done.err and "Traceback" not in done.err
    (own / "mine.yaml").write_text("_target_: my_module.Mine\n_partial_: true\n", encoding="utf-8")
    assert "my_module.Mine" in say("plan", "fusion=mine").err
    assert "my_module.Mine" in say("plan", "fusion=mine,sum").out


@pytest.mark.parametrize("verb", ["prepare", "sweep", "doctor"])
@pytest.mark.parametrize("flow, why", [("raft", "reads colour"), ("dis_medium", "at half of brush's size")])
def test_flow_that_brush_does_not_allow_is_said_before_a_clip_is_drawn(
    say: Say, tmp_path: Path, verb: str, flow: str, why: str
) -> None:
    data = tmp_path / "none"
    done = say(verb, "data=brush", f"flow={flow}", f"run.data={data}")
    assert done.status == 2 and why in done.err and "flow=dis" in done.err
    assert not data.exists()
