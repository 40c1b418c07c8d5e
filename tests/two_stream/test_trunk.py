"""The trunk is frozen for good, runs each tower once, and hands inputs on where it has no tower."""

import pytest
import torch
from torch import nn

from fusionlab.backbones.tiny import Tiny
from fusionlab.two_stream.net import Features, Net, StreamNet, union
from fusionlab.two_stream.trunk import Trunk

BATCH = {
    "appearance": torch.randint(
        0, 256, (2, 3, 2, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    ),
    "motion": torch.randint(0, 256, (2, 4, 2, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8),
}


def towers() -> tuple[Tiny, Tiny]:
    appearance, motion = Tiny(3, 5, size=32, width=8), Tiny(4, 5, size=32, width=8)
    StreamNet(appearance, "appearance", seed=0)
    StreamNet(motion, "motion", seed=0)
    return appearance, motion


def test_evaluation_mode_for_good() -> None:
    trunk = Trunk(*towers())
    whole = nn.ModuleDict({"trunk": trunk, "arm": nn.Dropout()}).train()
    assert whole["arm"].training
    assert not any(part.training for part in trunk.modules())
    features = trunk.features(BATCH, {"appearance": ("fc7",)})
    assert torch.equal(
        features["appearance"]["fc7"], trunk.features(BATCH, {"appearance": ("fc7",)})["appearance"]["fc7"]
    )


def test_features_carry_no_gradient() -> None:
    trunk = Trunk(*towers())
    assert not any(p.requires_grad for p in trunk.parameters())
    features = trunk.features(BATCH, {"appearance": ("relu5",), "motion": ("relu5", "fc8")})
    assert list(features) == ["appearance", "motion"] and list(features["motion"]) == ["relu5", "fc8"]
    assert not any(x.requires_grad or x.is_inference() for maps in features.values() for x in maps.values())


def test_each_tower_runs_once_and_only_if_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = Trunk(*towers())
    runs: list[str] = []
    for stream, tower in (("appearance", trunk.appearance), ("motion", trunk.motion)):
        assert tower is not None
        tower.conv1.register_forward_hook(lambda *_, stream=stream: runs.append(stream))
    trunk.features(BATCH, union([{"motion": ("relu5",)}, {"motion": ("fc8", "relu5")}]))
    assert runs == ["motion"]


def test_maps_do_not_depend_on_what_else_is_asked_for() -> None:
    trunk = Trunk(*towers())
    alone = trunk.features(BATCH, {"appearance": ("relu3",)})["appearance"]["relu3"]
    together = trunk.features(BATCH, {"appearance": ("conv5", "relu3", "fc8"), "motion": ("relu1",)})
    assert torch.equal(alone, together["appearance"]["relu3"])


def test_inputs_are_handed_on_without_towers() -> None:
    features = Trunk().features(BATCH, {"appearance": ("input",)})
    assert list(features) == ["appearance"] and features["appearance"]["input"] is BATCH["appearance"]


def test_union() -> None:
    needs = [{"motion": ("fc8",)}, {"appearance": ("relu5",), "motion": ("relu5", "fc8")}]
    assert union(needs) == {"appearance": ("relu5",), "motion": ("fc8", "relu5")}


def test_a_stream_alone_learns_all_of_its_tower() -> None:
    appearance, motion = towers()
    assert not torch.equal(appearance.conv2.weight, motion.conv2.weight)
    net = StreamNet(motion, "motion", seed=1)
    assert not torch.equal(appearance.fc7.weight, motion.fc7.weight)
    logits = net(Trunk().features(BATCH, net.needs))
    assert logits.shape == (2, 5, 2)
    logits.logsumexp(dim=1).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_every_head_of_a_net_has_its_loss() -> None:
    """Σ over the heads of the mean of −log softmax at the label; of a net that says no more of its losses."""

    class Two(Net):
        def heads(self, features: Features) -> tuple[torch.Tensor, ...]:
            x = features["appearance"]["relu5"]
            return x, 2 * x[..., :1]

    x, label = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 4])
    by_hand = 0.0
    for n in range(2):
        by_hand -= sum(x[n, :, t].log_softmax(0)[label[n]].item() for t in range(3)) / 6
        by_hand -= (2 * x[n, :, 0]).log_softmax(0)[label[n]].item() / 2
    assert Two().loss({"appearance": {"relu5": x}}, label).item() == pytest.approx(by_hand, rel=1e-5)
