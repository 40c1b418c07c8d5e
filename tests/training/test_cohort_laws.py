"""An arm in company is the arm alone, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from training_fakes import Broken, Data, Frozen, Fused, Handing, Late, Sick, Stream, Trunk, block, cohort

from fusionlab.training.cohort import Cohort
from fusionlab.training.fit import Outcome, fit
from fusionlab.training.recipe import Recipe, parse_recipe
from fusionlab.two_stream.net import Net


def trained(nets: Mapping[str, Net], recipes: Recipe | Mapping[str, Recipe] | None = None) -> dict[str, Outcome]:
    return fit(cohort(nets, recipes), Data())


def assert_same(one: Outcome, other: Outcome) -> None:
    assert (one.status, one.best_step, one.val_loss, one.steps) == (
        other.status,
        other.best_step,
        other.val_loss,
        other.steps,
    )
    assert one.state is not None and other.state is not None
    assert list(one.state) == list(other.state)
    for name in one.state:
        assert torch.equal(one.state[name], other.state[name]), name
    assert one.weights == other.weights
    assert one.curve and one.curve == other.curve


@pytest.fixture(scope="module")
def alone() -> dict[str, Outcome]:
    torch.set_num_threads(1)
    return {how: trained({how: Fused(how)})[how] for how in ("sum", "max")}


def test_it_really_trains(alone: dict[str, Outcome]) -> None:
    long = trained({"sum": Fused("sum")}, parse_recipe(block(epochs=12, weight_decay=0.0)))["sum"]
    assert long.val_loss is not None and long.val_loss < 0.3 < 1.3 < 1.386
    assert alone["sum"].steps == 18 and alone["sum"].status == "done"
    assert alone["sum"].weights != alone["max"].weights


def test_in_company_and_in_any_order(alone: dict[str, Outcome]) -> None:
    for order in (("sum", "max"), ("max", "sum")):
        together = trained({"late": Late(), **{how: Fused(how) for how in order}, "wide": Fused("sum", width=16)})
        assert_same(together["sum"], alone["sum"])
        assert_same(together["max"], alone["max"])


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("at", [1, 8])
def test_beside_an_arm_that_diverges(alone: dict[str, Outcome], at: int, where: str) -> None:
    together = trained({"sick": Sick(at, where), "sum": Fused("sum")})
    sick = together["sick"]
    assert (sick.status, sick.reason) == ("failed", f"diverged at step {at}: {where} nan")
    assert sick.steps == at - 1 and sick.state is None and sick.weights is None
    assert sick.best_step == (6 if at == 8 else None)
    assert_same(together["sum"], alone["sum"])


@pytest.mark.parametrize(("at", "while_training"), [(1, True), (8, True), (1, False)])
def test_beside_an_arm_with_an_error_of_its_own(alone: dict[str, Outcome], at: int, while_training: bool) -> None:
    together = trained({"broken": Broken(at, while_training), "sum": Fused("sum"), "max": Fused("max")})
    broken = together.pop("broken")
    assert broken.status == "failed" and broken.state is None
    assert str(broken.reason).endswith(": RuntimeError: shapes do not fit")
    for name, outcome in together.items():
        assert_same(outcome, alone[name])


class Writing(Fused):
    """Writes into the maps that all arms read, while it is trained."""

    def forward(self, features: Any) -> Any:
        if self.training:
            for layers in features.values():
                for one in layers.values():
                    one.add_(1)
        return super().forward(features)


def test_beside_an_arm_that_changes_its_input_in_place(alone: dict[str, Outcome]) -> None:
    together = trained({"writing": Writing("sum"), "sum": Fused("sum"), "max": Fused("max")})
    writing = together.pop("writing")
    assert (writing.status, writing.reason) == ("failed", "error at step 1: it changes its input in place")
    for name, outcome in together.items():
        assert_same(outcome, alone[name])


def test_every_arm_with_an_error_ends_the_fit_quietly() -> None:
    ended = fit(cohort({"a": Broken(2, True), "b": Broken(1, False)}), Data())
    assert [one.status for one in ended.values()] == ["failed", "failed"]


def test_memory_that_is_used_up_is_everybody_s_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    net = Fused("sum")
    monkeypatch.setattr(net, "forward", full)
    with pytest.raises(MemoryError):
        fit(cohort({"a": net, "b": Fused("max")}), Data())


def test_a_sick_arm_is_left_as_it_was_before_the_step() -> None:
    net = Sick(1)
    before = {name: value.clone() for name, value in net.named_parameters()}
    trained({"sick": net, "sum": Fused("sum")})
    assert all(torch.equal(value, before[name]) for name, value in net.named_parameters())


def test_every_arm_diverges_and_the_fit_ends_quietly(recwarn: pytest.WarningsRecorder) -> None:
    data = Data()
    made = cohort({"a": Sick(2), "b": Sick(4, "gradient"), "late": Late()})
    ended = fit(made, data)
    assert [ended[name].status for name in ended] == ["failed", "failed", "done"]
    assert made.step == 4  # no step after the last arm left
    assert ended["late"].best_step == 0
    assert not [str(w.message) for w in recwarn]


def test_an_arm_that_stops_early_changes_nobody(alone: dict[str, Outcome]) -> None:
    short = trained({"short": Fused("max", seed=1)}, parse_recipe(block(epochs=1)))["short"]
    recipes = {"short": parse_recipe(block(epochs=1)), "sum": parse_recipe(block()), "max": parse_recipe(block())}
    together = trained({"short": Fused("max", seed=1), "sum": Fused("sum"), "max": Fused("max")}, recipes)
    assert together["short"].steps == 6
    for name, other in {"short": short, **alone}.items():
        assert_same(together[name], other)


def test_patience_stops_an_arm_that_does_not_improve() -> None:
    hopeless = parse_recipe(block(lr=5.0, epochs=8, patience=1, clip=0.0, schedule={"name": "constant"}))
    ended = trained(
        {"worse": Fused("sum"), "sum": Fused("sum")}, {"worse": hopeless, "sum": parse_recipe(block(epochs=8))}
    )
    worse = ended["worse"]
    assert worse.status == "done" and worse.best_step is not None
    assert worse.steps == worse.best_step + 6 < 48 == ended["sum"].steps


def test_the_best_weights_are_kept_and_left_in_the_net() -> None:
    net = Fused("sum")
    ended = trained({"sum": net}, parse_recipe(block(lr=0.5, epochs=6, clip=0.0)))["sum"]
    assert ended.state is not None and ended.best_step is not None and ended.best_step < ended.steps
    assert all(torch.equal(value, ended.state[name]) for name, value in net.state_dict().items())
    losses = {row["step"]: row["val_loss"] for row in ended.curve}
    assert ended.val_loss == losses[ended.best_step] == min(losses.values()) < losses[ended.steps]


def test_clipping_is_by_the_norm_of_the_arm_alone(alone: dict[str, Outcome]) -> None:
    free, clipped = parse_recipe(block(clip=0.0)), parse_recipe(block(clip=0.5))
    assert trained({"sum": Fused("sum")}, free)["sum"].weights != alone["sum"].weights  # the limit is met
    loud = Fused("sum", seed=3)
    with torch.no_grad():
        loud.top.weight.mul_(1e4)
    together = trained({"loud": loud, "sum": Fused("sum")}, {"loud": free, "sum": clipped})
    assert_same(together["sum"], alone["sum"])


def test_dropout_is_a_function_of_seed_and_step(alone: dict[str, Outcome]) -> None:
    torch.manual_seed(12345)  # the state of the process is nothing to it
    assert_same(trained({"sum": Fused("sum")})["sum"], alone["sum"])
    other = fit(cohort({"sum": Fused("sum")}, seed=1), Data())["sum"]
    assert other.weights != alone["sum"].weights
    twins = trained({"a": Fused("sum"), "b": Fused("sum")})
    assert_same(twins["a"], twins["b"])  # the same draws for all arms of a seed


def test_the_frozen_trunk_stays_keep_batch() -> None:
    made = cohort({"sum": Fused("sum")})
    trunk = made.trunk
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    fit(made, Data())
    assert not any(module.training for module in trunk.modules())
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
    assert all(value.grad is None for value in trunk.parameters())


def test_the_trunk_computes_what_the_active_arms_read() -> None:
    recipes = {"raw": parse_recipe(block(epochs=1)), "sum": parse_recipe(block(epochs=2))}
    made = Cohort(Trunk(), {"raw": Stream("appearance"), "sum": Fused("sum")}, recipes, seed=0)
    fit(made, Data())
    asked = made.trunk.asked
    assert asked[0] == {"appearance": ("input", "relu"), "motion": ("relu",)}
    assert asked[-1] == {"appearance": ("relu",), "motion": ("relu",)}


def test_a_stream_is_a_cohort_over_its_inputs() -> None:
    made = Cohort(Handing(), {"appearance": Stream("appearance")}, parse_recipe(block(epochs=8)), seed=0)
    ended = fit(made, Data(), job="stream")["appearance"]
    assert ended.status == "done" and ended.val_loss is not None and ended.val_loss < 1.0
    assert isinstance(made.arms["appearance"].net.tower, Frozen)


def test_late_fusion_alone_is_only_evaluated() -> None:
    data = Data()
    ended = fit(cohort({"late": Late()}), data)["late"]
    assert (ended.status, ended.steps, ended.best_step) == ("done", 0, 0)
    assert ended.val_loss == trained({"late": Late(), "sum": Fused("sum")})["late"].val_loss


def test_sgd_keeps_the_laws() -> None:
    sgd = {k: v for k, v in block(name="sgd", momentum=0.9, lr=0.05).items() if k != "betas"}
    one = trained({"sum": Fused("sum")}, parse_recipe(sgd))["sum"]
    together = trained({"sick": Sick(5), "max": Fused("max"), "sum": Fused("sum")}, parse_recipe(sgd))
    assert_same(together["sum"], one)


def test_training_reads_neither_the_test_list_nor_more_than_it_needs() -> None:
    data = Data()
    fit(cohort({"sum": Fused("sum")}), data)
    assert "test" not in data.asked and "setup test" not in data.asked
    assert data.asked.count("train") == 1 + 3  # the length, and once an epoch


def test_one_line_an_epoch() -> None:
    lines: list[str] = []
    fit(cohort({"sum": Fused("sum"), "sick": Sick(3)}), Data(), progress=lines.append)
    assert len(lines) == 3 and not any("\n" in line for line in lines)
    assert lines[0].startswith("epoch 1, step 6: arms 1 training, 1 failed, lowest validation loss")
