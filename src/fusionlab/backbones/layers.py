"""What a layer is and what it does to a map: asked of the layer; of torch's own layers, read from one table.

A layer of your own may say, as attributes, what cannot be seen from outside:

    rectified      whether nothing below zero leaves it, as of a ReLU
    any_channels   whether it takes any number of channels, and leaves as many
    keeps_shape    True: it changes numbers and no shape
    whole_map      True: it reads the whole map and leaves a vector, as a fully connected layer
    takes_clips    whether it takes clips (N, D, T, H, W) itself; if not, it sees every frame alone
    layer_text()   the layer in a word or two, for tables: "lrn 5"

A layer with a window has torch's names for it: kernel_size, stride, padding (dilation, ceil_mode). With out_channels it
is a convolution, without it a pooling. Unless it says otherwise, a layer without a window and without weights that
count channels keeps the shape. The rest is measured (`geometry.py`).
"""

from collections import Counter
from copy import deepcopy
from typing import Any, NamedTuple, Self, cast

from torch import nn

from fusionlab.backbones.folding import is_3d


class TorchLayer(NamedTuple):
    """Properties of torch's layers that they do not declare themselves."""

    classes: tuple[type[nn.Module], ...]
    word: str
    keeps_shape: bool = False
    mean: bool = False  # a mean of all places leaves a vector; the largest of all places is still a map


TORCH = (
    TorchLayer((nn.Conv2d, nn.Conv3d), "conv"),
    TorchLayer((nn.MaxPool2d, nn.MaxPool3d), "max"),
    TorchLayer((nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), "mean", mean=True),
    TorchLayer((nn.ReLU,), "relu", keeps_shape=True),
    TorchLayer((nn.Softmax,), "softmax", keeps_shape=True),
    TorchLayer((nn.modules.batchnorm._BatchNorm,), "batch norm", keeps_shape=True),
)


def torch_layer(layer: nn.Module) -> TorchLayer | None:
    return next((row for row in TORCH if isinstance(layer, row.classes)), None)


class Window(NamedTuple):
    """Windows of `size` places, `stride` apart, on a side with `padding` at either end.

    `round_up`: a last window that reaches over the end counts, if it starts before the end.
    """

    size: int
    stride: int
    padding: int
    round_up: bool

    @classmethod
    def of(cls, layer: nn.Module) -> Self | None:
        """Along one side; a dilated kernel is as large as what it spans. None where a layer has no window."""
        kernel = getattr(layer, "kernel_size", None)
        if kernel is None:
            return None
        stride, padding, dilation = (getattr(layer, name, default) for name, default in _DEFAULTS.items())
        assert not isinstance(padding, str), "padding is a number"
        size = pair(dilation)[0] * (pair(kernel)[0] - 1) + 1
        return cls(size, pair(stride)[0], pair(padding)[0], bool(getattr(layer, "ceil_mode", False)))

    def places(self, side: int) -> int:
        """The number of windows along `side` places.

        >>> Window(size=3, stride=2, padding=0, round_up=True).places(14), Window(3, 2, 0, True).places(13)
        (7, 6)
        """
        space = side + 2 * self.padding - self.size
        steps = -(-space // self.stride) if self.round_up else space // self.stride
        if self.round_up and steps * self.stride >= side + self.padding:
            steps -= 1
        return max(steps + 1, 0)


_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1}


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """One number for both sides, or one for each (height, width); of three, the first is of time."""
    return (value, value) if isinstance(value, int) else (value[-2], value[-1])


def is_convolution(layer: nn.Module) -> bool:
    return hasattr(layer, "kernel_size") and hasattr(layer, "out_channels")


def is_pooling(layer: nn.Module) -> bool:
    return (hasattr(layer, "kernel_size") and not hasattr(layer, "out_channels")) or hasattr(layer, "output_size")


def over_places(pooling: nn.Module) -> nn.Module:
    """A pooling without its window in time, if it has one: each step alone."""
    made: Any = deepcopy(pooling)
    for name, alone in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1), ("output_size", None)):
        value = getattr(made, name, None)
        if isinstance(value, int) and window_axes(pooling) == 3:
            value = (value,) * 3
        if isinstance(value, tuple | list) and len(value) == 3:
            setattr(made, name, (alone, *value[1:]))
    return cast(nn.Module, made)


def window_axes(layer: nn.Module) -> int:
    """Over how many axes its window reaches: two, or three with time."""
    sizes = [getattr(layer, name, None) for name in ("kernel_size", "output_size")]
    tuples = [len(size) for size in sizes if isinstance(size, tuple | list)]
    return tuples[0] if tuples else 2 + is_3d(layer)


def is_chain(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Sequential)


def is_plain(layer: nn.Module) -> bool:
    """Without a window, and without a weight or a buffer that counts channels."""
    numbers = (*layer.parameters(), *layer.buffers())
    return all(one.ndim == 0 for one in numbers) and not any(hasattr(one, "kernel_size") for one in layer.modules())


def takes_mean(layer: nn.Module) -> bool:
    row = torch_layer(layer)
    return row is not None and row.mean


def keeps_shape(layer: nn.Module) -> bool:
    declared, row = getattr(layer, "keeps_shape", None), torch_layer(layer)
    return bool((row.keeps_shape if row else is_plain(layer)) if declared is None else declared)


# -- as text


def layer_text(layer: nn.Module) -> str:
    """A layer in a word or two; with kernel and stride where it has a window, and of a chain how many of what."""
    if (declared := getattr(layer, "layer_text", None)) is not None:
        return str(declared())
    if is_chain(layer):
        parts = layer.children()
        counts = Counter(layer_text(part) if hasattr(part, "layer_text") else class_word(part) for part in parts)
        return ", ".join(f"{count} × {word}" for word, count in counts.items())
    row = torch_layer(layer)
    word = row.word if row else class_word(layer)
    if hasattr(layer, "kernel_size") or hasattr(layer, "output_size"):
        return f"{word} {window_text(layer)}"
    return f"{word} {layer.p:g}" if isinstance(layer, nn.Dropout) else word


def class_word(layer: nn.Module) -> str:
    """A part by its class, as it is typed: Conv -> conv."""
    return type(layer).__name__.lower()


def window_text(layer: nn.Module, axes: int = 3) -> str:
    """3×3/1: kernel / stride, of unequal strides each; "to 1×1" where what is left is given. `axes`: the last ones."""
    if (left := getattr(layer, "output_size", None)) is not None:
        return "to " + "×".join(map(str, (left,) * window_axes(layer) if isinstance(left, int) else left[-axes:]))
    kernel, stride = getattr(layer, "kernel_size"), getattr(layer, "stride", 1)  # noqa: B009
    sizes = (kernel,) * window_axes(layer) if isinstance(kernel, int) else kernel
    steps = (stride,) if isinstance(stride, int) else stride[-axes:]
    step = "×".join(map(str, steps)) if len(set(steps)) > 1 else str(steps[0])
    return "×".join(map(str, sizes[-axes:])) + "/" + step
