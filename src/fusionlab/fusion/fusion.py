"""What every fusion is: a module built from the two channel counts, called with the two maps."""

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor, nn

from fusionlab import errors

Classifying = Literal["svm", "softmax"]  # a linear support vector machine's hinge loss, or cross-entropy


def classifying(name: str) -> Classifying:
    """One of the two, or what to type instead."""
    if name not in get_args(Classifying):
        raise errors.unknown("classifier of a descriptor", name, get_args(Classifying), form="fusion.classifier={}")
    return "svm" if name == "svm" else "softmax"


class Fusion(nn.Module):
    """(x_a, x_b) -> y, all (N, D, T, H, W). To write another: subclass, set what differs, write `forward`.

    A network puts a ReLU behind a fusion that has weights, where the maps it fuses are rectified (as the
    released code does behind its convolutions). The fusion itself is its equation and nothing more.
    """

    symmetric = True  # fusing (x_a, x_b) and (x_b, x_a) is the same
    spatial = True  # leaves a map with places; if not, a descriptor of norm 1, which is classified at once
    equal_channels = True  # fuses channel d with channel d, so both maps need as many
    classifier: Classifying = "softmax"  # the loss of what classifies a descriptor
    fuses_scores = False  # fuses the class scores of two whole towers: nothing is built above it
    layers: tuple[str, ...] | None = None  # the taps where it can stand; None: everywhere

    def __init__(self, channels_a: int, channels_b: int) -> None:
        super().__init__()
        if self.equal_channels and channels_a != channels_b:
            raise errors.UserError(
                f"{type(self).__name__} fuses channel by channel",
                got=f"{channels_a} channels of appearance, {channels_b} of motion",
                hint="a layer with as many channels in both towers, or fusion=cat",
            )
        self.out_channels = channels_a

    def leave(self, channels: int) -> None:
        """Told once, before anything is drawn: how many channels the tower that goes on has here. For a fusion that is
        free in what it leaves.
        """

    def alike(self, x_a: Tensor, x_b: Tensor) -> None:
        """Nothing is broadcast in silence: maps that do not lie on each other are refused."""
        skip = 1 if self.equal_channels else 2
        same = x_a.ndim == x_b.ndim == 5 and x_a.shape[0] == x_b.shape[0]
        if not same or x_a.shape[skip:] != x_b.shape[skip:]:
            raise errors.UserError(
                f"{type(self).__name__} needs two maps (N, D, T, H, W) of one shape",
                got=f"{tuple(x_a.shape)} of appearance, {tuple(x_b.shape)} of motion",
                hint="layers of equal size and stride",
            )


FusionFactory = Callable[[int, int], Fusion]  # (channels_a, channels_b) -> the fusion
