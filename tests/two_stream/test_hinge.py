"""The loss of a support vector machine against a loop, and a descent that reaches the machine's optimum."""

from functools import partial
from itertools import product as indices
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from two_stream_fakes import features, fused

from fusionlab.fusion.bilinear import Bilinear
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
