"""First weights from a file instead of from a seed.

load_weights.py   from `weights=` to a loaded tower: `locate`, `load`
imagenet.py       torchvision's ImageNet weights: which file is whose, and what its names are in our towers
inception_files.py  torchvision's and other libraries' files of the Inception family
mat.py            a MATLAB file -> plain values
matconvnet.py     MatConvNet's networks, SimpleNN and DagNN, in such a file
tensors.py        plain tensors by name, .safetensors, .pt and .pth; `WeightFile`, what every reader returns
geometry.py       strides, windows and normalisation of a file, compared with the tower's
match_tensors.py  a file's tensors into the tower, or one error that lists all that does not fit

A weight file is data: nothing in it is ever run. A missing or unfitting file is an error, never a random start.
"""

from fusionlab.backbones.pretrained.load_weights import Loaded, load, locate

__all__ = ["Loaded", "load", "locate"]
