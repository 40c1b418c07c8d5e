"""VGG-M-2048 (Chatfield et al. 2014), both towers of the 2014 paper and the smaller ones of the 2016 paper.

    layer        kernel / stride / pad   side, of 224   channels   parameters (3 channels; 20)
    conv1        7 / 2 / 0               109                  96   14,208; 94,176
    norm1        5 channels
    pool1        3 / 2 / 0                54
    conv2        5 / 2 / 1                26                 256   614,656
    norm2        5 channels, appearance only
    pool2        3 / 2 / 0, rounds up     13
    conv3        3 / 1 / 1                13                 512   1,180,160
    conv4        3 / 1 / 1                13                 512   2,359,808
    conv5        3 / 1 / 1                13                 512   2,359,808
    pool5        3 / 2 / 0                 6
    fc6          6 / 1 / 0                 1                4096   75,501,568
    fc7          1 / 1 / 0                 1                2048   8,390,656
    fc8          1 / 1 / 0                 1                 101   206,949
                                                                   90,627,813; 90,707,781

A ReLU behind each but fc8, dropout behind fc6 and fc7. relu5 has stride 16 and a receptive field of 139. Pool2 has to
round up (26 -> 13): otherwise fc6 would meet a map of 5×5.

Of a larger frame there is a prediction every 32 pixels: fc6 at each window of pool5's map. They are what crops give one
by one, but for the zeros that conv2 … conv5 see around a crop's maps and the whole frame has further out: of relu5's
13×13 places in a crop of 224, rows and columns 4 … 8 see none of them and are equal.
"""

from collections.abc import Mapping
from typing import Literal

from torch import nn

from fusionlab import errors
from fusionlab.backbones.connected import DROPOUT, connected
from fusionlab.backbones.connected import TAPS as CONNECTED
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower

TAPS = {f"{kind}{n}": f"{kind}{n}" for n in range(1, 6) for kind in ("conv", "relu")} | CONNECTED


class VggM(Tower):
    """The table above, as a chain.

    `second_norm`: the motion tower of the 2014 paper goes without norm2. A tower does not know its stream; "auto" takes
    the one of 3 channels, colour, for appearance.
    """

    published = "VGG-M-2048"

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int = 224,
        *,
        dropout: Mapping[str, float] = DROPOUT,
        second_norm: bool | Literal["auto"] = "auto",
    ) -> None:
        if second_norm not in (True, False, "auto"):
            allowed = ["auto", "true", "false"]
            raise errors.unknown("choice for norm2", str(second_norm), allowed, form="second_norm={}")
        with_norm2 = in_channels == 3 if second_norm == "auto" else second_norm
        convolutions: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(in_channels, 96, 7, stride=2),
            "relu1": nn.ReLU(),
            "norm1": LocalResponseNorm(),
            "pool1": nn.MaxPool2d(3, 2),
            "conv2": nn.Conv2d(96, 256, 5, stride=2, padding=1),
            "relu2": nn.ReLU(),
            **({"norm2": LocalResponseNorm()} if with_norm2 else {}),
            "pool2": nn.MaxPool2d(3, 2, ceil_mode=True),
            "conv3": nn.Conv2d(256, 512, 3, padding=1),
            "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(512, 512, 3, padding=1),
            "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(512, 512, 3, padding=1),
            "relu5": nn.ReLU(),
            "pool5": nn.MaxPool2d(3, 2),
        }
        side = walk(convolutions, in_channels, size)["pool5"].tap.side
        end = connected(512, side, (4096, 2048), classes, dropout)
        super().__init__(convolutions | end, TAPS, in_channels, size)
