"""The loss of a support vector machine against a loop, and a descent that reaches the machine's optimum."""

from functools import partial
from itertools import product as indices
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_fakes import block
from two_stream_fakes import features, fused

from fusionlab.errors import UserError
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.training.arm import ArmModule
from fusionlab.training.recipe import make_optimiser, parse_recipe
from fusionlab.two_stream.scores import Svm, cross_entropy, hinge, nll

N, C, T = 4, 3, 2


def margins() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return 1.5 * torch.randn(N, C, T, generator=draw, dtype=torch.float64), torch.tensor([2, 0, 1, 1])


def test_equation() -> None:
    m, label = margins()
    loss = 0.0
    for n, c, t in indices(range(N), range(C), range(T)):
        short = 1 - (1 if int(label[n]) == c else -1) * float(m[n, c, t])
        loss += short * short if short > 0 else 0.0
    assert hinge(m, label).item() == pytest.approx(loss / (N * T), rel=1e-13)


@pytest.mark.parametrize(("classifier", "loss"), [("svm", hinge), ("softmax", cross_entropy)])
@pytest.mark.parametrize("keep", [False, True])
def test_a_net_with_a_descriptor_has_the_loss_that_its_fusion_names(classifier: str, loss: Any, keep: bool) -> None:
    net = fused(partial(Bilinear, classifier=classifier), keep=keep)
    maps, label = features("relu5"), torch.tensor([1, 3])
    own, *others = net.heads(maps)
    expected = loss(own, label) + sum(cross_entropy(one, label) for one in others)
    assert len(others) == keep and torch.equal(net.loss(maps, label), expected)


def test_the_machine_takes_descriptors_of_norm_32() -> None:
    """m_c = Σ_d W_cd · 32 x_d + bias_c"""
    machine, x = Svm(5, C, 1), margins()[0][:, 0, :1].float().expand(-1, 5).reshape(N, 5, 1, 1)
    draw = torch.Generator().manual_seed(1)
    for parameter in machine.parameters():
        torch.nn.init.normal_(parameter.requires_grad_(False), generator=draw)
    found = machine(x)
    for n, c in indices(range(N), range(C)):
        products = [float(machine.weight[c, d, 0, 0]) * 32 * float(x[n, d, 0, 0]) for d in range(5)]
        assert found[n, c, 0, 0].item() == pytest.approx(sum(products) + float(machine.bias[c]), rel=1e-5)


def test_gradients() -> None:
    m, label = margins()
    assert torch.autograd.gradcheck(lambda x: hinge(x, label), (m.requires_grad_(),))


def test_a_class_is_told_from_the_rest_by_a_margin_of_one() -> None:
    label = torch.tensor([0])

    def loss(*of: float) -> float:
        return hinge(torch.tensor(of).reshape(1, -1, 1), label).item()

    assert loss(1.0, -1.0, -1.0) == loss(5.0, -1.0, -7.0) == 0
    assert loss(0.0, 0.0, 0.0) == 3 and loss(-1.0, -1.0, -1.0) == 4 and loss(1.0, 0.5, -1.0) == 1.5**2


def test_half_precision_is_summed_in_full() -> None:
    m, label = margins()
    loss = hinge(m.bfloat16(), label)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(hinge(m, label).item(), rel=1e-2)


def test_a_descent_with_weight_decay_comes_to_rest_at_the_optimum_of_the_machine() -> None:
    """Held against the dual problem, in numpy: any α ≥ 0 bounds the optimum from below, so where the two meet, both
    are it. With weights w of one class, signs s and inputs x (a last 1 for the bias):

        P(w) = λ/2 ‖w‖² + 1/M Σ_i max(0, 1 − s_i w·x_i)²
        D(α) = 1/M Σ_i (α_i − α_i²/4) − λ/2 ‖1/(λM) Σ_i α_i s_i x_i‖²
    """
    decay, clips, classes, size = 0.05, 30, 3, 4
    draw = torch.Generator().manual_seed(0)
    label = torch.arange(clips) % classes
    x = torch.randn(clips, size, generator=draw, dtype=torch.float64)
    x[torch.arange(clips), label] += 3
    machine = torch.nn.Linear(size, classes, dtype=torch.float64)
    for parameter in machine.parameters():
        torch.nn.init.zeros_(parameter)
    sgd = torch.optim.SGD(machine.parameters(), lr=0.02, momentum=0.9, weight_decay=decay)
    for _ in range(2500):
        sgd.zero_grad()
        hinge(machine(x)[..., None], label).backward()
        sgd.step()

    inputs = np.concatenate([x.numpy(), np.ones((clips, 1))], axis=1)
    weights = torch.cat([machine.weight, machine.bias[:, None]], dim=1).detach().numpy()
    for c in range(classes):
        s = np.where(label.numpy() == c, 1.0, -1.0)
        short = np.maximum(0, 1 - s * (inputs @ weights[c]))
        primal = decay / 2 * weights[c] @ weights[c] + (short**2).mean()
        alpha = 2 * short
        w = (alpha * s) @ inputs / (decay * clips)
        dual = (alpha - alpha**2 / 4).mean() - decay / 2 * w @ w
        assert primal > 0.01 and abs(primal - dual) < 1e-12, c
    assert machine(x).argmax(dim=1).eq(label).float().mean() > 0.9


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("classifier", "loss"), [("svm", hinge), ("softmax", cross_entropy)])
def test_a_descriptor_has_the_loss_of_its_classifier(classifier: str, loss: Any, keep: bool) -> None:
    """A tower that is kept beside it has cross-entropy, as any."""
    net = fused(partial(Bilinear, classifier=classifier), keep=keep).eval()
    maps, label = features("relu5"), torch.tensor([1, 3])
    first, *others = net.heads(maps)
    expected = loss(first, label) + sum(cross_entropy(one, label) for one in others)
    assert len(others) == keep
    torch.testing.assert_close(net.loss(maps, label), expected)
    torch.testing.assert_close(net.loss_and_correct(maps, label)[0], expected)
    measured = expected if classifier == "svm" else nll(net(maps), label)
    torch.testing.assert_close(net.nll_and_correct(maps, label)[0], measured)


@pytest.mark.parametrize("classifier", ["svm", "softmax"])
@pytest.mark.parametrize("keep", [False, True])
def test_the_regulariser_is_in_the_loss_and_in_no_validation(classifier: str, keep: bool) -> None:
    """λ/2 ‖W, bias‖² of the classifier of the descriptor, and of nothing else."""
    plain, net = (
        fused(partial(Bilinear, classifier=classifier, regulariser=one), keep=keep).eval() for one in (None, 0.3)
    )
    maps, label = features("relu5"), torch.tensor([1, 3])
    squares = sum(float(one) ** 2 for p in net.svm.parameters() for one in p.detach().flatten())  # type: ignore[union-attr]
    assert squares > 1e-4 and plain.regularised == ()
    difference = (net.loss(maps, label) - plain.loss(maps, label)).detach()
    assert difference.item() == pytest.approx(0.15 * squares, rel=1e-3)
    assert torch.equal(net.nll_and_correct(maps, label)[0], plain.nll_and_correct(maps, label)[0])
    assert {id(p) for p in net.regularised} == {id(p) for p in net.svm.parameters()}  # type: ignore[union-attr]
    first = torch.autograd.grad(plain.loss(maps, label), tuple(plain.svm.parameters()))  # type: ignore[union-attr]
    second = torch.autograd.grad(net.loss(maps, label), net.regularised)
    for own, bare, p in zip(second, first, net.regularised, strict=True):
        torch.testing.assert_close(own, bare + 0.3 * p)


SGD = {**{name: one for name, one in block().items() if name != "betas"}, "name": "sgd", "momentum": 0.9, "lr": 5e-4}
RECIPES = {
    "adam": block(weight_decay=0.0),
    "adam with decay": block(weight_decay=0.01),
    "sgd": {**SGD, "weight_decay": 0.01},
    "as released": {**SGD, "weight_decay": 0.01, "bias_rate": 2.0, "bias_decay": 0.0},
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("keep", [False, True])
def test_every_optimiser_has_it_once(name: str, keep: bool) -> None:
    """The machine has no decay beside its regulariser; all other parameters have the recipe's."""
    recipe = parse_recipe(RECIPES[name])
    net = fused(partial(Bilinear, classifier="svm", regulariser=0.3), keep=keep)
    arm = ArmModule("arm", net, recipe)
    groups = arm.parameter_groups()
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decays) == sum(len(group["params"]) for group in groups) == len(arm.trained)
    for where, parameter in net.named_parameters():
        bias = where.endswith("bias")
        expected = 0.0 if where.startswith("svm.") else recipe.weight_decay * (recipe.bias_decay if bias else 1)
        assert decays[id(parameter)] == expected, where
    assert keep == any(not where.startswith("svm.") for where, _ in net.named_parameters())


@pytest.mark.parametrize("name", RECIPES)
def test_every_optimiser_minimises_the_same_sum(name: str) -> None:
    """Against torch's own, which is given λ/2 ‖W, bias‖² + hinge by hand; and SGD's also against λ as its decay."""
    recipe, label, maps = parse_recipe(RECIPES[name]), torch.tensor([1, 3]), features("relu5")
    seen, by_hand, decayed = (fused(partial(Bilinear, classifier="svm", regulariser=one)) for one in (0.5, None, None))
    made = make_optimiser(recipe.name, ArmModule("arm", seen, recipe).parameter_groups())
    of = [{"params": [p], "lr": recipe.lr * (recipe.bias_rate if n.endswith("bias") else 1)}
          for n, p in by_hand.named_parameters()]  # fmt: skip
    own = torch.optim.Adam(of) if recipe.name == "adam" else torch.optim.SGD(of, momentum=0.9)
    old = torch.optim.SGD(decayed.parameters(), lr=recipe.lr, momentum=0.9, weight_decay=0.5)
    before = [p.detach().clone() for p in seen.parameters()]
    for _ in range(12):
        for optimiser in (made, own, old):
            optimiser.zero_grad()
        seen.loss(maps, label).backward()
        squares = sum(p.square().sum() for p in by_hand.svm.parameters())  # type: ignore[union-attr]
        (hinge(by_hand(maps), label) + 0.25 * squares).backward()
        decayed.loss(maps, label).backward()
        for optimiser in (made, own, old):
            optimiser.step()
    for p, q, r, start in zip(seen.parameters(), by_hand.parameters(), decayed.parameters(), before, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-6)
        assert not torch.allclose(p, start, atol=1e-4)
        if name == "sgd":
            torch.testing.assert_close(p, r, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("wrong", ["1e-3", True, -1.0, float("inf"), float("nan")])
def test_a_regulariser_is_a_factor_from_0(wrong: Any) -> None:
    with pytest.raises(UserError, match="a factor from 0"):
        Bilinear(2, 2, regulariser=wrong)
    assert Bilinear(2, 2, regulariser=0).regulariser == 0.0
