"""First weights from a file, instead of from a seed.

place.py       what a person typed -> a file on this disk
imagenet.py    torchvision's ImageNet weights: which file is whose, and what its names are in our towers
mat.py         a MATLAB file -> plain values
matconvnet.py  MatConvNet's networks, SimpleNN and DagNN, in such a file
tensors.py     our own: plain tensors by name, .safetensors, .pt and .pth
found.py       what each of these readers hands on
geometry.py    what a file says of strides, windows and normalisation, held against the tower
fit.py         all into the tower, or one error that lists all that does not fit
loaded.py      the way through: `load`

A weight file is data: nothing in it is ever run. What cannot be found or does not fit is an error, never a draw.
"""

from fusionlab.backbones.pretrained.loaded_weights import Loaded, load
from fusionlab.backbones.pretrained.locate_weights import locate

__all__ = ["Loaded", "load", "locate"]
