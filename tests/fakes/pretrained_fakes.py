"""Narrow towers with the papers' layer names, MatConvNet's files as MatConvNet writes them, and MatConvNet in numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.io import savemat
from torch import nn

from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.taps import walk
from fusionlab.backbones.tower import Tower

Array = NDArray[Any]
LRN = [5.0, 2.0, 1e-4, 0.75]  # N κ α β, as in imagenet-vgg-m-2048.mat
VGG_M_TAPS = {name: name for name in ("relu1", "relu2", "relu5", "fc8", "softmax")}
DEPTHS = (2, 2, 3, 3, 3)


class SmallVggM(Tower):
    """VGG-M, a few channels wide: 96 -> 45 -> 22 -> 10 -> 5 (which rounds up) -> 2 -> 1."""

    def __init__(self, in_channels: int = 3, classes: int = 7, size: int = 96, *, norm2: bool = True) -> None:
        norm = {"norm2": LocalResponseNorm(5, 2.0, 1e-4, 0.75)} if norm2 else {}
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(in_channels, 6, 7, stride=2),
            "relu1": nn.ReLU(),
            "norm1": LocalResponseNorm(5, 2.0, 1e-4, 0.75),
            "pool1": nn.MaxPool2d(3, 2),
            "conv2": nn.Conv2d(6, 7, 5, stride=2, padding=1),
            "relu2": nn.ReLU(),
            **norm,
            "pool2": nn.MaxPool2d(3, 2, ceil_mode=True),
            "conv3": nn.Conv2d(7, 8, 3, padding=1),
            "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(8, 8, 3, padding=1),
            "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(8, 8, 3, padding=1),
            "relu5": nn.ReLU(),
            "pool5": nn.MaxPool2d(3, 2),
        }
        side = walk(layers, in_channels, size)["pool5"].tap.side
        super().__init__(layers | connected(8, side, classes), VGG_M_TAPS, in_channels, size)


class SmallVgg16(Tower):
    """VGG-16, four channels wide, for frames of 64."""

    def __init__(self, in_channels: int = 3, classes: int = 7, size: int = 64) -> None:
        layers: dict[str, nn.Module] = {}
        below = in_channels
        for block, depth in enumerate(DEPTHS, 1):
            for n in range(1, depth + 1):
                layers |= {f"conv{block}_{n}": nn.Conv2d(below, 4, 3, padding=1), f"relu{block}_{n}": nn.ReLU()}
                below = 4
            layers[f"pool{block}"] = nn.MaxPool2d(2, 2)
        taps = {name: name for name in ("relu1_1", "relu5_3", "fc8", "softmax")}
        super().__init__(layers | connected(4, size // 32, classes), taps, in_channels, size)


def connected(channels: int, side: int, classes: int) -> dict[str, nn.Module]:
    return {
        "fc6": nn.Conv2d(channels, 9, side),
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(0.5),
        "fc7": nn.Conv2d(9, 10, 1),
        "relu7": nn.ReLU(),
        "drop7": nn.Dropout(0.5),
        "fc8": Classifier(10, classes, 1),
        "softmax": nn.Softmax(dim=1),
    }


# -- a network as MatConvNet describes it


def described(tower: Tower, seed: int = 0) -> list[dict[str, Any]]:
    """A SimpleNN for such a tower, with weights of its own: H × W × I × O, single; biases a row."""
    draws = np.random.default_rng(seed)
    layers: list[dict[str, Any]] = []
    for name, layer in tower.named_children():
        if isinstance(layer, nn.Conv2d):
            assert isinstance(layer.padding, tuple)
            height, width = layer.kernel_size
            shape = (height, width, layer.in_channels, layer.out_channels)
            filters = draws.normal(0, (2 / (height * width * layer.in_channels)) ** 0.5, shape).astype(np.float32)
            biases = draws.normal(0, 0.1, (1, layer.out_channels)).astype(np.float32)
            pad = [layer.padding[0]] * 2 + [layer.padding[1]] * 2
            layers.append(conv(name, filters, biases, list(layer.stride), pad))
        elif isinstance(layer, nn.MaxPool2d):
            k, stride, more = layer.kernel_size, layer.stride, int(layer.ceil_mode)
            sides = {"pool": row([k, k]), "stride": row([stride, stride]), "pad": row([0, more, 0, more])}
            layers.append({"name": name, "type": "pool", "method": "max", **sides})
        elif isinstance(layer, LocalResponseNorm):
            layers.append({"name": name, "type": "lrn", "param": row(LRN)})
        elif isinstance(layer, nn.ReLU):
            layers.append({"name": name, "type": "relu", "leak": 0.0})
        elif isinstance(layer, nn.Softmax):
            layers.append({"name": "prob", "type": "softmax"})
    return layers


def conv(name: str, filters: Array, biases: Array, stride: Sequence[float], pad: Sequence[float]) -> dict[str, Any]:
    both = np.empty((1, 2), dtype=object)
    both[0, 0], both[0, 1] = filters, biases
    return {"name": name, "type": "conv", "weights": both, "stride": row(stride), "pad": row(pad)}


def row(numbers: Sequence[float]) -> Array:
    return np.array([numbers], dtype=np.float64)


def named(layers: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (layer,) = (layer for layer in layers if layer.get("name") == name)
    return layer


def mean_image(channels: int = 3, side: int = 12, seed: int = 5) -> Array:
    """Not as large as any frame here: nobody may take it off place by place."""
    return np.random.default_rng(seed).uniform(90, 140, (side, side, channels)).astype(np.float32)


# -- as files


def cell(values: Sequence[Any]) -> Array:
    made = np.empty((1, len(values)), dtype=object)
    for at, value in enumerate(values):
        made[0, at] = value
    return made


def structs(rows: Sequence[dict[str, Any]]) -> Array:
    """A struct array, 1 × N."""
    made = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for at, one in enumerate(rows):
        for name, value in one.items():
            made[name][0, at] = value
    return made


def write_simple(
    path: Path, layers: list[dict[str, Any]], mean: Array | None, *, compress: bool = True, side: float = 96
) -> Path:
    """As on MatConvNet's page of models since 2015: `layers` and `meta` at the top of the file."""
    normalization = {"imageSize": row([side, side, 3])} | ({} if mean is None else {"averageImage": mean})
    savemat(path, {"layers": cell(layers), "meta": {"normalization": normalization}}, do_compression=compress)
    return path


def write_old(path: Path, layers: list[dict[str, Any]], mean: Array) -> Path:
    """Before: `filters` and `biases`, `normalize`, and `normalization` at the top. Pads and strides as one number."""
    older = []
    for layer in layers:
        one = dict(layer)
        if "weights" in one:
            both = one.pop("weights")
            one |= {"filters": both[0, 0], "biases": both[0, 1]}
            one["pad"], one["stride"] = float(one["pad"][0, 0]), float(one["stride"][0, 0])
        if one["type"] == "lrn":
            one["type"] = "normalize"
        older.append(one)
    savemat(path, {"layers": cell(older), "normalization": {"averageImage": mean}, "classes": {"name": "x"}})
    return path


TYPES = {"conv": "Conv", "pool": "Pooling", "lrn": "LRN", "relu": "ReLU", "softmax": "SoftMax"}


def write_dag(path: Path, layers: list[dict[str, Any]], mean: Array) -> Path:
    """As the released two-stream code leaves its networks: `net = net.saveobj()`, with the statistics of training."""
    params, made = [], []
    for number, layer in enumerate(layers):
        block = {"poolSize" if name == "pool" else name: value for name, value in layer.items()}
        block = {name: value for name, value in block.items() if name not in ("name", "type", "weights")}
        names: list[str] = []
        if "weights" in layer:
            names = [layer["name"] + "f", layer["name"] + "b"]
            params += [
                {"name": name, "value": value, "learningRate": 1.0, "weightDecay": 1.0}
                for name, value in zip(names, layer["weights"][0], strict=True)
            ]
        made.append(
            {
                "name": layer["name"],
                "type": f"dagnn.{TYPES[layer['type']]}",
                "inputs": cell([f"x{number}"]),
                "outputs": cell([f"x{number + 1}"]),
                "params": cell(names),
                "block": block or np.zeros((0, 0)),
            }
        )
    net = {
        "vars": structs([{"name": "x0", "precious": False}]),
        "params": structs(params[::-1]),  # they are found by name
        "layers": structs(made),
        "meta": {"normalization": {"averageImage": mean}},
    }
    savemat(path, {"net": net, "stats": {"train": 1.0}})
    return path


Writer = Callable[[Path, list[dict[str, Any]], Array], Path]
WRITERS: dict[str, Writer] = {"simple": write_simple, "old": write_old, "dag": write_dag}


# -- MatConvNet in numpy, double precision: its manual's formulas, on its own arrays


def evaluated(layers: list[dict[str, Any]], x: Array) -> dict[str, Array]:
    """x (H, W, C), its mean taken off already -> the output of each layer."""
    found = {}
    for layer in layers:
        x = RULES[layer["type"]](x.astype(np.float64), layer)
        found[layer["name"]] = x
    return found


def _conv(x: Array, layer: dict[str, Any]) -> Array:
    """y(i, j, o) = b(o) + Σ_h Σ_w Σ_c f(h, w, c, o) x(s i + h - top, s j + w - left, c)"""
    filters, biases = (one.astype(np.float64) for one in layer["weights"][0])
    windows = _windows(x, layer, filters.shape[:2], 0.0)
    return np.einsum("ijchw,hwco->ijo", windows, filters) + biases.ravel()


def _pool(x: Array, layer: dict[str, Any]) -> Array:
    """The largest of a window, as far as it lies on the map."""
    return _windows(x, layer, tuple(layer["pool"][0].astype(int)), -np.inf).max(axis=(3, 4))


def _windows(x: Array, layer: dict[str, Any], kernel: tuple[int, ...], fill: float) -> Array:
    (top, bottom, left, right), (down, across) = (layer[one][0].astype(int) for one in ("pad", "stride"))
    x = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=fill)
    return sliding_window_view(x, kernel, axis=(0, 1))[::down, ::across]  # (i, j, c, h, w)


def _lrn(x: Array, layer: dict[str, Any]) -> Array:
    """y_k = x_k / (κ + α Σ_t x_t²)^β, t from k - ⌊(N-1)/2⌋ to k + ⌈(N-1)/2⌉ as far as there are channels"""
    n, kappa, alpha, beta = layer["param"][0]
    y = np.empty_like(x)
    for k in range(x.shape[2]):
        low, high = max(0, k - int((n - 1) // 2)), k + int(-(-(n - 1) // 2))
        y[:, :, k] = x[:, :, k] / (kappa + alpha * (x[:, :, low : high + 1] ** 2).sum(axis=2)) ** beta
    return y


def _softmax(x: Array, _: dict[str, Any]) -> Array:
    e = np.exp(x - x.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True)


RULES: dict[str, Callable[[Array, dict[str, Any]], Array]] = {
    "conv": _conv,
    "pool": _pool,
    "lrn": _lrn,
    "relu": lambda x, _: np.maximum(x, 0),
    "softmax": _softmax,
}
