"""The fully connected end of the VGG networks, fc6 to softmax, as convolutions."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab import errors
from fusionlab.backbones.initialise import Classifier

# Read behind their ReLU and before dropout: where the papers fuse them.
TAPS = {"fc6": "relu6", "fc7": "relu7", "fc8": "fc8", "softmax": "softmax"}
# What the 2016 paper trains its streams with ("0.5 not much worse").
DROPOUT = {"fc6": 0.85, "fc7": 0.85}


class Connected(nn.Conv2d):
    """A convolution; of a map as large as its window, a matrix product.

    For channels-last maps a CPU reorders a convolution's weights at every call, and fc6 has 302 MB of them: forward and
    backward of two frames of VGG-M took 1102 ms that way, and take 208.
    """

    whole_map = True  # see layers.py

    def forward(self, input: Tensor) -> Tensor:
        if tuple(input.shape[2:]) != self.kernel_size:
            return super().forward(input)
        return F.linear(input.flatten(1), self.weight.flatten(1), self.bias)[..., None, None]


def connected(
    channels: int, side: int, width: tuple[int, int], classes: int, dropout: Mapping[str, float]
) -> dict[str, nn.Module]:
    """fc6 takes the whole map, `side` × `side`; fc7 and fc8 are 1×1. `width`: of fc6 and of fc7."""
    width6, width7 = width
    return {
        "fc6": Connected(channels, width6, side),
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(_share("fc6", dropout)),
        "fc7": Connected(width6, width7, 1),
        "relu7": nn.ReLU(),
        "drop7": nn.Dropout(_share("fc7", dropout)),
        "fc8": Classifier(width7, classes, 1),
        "softmax": nn.Softmax(dim=1),
    }


def _share(layer: str, dropout: Mapping[str, Any]) -> float:
    """The share of a layer's outputs that is dropped; none where the layer is not named."""
    for name in dropout:
        if name not in DROPOUT:
            raise errors.unknown("layer to drop out from", name, DROPOUT, form="dropout.{}=0.85")
    share = dropout.get(layer, 0.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        hint = f"dropout.{layer}={DROPOUT[layer]}"
        raise errors.UserError(f"dropout of {layer} is a share of its outputs, 0 up to below 1", got=share, hint=hint)
    return float(share)
