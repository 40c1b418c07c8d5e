"""Networks of torchvision by name: published counts, weight files, pixels, options, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from library_nets import whole_of
from torch import nn
from torchvision import models

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import imagenet, load, locate
from fusionlab.backbones.torchvision_nets import MINUS_ONE_TO_ONE, Torchvision, names, published
from fusionlab.errors import UserError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch home"))


def on_meta(**numbers: Any) -> Torchvision:
    with torch.device("meta"):
        return Torchvision(**{"in_channels": 3, "classes": 400, **numbers})


@pytest.mark.parametrize(
    "name, count",
    [
        ("r3d_18", 33_371_472),
        ("mc3_18", 11_695_440),
        ("r2plus1d_18", 31_505_325),
        ("s3d", 8_320_048),
    ],
)
def test_parameters_are_as_published(name: str, count: int) -> None:
    made = on_meta(name=name)
    assert sum(own.numel() for own in made.parameters()) == count
    assert made.classes == 400 and not made.unused


@pytest.mark.slow
def test_every_name_of_torchvisions_weights_is_one_of_the_towers() -> None:
    for name in ("resnet18", "swin_t", "r2plus1d_18"):
        made = on_meta(name=name, size=64, frames=8)
        with torch.device("meta"):
            state = models.get_model(name, num_classes=400).state_dict()
        renamed = made.renamed(state)
        assert len(renamed) == len(state)
        assert set(renamed) == set(made.state_dict()) - {"mean", "scale"}


def test_more_channels_than_colour_replace_the_first_convolution_alone() -> None:
    colour, flow = on_meta(name="r3d_18", size=32), on_meta(name="r3d_18", size=32, in_channels=2)
    ours, theirs = ({name: tuple(own.shape) for name, own in one.named_parameters()} for one in (flow, colour))
    differing = {name for name in theirs if theirs[name] != ours[name]}
    assert differing == {"stem_0.weight"} and ours["stem_0.weight"] == (64, 2, 3, 7, 7)
    drawn = Torchvision(20, 5, 32, name="squeezenet1_1")
    initialise(drawn, 0)
    first = drawn.get_submodule("features_0").weight
    assert first.shape == (64, 20, 3, 3) and abs(first.std() / (2 / (20 * 9)) ** 0.5 - 1) < 0.05


def test_options_go_to_torchvisions_builder() -> None:
    narrow = on_meta(name="mobilenet_v2", size=64, options={"width_mult": 0.25})
    assert narrow.taps["features_0_0"].channels == 8
    assert on_meta(name="vit_b_32", size=64).taps["heads_head"].channels == 400


# -- weight files


def saved(model: nn.Module, folder: Path, stem: str) -> tuple[Path, str]:
    """A file with a name that its hash is right for."""
    torch.save(model.state_dict(), folder / "x")
    digits = hashlib.sha256((folder / "x").read_bytes()).hexdigest()[:8]
    return (folder / "x").rename(folder / f"{stem}-{digits}.pth"), digits


def in_cache(monkeypatch: pytest.MonkeyPatch, name: str, model: nn.Module) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    path, digits = saved(model, folder, name)
    found = imagenet.Published(path.name, digits)
    monkeypatch.setattr("fusionlab.backbones.torchvision_nets.published", lambda _: {"IMAGENET1K_V1": found})
    return path


@torch.no_grad()
def test_imagenet_is_torchvisions_file_of_that_network(monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.squeezenet1_1(weights=None).eval()
    path = in_cache(monkeypatch, "squeezenet1_1", model)
    made = Torchvision(3, 1000, 64, name="squeezenet1_1").eval()
    initialise(made, 0)
    loaded = load(made, "imagenet")
    assert loaded.origin == f"torchvision: {path.name}"
    x = torch.randint(0, 256, (2, 3, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(one).reshape(1, 3, 1, 1) for one in (imagenet.MEAN, imagenet.STD))
    theirs = model((x[:, :, 0] / 255 - mean) / std)
    assert torch.allclose(made(x).flatten(1), theirs, atol=1e-4)


def test_a_damaged_file_of_the_cache_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = in_cache(monkeypatch, "squeezenet1_1", models.squeezenet1_1(weights=None))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match="does not match its name"):
        load(Torchvision(3, 1000, 64, name="squeezenet1_1"), "imagenet")


def test_weights_of_colour_start_flow_in_clips_too(tmp_path: Path) -> None:
    made = Torchvision(2, 5, 32, 2, name="mc3_18", options={})
    initialise(made, 0)
    model = models.get_model("mc3_18", num_classes=5)
    path, _ = saved(model, tmp_path, "mc3_18")
    notes = load(made, str(path)).notes
    assert notes[0] == "stem_0 is the mean over RGB, repeated 2 times"
    first = model.stem[0].weight.mean(1)
    assert torch.allclose(made.get_submodule("stem_0").weight[:, 1], first)
    assert torch.equal(whole_of(made).fc.weight, model.fc.weight.double())
    assert made.mean.flatten().tolist() == [128, 128]


def test_a_saved_tower_loads_under_its_own_names(tmp_path: Path) -> None:
    made, other = (Torchvision(3, 5, 32, name="squeezenet1_1") for _ in range(2))
    initialise(made, 1)
    made.set_pixels(7.0, 9.0)
    torch.save(made.state_dict(), tmp_path / "own.pth")
    load(other, str(tmp_path / "own.pth"))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in made.state_dict().items())


def test_pixels_are_those_of_the_weights_transforms() -> None:
    made = on_meta(name="resnet18", size=32)
    for name in ("resnet50", "r3d_18", "s3d", "mvit_v2_s"):
        for choice in models.get_model_weights(name):
            transforms = choice.transforms()
            made.name = name
            mean, std = made.pixels(choice.url.rpartition("/")[2])
            assert [one / 255 for one in mean] == pytest.approx(list(transforms.mean))
            assert [one / 255 for one in std] == pytest.approx(list(transforms.std))


@pytest.mark.parametrize("name", MINUS_ONE_TO_ONE)
def test_where_torchvision_changes_pixels_inside_the_network_ours_are_changed_before(name: str) -> None:
    model: Any = models.get_model(name, init_weights=False, aux_logits=False, transform_input=True)
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(one).reshape(1, 3, 1, 1) for one in (imagenet.MEAN, imagenet.STD))
    made = on_meta(name=name, size=299, options={"aux_logits": False, "init_weights": False})
    ours = (255 * x - made.pixels("")[0][0]) / made.pixels("")[1][0]
    assert torch.allclose(model._transform_input((x - mean) / std), ours, atol=1e-5)


def test_files_are_named_with_the_digits_of_their_hash() -> None:
    assert published("resnet18")["IMAGENET1K_V1"] == imagenet.FILES["resnet18"]
    for name in names():  # every file has such digits; of some names more than eight
        assert {file.file for file in published(name).values()} == {
            one.url.rpartition("/")[2] for one in models.get_model_weights(name)
        }
        assert all(len(file.digits) >= 8 for file in published(name).values())


# -- what is refused


@pytest.mark.parametrize(
    "numbers, match",
    [
        (
            {"name": "resnet19"},
            r"unknown network of torchvision(.|\n)*did you mean backbone.appearance.name=resnet1[08]",
        ),
        ({"name": "fcn_resnet50"}, r"unknown network of torchvision"),
        ({"options": {"weights": "DEFAULT"}}, r"fusionlab(.|\n)*weights=imagenet"),
        ({"options": {"depth": 3}}, r"torchvision cannot build resnet18 with these options(.|\n)*depth"),
        (
            {"name": "inception_v3", "size": 299},
            r"2 tensors(.|\n)*appearance.options={aux_logits:false}",
        ),
        ({"name": "mvit_v1_b", "size": 64, "frames": 4}, r"cannot be cut into layers(.|\n)*MViT, \(3, 4, 64, 64\)"),
    ],
)
def test_errors_say_what_to_type(numbers: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        on_meta(**numbers)


def test_a_network_of_clips_has_no_imagenet_weights_and_the_error_says_which_it_has() -> None:
    with pytest.raises(
        UserError, match=r"no ImageNet weights of r3d_18(.|\n)*KINETICS400_V1: https.*r3d_18-b3b3357e"
    ) as no:
        locate("imagenet", on_meta(name="r3d_18", size=32))
    assert "run.weights" in str(no.value)


def test_a_download_that_fails_says_which_file_to_put_where() -> None:
    made = on_meta(name="swin_t", size=32)
    with pytest.raises(UserError, match=r"get swin_t-704ceda3.pth from https"):
        locate("imagenet", made)
    with pytest.raises(UserError, match=r"for another number of classes(.|\n)*weights.head=fresh: head is drawn"):
        locate("imagenet", made, head="keep")
