"""`run` as a typed config: where and how jobs run. A worker reads it before it imports numpy.

Only `build` makes typed configs from plain trees. If an older plan or record lacks a leaf, it gets its neutral value; a
leaf without a field is refused.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from fusionlab.errors import UserError, expect_whole, unknown
from fusionlab.records.every import Every
from fusionlab.records.other_tests import Asked
from fusionlab.records.signature import NEUTRAL
from fusionlab.study.devices import VARIABLE, visible_devices
from fusionlab.study.launchers import LOCAL, LauncherConfig

Kind = TypeVar("Kind")
AUTO = "auto"
KEPT = ("best", "last", "none")  # best: weights; last: also checkpoints; none: weights of the streams only
LOGGERS = ("none", "csv", "tensorboard", "wandb")
# The values of leaves that an older `run` lacks.
OLDER_RUN: dict[str, Any] = {
    "run.folder": None, "run.weights": "weights", "run.flow": None, "run.loaders": AUTO, "run.retries": 0,
    "run.timeout": 0, "run.memory": AUTO, "run.grid": {}, "run.exclude": [], "run.zip": [], "run.grids": [],
    "run.max_arms": 100_000, "run.quarantine": [], "run.logger": {"name": "none"},
    "run.logger.project": "fusionlab", "run.logger.mode": "offline", "run.per_device": 1,
    "run.group": None, "run.keep": "best", "run.double": False, "run.claim": None,
    "run.tests": [], "run.combine": [], "run.ablate": [],
    "run.launcher": LOCAL, **{f"run.launcher.{name}": one for name, one in LOCAL.items()},
}  # fmt: skip


def build(kind: type[Kind], tree: Any, at: str, /, **made: Any) -> Kind:
    """A dataclass from a plain tree at this path. `made`: values of fields that already exist."""
    if not isinstance(tree, Mapping):
        raise UserError("this is a group of options", got=f"{at.rstrip('.')}={tree}")
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    for name in tree:
        if name not in names and not at.startswith("run."):  # an older plan may have more leaves in `run`
            raise unknown("option", f"{at}{name}", [f"{at}{one}" for one in names])
    values = dict(made)
    for name in names:
        if name in made:
            continue
        older = NEUTRAL if f"{at}{name}" in NEUTRAL else OLDER_RUN
        if name not in tree and f"{at}{name}" not in older:
            raise UserError("a config lacks an option", got=f"{at}{name}", allowed=[f"{at}{one}" for one in names])
        value = tree[name] if name in tree else older[f"{at}{name}"]
        values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


@dataclass(frozen=True)
class LoggerConfig:
    """The logger that gets curves and results beside the record."""

    name: str
    project: str
    mode: str

    def __post_init__(self) -> None:
        if self.name not in LOGGERS:
            raise unknown("logger", str(self.name), LOGGERS, form="logger={}")


@dataclass(frozen=True)
class RunConfig:
    """Options that do not determine results: folders, devices, processes. `tree`: the same as plain data."""

    root: str
    folder: str | None
    data: str
    weights: str
    flow: str | None
    device: str
    workers: int | str
    per_device: int
    memory: float | str  # GiB
    loaders: int | str
    checkpoint_every: int | str  # steps, or a time: read by `checkpoints`
    keep: str
    retries: int
    timeout: int
    grid: Mapping[str, Any]
    exclude: tuple[Mapping[str, Any], ...]
    zip: tuple[Any, ...]  # read by config.overrides, as are `exclude` and `grids`
    grids: tuple[Any, ...]
    double: bool
    claim: Mapping[str, Any] | None  # read by results.claim
    max_arms: int
    group: str | None
    tests: tuple[str, ...]
    combine: tuple[str, ...]
    ablate: tuple[str, ...]
    table: Mapping[str, Any]  # of the report: read by results.spec
    logger: LoggerConfig
    launcher: LauncherConfig
    quarantine: tuple[str, ...]  # of a store's job: videos that none of its arms reads
    tree: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RunConfig:
        """The `run` of a composed config or of a job."""
        tree = config.get("run")
        if not isinstance(tree, Mapping):
            raise UserError("a damaged plan: a job has no options of its run", got=f"run={tree}")
        logger = build(LoggerConfig, tree.get("logger", OLDER_RUN["run.logger"]), "run.logger.")
        launcher = build(LauncherConfig, tree.get("launcher", LOCAL), "run.launcher.")
        return build(cls, tree, "run.", logger=logger, launcher=launcher, tree=tree)

    def __post_init__(self) -> None:
        for name in ("root", "data", "weights"):
            folder = getattr(self, name)
            if not isinstance(folder, str) or not folder:
                raise UserError(f"run.{name} is a folder", got=f"run.{name}={folder}", hint=f"run.{name}='…'")
        if self.folder is not None and not isinstance(self.folder, str):
            raise UserError(
                "run.folder is a folder", got=f"run.folder={self.folder}", hint=f"run.folder=runs/{self.folder}"
            )
        if self.group == "":
            raise UserError("run.group is a group of users", got="run.group=", hint="run.group=vision")
        expect_whole("run.workers", self.workers, 1, AUTO)
        expect_whole("run.per_device", self.per_device, 1)
        expect_whole("run.loaders", self.loaders, 0, AUTO)
        expect_whole("run.max_arms", self.max_arms)
        memory = self.memory
        number = isinstance(memory, int | float) and not isinstance(memory, bool) and 0 < memory < math.inf
        if memory != AUTO and not number:
            raise UserError(
                "run.memory is the GiB that a job may use",
                got=f"run.memory={memory}",
                allowed=[AUTO, "a number above 0"],
            )
        for name in ("retries", "timeout"):
            expect_whole(f"run.{name}", getattr(self, name), 0)
        _ = self.checkpoints
        _ = self.asked
        if self.keep not in KEPT:
            raise unknown("value of run.keep", str(self.keep), KEPT, form="run.keep={}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(self.device)):
            raise UserError(
                "no such device", got=f"run.device={self.device}", allowed=["auto", "cpu", "cuda", "cuda:1 …"]
            )

    @property
    def checkpoints(self) -> Every:
        """When a job writes a checkpoint."""
        return Every.parse("run.checkpoint_every", self.checkpoint_every)

    @property
    def asked(self) -> Asked:
        """The tests that are asked of every net."""
        return Asked.of({"tests": self.tests, "combine": self.combine, "ablate": self.ablate})

    @property
    def on_gpu(self) -> bool:
        """Whether jobs compute on a GPU. torch is not asked: the process that asks may fork jobs later."""
        if self.remote and self.device in (AUTO, "cpu"):
            return self.device == AUTO and self.launcher.gpus_with(self.device) > 0
        return bool(visible_devices()) if self.device == AUTO else self.device.startswith("cuda")

    @property
    def remote(self) -> bool:
        """Whether jobs run on other machines than this one."""
        return self.launcher.name != "local"

    @property
    def devices(self) -> tuple[str, ...]:
        """The ids of the visible GPUs on which jobs compute; () on a CPU, elsewhere, or where none is visible."""
        visible = visible_devices() if self.on_gpu and not self.remote else ()
        place = self._index
        return visible if place is None else visible[place : place + 1]

    @property
    def _index(self) -> int | None:
        _, _, index = self.device.partition(":")
        return int(index) if index else None

    def refuse_index(self) -> None:
        """Raise a `UserError` for cuda:1: each worker sees one device only, which is its cuda:0."""
        if self._index is not None:
            place = next(iter(self.devices), str(self._index))
            raise UserError(
                "a worker sees one device only, so it has no index", got=f"run.device={self.device}",
                allowed=["auto", "cpu", "cuda"], hint=f"{VARIABLE}={place} python -m fusionlab.… run.device=cuda",
            )  # fmt: skip

    def expect_devices(self) -> tuple[str, ...]:
        """The devices for workers on this host; a `UserError` if there are none, but the user wants some."""
        self.refuse_index()
        if self.on_gpu and not self.devices:
            raise UserError(
                "there is no CUDA device here", got=f"run.device={self.device}",
                hint=f"run.device=auto; where there is a GPU but no nvidia-smi, set {VARIABLE}=0",
            )  # fmt: skip
        return self.devices

    @property
    def processes(self) -> int:
        """The number of parallel processes: `run.workers`, or one for each core that is available, or allotted."""
        if self.remote:
            return int(os.environ.get("SLURM_CPUS_PER_TASK") or len(os.sched_getaffinity(0)))
        return len(os.sched_getaffinity(0)) if self.workers == AUTO else int(self.workers)


def threads_of(config: Mapping[str, Any]) -> int:
    """Threads of a job's process, from its config; a worker needs no other option of it."""
    trainer = config.get("trainer")
    if not isinstance(trainer, Mapping) or not isinstance(trainer.get("threads"), int):
        raise UserError("a damaged plan: a job has no trainer.threads", got=f"trainer={trainer}")
    return int(trainer["threads"])
