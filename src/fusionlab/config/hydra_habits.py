"""Options of Hydra and Lightning: translated if they have a meaning here, else refused with advice."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from fnmatch import fnmatchcase

from fusionlab.config import catalogue
from fusionlab.config.mask_secrets import MASK, masked_word, secret
from fusionlab.config.options import optional_groups, place_of
from fusionlab.errors import UserError

STAGES = "optim.streams.{rest}={value} optim.fusion.{rest}={value}"
# (names, what is wrong, what to type); the first match holds. {value} is the typed value, {rest} what the `*` of the
# pattern stands for, or the last part of the name.
ANSWERS = [
    ("hydra/launcher", "jobs are started by workers, not by a hydra launcher", "launcher=slurm"),
    ("hydra.launcher.n_jobs", "the number of jobs at a time is an option of run", "run.workers={value}"),
    ("hydra.launcher.* launcher.*", "the options of the launcher lie below run.launcher",
     "run.launcher.{rest}={value}"),
    ("hydra/sweeper hydra.mode", "a sweep needs no sweeper: an option with several values is an axis", "seed=range(5)"),
    ("hydra.sweep.dir hydra.run.dir", "a study has one folder", "run.folder={folder}"),
    ("hydra.sweep.subdir hydra.job.name", "arms are named by their options; only the study's folder has a free name",
     "run.folder=runs/my-study"),
    ("hydra.sweeper.params.*", "the axes of a sweep are options themselves", "{rest}={value}"),
    ("hydra.sweeper.*", "a sweep needs no sweeper: an option with several values is an axis", "seed=range(5)"),
    ("hydra.* hydra/*", "hydra does not run the jobs here; its own settings have no effect",
     "run.folder=runs/my-study run.workers=4"),
    ("calibrate", "only plan measures before anything is trained", "python -m fusionlab.plan --help"),
    ("detach", "only sweep and train start workers", "python -m fusionlab.sweep --help"),
    ("trainer.max_epochs trainer.min_epochs max_epochs", "the streams and the fusions have their own number of epochs",
     "optim.streams.epochs={value} optim.fusion.epochs={value}"),
    ("trainer.max_steps trainer.min_steps trainer.max_time", "training is counted in epochs",
     "optim.streams.epochs=20 optim.fusion.epochs=8"),
    ("trainer.devices trainer.gpus trainer.num_nodes trainer.strategy devices gpus",
     "a job uses one device; run.workers is the number of jobs at a time", "run.workers={number}"),
    ("trainer.accelerator accelerator", "the device is an option of run", "run.device={device}"),
    ("trainer.gradient_clip_val", "the streams and the fusions clip their gradients themselves",
     "optim.streams.clip={value} optim.fusion.clip={value}"),
    ("trainer.fast_dev_run trainer.limit_* trainer.overfit_batches", "a quick run is a choice of debug", "debug=fast"),
    ("trainer.default_root_dir paths.output_dir paths.log_dir paths.root_dir", "studies lie below run.root",
     "run.root={value}"),
    ("paths.data_dir data.data_dir datamodule.data_dir data_dir", "the data lie in run.data", "run.data={value}"),
    ("trainer.logger", "the logger is a group of its own", "logger={value}"),
    ("trainer.callbacks callbacks callbacks.*", "no callbacks in ./conf/callbacks; early stopping is an option",
     "optim.fusion.patience=3 optim.fusion.weights=best"),
    ("trainer.deterministic trainer.benchmark", "nothing has to be switched on: every draw follows from the seed",
     "seed=0"),
    ("trainer.resume_from_checkpoint trainer.ckpt_path ckpt_path resume resume_from_checkpoint",
     "the same command resumes an interrupted study; a file of weights starts a tower", "weights.motion={value}"),
    ("optim.lr optimizer.lr model.lr model.optimizer.lr", "the streams and the fusions have their own learning rate",
     "optim.streams.lr={value} optim.fusion.lr={value}"),
    ("optimizer optimiser model.optimizer optim.name", "the optimiser is chosen with optim=", "optim={value}"),
    ("optimizer.* optimiser.* model.optimizer.*", "the streams and the fusions have their own optimiser", STAGES),
    ("scheduler lr_scheduler model.scheduler", "the schedule of the learning rate is an option of optim",
     "optim.streams.schedule.name={value} optim.fusion.schedule.name={value}"),
    ("scheduler.* lr_scheduler.* model.scheduler.*", "the schedule of the learning rate is an option of optim",
     "optim.streams.schedule.{rest}={value} optim.fusion.schedule.{rest}={value}"),
    ("model net network arch", "the network is chosen in parts: towers, fusion, temporal head", "{part}={value}"),
    ("model.* net.* network.*", "the options of the network lie below backbone, fusion and temporal",
     "python -m fusionlab.plan --cfg job"),
    ("dataset datamodule", "the data set is chosen with data=", "data={value}"),
    ("data.batch_size datamodule.batch_size", "the streams and the fusions have their own batch size", STAGES),
    ("data.num_workers datamodule.num_workers num_workers", "the processes that read clips are run.loaders",
     "run.loaders={value}"),
    ("dataset.* datamodule.*", "the options of the data set lie below data", "data.dataset.{rest}={value}"),
    ("logger.wandb.* logger.csv.* logger.tensorboard.* logger.*", "the options of the logger lie below run.logger",
     "run.logger.{rest}={value}"),
    ("task_name run_name experiment_name tags", "a study is named by its folder", "run.folder=runs/{value}"),
    ("train", "train and test are commands, not options", "python -m fusionlab.test runs/my-study"),
    ("seed_everything", "the seed is called seed", "seed={value}"),
    ("hparams_search hparams_search.* optimized_metric", "a search over values is a grid", "seed=0,1"),
]  # fmt: skip
FLAGS = {
    "-c": "--cfg job", "--resolve": "--cfg job", "-p": "--cfg job", "--package": "--cfg job", "--info": "--cfg job",
    "--hydra-help": "--help", "-cn": "experiment=how", "--config-name": "experiment=how",
    "-cp": "./conf, which is searched first", "--config-path": "./conf, which is searched first",
    "-cd": "./conf, which is searched first", "--config-dir": "./conf, which is searched first",
    "-sc": "python -m fusionlab.completion bash", "--shell-completion": "python -m fusionlab.completion bash",
}  # fmt: skip
# Lightning's names of precisions.
PRECISIONS = {
    "16": "bf16", "16-mixed": "bf16", "16-true": "bf16", "bf16": "bf16", "bf16-true": "bf16", "32": "float32",
    "64": "float32", "64-true": "float32", "high": "tf32",
}  # fmt: skip
PARTS = ("backbone", "fusion", "temporal")
OWN = ("trainer", "optim", "data", "logger", "launcher")  # groups of ours whose options are answered too


def translate(word: str, known: Mapping[str, list[str]]) -> str:
    """`+experiment=how`, `++layer=relu5`, `backbone@backbone.motion=tiny` in the syntax of fusionlab."""
    name, equals, value = word.partition("=")
    bare = name.lstrip("+~")
    if name.startswith("~"):
        raise _removed(bare, masked_word(word), known)
    if answer := _answer(bare, value, masked_word(word), known):
        raise answer
    if name.startswith("+") and not name.startswith("++") and bare.partition("@")[0] not in optional_groups():
        hint = masked_word(f"{bare}={value}")
        raise UserError("options are set, not added or removed", got=masked_word(word), hint=hint)
    group, at, place = bare.partition("@")
    if at:
        bare = _option_at(group, place, masked_word(word), known)
    return f"{bare}{equals}{value}"


def _option_at(group: str, place: str, word: str, known: Mapping[str, list[str]]) -> str:
    """The option for hydra's `group@place`."""
    options = [name for name in known if catalogue.folder_of(name) == group and place in (name, place_of(name))]
    if options:
        return options[0]
    allowed = [f"{name}=" for name in known if catalogue.folder_of(name) == group] or list(known)
    hint = f"{allowed[0].rstrip('=')}={word.partition('=')[2]}"
    raise UserError("a group has no such place", got=word, allowed=allowed, hint=hint)


def _removed(name: str, word: str, known: Mapping[str, list[str]]) -> UserError:
    """The error for hydra's `~name`."""
    neutral = f"{name}=none" if "none" in known.get(name, ()) else f"leave {name}=… out; it then has its default"
    return UserError("options cannot be removed", got=word, hint=neutral)


def _answer(name: str, value: str, word: str, known: Mapping[str, list[str]]) -> UserError | None:
    """The error for another tool's option; None if the table lacks it, or if it is a group of the user."""
    if secret(f"run.{name}"):
        word, value = f"{name}={MASK}", MASK
    if name == "trainer.precision":
        return _precision(value, word, known)
    root = name.partition(".")[0]
    empty = known.get(root) == ["none"] != [value]  # a group that only the user's conf can fill
    if not empty and (name in known or (root in known and root not in OWN)):
        return None
    for patterns, what, template in ANSWERS:
        for pattern in patterns.split():
            if fnmatchcase(name, pattern):
                rest = name[len(pattern) - 1 :] if pattern.endswith("*") else name.rpartition(".")[2]
                return UserError(what, got=word, hint=_hint(template, value, rest, known))
    return None


def _hint(template: str, value: str, rest: str, known: Mapping[str, list[str]]) -> str:
    """The option to type, quoted for the shell if it has brackets, blanks or stars."""
    fill = {
        "value": value, "rest": rest, "number": value if value.isdecimal() else "2",
        "folder": "runs/my-study" if "$" in value or not value else value,
        "device": {"gpu": "cuda", "cuda": "cuda", "cpu": "cpu"}.get(value, "auto"),
        "part": next((part for part in PARTS if value in known[part]), PARTS[0]),
    }  # fmt: skip
    words = [masked_word(word.format(**fill)) for word in template.split()]
    return " ".join(map(shlex.quote, words))


def _precision(value: str, word: str, known: Mapping[str, list[str]]) -> UserError | None:
    """The precision with Lightning's name."""
    names = [PRECISIONS[one] for one in value.strip("'\"").split(",") if one in PRECISIONS]
    if not names:
        return None
    hint = f"trainer={','.join(dict.fromkeys(names))}"
    return UserError("a precision is chosen with trainer=", got=word, allowed=known["trainer"], hint=hint)
