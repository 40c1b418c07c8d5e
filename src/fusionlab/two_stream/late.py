"""Late fusion as a net: both towers whole, and the average of their scores."""

from torch import Tensor

from fusionlab.fusion import late
from fusionlab.two_stream import average
from fusionlab.two_stream.net import Features, Net


class LateNet(Net):
    """Has no parameters, so there is nothing to train."""

    def __init__(self, appearance: str = "fc8", motion: str = "fc8") -> None:
        """The taps with the logits, as the towers call them."""
        super().__init__()
        self.layer_a, self.layer_b = appearance, motion
        self.needs = {"appearance": (appearance,), "motion": (motion,)}

    def no_effect(self) -> dict[str, tuple[str, str | None]]:
        why = "late fusion has both towers whole and nothing above them"
        return dict.fromkeys(("into", "keep_motion", "tower_weight"), (why, None))

    def forward(self, features: Features) -> Tensor:
        x_a, x_b = features["appearance"][self.layer_a], features["motion"][self.layer_b]
        if x_a.shape == x_b.shape:
            return late.fuse(x_a, x_b).flatten(2)
        return average.of_scores(x_a.flatten(2), x_b.flatten(2), 0.5)  # unlike towers on larger frames
