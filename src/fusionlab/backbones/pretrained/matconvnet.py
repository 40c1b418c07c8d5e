"""MatConvNet's networks as they lie in a .mat: VGG-M-2048, VGG-16, and any chain whose layers bear a tower's names.

    SimpleNN   layers{l}.name .type .weights{1} .weights{2}      older: .filters .biases
               meta.normalization.averageImage                   older: normalization.averageImage
    DagNN      layers(l).name .type .params{…} .block            params(p).name .value, meta as above

either at the top of the file, as in the models of MatConvNet's page, or inside `net`, as in what it trains. Filters are
(H, W, I, O) and slide as torch's do (neither is flipped); fully connected layers are convolutions in both. MATLAB drops
trailing ones of a shape. Colour is RGB, bytes of 0 to 255, less `averageImage`, not divided.

The mean image is as large as the frames that the network was trained on. A tower sees other sizes too, and crops from
anywhere in a frame; so its mean over the places is what is taken off, one number for each channel, as the released
two-stream code does with whole frames. The image itself is handed on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusionlab.backbones.layers import is_convolution
from fusionlab.backbones.pretrained import geometry
from fusionlab.backbones.pretrained.mat import as_list, read_mat
from fusionlab.backbones.pretrained.tensors import WeightFile
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError

VARIABLES = ("net", "layers", "params", "meta", "normalization")
TYPES = {"normalize": "lrn", "pooling": "pool"}  # older names, and DagNN's


@dataclass(frozen=True)
class FileLayer:
    """`facts`: stride, pad, pool, method, param, as far as the file has them."""

    name: str
    type_: str
    arrays: list[Any] = field(default_factory=list)  # filters, biases, if the file is right
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def weighted(self) -> bool:
        return any(not isinstance(one, np.ndarray) or one.size > 0 for one in self.arrays)


def read(path: Path, tower: Tower) -> WeightFile:
    """Filters and biases by the tower's names, the pixels' mean, and what else does not agree with the tower."""
    variables = read_mat(path, VARIABLES)
    net = variables.get("net", variables)
    if not isinstance(net, dict) or not isinstance(net.get("layers"), list | dict):
        raise UserError(
            "this file has no MatConvNet network",
            got=f"{path}, which has {', '.join(variables) or 'nothing known'}",
            hint="in MATLAB: net = net.saveobj(); save(file, '-struct', 'net', '-v7')",
        )
    dag = "params" in net
    file = WeightFile("MatConvNet DagNN" if dag else "MatConvNet SimpleNN", {})
    layers = _dag(net, file) if dag else _simple(net["layers"], file)
    layers = _with_classifier(layers, tower, file)
    for layer in layers:
        _take(layer, tower, file)
    _set_mean(net, layers, file)
    wrong, notes = geometry.compare(tower, {layer.name: (layer.type_, layer.facts) for layer in layers})
    file.wrong += wrong
    file.notes += notes
    return file


def _simple(layers: Any, file: WeightFile) -> list[FileLayer]:
    made = []
    for number, layer in enumerate(as_list(layers), 1):
        if not isinstance(layer, dict):
            file.wrong.append(f"layer {number} is not a struct")
            continue
        older = [layer[name] for name in ("filters", "biases") if name in layer]
        arrays = as_list(layer["weights"]) if "weights" in layer else older
        made.append(_layer(layer.get("name"), number, layer.get("type"), arrays, layer))
    return made


def _dag(net: dict[str, Any], file: WeightFile) -> list[FileLayer]:
    params = [one for one in as_list(net["params"]) if isinstance(one, dict)]
    values = {str(one.get("name")): one.get("value") for one in params}
    made = []
    for number, layer in enumerate(as_list(net["layers"]), 1):
        if not isinstance(layer, dict):
            file.wrong.append(f"layer {number} is not a struct")
            continue
        names = [str(name) for name in as_list(layer.get("params", []))]
        file.wrong += [f"missing: the parameter {name} of {layer.get('name')}" for name in names if name not in values]
        block = layer.get("block")
        facts = block if isinstance(block, dict) else {}
        type_ = str(layer.get("type")).removeprefix("dagnn.").lower()
        made.append(_layer(layer.get("name"), number, type_, [values[name] for name in names if name in values], facts))
    return made


def _layer(name: Any, number: int, type_: Any, arrays: list[Any], facts: dict[str, Any]) -> FileLayer:
    """A layer without a name is called by its number, as MatConvNet itself does (DagNN.fromSimpleNN)."""
    renamed = {"poolSize": "pool"}
    return FileLayer(
        name if isinstance(name, str) and name else f"layer{number}",
        TYPES.get(str(type_), str(type_)),
        arrays,
        {renamed.get(fact, fact): value for fact, value in facts.items()},
    )


def _with_classifier(layers: list[FileLayer], tower: Tower, file: WeightFile) -> list[FileLayer]:
    """The file's layers; the last weighted one is renamed to the classifier, if the tower does not know its name.

    The released code replaces the last layer by a classifier without a name, which is then called by its number
    (layer37 in VGG-16).
    """
    weighted = [at for at, layer in enumerate(layers) if layer.weighted]
    if not weighted or tower.classifier in [layer.name for layer in layers]:
        return layers
    last = weighted[-1]
    layer = layers[last]
    if layer.name in tower.names or layer.type_ != "conv":
        return layers
    file.notes.append(f"{layer.name}, the last layer of the file, is {tower.classifier}")
    return [*layers[:last], FileLayer(tower.classifier, layer.type_, layer.arrays, layer.facts), *layers[last + 1 :]]


def _take(layer: FileLayer, tower: Tower, file: WeightFile) -> None:
    """One layer's filters and biases, if it has any."""
    if not layer.weighted:
        return
    if layer.type_ != "conv" or len(layer.arrays) > 2:
        file.wrong.append(f"unexpected: {layer.name}, of type {layer.type_}")
        return
    if f"{layer.name}.weight" in file.weights:
        file.wrong.append(f"there are two layers {layer.name}")
        return
    if not all(isinstance(one, np.ndarray) and one.dtype.kind in "fiu" for one in layer.arrays):
        file.wrong.append(f"{layer.name} has no real numbers")
        return
    own = dict(tower.named_modules()).get(layer.name)
    filters = _filters(layer.arrays[0], own)
    file.weights[f"{layer.name}.weight"] = filters
    biases = layer.arrays[1] if len(layer.arrays) == 2 else np.zeros(0)
    if biases.size:
        file.weights[f"{layer.name}.bias"] = _tensor(biases.ravel(order="F"))
    elif (
        own is not None and is_convolution(own) and getattr(own, "bias", None) is not None
    ):  # MatConvNet's way to write: no bias
        file.weights[f"{layer.name}.bias"] = torch.zeros(len(filters))


def _filters(array: NDArray[Any], own: nn.Module | None) -> Tensor:
    """(H, W, I, O) -> (O, I, H, W). A matrix at a 1×1 convolution is (I, O), by a writer who drops leading ones too."""
    if array.ndim == 2 and getattr(own, "kernel_size", None) == (1, 1):
        array = array[None, None]
    array = array.reshape(*array.shape, *[1] * (4 - array.ndim))
    return _tensor(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)


def _tensor(array: NDArray[Any]) -> Tensor:
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is refused for it
        return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _set_mean(net: dict[str, Any], layers: list[FileLayer], file: WeightFile) -> None:
    """The mean image, and its mean over the places for each channel that the first layer reads."""
    first = next((file.weights[name] for layer in layers if (name := f"{layer.name}.weight") in file.weights), None)
    image = _average_image(net)
    if first is None:
        return
    if image is None:
        file.wrong.append("missing: normalization.averageImage, how pixels enter")
        return
    channels = first.shape[1] if first.ndim == 4 else 0
    if image.ndim == 3 and image.shape[2] == channels:
        with np.errstate(all="ignore"):  # what is not finite is refused for it
            mean = image.mean(axis=(0, 1), dtype=np.float64)
    elif image.size in (1, channels):
        mean = np.broadcast_to(image.ravel(), channels)
    else:
        file.wrong.append(f"shape: averageImage {tuple(image.shape)}, the first layer reads {channels} channels")
        return
    file.mean_image = image
    file.mean, file.scale = [float(one) for one in mean], [1.0] * channels


def _average_image(net: dict[str, Any]) -> NDArray[Any] | None:
    for place in (net.get("meta"), net):
        normalization = place.get("normalization") if isinstance(place, dict) else None
        image = normalization.get("averageImage") if isinstance(normalization, dict) else None
        if isinstance(image, np.ndarray) and image.size and image.dtype.kind in "fiu":
            return image
    return None
