"""ResNet-18 and ResNet-50 (He et al. 2016), taken from torchvision and laid out as a chain.

    layer              kernel / stride / pad      side, of 224   channels: 18, 50
    conv1, bn1, relu   7 / 2 / 3                  112               64,   64
    maxpool            3 / 2 / 1                   56               64,   64
    layer1             2, 3 residual blocks        56               64,  256
    layer2             2, 4 blocks, the first / 2  28              128,  512
    layer3             2, 6 blocks, the first / 2  14              256, 1024
    layer4             2, 3 blocks, the first / 2   7              512, 2048
    avgpool            7 / 1 / 0                    1
    fc                 1 / 1 / 0                    1              classes

The layers keep torchvision's names and are torchvision's own modules; but `avgpool` has a window of the map that is
expected, so that larger frames give a map of predictions, and `fc` is a 1×1 convolution. ResNet-50 has its strides in
the 3×3 convolutions, as torchvision's weights have.
"""

from collections.abc import Callable

from torch import nn
from torchvision import models

from fusionlab import errors
from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.norm import StillNorm2d
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower

BELOW = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
TAPS = {name: name for name in ("layer1", "layer2", "layer3", "layer4", "fc", "softmax")}


class ResNet(Tower):
    """The table above, as a chain.

    `partial_bn`: all batch normalisations but the first keep their statistics, scale and bias, as Temporal Segment
    Networks (Wang et al. 2016) fine-tune with small batches. It is meant for loaded weights (weights=imagenet): what
    was just drawn has no statistics yet that would be worth keeping.
    """

    def __init__(
        self,
        make: Callable[..., models.ResNet],
        in_channels: int,
        classes: int,
        size: int = 224,
        *,
        partial_bn: bool = False,
    ) -> None:
        if partial_bn not in (True, False):
            raise errors.unknown("choice for partial_bn", str(partial_bn), ["true", "false"], form="partial_bn={}")
        whole = make(weights=None, num_classes=1, norm_layer=StillNorm2d if partial_bn else nn.BatchNorm2d)
        if in_channels != 3:
            whole.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        if partial_bn:
            whole.bn1 = nn.BatchNorm2d(64)
        layers = {name: whole.get_submodule(name) for name in BELOW}
        top = walk(layers, in_channels, size)["layer4"].tap
        if size < top.stride:
            raise errors.UserError("frames are too small for this tower", got=size, hint=f"size={top.stride} or more")
        end: dict[str, nn.Module] = {
            "avgpool": nn.AvgPool2d(top.side, stride=1),
            "fc": Classifier(top.channels, classes, 1),
            "softmax": nn.Softmax(dim=1),
        }
        super().__init__(layers | end, TAPS, in_channels, size)


class ResNet18(ResNet):
    """Two basic blocks a layer: 3×3, 3×3."""

    def __init__(self, in_channels: int, classes: int, size: int = 224, *, partial_bn: bool = False) -> None:
        super().__init__(models.resnet18, in_channels, classes, size, partial_bn=partial_bn)


class ResNet50(ResNet):
    """3, 4, 6 and 3 bottlenecks: 1×1, 3×3, 1×1."""

    def __init__(self, in_channels: int, classes: int, size: int = 224, *, partial_bn: bool = False) -> None:
        super().__init__(models.resnet50, in_channels, classes, size, partial_bn=partial_bn)
