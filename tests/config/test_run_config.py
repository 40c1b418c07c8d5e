"""Typed configs from plain trees: what an older tree lacks is neutral, all else must be there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gpu_fakes import fake_machine, gpu

from fusionlab.config.compose import tree
from fusionlab.config.run_config import OLDER_RUN, RunConfig
from fusionlab.errors import UserError
from fusionlab.sizes.memory_bound import memory_bound
from fusionlab.study.devices import VARIABLE

RUN = tree({}).with_leaves({})["run"]


@pytest.mark.parametrize("leaf", sorted(set(RUN) - {"logger", "launcher"}))
def test_only_a_leaf_that_is_newer_may_be_missing(leaf: str) -> None:
    older = {"run": {name: one for name, one in RUN.items() if name != leaf}}
    if f"run.{leaf}" in OLDER_RUN:
        value = OLDER_RUN[f"run.{leaf}"]
        assert getattr(RunConfig.of(older), leaf) == (tuple(value) if isinstance(value, list) else value)
    else:
        with pytest.raises(UserError, match=f"(?s)a config lacks an option.*run.{leaf}"):
            RunConfig.of(older)


@pytest.fixture
def on_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunConfig]:
    """A `run` with this device on a machine with so many GPUs, or none and no nvidia-smi."""

    def made(device: str, gpus: int, said: str | None = None) -> RunConfig:
        folder = tmp_path / str(gpus)
        folder.mkdir(exist_ok=True)
        if gpus:
            fake_machine(folder, gpus)
        monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin" if gpus else str(folder))
        monkeypatch.delenv(VARIABLE, raising=False)
        if said is not None:
            monkeypatch.setenv(VARIABLE, said)
        return RunConfig.of({"run": {**RUN, "device": device}})

    return made


def test_jobs_compute_on_the_visible_gpus(on_gpus: Callable[..., RunConfig]) -> None:
    for device in ("auto", "cuda"):
        assert on_gpus(device, 3).expect_devices() == (gpu(0), gpu(1), gpu(2))
        assert on_gpus(device, 3, "2,0").expect_devices() == ("2", "0")
        assert on_gpus(device, 0, "1").expect_devices() == ("1",)
    assert on_gpus("auto", 0).expect_devices() == on_gpus("auto", 3, "").expect_devices() == ()
    assert on_gpus("cpu", 3).expect_devices() == ()
    found = [on_gpus(*given).on_gpu for given in (("auto", 3), ("auto", 0), ("auto", 3, "-1"), ("cpu", 3), ("cuda", 0))]
    assert found == [True, False, False, False, True]
    assert on_gpus("cuda:1", 3, "2,0").devices == ("0",) and on_gpus("cuda:2", 3, "2,0").devices == ()


def test_a_device_with_an_index_is_refused_with_what_to_type(on_gpus: Callable[..., RunConfig]) -> None:
    for given, place in ((("cuda:1", 3, "2,0"), "0"), (("cuda:1", 3), gpu(1)), (("cuda:0", 0), "0")):
        with pytest.raises(UserError, match=f"{VARIABLE}={place} python -m fusionlab.… run.device=cuda"):
            on_gpus(*given).expect_devices()


@pytest.mark.parametrize("said", [None, "", "-1"])
def test_a_gpu_that_is_not_there_is_refused(on_gpus: Callable[..., RunConfig], said: str | None) -> None:
    with pytest.raises(UserError, match=f"(?s)no CUDA device here.*run.device=auto.*{VARIABLE}=0"):
        on_gpus("cuda", 0, said).expect_devices()


@pytest.mark.parametrize("value", [0, -1, 1.5, "auto", True])
def test_jobs_for_each_device_are_a_whole_number(value: object) -> None:
    with pytest.raises(UserError, match=r"run\.per_device"):
        RunConfig.of({"run": {**RUN, "per_device": value}})


def test_an_older_plan_has_the_local_launcher() -> None:
    older = {"run": {name: one for name, one in RUN.items() if name != "launcher"}}
    assert RunConfig.of(older).launcher == RunConfig.of({"run": RUN}).launcher
    assert RunConfig.of(older).launcher.name == "local"


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("name", "pbs", "unknown launcher"),
        ("time", 14400, "one line"),
        ("partition", "gpu\n#SBATCH --uid=0", "one line"),
        ("setup", ["module load cuda", "a\nb"], "one line"),
        ("setup", "module load cuda", "list of texts"),
        ("directives", ["exclude=n1"], "a word of sbatch"),
        ("directives", ["--job-name=mine"], "set by the launcher"),
        ("directives", ["--array=0-9"], "set by the launcher"),
        ("directives", ["-J mine"], "set by the launcher"),
        ("gpus", -1, "whole number"),
        ("gpus", True, "whole number"),
        ("memory", 0, "GiB"),
        ("signal", 0, "whole number"),
        ("time", "2", "stopped as soon as it starts"),
    ],
)
def test_options_of_a_launcher_that_cannot_be(option: str, value: object, what: str) -> None:
    with pytest.raises(UserError, match=f"(?s){what}"):
        RunConfig.of({"run": {**RUN, "launcher": {"name": "slurm", option: value}}})


def test_a_login_node_without_a_gpu_plans_for_nodes_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    slurm = {**RUN, "launcher": {"name": "slurm", "memory": 10}}
    there = RunConfig.of({"run": slurm})
    assert there.on_gpu and there.devices == () and memory_bound(there, 4) is None, "the GPU's memory is not known here"
    on_cpus = RunConfig.of({"run": {**slurm, "device": "cpu"}})
    assert not on_cpus.on_gpu and memory_bound(on_cpus, 4) == 8 * 2**30, "a tenth and 1 GiB less, whatever is here"
    assert not RunConfig.of({"run": RUN}).on_gpu
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert there.processes == 3


@pytest.mark.parametrize(
    ("leaf", "value", "said"),
    [
        ("keep", "lst", "unknown value of run.keep"),
        ("checkpoint_every", "5m", "a number of steps or a time"),
        ("checkpoint_every", -1, "a number of steps or a time"),
    ],
)
def test_what_is_kept_and_how_often_is_checked(leaf: str, value: object, said: str) -> None:
    with pytest.raises(UserError, match=said) as told:
        RunConfig.of({"run": {**RUN, leaf: value}})
    assert "did you mean run.keep=last ?" in str(told.value) or "run.checkpoint_every=5min" in str(told.value)
