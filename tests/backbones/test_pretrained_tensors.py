"""Our own weight files: tensors by name, pixels among them; and files that are none, or worse."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fusionlab.backbones.inception import Inception
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import load
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.two_stream.net import StreamNet


def tower(seed: int = 0, channels: int = 3, classes: int = 5) -> Tower:
    made = Tiny(channels, classes=classes, size=32, width=8)
    initialise(made, seed=seed)
    return made.eval()


def trained(**how: int) -> Tower:
    """Another tower, that takes its pixels in another way."""
    made = tower(**{"seed": 1, **how})
    made.set_pixels([100.0 + c for c in range(made.in_channels)], [20.0 + c for c in range(made.in_channels)])
    return made


def write(state: Any, path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


def equal(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("form", [".pt", ".pth", ".safetensors", ".PT"])
def test_a_tower_goes_out_and_in(form: str, tmp_path: Path) -> None:
    source, made = trained(), tower()
    path = write(source.state_dict(), tmp_path / f"w{form}")
    loaded = load(made, path)
    assert equal(made, source) and made.mean.flatten().tolist() == [100, 101, 102]
    assert (loaded.origin, loaded.notes) == (f"state dict: w{form}", [])
    assert loaded.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_what_a_stream_published_goes_in(tmp_path: Path) -> None:
    source, made = trained(), tower()
    load(made, write(StreamNet(source, "appearance").state_dict(), tmp_path / "weights.pt"))
    assert equal(made, source)


def test_a_stream_from_before_pixels_were_weights(tmp_path: Path) -> None:
    state = {
        name: one
        for name, one in StreamNet(tower(seed=1), "appearance").state_dict().items()
        if name not in ("tower.mean", "tower.scale")
    }
    made = tower()
    made.set_pixels(7.0, 3.0)
    loaded = load(made, write(state, tmp_path / "weights.pt"))
    assert torch.equal(made.fc8.weight, tower(seed=1).fc8.weight) and made.mean.unique().tolist() == [7]
    assert "tower's own" in loaded.notes[0]


@pytest.mark.parametrize("gone", [["mean"], ["scale"], ["mean", "scale"]])
def test_pixels_have_to_be_there(gone: list[str], tmp_path: Path) -> None:
    state = {name: one for name, one in trained().state_dict().items() if name not in gone}
    said = refusal(tower(), write(state, tmp_path / "w.pt"))
    assert all(f"missing: {name}, how pixels enter" in said for name in gone)


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("mean", torch.full((1, 3, 1, 1, 1), float("nan")), "mean of the pixels is"),
        ("scale", torch.zeros(1, 3, 1, 1, 1), "scale of the pixels is [0.0, 0.0, 0.0]"),
        ("scale", torch.ones(1, 4, 1, 1, 1), "shape: scale of 4 channels, the first layer reads 3"),
    ],
)
def test_pixels_have_to_be_right(name: str, value: Tensor, said: str, tmp_path: Path) -> None:
    assert said in refusal(tower(), write({**trained().state_dict(), name: value}, tmp_path / "w.pt"))


def test_flow_starts_from_colour(tmp_path: Path) -> None:
    source, made = trained(), tower(channels=12)
    loaded = load(made, write(source.state_dict(), tmp_path / "w.safetensors"))
    mean = (source.conv1.weight[:, 0] + source.conv1.weight[:, 1] + source.conv1.weight[:, 2]) / 3
    assert all(torch.allclose(made.conv1.weight[:, c], mean) for c in range(12))
    assert torch.equal(made.conv1.bias, source.conv1.bias) and torch.equal(made.conv2.weight, source.conv2.weight)
    assert made.mean.flatten().tolist() == [128] * 12 and made.scale.flatten().tolist() == [21] * 12
    assert loaded.notes == ["conv1 is the mean over RGB, repeated 12 times", "pixels of flow: mean 128, scale 21"]


@pytest.mark.parametrize("channels", [2, 10])
@pytest.mark.parametrize("partial_bn", [False, True])
@torch.no_grad()
def test_flow_starts_from_colour_in_a_tower_with_batch_norm(channels: int, partial_bn: bool, tmp_path: Path) -> None:
    """Cross-modality initialisation: two channels of each step, or a stack; statistics and all that is above stay."""

    def inception(of: int, **options: Any) -> Inception:
        made = Inception(of, 5, 64, width=0.125, padding="torchvision", **options)
        initialise(made, seed=of)
        return made

    source, made = inception(3), inception(channels, partial_bn=partial_bn)
    draw = torch.Generator().manual_seed(0)
    for name, one in source.state_dict().items():
        if name.rpartition(".")[2] in ("running_mean", "running_var"):
            one.copy_(torch.rand(one.shape, generator=draw) + 0.5)
    load(made, write(source.state_dict(), tmp_path / "w.safetensors"))
    colour, flow = source.state_dict(), made.state_dict()
    filters, own = colour.pop("conv1.conv.weight"), flow.pop("conv1.conv.weight")
    assert own.shape == (filters.shape[0], channels, 7, 7)
    for o, c, i, j in itertools.product(range(len(filters)), range(channels), (0, 3, 6), (0, 5)):
        mean = sum(filters[o, rgb, i, j].item() for rgb in range(3)) / 3
        assert own[o, c, i, j].item() == pytest.approx(mean, abs=1e-6)
    for name, one in flow.items():
        assert name in ("mean", "scale") or torch.equal(one, colour[name]), name
    assert made.mean.flatten().tolist() == [128] * channels
    # Grey, the same in all channels: flow's filters see of it a share of channels / 3 of what colour's do.
    x = torch.rand(1, 1, 16, 16, generator=draw)
    seen = [tower.conv1.conv(x.expand(-1, n, -1, -1)) for tower, n in ((source, 3), (made, channels))]
    torch.testing.assert_close(seen[1], seen[0] * channels / 3, rtol=1e-4, atol=1e-5)


def test_flow_is_taken_keep_batch_and_no_other_number_of_channels_is_made_to_fit(tmp_path: Path) -> None:
    path = write(trained(channels=12).state_dict(), tmp_path / "w.pt")
    made = tower(channels=12)
    load(made, path)
    assert equal(made, trained(channels=12))
    assert "shape: conv1.weight (4, 12, 3, 3), in the tower (4, 20, 3, 3)" in refusal(tower(channels=20), path)
    assert "shape: conv1.weight (4, 12, 3, 3), in the tower (4, 3, 3, 3)" in refusal(tower(), path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_taken(kind: torch.dtype, tmp_path: Path) -> None:
    source, made = trained(), tower()
    load(made, write({name: one.to(kind) for name, one in source.state_dict().items()}, tmp_path / "w.safetensors"))
    assert made.conv1.weight.dtype == torch.float32
    assert torch.equal(made.conv1.weight, source.conv1.weight.to(kind).float())


def test_the_classifier_is_kept_or_drawn(tmp_path: Path) -> None:
    path = write(trained(classes=9).state_dict(), tmp_path / "w.pt")
    made = tower(classes=5)
    head = made.fc8.weight.clone()
    said = refusal(made, path)
    assert "another number of classes" in said and "9 in " in said and "5 here" in said and "weights.head=fresh" in said
    load(made, path, head="fresh")
    assert torch.equal(made.fc8.weight, head) and torch.equal(made.fc7.weight, trained().fc7.weight)
    body = {name: one for name, one in trained().state_dict().items() if not name.startswith("fc8")}
    assert "try:      weights.head=fresh" in refusal(made, write(body, tmp_path / "body.pt"))
    load(made, str(tmp_path / "body.pt"), head="fresh")


def test_all_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    state = trained(classes=9).state_dict()
    del state["conv4.weight"]
    state["conv3.weight"] = state["conv3.weight"][:3]
    state["conv2.bias"] = torch.full_like(state["conv2.bias"], float("inf"))
    state["conv1.bias"] = torch.zeros(4, dtype=torch.int8)
    state["fc6.weight"] = state["fc6.weight"].to(torch.complex64)
    state["more"] = torch.zeros(2, 3)
    state["fc7.bias"] = torch.full_like(state["fc7.bias"], 1e300, dtype=torch.float64)
    said = refusal(tower(), write(state, tmp_path / "w.pt"))
    for line in (
        "classes: 9, here 5 (weights.head=fresh would draw fc8)",
        "missing: conv4.weight (8, 8, 3, 3)",
        "unexpected: more (2, 3)",
        "shape: conv3.weight (3, 8, 3, 3), in the tower (8, 8, 3, 3)",
        "not finite: conv2.bias",
        "not finite: fc7.bias",  # in the tower's precision
        "type: conv1.bias is torch.int8, in the tower torch.float32",
        "type: fc6.weight is torch.complex64, in the tower torch.float32",
    ):
        assert f"\n    {line}\n" in said + "\n", said


def refusal(made: Tower, path: str) -> str:
    """What is said; and nothing of the tower has changed."""
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with pytest.raises(UserError) as caught:
        load(made, path)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    return str(caught.value)


# -- what is no weight file


class Hostile:
    """Unpickled by Python's own pickle, this makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("way", ["pickle", "zip", "2017", "among weights"])
def test_a_pickle_that_would_run_code_does_not_run(way: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "it ran", tmp_path / "w.pt"
    if way == "pickle":
        path.write_bytes(pickle.dumps(Hostile(mark)))
    elif way == "among weights":
        torch.save({**trained().state_dict(), "more": Hostile(mark)}, path)
    else:
        torch.save(Hostile(mark), path, _use_new_zipfile_serialization=way == "zip")
    said = refusal(tower(), str(path))
    assert "not a weight file of plain tensors" in said and not mark.exists()
    assert "weights_only" not in said, "torch's advice to load it all the same"
    if way != "pickle":
        torch.load(path, weights_only=False)
        assert mark.exists(), "the file would have done it"
    else:
        pickle.loads(path.read_bytes())
        assert mark.exists(), "the file would have done it"


@pytest.mark.parametrize(
    "content, holds",
    [
        ({"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": 3}, "state_dict, epoch"),
        ([torch.zeros(1)], "list"),
        (torch.zeros(3), "Tensor"),
        ({1: torch.zeros(1)}, "1"),
        ({"a": torch.eye(2).to_sparse()}, "a"),
        ({"a": torch.zeros(2, device="meta")}, "a"),
    ],
)
def test_other_content_is_said_to_be_what_it_is(content: Any, holds: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    assert f"which holds {holds}" in refusal(tower(), str(tmp_path / "w.pt"))


@pytest.mark.parametrize("form", [".pt", ".pth", ".safetensors"])
def test_cut_files_and_garbage_are_refused(form: str, tmp_path: Path) -> None:
    made, path = tower(), tmp_path / f"w{form}"
    whole = Path(write(trained().state_dict(), path)).read_bytes()
    for share in (0.01, 0.3, 0.6, 0.95, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        assert "not a weight file" in refusal(made, str(path))
    for broken in (b"\0", b"text, and no weights", b"\x80\x02}q\0.", b"PK\x03\x04" + bytes(50), b"\xff" * 100):
        path.write_bytes(broken)
        refusal(made, str(path))


def test_nothing_at_all_is_refused(tmp_path: Path) -> None:
    assert "missing: conv1.weight" in refusal(tower(), write({}, tmp_path / "w.pt"))
    with pytest.raises(AssertionError, match="without storage"), torch.device("meta"):
        load(Tiny(3, classes=2), str(tmp_path / "w.pt"))
