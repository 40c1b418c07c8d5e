from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fakes import Data, Fused, block, cohort

from fusionlab.config.compose import tree
from fusionlab.errors import UserError
from fusionlab.records.signature import STREAMS, stream_optim
from fusionlab.training.fit import fit
from fusionlab.training.recipe import (
    BF16,
    FLOAT32,
    OWN_NUMBERS,
    TF32,
    configure_torch,
    make_optimiser,
    parse_recipe,
)
from fusionlab.training.schedules import SCHEDULES, Constant, Cosine, Plateau, parse_schedule

CONF = Path(__file__).parents[2] / "conf" / "optim"


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_yaml_is_a_recipe_of_each_stream_and_one_of_fusion(file: Path) -> None:
    blocks = tree({"optim": file.stem}).with_leaves({})["optim"]
    assert set(blocks) == {"streams", "fusion"}
    for one in (*(stream_optim(blocks["streams"], stream) for stream in STREAMS), blocks["fusion"]):
        made = parse_recipe(one)
        assert one["batch_size"] > 0 and set(made.own) == set(OWN_NUMBERS[made.name])


def test_every_optimiser_and_schedule_has_its_choice() -> None:
    assert set(OWN_NUMBERS) < {file.stem for file in CONF.glob("*.yaml")}
    numbers = {"steps": {"at": [1], "factors": [0.1]}}
    made = {parse_schedule({"name": name, **numbers.get(name, {})}).__class__.__name__.lower() for name in SCHEDULES}
    assert made == set(SCHEDULES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "adan"}, "did you mean optim=adam"),
        ({"momentum": 0.9}, "unknown number of the optimiser adam"),
        ({"lr": 0.0}, "lr > 0"),
        ({"epochs": 0}, "epochs ≥ 1"),
        ({"clip": -1.0}, "the others ≥ 0"),
        ({"schedule": {"name": "cosin"}}, "did you mean schedule.name=cosine"),
        ({"schedule": {"name": "cosine", "wait": 2}}, "unknown number of the schedule cosine"),
        ({"schedule": {"name": "plateau", "wait": 0}}, "wait ≥ 1"),
        ({"schedule": {"name": "plateau", "wait": 1.5}}, "wait ≥ 1"),
        ({"schedule": {"name": "plateau", "factor": "x"}}, "0 < factor ≤ 1"),
        ({"schedule": {"name": "plateau", "factor": 0}}, "0 < factor ≤ 1"),
        ({"schedule": {"name": "plateau", "factor": 10}}, "0 < factor ≤ 1"),
        ({"schedule": {"name": "cosine", "warmup": "x"}}, "warmup ≥ 0"),
        ({"schedule": {"name": "steps", "at": [5], "factors": ["a"]}}, "a factor for each"),
        ({"schedule": {"name": "steps", "at": [5], "factors": [None]}}, "a factor for each"),
        ({"lr": float("inf")}, "lr > 0"),
        ({"weight_decay": float("nan")}, "the others ≥ 0"),
        ({"first": {"from_layer": "fc6", "epochs": 3}}, "first phase is as long as the training"),
        ({"steps": 7}, "a number of epochs, or a number of steps"),
        ({"epochs": None}, "a number of epochs, or a number of steps"),
        ({"epochs": None, "steps": 0}, "steps is a whole number"),
        ({"micro_batch": 0}, "micro_batch is a whole number"),
        ({"bias_rate": -1.0}, "the others ≥ 0"),
        ({"first": {"from_layer": "fc6"}}, "try: .*'optim.….first={from_layer: fc6, epochs: 2}'"),
        ({"first": {"from_layer": None, "epochs": 2}}, "needs a layer and a number of epochs"),
        ({"first": {"layer": "fc6"}}, "unknown number of the first phase"),
        ({"first": {"from_layer": "fc6", "epochs": 3}}, "as long as the training"),
    ],
)
def test_wrong_numbers_are_answered(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_recipe(block(**changes))


def test_a_missing_number_is_named() -> None:
    numbers = block()
    del numbers["betas"]
    with pytest.raises(UserError, match="adam lacks betas"):
        parse_recipe(numbers)


def test_schedules_are_their_equations() -> None:
    assert [Constant(3)(step, 100, (), 1) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    for step in (0, 10, 50, 99):
        assert Cosine()(step, 100, (), 1) == pytest.approx((1 + math.cos(math.pi * step / 100)) / 2)
    plateau = Plateau(factor=0.1, wait=2)
    assert plateau(9, 100, [1.0, 0.9, 0.95], 1) == 1.0
    assert plateau(9, 100, [1.0, 0.9, 0.95, 0.9], 1) == pytest.approx(0.1)
    assert plateau(9, 100, [1.0, 0.9, 0.95, 0.9, 0.8, 0.85], 1) == pytest.approx(0.1)
    assert plateau(9, 100, [1.0, 0.9, 0.95, 0.9, 0.95, 0.95], 1) == pytest.approx(0.01)


def steps_of(name: str, gradients: list[float], **own: Any) -> list[float]:
    """A parameter that begins at 1, after each step down these gradients; λ = 0.1, rate 0.05."""
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    made = make_optimiser(name, [{"params": [parameter], "lr": 0.05, "weight_decay": 0.1, **own}])
    seen = []
    for gradient in gradients:
        parameter.grad = torch.full((1,), gradient, dtype=torch.float64)
        made.step()
        seen.append(parameter.item())
    return seen


def test_optimisers_are_their_equations() -> None:
    """Weight decay as a part of the gradient, in both; each group's own numbers."""
    gradients = [0.3, -1.0, 0.2]
    one, two = 0.6, 0.8
    x, m, v, adam = 1.0, 0.0, 0.0, []
    for step, gradient in enumerate(gradients, start=1):
        g = gradient + 0.1 * x
        m, v = one * m + (1 - one) * g, two * v + (1 - two) * g * g
        x -= 0.05 * (m / (1 - one**step)) / (math.sqrt(v / (1 - two**step)) + 1e-8)
        adam.append(x)
    assert steps_of("adam", gradients, betas=[one, two]) == pytest.approx(adam, rel=1e-9)
    x, velocity, sgd = 1.0, 0.0, []
    for gradient in gradients:
        velocity = 0.7 * velocity + gradient + 0.1 * x
        x -= 0.05 * velocity
        sgd.append(x)
    assert steps_of("sgd", gradients, momentum=0.7) == pytest.approx(sgd, rel=1e-9)


# -- precision


@pytest.fixture
def _restore_torch() -> Iterator[None]:
    threads, tf32 = torch.get_num_threads(), (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    yield
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32


@pytest.mark.usefixtures("_restore_torch")
def test_only_tf32_uses_tensor_cores() -> None:
    for precision, tf32 in ((TF32, True), (FLOAT32, False), (TF32, True), (BF16, False)):
        configure_torch(precision, threads=1)
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("_restore_torch")
def test_on_the_cpu_tf32_is_float32_bit_for_bit() -> None:
    weights = {}
    for precision in (FLOAT32, TF32):
        configure_torch(precision, threads=1)
        weights[precision] = fit(cohort({"sum": Fused("sum")}), Data(), precision=precision)["sum"].weights
    assert weights[FLOAT32] == weights[TF32] is not None
