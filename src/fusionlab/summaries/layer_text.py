"""What a layer is, in a word: conv 3×3/1."""

from collections import Counter

from torch import nn

from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.fusion.fusion import Fusion
from fusionlab.two_stream.svm import Svm

# Change numbers and no shape.
ELEMENTWISE = (
    nn.ReLU, nn.Dropout, nn.Softmax, nn.Identity, LocalResponseNorm, nn.modules.batchnorm._BatchNorm,
)  # fmt: skip


def elementwise(layer: nn.Module) -> bool:
    return isinstance(layer, ELEMENTWISE)


def kind(layer: nn.Module) -> str:
    """Convolutions and pools with kernel and stride; of a chain how many of what it holds."""
    if isinstance(layer, Svm):
        return "linear"
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        return "conv " + _window(layer.kernel_size, layer.stride)
    if isinstance(layer, nn.MaxPool2d):
        return "max " + _window(layer.kernel_size, layer.stride)
    if isinstance(layer, nn.AvgPool2d):
        return "mean " + _window(layer.kernel_size, layer.stride)
    if isinstance(layer, nn.Dropout):
        return f"dropout {layer.p:g}"
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        return "batch norm"
    if isinstance(layer, LocalResponseNorm):
        return f"lrn {layer.window}"
    if isinstance(layer, nn.Sequential):
        held = Counter(_called(part) for part in layer)
        return ", ".join(f"{count} × {name}" for name, count in held.items())
    return _called(layer)


def _called(layer: nn.Module) -> str:
    name = type(layer).__name__.lower()
    if isinstance(layer, Fusion):
        inside = [kind(part) for part in layer.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]
        return f"{name}, {', '.join(inside)}" if inside and inside[0].split()[0] != name else (inside or [name])[0]
    return name


def _window(kernel: int | tuple[int, ...], stride: int | tuple[int, ...]) -> str:
    """3×3/1; of unequal strides each."""
    sizes = (kernel, kernel) if isinstance(kernel, int) else kernel
    steps = {stride} if isinstance(stride, int) else set(stride)
    step = "×".join(map(str, stride)) if not isinstance(stride, int) and len(steps) > 1 else str(max(steps))
    return "×".join(map(str, sizes)) + "/" + step
