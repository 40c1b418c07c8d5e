"""What makes a network quicker leaves it the same network: channels-last memory, autocast to bf16, torch.compile.

Each net on the CPU and, where there is one, on a GPU. How much quicker is measured by `python -m fusionlab.bench`.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from two_stream_fakes import FUSIONS, HEADS, TRUNK, A, B, C, N, batch

from fusionlab.backbones.folding import fold_time, unfold_time
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.lrn import LocalResponseNorm
from fusionlab.backbones.resnet import ResNet18
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg_m import VggM
from fusionlab.benchmarks.networks_rows import missing_for_compiling
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import Features
from fusionlab.two_stream.trunk import Trunk

# What torch's own compiler warns of when it is imported (2.11), and on a GPU that has TF32 (it is not wanted here).
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning"),
]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
SIZE = 32
# bf16 keeps 8 bits of a number: each step is off by up to 0.4 %. Seen with the nets below on a CPU: 2.4 % with compact,
# 1.3 % at most with all others; the least cosine 0.979.
LOGITS = 0.05  # of the largest logit: how far one may be off
GRADIENT = 0.9  # the cosine between the gradients
Made = tuple[Trunk, FusedNet, dict[str, Tensor]]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `training.precision` has it: a GPU's convolutions would else take TF32, each memory's in another way."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(autouse=True)
def _nothing_compiled(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All nets share `FusedNet.forward`, of which torch keeps a few compiled versions and no more."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    yield
    torch.compiler.reset()


def normed(in_channels: int) -> Tower:
    """VGG-M's first layers with few channels."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 12, 7, stride=2),
        "relu1": nn.ReLU(),
        "norm1": LocalResponseNorm(),
        "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
        "conv2": nn.Conv2d(12, 8, 3),
        "relu2": nn.ReLU(),
        "norm2": LocalResponseNorm(),
        "pool2": nn.MaxPool2d(2, 2),
        "fc8": nn.Conv2d(8, C, 2),
        "softmax": nn.Softmax(dim=1),
    }
    return Tower(layers, {name: name for name in layers}, in_channels, SIZE)


def drawn(make: Callable[[int], Tower]) -> tuple[Tower, Tower]:
    towers = make(3), make(4)
    for tower, stream in zip(towers, ("appearance", "motion"), strict=True):
        initialise(tower, 0, prefix=f"{stream}.")
    return towers


def of_tiny(fusion: str, head: str = "pool2d", layer: str = "relu5", **options: Any) -> Callable[[], Made]:
    return lambda: (TRUNK, FusedNet(A, B, FUSIONS[fusion], HEADS[head], layer, **options), batch())


def of_others(make: Callable[[int], Tower], layer: str, fusion: str = "conv", side: int = SIZE) -> Callable[[], Made]:
    def made() -> Made:
        appearance, motion = drawn(make)
        net = FusedNet(appearance, motion, FUSIONS[fusion], HEADS["pool2d"], layer)
        return Trunk(appearance, motion), net, batch(side)

    return made


NETS: dict[str, Callable[[], Made]] = {
    **{name: of_tiny(name) for name in FUSIONS if name != "late"},
    **{f"conv, {head}": of_tiny("conv", head) for head in HEADS if head != "pool2d"},
    "the paper's 3D fusion": of_tiny("cat", "conv3d_paper"),
    "below the ReLU": of_tiny("conv", layer="conv5"),
    "fc6": of_tiny("conv", layer="fc6"),
    "class scores": of_tiny("conv", layer="fc8"),
    "softmax": of_tiny("sum", layer="softmax"),
    "three meetings": of_tiny("conv", "pool3d", "relu3+relu5+fc6"),
    "a stack at two meetings": of_tiny("cat", layer="relu3+relu5"),
    "a map and the class scores": of_tiny("max", layer="relu5+fc8"),
    "both towers kept": of_tiny("conv", "conv3d", keep=True),
    "a descriptor beside a kept tower": of_tiny("bilinear", keep=True),
    "into motion": of_tiny("cat", into="motion", above="motion"),
    "behind a normalisation": of_others(normed, "norm1"),
    "below a normalisation": of_others(normed, "relu2", "cat"),
    "residual": of_others(lambda channels: ResNet18(channels, C, SIZE), "layer3"),
}
VGG_M = of_others(lambda channels: VggM(channels, C, 112), "relu1", "sum", side=112)
COMPILED = ("conv", "fc6", "the paper's 3D fusion", "bilinear", "both towers kept", "behind a normalisation")
each_net = pytest.mark.parametrize("net", NETS, indirect=True)


@pytest.fixture
def net(request: pytest.FixtureRequest, device: str) -> Made:
    """In evaluation mode, so that what dropout draws is the same wherever it is run: nothing."""
    trunk, net, data = (VGG_M if request.param == "vgg_m" else NETS[request.param])()
    label = torch.tensor([1, 3])
    assert len(label) == N
    data = {name: values.to(device) for name, values in {**data, "label": label}.items()}
    return deepcopy(trunk).to(device), net.eval().to(device), data


def gradients(net: FusedNet, loss: Tensor) -> dict[str, Tensor]:
    """Of the parameters by name; of a net that has none, nothing."""
    net.zero_grad(set_to_none=True)
    if loss.requires_grad:
        loss.backward()
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def step(trunk: Trunk, net: FusedNet, data: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The logits and the loss, from bytes."""
    maps = trunk.features(data, net.needs)
    return net(maps), net.loss(maps, data["label"])


# -- channels-last


def in_memory(maps: Features, memory: torch.memory_format) -> Features:
    """The same maps, laid out otherwise."""
    return {s: {k: x.contiguous(memory_format=memory) for k, x in of.items()} for s, of in maps.items()}


def test_what_a_trunk_hands_on_is_folded_without_a_copy() -> None:
    maps = TRUNK.features(batch(), {"appearance": ("relu3", "fc7"), "motion": ("relu5",)})
    for x in (maps["appearance"]["relu3"], maps["appearance"]["fc7"], maps["motion"]["relu5"]):
        frames = fold_time(x)
        assert frames.data_ptr() == x.data_ptr() and frames.is_contiguous(memory_format=torch.channels_last)
        assert unfold_time(frames, N).data_ptr() == x.data_ptr()


@each_net
def test_memory_changes_nothing(net: Made) -> None:
    trunk, fused, data = net
    maps = trunk.features(data, fused.needs)
    found = []
    for memory in (torch.channels_last_3d, torch.contiguous_format):
        laid = in_memory(maps, memory)
        found.append((fused(laid), gradients(fused, fused.loss(laid, data["label"]))))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@each_net
def test_nor_does_the_memory_of_weights(net: Made) -> None:
    trunk, fused, data = net
    expected = step(trunk, fused, data)
    for layer in (*trunk.modules(), *fused.modules()):
        if isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)
        if isinstance(layer, nn.Conv3d):
            layer.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(step(trunk, fused, data), expected, rtol=1e-4, atol=1e-5)


# -- autocast


@each_net
def test_bf16_is_close(net: Made) -> None:
    """As trainer.precision=bf16-mixed trains: the towers too."""
    trunk, fused, data = net
    logits, loss = step(trunk, fused, data)
    exact = gradients(fused, loss)
    with torch.autocast(data["label"].device.type, torch.bfloat16):
        rough_logits, rough_loss = step(trunk, fused, data)
    rough = gradients(fused, rough_loss)

    off = (rough_logits.float() - logits).abs().max()
    assert 0 < off <= LOGITS * logits.abs().max(), off / logits.abs().max()
    assert rough_loss.dtype == torch.float32
    assert abs(rough_loss - loss) <= 4 * off  # no loss here is steeper
    assert rough.keys() == exact.keys()
    assert all(grad.dtype == torch.float32 and grad.isfinite().all() for grad in rough.values())
    if exact:
        (x, y) = (torch.cat([grad.flatten() for grad in of.values()]) for of in (exact, rough))
        assert nn.functional.cosine_similarity(x, y, dim=0) > GRADIENT


# -- torch.compile


@pytest.mark.slow
@each_net
def test_compiles_in_one_graph(net: Made) -> None:
    """Traced and differentiated as torch.compile does it, then run as it is: that needs no compiler."""
    trunk, fused, data = net
    maps = trunk.features(data, fused.needs)
    expected = fused(maps), gradients(fused, fused.loss(maps, data["label"]))

    def both(maps: Features, label: Tensor) -> tuple[Tensor, Tensor]:
        return fused(maps), fused.loss(maps, label)

    logits, loss = torch.compile(both, fullgraph=True, backend="aot_eager")(maps, data["label"])
    torch.testing.assert_close((logits, gradients(fused, loss)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("net", ["conv", "below a normalisation", "residual"], indirect=True)
def test_a_trunk_compiles_in_one_graph(net: Made) -> None:
    trunk, fused, data = net
    compiled = torch.compile(trunk.features, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(data, fused.needs), trunk.features(data, fused.needs))


@pytest.mark.slow
@pytest.mark.parametrize("net", COMPILED, indirect=True)
def test_compiled_equals_eager(net: Made) -> None:
    """The whole step, as the bench times it."""
    trunk, fused, data = net
    missing = missing_for_compiling(data["label"].device.type)
    if missing is not None:
        pytest.skip(missing)
    expected = step(trunk, fused, data)
    of_eager = gradients(fused, expected[1])
    found = torch.compile(step, fullgraph=True)(trunk, fused, data)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(gradients(fused, found[1]), of_eager, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("net", ["vgg_m"], indirect=True)
def test_vgg_m(net: Made) -> None:
    """Its own normalisations, with all of its channels."""
    test_memory_changes_nothing(net)
    test_bf16_is_close(net)
    test_compiles_in_one_graph(net)
    test_a_trunk_compiles_in_one_graph(net)
