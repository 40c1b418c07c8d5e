"""What users of Hydra and Lightning type: it works, or the answer says what to type here."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from terminal import Done, lasting

from fusionlab.config.catalogue import groups
from fusionlab.config.compose import tree
from fusionlab.config.hydra_habits import ANSWERS, FLAGS
from fusionlab.config.overrides import parse_overrides
from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study

Say = Callable[..., Done]


def documents(done: Done) -> list[Any]:
    assert (done.status, done.err) == (0, "")
    return list(yaml.safe_load_all(done.out))


@pytest.mark.parametrize("command", ["sweep", "train", "plan", "summary", "signature", "prepare", "doctor"])
def test_cfg_job_prints_the_composed_tree(say: Say, tmp_path: Path, command: str) -> None:
    (config,) = documents(say(command, "fusion=sum", "optim.fusion.epochs=3", "--cfg", "job"))
    expected = tree({"fusion": "sum"}).with_leaves({"optim.fusion.epochs": 3})
    expected["run"].update({name: str(tmp_path / expected["run"][name]) for name in ("data", "weights")})
    assert config == expected
    assert not list(tmp_path.iterdir())


def test_cfg_job_of_a_grid_prints_its_first_arm_and_the_axes(say: Say) -> None:
    words = ["fusion=conv,sum", "seed=range(2)", "exclude=[{fusion:conv,seed:0}]", "--cfg=job"]
    config, axes = documents(say("sweep", *words))
    assert config["fusion"]["_target_"].endswith(".Conv") and config["seed"] == {"init": 1, "data": 1, "dropout": 1}
    assert axes == {"fusion": ["conv", "sum"], "seed": [0, 1]}
    _, axes = documents(say("sweep", "--cfg", "job", "+experiment=dose_hue", "seed=3,4"))
    assert axes == {"fusion": ["sum", "conv"], "data.dataset.hue_distance": [1.0, 0.5, 0.25, 0.1], "seed": [3, 4]}


def test_cfg_job_of_a_wrong_line_is_answered(say: Say) -> None:
    done = say("sweep", "fusion=sun", "--cfg", "job")
    assert (done.status, done.out) == (2, "") and "did you mean fusion=sum ?" in done.err


@pytest.mark.parametrize(
    ("habit", "here"),
    [
        ("-m fusion=sum,max", "fusion=sum,max"),
        ("fusion=sum,max --multirun", "fusion=sum,max"),
        ("+experiment=demo", "experiment=demo"),
        ("++experiment=demo", "experiment=demo"),
        ("+debug=fast", "debug=fast"),
        ("++layer=relu4", "layer=relu4"),
        ("++fusion=sum", "fusion=sum"),
        ("fusion=glob(*)", "fusion=bilinear,cat,compact,conv,joint,max,product,sum"),
        ("fusion=glob(*,exclude=c*)", "fusion=bilinear,joint,max,product,sum"),
        ("fusion=glob(*,exclude=[b*,c*])", "fusion=joint,max,product,sum"),
        ("fusion=glob([s*,m*])", "fusion=max,sum"),
        ("seed=range(5)", "seed=0,1,2,3,4"),
        ("seed=range(1,6,2)", "seed=1,3,5"),
        ("fusion=choice(conv,sum)", "fusion=conv,sum"),
        ("layer=choice(relu4,relu5)", "layer=relu4,relu5"),
        ("fusion@fusion=sum", "fusion=sum"),
        ("fusion@fusion=sum,max", "fusion=sum,max"),
        ("backbone@backbone.motion=tiny", "motion=tiny"),
        ("+experiment@_global_=demo", "experiment=demo"),
        ("flow@data.store.flow=farneback", "flow=farneback"),
        ("table@run.table=how", "table=how"),
    ],
)
def test_a_habit_works(say: Say, habit: str, here: str) -> None:
    one, other = (say("plan", *line.split()) for line in (habit, here))
    assert (one.status, one.err) == (0, "")
    assert (one.status, one.err, lasting(one.out)) == (other.status, other.err, lasting(other.out))


def test_a_place_of_hydra_is_the_option_that_sets_it() -> None:
    words = parse_overrides(["backbone@backbone.appearance=vgg16", "flow@data.store.flow=dis", "data@data=ucf101"])
    assert words.groups == {"appearance": "vgg16", "flow": "dis", "data": "ucf101"}


@pytest.mark.parametrize(
    ("habit", "hint"),
    [
        ("hydra/launcher=submitit_slurm", "launcher=slurm"),
        ("hydra/launcher=joblib hydra.launcher.n_jobs=2", "launcher=slurm"),
        ("hydra.launcher.n_jobs=2", "run.workers=2"),
        ("hydra.launcher.partition=gpu", "run.launcher.partition=gpu"),
        ("hydra/sweeper=optuna", "'seed=range(5)'"),
        ("hydra.sweep.dir=out", "run.folder=out"),
        ("hydra.run.dir=out/${now:%Y-%m-%d}", "run.folder=runs/my-study"),
        ("hydra.sweep.subdir=${hydra.job.num}", "run.folder=runs/my-study"),
        ("hydra.sweeper.params.fusion=conv,sum", "fusion=conv,sum"),
        ("hydra.sweeper.params.seed=range(0,3)", "'seed=range(0,3)'"),
        ("hydra.sweeper.params.fusion=glob(*)", "'fusion=glob(*)'"),
        ("hydra.sweeper.n_trials=20", "'seed=range(5)'"),
        ("hydra.job.chdir=true", "run.folder=runs/my-study run.workers=4"),
        ("+hydra.verbose=true", "run.folder=runs/my-study run.workers=4"),
        ("trainer.max_epochs=30", "optim.streams.epochs=30 optim.fusion.epochs=30"),
        ("++trainer.max_epochs=1,2", "optim.streams.epochs=1,2 optim.fusion.epochs=1,2"),
        ("trainer.max_steps=1000", "optim.streams.epochs=20 optim.fusion.epochs=8"),
        ("trainer.devices=4", "run.workers=4"),
        ("trainer.devices=[0,1]", "run.workers=2"),
        ("trainer.strategy=ddp", "run.workers=2"),
        ("trainer.accelerator=gpu", "run.device=cuda"),
        ("trainer.accelerator=auto", "run.device=auto"),
        ("trainer.precision=16", "trainer=bf16"),
        ("trainer.precision=16-mixed", "trainer=bf16"),
        ("trainer.precision=32,16", "trainer=float32,bf16"),
        ("trainer.gradient_clip_val=1", "optim.streams.clip=1 optim.fusion.clip=1"),
        ("trainer.fast_dev_run=true", "debug=fast"),
        ("trainer.limit_train_batches=2", "debug=fast"),
        ("trainer.logger=wandb", "logger=wandb"),
        ("trainer.deterministic=true", "seed=0"),
        ("optim.lr=0.1", "optim.streams.lr=0.1 optim.fusion.lr=0.1"),
        ("optimizer=adam", "optim=adam"),
        ("optimizer.weight_decay=0.1", "optim.streams.weight_decay=0.1 optim.fusion.weight_decay=0.1"),
        ("model.optimizer.lr=0.1", "optim.streams.lr=0.1 optim.fusion.lr=0.1"),
        ("scheduler=cosine", "optim.streams.schedule.name=cosine optim.fusion.schedule.name=cosine"),
        ("model=vgg16", "backbone=vgg16"),
        ("model=bilinear", "fusion=bilinear"),
        ("model=pool3d", "temporal=pool3d"),
        ("model=mine", "backbone=mine"),
        ("model.net.width=3", "python -m fusionlab.plan --cfg job"),
        ("dataset=ucf101", "data=ucf101"),
        ("dataset.frames=11", "data.dataset.frames=11"),
        ("datamodule=brush", "data=brush"),
        ("datamodule.num_workers=4", "run.loaders=4"),
        ("data.batch_size=8", "optim.streams.batch_size=8 optim.fusion.batch_size=8"),
        ("callbacks=early_stopping", "optim.fusion.patience=3 optim.fusion.weights=best"),
        ("callbacks.early_stopping.patience=3", "optim.fusion.patience=3 optim.fusion.weights=best"),
        ("ckpt_path=last.ckpt", "weights.motion=last.ckpt"),
        ("paths.data_dir=/videos", "run.data=/videos"),
        ("paths.output_dir=out", "run.root=out"),
        ("logger.wandb.project=x", "run.logger.project=x"),
        ("seed_everything=3", "seed=3"),
        ("task_name=x", "run.folder=runs/x"),
        ("train=false", "python -m fusionlab.test runs/my-study"),
        ("hparams_search=optuna", "seed=0,1"),
        ("~logger", "logger=none"),
        ("~experiment=how", "leave experiment=… out; it then has its default"),
        ("~layer", "leave layer=… out; it then has its default"),
        ("+fusion=conv", "fusion=conv"),
        ("+layer=relu4", "layer=relu4"),
        ("fusion=interval(0,1)", "'fusion=range(0,5)', or fusion=a,b"),
        ("layer=glob(*)", "'fusion=glob(*)'"),
        ("fusion=glob(z*)", "'fusion=glob(*)'"),
        ("backbone@backbone.third=tiny", "appearance=tiny"),
        ("logger=wandb,none", "logger=wandb, in a command of its own for each value"),
        ("run.device=cpu,cuda", "run.device=cpu, in a command of its own for each value"),
        ("table=how,all", "table=how, in a command of its own for each value"),
        ("experiment=how,order", "experiment=how, in a command of its own for each value"),
        ("run.grid={run.workers:[1,2]}", "run.workers=1, in a command of its own for each value"),
        ("seed=-1", "seed=0"),
        ("seed=0,-1", "seed=0"),
        ("seed.init=-1", "seed.init=0"),
        ("seed.init=0,-1", "seed.init=0"),
        ("seed=[0,1]", "seed=0"),
        ("run.grid={seed:[-1,0]}", "seed=0"),
    ],
)
def test_a_habit_is_answered_with_what_to_type(say: Say, tmp_path: Path, habit: str, hint: str) -> None:
    done = say("sweep", *habit.split())
    assert (done.status, done.out) == (2, "")
    what, *lines = done.err.splitlines()
    assert what[0].islower() and not what.startswith("unknown")
    assert f"  try:      {hint}" in lines
    assert not [file for file in tmp_path.iterdir() if file.name != "conf"]


def experiments(home: Path, **contents: str) -> None:
    folder = home / "conf" / "experiment"
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{content}\n", encoding="utf-8")


def test_experiments_without_a_grid_are_an_axis(say: Say, tmp_path: Path) -> None:
    experiments(tmp_path, one="split: 1", two="split: 2", three="split: 3\nrun: {grid: {seed: [0, 1]}}")
    done = say("plan", "-m", "experiment=one,two")
    assert done.status == 0 and "6 arms" not in done.out and "experiment=two" in done.out
    assert "experiment=three has a grid of its own" in say("plan", "-m", "experiment=one,three").err


@pytest.mark.parametrize("name", [name for names, _, _ in ANSWERS for name in names.split()])
def test_every_row_of_the_table_answers_with_what_can_be_typed(name: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_overrides([f"{name.replace('*', 'seed')}=2"])
    words = [word for word in shlex.split(str(refused.value.hint)) if "=" in word]
    assert words or str(refused.value.hint).startswith("python -m fusionlab.")
    for word in words:
        option = word.partition("=")[0]
        known = option in groups() or option.startswith(("run.", "optim.", "data.", "weights.", "seed"))
        assert known, f"{name} is answered by {word}"


def test_a_hint_can_be_typed_as_it_is(say: Say) -> None:
    """Quoted for the shell, which would take brackets and stars for its own."""
    done = say("plan", "hydra.sweeper.params.fusion=glob([s*,m*])")
    (hint,) = (line.partition("try:")[2] for line in done.err.splitlines() if "try:" in line)
    assert say("plan", *shlex.split(hint)).status == 0


def test_a_secret_is_not_repeated(say: Say) -> None:
    done = say("sweep", "logger.wandb.api_key=abc123")
    assert done.status == 2 and "abc123" not in done.err and "run.logger.api_key=***" in done.err


def test_a_group_of_the_user_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "callbacks").mkdir(parents=True)
    (tmp_path / "conf" / "callbacks" / "mine.yaml").write_text("x: 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert parse_overrides(["callbacks=mine"]).groups == {"callbacks": "mine"}


@pytest.mark.parametrize(("flag", "hint"), FLAGS.items())
def test_a_flag_of_hydra_is_answered(say: Say, flag: str, hint: str) -> None:
    done = say("sweep", flag, "x")
    assert (done.status, done.out) == (2, "") and f"try:      {hint}" in done.err


@pytest.mark.parametrize(("words", "what"), [(["--cfg"], "--cfg needs a value"), (["--cfg", "all"], "--cfg shows one")])
def test_another_cfg_is_answered(say: Say, words: list[str], what: str) -> None:
    done = say("sweep", *words)
    assert done.status == 2 and what in done.err and "--cfg job" in done.err


def test_an_abbreviated_flag_is_unknown(say: Say) -> None:
    done = say("sweep", "--multi")
    assert done.status == 2 and "unknown flag" in done.err and "--cfg, --multirun, --help" in done.err


def test_one_value_of_what_is_not_hashed_is_no_axis() -> None:
    asked = [plan_study(words).asked()[0].signature for words in (["logger=wandb", "run.workers=2"], [])]
    assert asked[0] == asked[1]
