"""A clip's predictions averaged as scores or as logits, in every net and in its loss."""

from math import exp, log
from typing import Any

import pytest
import torch
from torch import Tensor
from two_stream_fakes import A, B, C, N, T, batch, features

from fusionlab.errors import UserError
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import LateNet, Net, StreamNet
from fusionlab.two_stream.scores import apply_consensus, cross_entropy, expect_consensus, nll, scores

LABEL = torch.tensor([3, 1])


def softmax(row: list[float]) -> list[float]:
    powers = [exp(one) for one in row]
    return [one / sum(powers) for one in powers]


def mean(logits: Tensor, n: int) -> list[float]:
    return [sum(logits[n, c, t].item() for t in range(logits.shape[2])) / logits.shape[2] for c in range(C)]


def test_logits_agree_before_the_loss_and_the_softmax() -> None:
    logits = 3 * torch.randn(N, C, T, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one = apply_consensus(logits, "logits")
    assert one.shape == (N, C, 1) and apply_consensus(logits, "scores") is logits
    for n in range(N):
        assert scores(one)[n].tolist() == pytest.approx(softmax(mean(logits, n)), abs=1e-12)
    loss = -sum(log(softmax(mean(logits, n))[LABEL[n]]) for n in range(N)) / N
    assert cross_entropy(one, LABEL).item() == pytest.approx(loss, abs=1e-6)
    assert cross_entropy(logits, LABEL).item() > loss + 0.1, "a mean of losses is no smaller than the loss of the mean"
    assert apply_consensus(logits.bfloat16(), "logits").dtype == torch.float32


def test_a_consensus_that_does_not_exist() -> None:
    with pytest.raises(UserError, match="consensus=logits"):
        expect_consensus("logit")


def nets(consensus: Any) -> dict[str, Net]:
    return {
        "stream": StreamNet(A, "appearance", consensus=consensus),
        "late": LateNet(consensus=consensus),
        "sum": FusedNet(A, B, Sum, Pool2d, "relu5", consensus=consensus),
        "kept": FusedNet(A, B, Sum, Pool2d, "relu5", keep=True, tower_weight=0.3, consensus=consensus),
        "conv3d": FusedNet(A, B, Cat, lambda *one: Conv3d(*one, extent=1), "relu5", consensus=consensus),
    }


def maps(name: str) -> Any:
    """Snippets of unlike contrast, so that their predictions differ."""
    given: Any = {"appearance": {"input": A.normalise(batch()["appearance"])}}
    if name != "stream":
        given = features("fc8" if name == "late" else "relu5")
    contrast = torch.linspace(0.1, 1, T)[:, None, None]
    return {stream: {layer: one * contrast for layer, one in own.items()} for stream, own in given.items()}


@pytest.mark.parametrize("name", nets("scores"))
@torch.no_grad()
def test_every_head_of_every_net_has_one_prediction(name: str) -> None:
    each, one, given = nets("scores")[name].eval(), nets("logits")[name].eval(), maps(name)
    if name == "late":
        means = [softmax_of_mean(given[stream]["fc8"].flatten(2)) for stream in ("appearance", "motion")]
        torch.testing.assert_close(scores(one(given)), (means[0] + means[1]) / 2)
        assert not torch.allclose(scores(one(given)), scores(each(given)), atol=1e-5)
        return
    heads, single = each.heads(given), one.heads(given)
    assert [head.shape for head in single] == [(N, C, 1)] * len(heads)
    for many, alone in zip(heads, single, strict=True):
        assert many.shape[2] > 1
        torch.testing.assert_close(alone, many.mean(dim=2, keepdim=True))
    own = [softmax_of_mean(head) for head in heads]
    expected = own[0] if len(own) == 1 else 0.3 * own[0] + 0.7 * own[1]
    torch.testing.assert_close(scores(one(given)), expected)
    loss, correct = one.loss_and_correct(given, LABEL)
    own_loss = sum(-head[range(N), LABEL].log().mean() for head in own)
    torch.testing.assert_close(loss, own_loss)
    torch.testing.assert_close(one.loss(given, LABEL), loss)
    assert correct == (expected.argmax(dim=1) == LABEL).sum()
    assert not torch.allclose(loss, each.loss(given, LABEL), atol=1e-5)


def softmax_of_mean(logits: Tensor) -> Tensor:
    return logits.mean(dim=2).softmax(dim=1)


@torch.no_grad()
def test_one_prediction_agrees_with_itself() -> None:
    for name in ("late", "sum", "kept"):
        given = {s: {layer: one[:, :, :1] for layer, one in m.items()} for s, m in maps(name).items()}
        assert torch.equal(*(nets(consensus)[name].eval()(given) for consensus in ("scores", "logits")))


def test_an_agreed_prediction_sees_what_all_of_them_see() -> None:
    for name, net in nets("logits").items():
        heads = net.reach(T)
        assert [list(head) for head in heads] == [[range(T)]] * (2 if name == "kept" else 1)
        assert len(nets("scores")[name].reach(T)[0]) > 1
        assert "softmax of mean" in net.scores_text and "of mean" not in nets("scores")[name].scores_text


@pytest.mark.parametrize("weight", [0.2, 0.4, 0.9])
@torch.no_grad()
def test_late_fusion_weighs_its_streams(weight: float) -> None:
    """Also where unlike towers leave unlike numbers of predictions."""
    given = features("fc8")
    own = [scores(given[stream]["fc8"].flatten(2)) for stream in ("appearance", "motion")]
    torch.testing.assert_close(scores(LateNet(weight=weight)(given)), weight * own[0] + (1 - weight) * own[1])
    fewer = {"appearance": given["appearance"], "motion": {"fc8": given["motion"]["fc8"][:, :, :2]}}
    own[1] = scores(fewer["motion"]["fc8"].flatten(2))
    torch.testing.assert_close(scores(LateNet(weight=weight)(fewer)), weight * own[0] + (1 - weight) * own[1])
    text = LateNet(weight=weight).scores_text
    assert text == f"{weight:g} · softmax(appearance) + {1 - weight:g} · softmax(motion)"


# -- the NLL of the scores


def test_the_nll_is_that_of_the_scores_by_index_loops() -> None:
    logits = 3 * torch.randn(N, C, T, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = 0.0
    for n in range(N):
        own = [softmax([logits[n, c, t].item() for c in range(C)])[LABEL[n]] for t in range(T)]
        found -= log(sum(own) / T) / N
    assert nll(logits, LABEL).item() == pytest.approx(found, abs=1e-12)
    assert nll(logits, LABEL) < cross_entropy(logits, LABEL), "the mean over time lies inside the logarithm"
    assert nll(logits[..., :1], LABEL).item() == pytest.approx(cross_entropy(logits[..., :1], LABEL).item(), abs=1e-6)


def test_the_nll_of_an_impossible_class_is_finite() -> None:
    logits = torch.tensor([[[900.0], [-900.0]]])
    assert nll(logits, torch.tensor([1])).item() == 1800 and scores(logits)[0, 1] == 0


@pytest.mark.parametrize("consensus", ["scores", "logits"])
@pytest.mark.parametrize("name", nets("scores"))
def test_the_nll_of_a_net_is_that_of_what_a_test_scores(name: str, consensus: Any) -> None:
    """Also where it is trained with two losses: what is measured is the average of both towers' scores."""
    net, given = nets(consensus)[name].eval(), maps(name)
    with torch.no_grad():
        seen = scores(net(given).double())
        value, correct = net.nll_and_correct(given, LABEL)
        _, also = net.loss_and_correct(given, LABEL)
    assert value.item() == pytest.approx(-sum(log(seen[n, LABEL[n]]) for n in range(N)) / N, rel=1e-5)
    assert correct == also == sum(int(seen[n].argmax() == LABEL[n]) for n in range(N))
