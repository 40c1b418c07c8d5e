"""VGG-16 against the integers of the papers and against torchvision's own."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from fusionlab.backbones.taps import walk
from fusionlab.backbones.vgg16 import PLACES, Vgg16
from fusionlab.errors import UserError


def on_meta(channels: int, **numbers: Any) -> Vgg16:
    with torch.device("meta"):
        return Vgg16(channels, 101, **numbers).eval()


def count(module: nn.Module) -> int:
    return sum(own.numel() for own in module.parameters())


@pytest.mark.parametrize("channels, stack, total", [(3, 14_714_688, 134_674_341), (20, 14_724_480, 134_684_133)])
def test_parameters(channels: int, stack: int, total: int) -> None:
    made = on_meta(channels)
    assert sum(count(layer) for name, layer in made.named_children() if name.startswith("conv")) == stack
    assert count(made) == total


def test_geometry() -> None:
    made = on_meta(3)
    assert PLACES == ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3"]
    assert list(made.taps) == [
        *(f"{kind}{place}" for place in PLACES for kind in ("conv", "relu")), "fc6", "fc7", "fc8", "softmax",
    ]  # fmt: skip
    tap = made.taps["relu5_3"]
    assert (tap.channels, tap.stride, tap.side, tap.field) == (512, 16, 14, 196)
    found = {name: one.tap for name, one in walk(dict(made.named_children()), 3, 224).items()}
    assert [found[f"pool{n}"].side for n in range(1, 6)] == [112, 56, 28, 14, 7]
    assert [made.taps[name].channels for name in ("fc6", "fc7", "fc8")] == [4096, 4096, 101]
    assert [made.taps[name].after for name in ("fc6", "fc7")] == ["relu6", "relu7"], "before dropout"


def test_dropout_of_each_layer() -> None:
    made = on_meta(3, dropout={"fc6": 0.9, "fc7": 0.5})
    assert (made.get_submodule("drop6").p, made.get_submodule("drop7").p) == (0.9, 0.5)
    with pytest.raises(UserError, match="unknown layer to drop out from"):
        on_meta(3, dropout={"drop6": 0.5})


@torch.no_grad()
def test_outputs_equal_torchvisions_with_the_same_weights() -> None:
    """At 224, where torchvision's pooling to 7×7 does nothing; ours takes its tensors over, without a copy."""
    with torch.device("meta"):
        theirs, made = models.vgg16(weights=None, num_classes=101, init_weights=False), Vgg16(3, 101)
    draw = torch.Generator().manual_seed(0)
    for own in theirs.parameters():
        own.deviation = (2 / own[0].numel()) ** 0.5 if own.ndim > 1 else 0.3
    values = {name: own.deviation * torch.randn(own.shape, generator=draw) for name, own in theirs.named_parameters()}
    theirs.load_state_dict(values, assign=True)
    convolutions = [name for name, part in theirs.named_modules() if isinstance(part, nn.Conv2d)]
    ours = [f"conv{place}" for place in PLACES]
    names = dict(
        zip([*ours, "fc6", "fc7", "fc8"], [*convolutions, *(f"classifier.{n}" for n in (0, 3, 6))], strict=True)
    )
    state = {
        f"{name}.{own}": values[f"{other}.{own}"].reshape(made.get_parameter(f"{name}.{own}").shape)
        for name, other in names.items()
        for own in ("weight", "bias")
    }
    state |= {"mean": torch.zeros(1, 3, 1, 1, 1), "scale": torch.ones(1, 3, 1, 1, 1)}
    made.load_state_dict(state, assign=True)
    x = torch.randn(1, 3, 224, 224, generator=draw)
    theirs.eval(), made.eval()
    found = made.collect(x.unsqueeze(2), ("relu5_3", "fc8"))
    features, logits = theirs.features[:-1](x), theirs(x)
    assert torch.allclose(found["relu5_3"][:, :, 0], features, rtol=1e-4, atol=1e-4 * float(features.max()))
    assert torch.allclose(found["fc8"].flatten(1), logits, rtol=1e-4, atol=1e-4 * float(logits.abs().max()))
    assert logits.std() > 0.1
