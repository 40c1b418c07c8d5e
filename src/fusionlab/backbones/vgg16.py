"""VGG-16 (Simonyan & Zisserman 2015, configuration D), the deeper towers of the 2016 paper.

    layers              kernel / stride / pad   side, of 224   channels   parameters (3 channels; 20)
    conv1_1, conv1_2    3 / 1 / 1               224                  64   38,720; 48,512
    pool1               2 / 2 / 0               112
    conv2_1, conv2_2    3 / 1 / 1               112                 128   221,440
    pool2               2 / 2 / 0                56
    conv3_1 … conv3_3   3 / 1 / 1                56                 256   1,475,328
    pool3               2 / 2 / 0                28
    conv4_1 … conv4_3   3 / 1 / 1                28                 512   5,899,776
    pool4               2 / 2 / 0                14
    conv5_1 … conv5_3   3 / 1 / 1                14                 512   7,079,424
    pool5               2 / 2 / 0                 7
    fc6                 7 / 1 / 0                 1                4096   102,764,544
    fc7                 1 / 1 / 0                 1                4096   16,781,312
    fc8                 1 / 1 / 0                 1                 101   413,797
                                                                          134,674,341; 134,684,133

A ReLU behind each but fc8, dropout behind fc6 and fc7. relu5_3 has stride 16 and a receptive field of 196.
"""

from collections.abc import Mapping

from torch import nn

from fusionlab.backbones.connected import DROPOUT, connected
from fusionlab.backbones.connected import TAPS as CONNECTED
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
PLACES = [f"{block}_{n}" for block, (_, depth) in enumerate(BLOCKS, 1) for n in range(1, depth + 1)]
TAPS = {f"{kind}{place}": f"{kind}{place}" for place in PLACES for kind in ("conv", "relu")} | CONNECTED


class Vgg16(Tower):
    """The table above, as a chain."""

    def __init__(
        self, in_channels: int, classes: int, size: int = 224, *, dropout: Mapping[str, float] = DROPOUT
    ) -> None:
        convolutions: dict[str, nn.Module] = {}
        below = in_channels
        for block, (channels, depth) in enumerate(BLOCKS, 1):
            for n in range(1, depth + 1):
                convolutions[f"conv{block}_{n}"] = nn.Conv2d(below, channels, 3, padding=1)
                convolutions[f"relu{block}_{n}"] = nn.ReLU()
                below = channels
            convolutions[f"pool{block}"] = nn.MaxPool2d(2, 2)
        side = walk(convolutions, in_channels, size)["pool5"].tap.side
        end = connected(below, side, (4096, 4096), classes, dropout)
        super().__init__(convolutions | end, TAPS, in_channels, size)
