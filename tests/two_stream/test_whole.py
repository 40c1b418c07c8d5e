"""A net with its own towers against the same net above frozen ones, and against layers run by hand."""

from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from two_stream_fakes import FUSIONS, TRUNK, A, B, C, N, T, batch, fused, run

from fusionlab.errors import UserError
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.sum import Sum
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.two_stream.control import ControlNet, control_layer
from fusionlab.two_stream.describe import describe, parameters
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import LateNet, Net
from fusionlab.two_stream.trunk import Trunk
from fusionlab.two_stream.whole import WholeNet, copy_below, expect_backprop

LABEL = torch.tensor([1, 3])
TOWERS: Any = {"appearance": A, "motion": B}
SEVERAL = {"fusion": Sum, "layer": "relu3+relu5+fc6"}
KEPT = {"fusion": Conv, "temporal": Conv3d, "keep": True, "into": "motion", "tower_weight": 0.3}
NETS: dict[str, Any] = {
    **{f"{name} at relu5": partial(fused, one) for name, one in FUSIONS.items() if name != "late"},
    **{f"conv at {layer}": partial(fused, Conv, layer=layer) for layer in ("conv2", "fc7")},
    **{f"sum at {layer}": partial(fused, Sum, layer=layer) for layer in ("fc8", "softmax")},
    "several": partial(fused, **SEVERAL), "kept": partial(fused, **KEPT),
    "control": partial(ControlNet, A, B, Pool3d, "relu5"),
    "joint": partial(ControlNet, A, B, Pool2d, "fc6", joint=True),
}  # fmt: skip


def inputs() -> dict[str, dict[str, torch.Tensor]]:
    return Trunk().features(batch(), {"appearance": ("input",), "motion": ("input",)})  # type: ignore[return-value]


def whole(net: Net) -> WholeNet:
    return WholeNet.copied(net, TOWERS)


@pytest.mark.parametrize("name", NETS)
def test_before_its_training_it_is_the_net_above_frozen_towers(name: str) -> None:
    net = NETS[name]()
    own = whole(net).eval()
    net.eval()
    maps, given = TRUNK.features(batch(), net.needs), inputs()
    assert torch.equal(own(given), net(maps))
    assert all(torch.equal(x, y) for x, y in zip(own.heads(given), net.heads(maps), strict=True))
    for one in ("loss", "loss_and_correct", "nll_and_correct"):
        got, expected = (getattr(of, one)(x, LABEL) for of, x in ((own, given), (net, maps)))
        torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert own.apart.keys() == net.apart.keys()
    for stream, part in own.apart.items():
        assert torch.equal(part.eval()(given), net.apart[stream](maps))


@pytest.mark.parametrize("name", NETS)
def test_a_step_moves_all_of_it_and_nothing_outside(name: str) -> None:
    net = whole(NETS[name]())
    before, outside = deepcopy(net.state_dict()), deepcopy([tower.state_dict() for tower in (A, B)])
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    net.eval().loss(inputs(), LABEL).backward()  # type: ignore[no-untyped-call] # without dropout, so that no unit is at rest
    assert all(p.requires_grad and p.grad is not None for p in net.parameters())
    optimiser.step()
    moved = {key: not torch.equal(before[key], one) for key, one in net.state_dict().items()}
    expected = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {key for key, one in moved.items() if one} == expected
    towers = {key.split(".")[1] + "." + key.split(".")[2] for key in expected if key.startswith("towers.")}
    weighted = [
        f"{stream}.{layer}" for stream, taps in net.top.needs.items() for layer in TOWERS[stream].below(taps)
        if any(True for _ in TOWERS[stream].get_submodule(layer).parameters())
    ]  # fmt: skip
    assert towers == set(weighted), "every layer of both towers, up to the meeting"
    for tower, state in zip((A, B), outside, strict=True):
        assert all(torch.equal(one, state[key]) for key, one in tower.state_dict().items())


def test_by_default_nothing_below_moves() -> None:
    net = fused(Conv)
    before = deepcopy(TRUNK.state_dict())
    optimiser = torch.optim.SGD([*net.parameters(), *TRUNK.parameters()], lr=0.1, weight_decay=0.1)
    net.loss(TRUNK.features(batch(), net.needs), LABEL).backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    assert all(torch.equal(one, before[key]) for key, one in TRUNK.state_dict().items())
    assert not any(name.startswith("towers") for name, _ in net.named_parameters())


def test_the_gradient_is_that_of_layers_run_by_hand() -> None:
    """In float64: frames through both towers' own layers, stacked, filtered, rectified, and on to the logits."""
    net = whole(fused(Conv, layer="relu3")).double().eval()
    hand = nn.ModuleDict({"a": deepcopy(A), "b": deepcopy(B)}).double().requires_grad_(True)
    top: Any = net.top
    filters = deepcopy(top.fusion).requires_grad_(True)
    pixels = {stream: x["input"] for stream, x in inputs().items()}
    logits = []
    for t in range(T):
        maps = []
        for name, stream in (("a", "appearance"), ("b", "motion")):
            tower: Any = hand[name]
            x = (pixels[stream][:, :, t].double() - tower.mean[:, :, 0]) / tower.scale[:, :, 0]
            for layer in tower.below(["relu3"]):
                x = tower.get_submodule(layer)(x)
            maps.append(x)
        weight, bias = (own.double() for own in filters.parameters())
        y = F.conv2d(torch.cat(maps, dim=1), weight.flatten(2)[..., None], bias).relu()
        logits.append(run(hand["a"], y, after="relu3").flatten(1))  # type: ignore[arg-type]
    loss = F.cross_entropy(torch.stack(logits, dim=2), LABEL[:, None].expand(-1, T))
    loss.backward()  # type: ignore[no-untyped-call]
    own = net.loss(inputs(), LABEL)
    own.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(own, loss, rtol=1e-10, atol=0)
    compared = 0
    for stream, name in (("appearance", "a"), ("motion", "b")):
        expected = dict(hand[name].named_parameters())
        for key, p in net.towers[stream].named_parameters():
            torch.testing.assert_close(p.grad, expected[key].grad, rtol=1e-8, atol=1e-12)
            compared += 1
    for layer, module in top.above.items():
        for key, p in module.named_parameters():
            torch.testing.assert_close(p.grad, hand["a"].get_parameter(f"{layer}.{key}").grad, rtol=1e-8, atol=1e-12)
            compared += 1
    for p, q in zip(top.fusion.parameters(), filters.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-8, atol=1e-12)
    assert compared == 2 * 6 + 2 * 5, "conv1 to conv3 of both towers; conv4, conv5, fc6, fc7, fc8"


def test_it_is_in_training_mode_down_to_the_pixels() -> None:
    net = whole(fused(Sum, layer="fc8"))
    given = inputs()
    assert not torch.equal(net.train()(given), net(given)), "the dropout of both towers"
    assert torch.equal(net.eval()(given), net(given))
    assert [part.training for part in net.train().apart.values()] == []
    control = whole(ControlNet(A, B, Pool2d, "relu5"))
    assert all(part.training for part in control.apart.values())
    assert not any(layer.training for part in control.eval().apart.values() for layer in part.modules())


def test_only_layers_below_the_cut_are_copied() -> None:
    net = whole(fused(Conv, layer="relu3"))
    layers = {key.split(".")[2] for key in net.state_dict() if key.startswith("towers.motion.")}
    assert layers == {"mean", "scale", "conv1", "conv2", "conv3"}
    assert set(A._modules) == set(A.names), "the tower itself keeps all of its layers"
    short = copy_below(A, ["relu3"])
    assert short.conv1 is not A.conv1 and "fc6" not in short._modules and short.classes == C
    with_a_rule: Any = deepcopy(A)
    with_a_rule.extra = nn.Linear(1, 1)  # which a user's tower may have beside its layers
    assert isinstance(copy_below(with_a_rule, ["relu3"]).extra, nn.Linear)


@pytest.mark.parametrize("name", NETS)
def test_its_size_is_the_same_and_all_of_it_is_trained(name: str) -> None:
    net = NETS[name]()
    own, usual = describe(whole(net)), describe(net, A, B)
    assert (own.parameters, own.layers, own.svm_parameters) == (usual.parameters, usual.layers, usual.svm_parameters)
    assert own.trained_parameters == own.parameters + own.svm_parameters > usual.trained_parameters
    assert own.trained_parameters == parameters(whole(net))


def test_it_says_what_the_net_says() -> None:
    """All that some net says or does in its own way is handed on; a new property of `Net` has to be handed on too."""
    varied = {name for kind in (FusedNet, ControlNet) for name in vars(kind) if name in vars(Net)} - {"__doc__"}
    varied -= {
        "__module__",
        "__init__",
        "__parameters__",
        "__annotations__",
        "__firstlineno__",
        "__static_attributes__",
    }
    own = vars(WholeNet).keys() | {"needs", "into", "two_losses", "keeps_apart", "svm"}  # these are set for each net
    assert varied - own == set()
    for make in (partial(fused, **KEPT), partial(fused, **SEVERAL), NETS["joint"], partial(fused, Bilinear)):
        net = make()
        copy = whole(net)
        for name in ("into", "two_losses", "keeps_apart", "scores_text", "consensus", "svm"):
            assert getattr(copy, name) == getattr(net, name), name
        assert copy.reach(T) == net.reach(T) and copy.storeys() == net.storeys()
        assert copy.no_effect([T]) == net.no_effect([T])
        rows = list(copy.layers(T))
        paths = {name for name, _ in copy.named_modules()}
        assert {row.path for row in rows} <= paths
        assert [row._replace(path=f"top.{row.path}") for row in net.layers(T)] == [
            row for row in rows if "own" not in row.part
        ]
        counted = sum(parameters(copy.get_submodule(row.path)) for row in rows)
        assert counted == parameters(copy), "each parameter lies in one row"


def test_a_descriptor_s_classifier_is_one_module() -> None:
    net = whole(fused(Bilinear))
    assert [key for key in net.state_dict() if "svm" in key] == ["top.svm.weight", "top.svm.bias"]
    again = deepcopy(net)
    assert again.svm is again.top.svm and again.svm is not net.svm


def test_a_control_at_class_scores_is_cut_below_the_classifiers() -> None:
    assert control_layer("fc8", A, B, Pool2d, whole=True) == "fc7"
    assert control_layer("relu5", A, B, Pool2d, whole=True, fresh=True) == "relu5"
    assert control_layer("fc8", A, B, Pool2d) is None
    net = whole(ControlNet(A, B, Pool2d, "fc7")).eval()
    late = LateNet()(TRUNK.features(batch(), {"appearance": ("fc8",), "motion": ("fc8",)}))
    assert net(inputs()).shape == (N, C, T)
    torch.testing.assert_close(net(inputs()), late)


def test_late_fusion_has_nothing_to_train() -> None:
    assert "backprop" in LateNet().no_effect([T]) and "backprop" not in fused(Sum).no_effect([T])
    with pytest.raises(UserError, match="end of back-propagation"):
        expect_backprop("some")
