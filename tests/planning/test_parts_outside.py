"""Parts from outside the package: what the framework must know of a part, the part declares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fusionlab.backbones.initialise import initialise
from fusionlab.config import build
from fusionlab.config.compose import title
from fusionlab.config.schema import ArmConfig, build_dataset, config_of
from fusionlab.errors import UserError
from fusionlab.jobs.recorder import titles_of
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import signature
from fusionlab.study.plan import Arm
from fusionlab.two_stream.trunk import Trunk

Write = Callable[[str, str], None]
MEAN = """
from fusionlab.temporal.pool2d import pool
from fusionlab.temporal.temporal import Temporal

class Mean(Temporal):
    needs_map = False
    def at_pool(self, x):
        x = x.mean(2, keepdim=True)
        return x if self.pool is None else pool(x, self.pool)
    def beside(self, channels, pool):
        return Mean(channels, channels, pool)
    @classmethod
    def sees_order(cls, snippets, **own):
        return False
    def no_effect(self):
        return {"width": ("a mean has no width", "nothing")} if getattr(self, "width", 0) else {}

def halved(channels_a, channels_b):
    return Half(channels_a, channels_b)

from fusionlab.fusion.fusion import Fusion

class Half(Fusion):
    def forward(self, x_a, x_b):
        return (x_a + x_b) / 2

class Zero:
    reads = "luma"
    def __call__(self, previous, following):
        import numpy
        return numpy.zeros((2, *previous.shape), numpy.float32)
    def describe(self):
        return {"method": "zero"}

class Colour(Zero):
    reads = "rgb"

class Silent(Zero):
    reads = None
"""
PART = "_target_: outside_parts.{}\n"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a yaml of the user's own; their module is importable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "outside_parts", raising=False)
    (tmp_path / "outside_parts.py").write_text(MEAN, encoding="utf-8")

    def write(name: str, text: str) -> None:
        file = tmp_path / "conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    return write


def fused(*words: str) -> Arm:
    (arm,) = (arm for arm in plan_study(list(words)).plan.arms if arm.kind == "fused")
    return arm


def test_a_mean_over_all_snippets_is_planned_built_and_trained(conf: Write) -> None:
    conf("temporal/mean.yaml", PART.format("Mean") + "_partial_: true\n")
    config = config_of(fused("fusion=sum", "temporal=mean"))
    assert isinstance(config, ArmConfig)
    assert build.Blueprint().system(config) == "fused", "it says itself that it cannot see order"
    towers = build.towers(config.backbone, config.data, 3)
    for stream, tower in zip(("appearance", "motion"), towers, strict=True):
        initialise(tower, 0, prefix=f"{stream}.")
    net = build.net(config, *towers)
    shapes = {"appearance": (2, 3, 3, 48, 48), "motion": (2, 12, 3, 48, 48)}
    pixels = {stream: torch.randint(256, shape, dtype=torch.uint8) for stream, shape in shapes.items()}
    features = Trunk(*towers).features(pixels, net.needs)
    assert net(features).shape == (2, 3, 1), "one prediction a clip"
    loss = net.loss(features, torch.tensor([0, 2]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(own.grad is not None for own in net.parameters())


def test_a_fusion_may_be_a_function_that_makes_one(conf: Write) -> None:
    conf("fusion/half.yaml", PART.format("halved") + "_partial_: true\n")
    config = config_of(fused("fusion=half"))
    assert isinstance(config, ArmConfig) and not build.fuses_scores(config)
    assert build.Blueprint().system(config) == "fused"


def test_a_title_is_for_tables_alone(conf: Write) -> None:
    conf("fusion/half.yaml", PART.format("Half") + "_partial_: true\n")
    plain = fused("fusion=half")
    conf("fusion/half.yaml", PART.format("Half") + "_partial_: true\ntitle: Half the sum\n")
    titled = fused("fusion=half")
    assert titled.signature == plain.signature == signature(titled.config)
    assert "title" not in titled.config["fusion"]
    assert title("fusion", "half") == "Half the sum" and title("fusion", "conv") is None
    assert titles_of(titled) == {"fusion": "Half the sum"}
    assert titles_of(fused("fusion=sum")) == {}
    with pytest.raises(UserError, match=r"fusion\.title"):
        plan_study(["fusion=half", "fusion.title=other"])


def test_an_estimator_declares_what_it_reads(conf: Write) -> None:
    for name in ("Zero", "Colour", "Silent", "halved"):
        conf(f"flow/{name.lower()}.yaml", PART.format(name) + ("_partial_: true\n" if name == "halved" else ""))
    arm = fused("flow=zero")
    assert build_dataset(config_of(arm).data).class_count
    with pytest.raises(UserError, match="brush hides its questions in colour"):
        plan_study(["flow=colour"])
    with pytest.raises(UserError, match="declares which frames it reads"):
        plan_study(["flow=silent"])
    with pytest.raises(UserError, match="not a flow estimator"):
        plan_study(["flow=halved"])
