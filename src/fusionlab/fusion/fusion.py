"""A fusion: a module built from the two channel counts, called with the two maps."""

from collections.abc import Callable
from math import inf
from typing import Literal, get_args

from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.layers import class_word, is_convolution, layer_text

Classifying = Literal["svm", "softmax"]  # a linear support vector machine's hinge loss, or cross-entropy


def classifying(name: str) -> Classifying:
    """`name`, if it is one of the two."""
    if name not in get_args(Classifying):
        raise errors.unknown("classifier of a descriptor", name, get_args(Classifying), form="fusion.classifier={}")
    return "svm" if name == "svm" else "softmax"


def regularising(value: object) -> float | None:
    """`value`, if it is a factor from 0 or None."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < inf):
        return None if value is None else float(value)
    raise errors.UserError(
        "the regulariser of a descriptor's classifier is a factor from 0, or null for the recipe's weight decay",
        got=f"fusion.regulariser={value}",
        hint="fusion.regulariser=5e-4",
    )


class Fusion(nn.Module):
    """(x_a, x_b) -> y, all (N, D, T, H, W). To write another: subclass, set what differs, write `forward`.

    A network puts a ReLU behind a fusion that has weights, where the maps it fuses are rectified (as the released code
    does behind its convolutions). The fusion itself is only its equation.
    """

    symmetric = True  # fusing (x_a, x_b) and (x_b, x_a) is the same
    spatial = True  # leaves a map with places; if not, a descriptor of norm 1, which is classified at once
    equal_channels = True  # fuses channel d with channel d, so both maps need as many
    classifier: Classifying = "softmax"  # the loss of what classifies a descriptor
    regulariser: float | None = None  # λ of λ/2 ‖W, bias‖² in that loss; None: the recipe's weight decay instead
    fuses_scores = False  # fuses the class scores of two whole towers: nothing is built above it
    keeps_apart = False  # both towers' layers above the meeting are trained on, and only their scores are averaged
    joint_loss = False  # then: one loss, that of the average, and not one for each tower

    keeps_shape = False  # it is a step of the network: tables and drawings have a row for it
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
        """Called once, before anything is drawn, with the number of channels of the tower that goes on.

        It is for a fusion that can choose its number of output channels.
        """

    def layer_text(self) -> str:
        """Its name, and its convolutions, for tables."""
        name = class_word(self)
        inside = [layer_text(part) for part in self.modules() if is_convolution(part)]
        return f"{name}, {', '.join(inside)}" if inside and inside[0].split()[0] != name else (inside or [name])[0]

    def alike(self, x_a: Tensor, x_b: Tensor) -> None:
        """Refuse maps of different sizes, which torch would broadcast."""
        skip = 1 if self.equal_channels else 2
        same = x_a.ndim == x_b.ndim == 5 and x_a.shape[0] == x_b.shape[0]
        if not same or x_a.shape[skip:] != x_b.shape[skip:]:
            raise errors.UserError(
                f"{type(self).__name__} needs two maps (N, D, T, H, W) of one shape",
                got=f"{tuple(x_a.shape)} of appearance, {tuple(x_b.shape)} of motion",
                hint="layers of equal size and stride",
            )


FusionFactory = Callable[[int, int], Fusion]  # (channels_a, channels_b) -> the fusion
