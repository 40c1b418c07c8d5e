"""Every verb explains itself at once: no torch, no lightning, nothing to wait for."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fusionlab.cli import commands

HEAVY = ("torch", "pytorch_lightning", "pandas", "matplotlib", "cv2", "decord", "av", "hydra", "omegaconf")
VERBS = list(commands())


@pytest.fixture(scope="module")
def helps() -> dict[str, subprocess.CompletedProcess[str]]:
    """All at once: each is a process of a few tenths of a second."""

    def ask(verb: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-X", "importtime", "-m", f"fusionlab.{verb}", "--help"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(VERBS, pool.map(ask, VERBS), strict=True))


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_quick_and_holds_an_example(verb: str, helps: dict[str, subprocess.CompletedProcess[str]]) -> None:
    done = helps[verb]
    assert done.returncode == 0
    assert f"python -m fusionlab.{verb} " in done.stdout
    assert done.stdout.startswith(commands()[verb])
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("verb", ["sweep", "train", "plan", "prepare", "summary", "signature"])
def test_help_lists_the_groups(verb: str, helps: dict[str, subprocess.CompletedProcess[str]]) -> None:
    for line in (
        "backbone    efficientnet_lite0, fr2d, i2d, i3d,",
        "data        brush, brush2, brush2_brush, brush_exchange, brush_order, brush_still, folder, hmdb51,",
        "fusion      bilinear, cat,",
        "temporal    conv3d, conv3d_paper, pool2d, pool3d, pool3d_paper",
    ):
        assert f"  {line}" in helps[verb].stdout
    assert "appearance= and motion= set one" in helps[verb].stdout


@pytest.mark.parametrize("verb", ["sweep", "train", "plan", "prepare", "summary", "signature", "doctor"])
def test_help_lists_the_most_useful_options_with_their_defaults(
    verb: str, helps: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    lines = helps[verb].stdout.splitlines()
    for start in (
        "  layer=relu5  ", "  seed=0  ", "  split=1  ", "  streams=both  ", "  optim.fusion.epochs=8  ",
        "  data.sampling.snippets=3  ", "  run.device=auto  ", "  run.workers=auto  ", "  run.folder=null  ",
        "  --cfg job  ", "  -m, --multirun  ", "  -h, --help  ",
    ):  # fmt: skip
        (line,) = [line for line in lines if line.startswith(start)]
        assert len(line) <= 120 and line.removeprefix(start).strip(), "an option without a word on it"


def test_a_flag_is_shown_where_it_works(helps: dict[str, subprocess.CompletedProcess[str]]) -> None:
    assert "\n  --sample N  " in helps["doctor"].stdout and "\n  --retries N  " in helps["work"].stdout
    assert "--job" not in helps["work"].stdout, "between a worker and its jobs"
    assert "--cfg" not in helps["status"].stdout
