"""One tower, a classifier for each data set, and the sum of two losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.tiny import Tiny
from fusionlab.two_stream.multitask import MultitaskNet, of_main_task
from fusionlab.two_stream.net import StreamNet
from fusionlab.two_stream.trunk import Trunk

MAIN, SECOND = 5, 3


def net(dropout: float = 0.0) -> MultitaskNet:
    torch.manual_seed(0)
    made = MultitaskNet(Tiny(8, classes=MAIN, size=16, width=8, dropout=dropout), "motion", head(), seed=1)
    with torch.no_grad():  # both start near zero, where each class is as likely
        for part in (made.tower.get_submodule("fc8"), made.second.head):
            part.weight.normal_(0.0, 0.3)
    return made


def head() -> nn.Module:
    like = Tiny(8, classes=SECOND, size=16, width=8)
    return like.get_submodule(like.classifier)


def clips(seed: int, classes: int, count: int = 4) -> tuple[dict[str, dict[str, Tensor]], Tensor]:
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (count, 8, 2, 16, 16), dtype=torch.uint8, generator=draw)
    label = torch.randint(classes, (count,), generator=draw)
    return Trunk().features({"motion": pixels}, {"motion": ("input",)}), label


def gradients(of: MultitaskNet, loss: Tensor) -> dict[str, Tensor | None]:
    of.zero_grad(set_to_none=True)
    loss.backward()
    return {name: one.grad for name, one in of.named_parameters()}


def test_a_loss_of_one_data_set_leaves_the_other_classifier_without_a_gradient() -> None:
    made = net()
    main = gradients(made, made.loss(*clips(0, MAIN)))
    assert [name for name, one in main.items() if one is None] == ["second.head.weight", "second.head.bias"]
    second = gradients(made, made.second.loss(*clips(1, SECOND)))
    assert [name for name, one in second.items() if one is None] == ["tower.fc8.weight", "tower.fc8.bias"]


def test_the_tower_s_gradient_is_the_sum_of_both() -> None:
    made = net()
    alone = [gradients(made, made.loss(*clips(0, MAIN))), gradients(made, made.second.loss(*clips(1, SECOND)))]
    both = gradients(made, made.loss(*clips(0, MAIN)) + made.second.loss(*clips(1, SECOND)))
    for name, one in both.items():
        parts = [of[name] for of in alone if of[name] is not None]
        assert one is not None and parts
        torch.testing.assert_close(one, sum(parts[1:], start=parts[0]), atol=1e-6, rtol=1e-5)


def test_the_second_logits_are_the_tower_s_with_another_last_layer() -> None:
    """Every layer by hand, and the first classifier never."""
    made = net().eval()
    features, _ = clips(1, SECOND)
    x = made.tower.normalise(features["motion"]["input"]).transpose(1, 2).flatten(0, 1)
    for name in made.tower.names[:-2]:
        x = made.tower.get_submodule(name)(x)
    x = made.second.head(x)
    by_hand = x.reshape(4, 2, SECOND).transpose(1, 2)
    torch.testing.assert_close(made.second(features), by_hand, atol=1e-5, rtol=1e-5)


def test_it_starts_as_the_stream_alone_and_its_published_weights_are_of_an_ordinary_tower() -> None:
    tower = Tiny(8, classes=MAIN, size=16, width=8)
    alone = StreamNet(tower, "motion", seed=1)
    made = MultitaskNet(Tiny(8, classes=MAIN, size=16, width=8), "motion", head(), seed=1)
    kept = of_main_task(made.state_dict())
    assert kept.keys() == alone.state_dict().keys() < made.state_dict().keys()
    assert all(torch.equal(kept[name], one) for name, one in alone.state_dict().items())
    alone.load_state_dict(kept)
    alone.eval()
    made.eval()
    others = [MultitaskNet(Tiny(8, classes=MAIN, size=16, width=8), "motion", head(), seed=one) for one in (1, 2)]
    drawn = [own.second.head.weight for own in (made, *others)]
    assert isinstance(made.second.head, Classifier) and drawn[0].std() > 0
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    features, label = clips(0, MAIN)
    assert torch.equal(alone.loss(features, label), made.loss(features, label)), "validation and test see it alone"
