"""A tower small enough to train in seconds on one CPU core, with the layer names and the shape of VGG-M."""

from torch import nn

from fusionlab import errors
from fusionlab.backbones.connected import TAPS as CONNECTED
from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower


class Tiny(Tower):
    """Five convolutions and three fully connected layers: 2.9 million multiply-adds for a 48×48 RGB frame, width 24.

        48 -conv1 3/2-> 24 -pool1 3/2-> 12 -conv2 … conv5 3/1-> 12 -pool5 3/2-> 6 -fc6-> 1 -fc7-> 1 -fc8-> 1

    Pools round up (24 -> 12 -> 6). relu5 has stride 4 and a receptive field of 39: fine enough to tell places apart.
    `convolutions`: how many there are; the last pool is behind the last of them.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int = 48,
        *,
        width: int = 32,
        dropout: float = 0.5,
        convolutions: int = 5,
    ) -> None:
        if size < 16:
            raise errors.UserError("frames are too small for this tower", got=size, hint="size=16 or more")
        if width < 2:
            raise errors.UserError("width must be 2 or more", got=f"width={width}", hint="width=24")
        if not 2 <= convolutions <= 5:  # relu6 is the name of fc6's
            got = f"convolutions={convolutions}"
            raise errors.UserError("this tower has 2 to 5 convolutions", got=got, hint="convolutions=5")
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(in_channels, width // 2, 3, stride=2, padding=1),
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
            "conv2": nn.Conv2d(width // 2, width, 3, padding=1),
            "relu2": nn.ReLU(),
        }
        for n in range(3, convolutions + 1):
            layers |= {f"conv{n}": nn.Conv2d(width, width, 3, padding=1), f"relu{n}": nn.ReLU()}
        taps = {name: name for name in layers if name != "pool1"} | CONNECTED
        pool = f"pool{convolutions}"
        layers[pool] = nn.MaxPool2d(3, 2, ceil_mode=True)
        side = walk(layers, in_channels, size)[pool].tap.side
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
        super().__init__(layers | connected, taps, in_channels, size, mean=128.0, scale=32.0)
