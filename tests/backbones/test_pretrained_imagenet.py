"""torchvision's weights: a tower that has them gives what torchvision's own model gives. No network is used."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from pretrained_fakes import DEPTHS, SmallVgg16, SmallVggM
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vgg import make_layers

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import imagenet, load, locate
from fusionlab.backbones.resnet import ResNet18, ResNet50
from fusionlab.backbones.tiny import Tiny
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg16 import Vgg16
from fusionlab.backbones.vgg_m import VggM
from fusionlab.errors import UserError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch home"))


@pytest.fixture
def resnet18() -> models.ResNet:
    """With statistics of batch normalisation that matter."""
    torch.manual_seed(0)
    model = models.resnet18(weights=None).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return model


def cached(monkeypatch: pytest.MonkeyPatch, row: str, model: nn.Module, **how: bool) -> Path:
    """A file of these weights where torch hub would have put it, under a name that its hash is right for."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "x", **how)
    digits = hashlib.sha256((folder / "x").read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(imagenet.FILES, row, imagenet.Published(f"{row}-{digits}.pth", digits))
    return (folder / "x").rename(folder / f"{row}-{digits}.pth")


def bytes_and_pixels(size: int) -> tuple[Tensor, Tensor]:
    """A clip of one frame, and the same as torchvision's transforms would hand it on."""
    clip = torch.randint(0, 256, (2, 3, 1, size, size), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    mean, std = (torch.tensor(one).reshape(1, 3, 1, 1) for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return clip, (clip[:, :, 0].float() / 255 - mean) / std


@pytest.mark.parametrize("row", list(imagenet.FILES))
def test_the_table_is_torchvisions(row: str) -> None:
    weights = models.get_model_weights(row)["IMAGENET1K_V1"]
    published, transforms = imagenet.FILES[row], weights.transforms()
    assert published.url == weights.url and f"-{published.digits}." in published.file
    assert (tuple(transforms.mean), tuple(transforms.std)) == (imagenet.MEAN, imagenet.STD)
    assert len(weights.meta["categories"]) == imagenet.CLASSES
    said = next(line for line in (imagenet.__doc__ or "").splitlines() if published.file in line)
    assert f"{weights.meta['_metrics']['ImageNet-1K']['acc@1']:.2f}" in said


@pytest.mark.parametrize("row, make", [("vgg16", Vgg16), ("resnet18", ResNet18), ("resnet50", ResNet50)])
def test_every_name_of_torchvisions_is_one_of_the_towers(row: str, make: type[Tower]) -> None:
    with torch.device("meta"):
        model, tower = models.get_model(row, weights=None), make(3, classes=1000)
    assert imagenet.which(tower) == row
    assert imagenet.is_layout(model.state_dict()) and not imagenet.is_layout(tower.state_dict())
    found = imagenet.renamed(model.state_dict(), tower)
    own = {name: one for name, one in tower.state_dict().items() if name not in ("mean", "scale")}
    assert {name: one.numel() for name, one in found.items()} == {name: one.numel() for name, one in own.items()}
    assert list(found) == list(own), "in the same order"


@torch.no_grad()
@pytest.mark.parametrize("partial_bn", [False, True])
def test_resnet18_gives_what_torchvisions_gives(
    partial_bn: bool, resnet18: models.ResNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached(monkeypatch, "resnet18", resnet18)
    tower = ResNet18(3, classes=1000, size=64, partial_bn=partial_bn).eval()
    loaded = load(tower, "imagenet")
    clip, pixels = bytes_and_pixels(64)
    expected = resnet18(pixels)
    assert torch.allclose(tower(clip)[:, :, 0, 0, 0], expected, rtol=1e-4, atol=1e-5) and expected.std() > 0.1
    assert loaded.origin == f"torchvision: {path.name}"
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.notes == [] and loaded.mean_image is None


class NarrowVgg16(nn.Module):
    """torchvision's VGG-16, four channels wide, by torchvision's own maker of its layers."""

    def __init__(self) -> None:
        super().__init__()
        plan: list[str | int] = []
        for depth in DEPTHS:
            plan += [4] * depth + ["M"]
        self.features = make_layers(plan)
        self.classifier = nn.Sequential(
            nn.Linear(4 * 2 * 2, 9),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(9, 10),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(10, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


@torch.no_grad()
def test_vgg16_gives_what_torchvisions_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from a file in the format of 2017, which is what vgg16-397923af.pth is."""
    torch.manual_seed(0)
    model = NarrowVgg16().eval()
    cached(monkeypatch, "vgg16", model, _use_new_zipfile_serialization=False)
    tower = SmallVgg16().eval()
    load(tower, "imagenet")
    clip, pixels = bytes_and_pixels(64)
    expected = model(pixels)
    assert torch.allclose(tower(clip)[:, :, 0, 0, 0], expected, rtol=1e-4, atol=1e-5) and expected.std() > 0.01


@torch.no_grad()
def test_a_given_file_of_torchvisions(resnet18: models.ResNet, tmp_path: Path) -> None:
    torch.save(resnet18.state_dict(), tmp_path / "mine.pth")
    tower = ResNet18(3, classes=1000, size=64).eval()
    load(tower, "mine.pth", folder=tmp_path)
    clip, pixels = bytes_and_pixels(64)
    assert torch.allclose(tower(clip)[:, :, 0, 0, 0], resnet18(pixels), rtol=1e-4, atol=1e-5)


def test_older_batch_normalisations_count_no_batches(resnet18: models.ResNet, tmp_path: Path) -> None:
    state = {name: one for name, one in resnet18.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert len(state) < len(resnet18.state_dict())
    torch.save(state, tmp_path / "old.pth")
    load(ResNet18(3, classes=1000, size=64), str(tmp_path / "old.pth"))


def test_flow_starts_from_colour(resnet18: models.ResNet, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(monkeypatch, "resnet18", resnet18)
    tower = ResNet18(20, classes=5, size=64)
    initialise(tower, seed=0, prefix="motion.")
    head = tower.fc.weight.clone()
    loaded = load(tower, "imagenet", head="fresh")
    mean = resnet18.conv1.weight.mean(dim=1)
    assert all(torch.allclose(tower.conv1.weight[:, c], mean) for c in range(20))
    assert torch.equal(tower.layer1[0].conv1.weight, resnet18.layer1[0].conv1.weight)
    assert torch.equal(tower.fc.weight, head)
    assert tower.mean.unique().tolist() == [128]
    assert tower.scale.unique().tolist() == pytest.approx([255 * (0.229 + 0.224 + 0.225) / 3])
    assert len(loaded.notes) == 3 and loaded.notes[0] == "fc is drawn, not loaded"


def test_a_file_that_is_not_what_its_name_says(
    resnet18: models.ResNet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the cache, and given: a download that was cut, say."""
    path = cached(monkeypatch, "resnet18", resnet18)
    whole = path.read_bytes()
    tower = ResNet18(3, classes=1000, size=64)
    for content in (whole[:-1], whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="content of this file does not match its name"):
            load(tower, "imagenet")
    torch.save(resnet18.state_dict(), tmp_path / "vgg16-397923af.pth")
    with pytest.raises(
        UserError, match=r"sha256 397923af…(.|\n)*https://download\.pytorch\.org/models/vgg16-397923af\.pth"
    ):
        load(tower, str(tmp_path / "vgg16-397923af.pth"))


def test_without_a_network_and_a_file() -> None:
    with torch.device("meta"):
        tower = Vgg16(3, classes=101)
    with pytest.raises(UserError) as caught:
        locate("imagenet", tower)
    said = str(caught.value)
    assert "get vgg16-397923af.pth from https://download.pytorch.org/models/vgg16-397923af.pth" in said
    assert f"put it into {Path(torch.hub.get_dir()) / 'checkpoints'}" in said and "no route to host" in said


def test_what_is_downloaded_goes_into_torchs_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def download(url: str, place: str, hash_prefix: str, progress: bool) -> None:
        assert socket.getdefaulttimeout() == imagenet.PATIENCE
        asked.append((url, place, hash_prefix))
        Path(place).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with torch.device("meta"):
        tower = ResNet50(3, classes=7)
    path = locate("imagenet", tower, head="fresh")
    assert path == Path(torch.hub.get_dir()) / "checkpoints" / "resnet50-0676ba61.pth"
    assert asked == [("https://download.pytorch.org/models/resnet50-0676ba61.pth", str(path), "0676ba61")]
    assert locate("imagenet", tower) == path and len(asked) == 1, "once"
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("error", [RuntimeError("invalid hash value"), TimeoutError("timed out"), OSError("odd")])
def test_a_download_that_fails_says_so(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with torch.device("meta"):
        tower = ResNet18(3, classes=7)
    with pytest.raises(UserError, match=str(error)):
        locate("imagenet", tower)


def test_towers_that_have_none() -> None:
    with torch.device("meta"):
        vgg_m, tiny = VggM(3, classes=7), Tiny(3, classes=7)
    with pytest.raises(UserError) as caught:
        locate("imagenet", vgg_m, "my weights")
    assert "get https://www.vlfeat.org/matconvnet/models/imagenet-vgg-m-2048.mat, put it into my weights" in str(
        caught.value
    )
    assert "weights=imagenet weights.head=fresh" in str(caught.value)
    with pytest.raises(UserError, match=r"no ImageNet weights of Tiny(.|\n)*backbone=vgg16, resnet18, resnet50"):
        locate("imagenet", tiny)
    assert imagenet.which(SmallVggM()) is None


def test_those_of_vgg_m_are_a_file_that_a_user_has_put_there(tmp_path: Path) -> None:
    with torch.device("meta"):
        vgg_m, tiny = VggM(3, classes=7), Tiny(3, classes=7)
    (tmp_path / "imagenet-vgg-m-2048.mat").touch()
    assert locate("imagenet", vgg_m, tmp_path, head="fresh") == tmp_path / "imagenet-vgg-m-2048.mat"
    with pytest.raises(UserError, match="another number of classes"):
        locate("imagenet", vgg_m, tmp_path, head="keep")
    with pytest.raises(UserError, match="no ImageNet weights of Tiny"):
        locate("imagenet", tiny, tmp_path)


def test_another_number_of_classes_is_known_before_anything_is_downloaded() -> None:
    with torch.device("meta"):
        tower = Vgg16(3, classes=101)
    with pytest.raises(UserError, match=r"1000 of ImageNet, 101 here(.|\n)*weights\.head=fresh"):
        locate("imagenet", tower, head="keep")


def test_another_number_of_classes_in_a_given_file(resnet18: models.ResNet, tmp_path: Path) -> None:
    torch.save(resnet18.state_dict(), tmp_path / "x.pth")
    with pytest.raises(
        UserError, match=r"another number of classes(.|\n)*1000 in .*, 7 here(.|\n)*weights\.head=fresh"
    ):
        load(ResNet18(3, classes=7, size=64), str(tmp_path / "x.pth"))


def test_another_model_is_listed(resnet18: models.ResNet, tmp_path: Path) -> None:
    torch.save(NarrowVgg16().state_dict(), tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"missing: conv1\.weight(.|\n)*and \d+ more"):
        load(ResNet18(3, classes=7, size=64), str(tmp_path / "x.pth"))
    torch.save(resnet18.state_dict(), tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"missing: conv1_1\.weight(.|\n)*and \d+ more"):
        load(SmallVgg16(), str(tmp_path / "x.pth"))


def test_frames_of_another_size(tmp_path: Path) -> None:
    torch.save(NarrowVgg16().state_dict(), tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"shape: fc6\.weight \(9, 16\), in the tower \(9, 4, 1, 1\)(.|\n)*crop=224"):
        load(SmallVgg16(size=32), str(tmp_path / "x.pth"))
