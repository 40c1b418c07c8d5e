"""Late fusion as a net: both towers whole, and the average of their scores."""

from torch import Tensor

from fusionlab.fusion import late
from fusionlab.two_stream.net import Features, Net


class LateNet(Net):
    """Has no parameters, so there is nothing to train."""

    def __init__(self, layer: str = "fc8") -> None:
        """`layer`: the tap with the logits, as the towers call it."""
        super().__init__()
        self.layer = layer
        self.needs = {"appearance": (layer,), "motion": (layer,)}

    def forward(self, features: Features) -> Tensor:
        x_a, x_b = features["appearance"][self.layer], features["motion"][self.layer]
        return late.fuse(x_a, x_b).flatten(2)
