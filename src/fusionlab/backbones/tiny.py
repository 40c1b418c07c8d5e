"""A tower small enough to train in seconds on one CPU core, with the layer names and the shape of VGG-M."""

from torch import nn

from fusionlab import errors
from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower

TAPS = {  # fc6 and fc7 are read behind their ReLU and before dropout: where the papers fuse them
    **{f"{kind}{n}": f"{kind}{n}" for n in range(1, 6) for kind in ("conv", "relu")},
    "fc6": "relu6",
    "fc7": "relu7",
    "fc8": "fc8",
    "softmax": "softmax",
}


class Tiny(Tower):
    """Five convolutions and three fully connected layers: 2.9 million multiply-adds for a 48×48 RGB frame, width 24.

        48 -conv1 3/2-> 24 -pool1 3/2-> 12 -conv2 … conv5 3/1-> 12 -pool5 3/2-> 6 -fc6-> 1 -fc7-> 1 -fc8-> 1

    Pools round up (24 -> 12 -> 6). relu5 has stride 4 and a receptive field of 39: fine enough to tell places apart.
    """

    def __init__(
        self, in_channels: int, classes: int, size: int = 48, *, width: int = 32, dropout: float = 0.5
    ) -> None:
        if size < 16:
            raise errors.UserError("frames are too small for this tower", got=size, hint="size=16 or more")
        if width < 2:
            raise errors.UserError("width must be 2 or more", got=f"width={width}", hint="width=24")
        convolutions: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(in_channels, width // 2, 3, stride=2, padding=1),
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
            "conv2": nn.Conv2d(width // 2, width, 3, padding=1),
            "relu2": nn.ReLU(),
        }
        for n in (3, 4, 5):
            convolutions |= {f"conv{n}": nn.Conv2d(width, width, 3, padding=1), f"relu{n}": nn.ReLU()}
        convolutions["pool5"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        side = walk(convolutions, in_channels, size)["pool5"].tap.side
        connected: dict[str, nn.Module] = {
            "fc6": nn.Conv2d(width, 4 * width, side),
            "relu6": nn.ReLU(),
            "drop6": nn.Dropout(dropout),
            "fc7": nn.Conv2d(4 * width, 2 * width, 1),
            "relu7": nn.ReLU(),
            "drop7": nn.Dropout(dropout),
            "fc8": Classifier(2 * width, classes, 1),
            "softmax": nn.Softmax(dim=1),
        }
        # The bytes of drawn shapes carry a contrast of a few times ±32 around 128.
        super().__init__(convolutions | connected, TAPS, in_channels, size, mean=128.0, scale=32.0)
