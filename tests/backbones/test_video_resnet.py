"""The networks of R(2+1)D against torchvision's, the paper's counts, and a picture made of frames."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import video

from fusionlab.backbones.pretrained import load, locate
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.video_resnet import GROUPS, R2D, R2Plus1D, VideoResNet, middle_channels
from fusionlab.errors import UserError

Make = Callable[..., Tower]
NETS: dict[str, Make] = {
    "r2d": partial(R2D, frames=8),
    **{kind: partial(VideoResNet, kind=kind) for kind in GROUPS},
    "r2plus1d": R2Plus1D,
}
THEIRS: dict[str, tuple[Callable[..., nn.Module], Make]] = {
    "r3d_18": (video.r3d_18, NETS["r3d"]),
    "mc3_18": (video.mc3_18, NETS["mc3"]),
    "r2plus1d_18": (video.r2plus1d_18, partial(R2Plus1D, middle="torchvision")),
}
# Parameters for 400 classes: printed by the paper (millions), all of them, and without batch norm.
COUNTS = {
    "r2d": (11.4, 11_447_568, 11_437_968),
    "fr2d": (11.4, 11_381_712, 11_372_112),
    "r3d": (33.4, 33_371_472, 33_361_872),
    "mc2": (11.4, 11_400_528, 11_390_928),
    "mc3": (11.7, 11_695_440, 11_685_840),
    "mc4": (12.7, 12_727_632, 12_718_032),
    "mc5": (16.9, 16_856_400, 16_846_800),
    "rmc2": (33.3, 33_352_656, 33_343_056),
    "rmc3": (33.0, 33_057_744, 33_048_144),
    "rmc4": (32.0, 32_025_552, 32_015_952),
    "rmc5": (27.9, 27_896_784, 27_887_184),
    "r2plus1d": (33.3, 33_370_839, 33_344_679),
}
THEIR_COUNTS = {"r3d_18": 33_371_472, "mc3_18": 11_695_440, "r2plus1d_18": 31_505_325}


def meta(make: Make, *args: Any, **numbers: Any) -> Tower:
    with torch.device("meta"):
        return make(*args, **numbers)


def count(module: nn.Module, *, norms: bool = True) -> int:
    parts = [part for part in module.modules() if norms or not isinstance(part, nn.BatchNorm3d)]
    return sum(own.numel() for part in parts for own in part.parameters(recurse=False))


# --- counts ---


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_the_papers(name: str) -> None:
    printed, with_norms, without = COUNTS[name]
    made = meta(NETS[name], 3, 400)
    assert (count(made), count(made, norms=False)) == (with_norms, without)
    assert abs(without / 1e6 - printed) <= 0.06


@pytest.mark.parametrize("name", THEIRS)
def test_parameters_are_torchvisions(name: str) -> None:
    theirs, ours = THEIRS[name]
    made = meta(ours, 3, 400)
    with torch.device("meta"):
        whole = theirs(weights=None)
    assert count(made) == count(whole) == THEIR_COUNTS[name]
    assert [(own, flat(value)) for own, value in weights(made).items()] == [
        (own, flat(value)) for own, value in whole.state_dict().items()
    ]


def flat(value: Tensor) -> tuple[int, ...]:
    return tuple(value.shape)


def weights(made: Tower) -> dict[str, Tensor]:
    """As torchvision names and shapes them."""
    state = {name: value for name, value in made.state_dict().items() if name not in ("mean", "scale")}
    return {**state, "fc.weight": state["fc.weight"].flatten(1)}


def test_depth_34_has_twice_the_blocks_but_two() -> None:
    """3, 4, 6, 3 blocks: the convolutions of ResNet-34."""
    made = meta(NETS["r3d"], 3, 400, depth=34)
    assert [len(list(made.get_submodule(f"layer{n}").children())) for n in range(1, 5)] == [3, 4, 6, 3]
    blocks = {64: 1, 128: 2, 256: 4, 512: 1}  # more than at depth 18, by channels
    assert count(made) - COUNTS["r3d"][1] == sum(
        more * 2 * (27 * channels**2 + 2 * channels) for channels, more in blocks.items()
    )


# --- middle channels ---


def test_the_middle_channels_are_the_papers() -> None:
    pairs = [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    assert [middle_channels(*pair) for pair in pairs] == [144, 230, 288, 460, 576, 921, 1152]


def test_a_factorised_convolution_is_as_large_as_the_3d_one_or_just_smaller() -> None:
    """Equal where the channels are; otherwise one more filter would make it larger."""
    ours, theirs = meta(R2Plus1D, 3, 400), meta(NETS["r3d"], 3, 400)
    equal = {64: 110_592, 128: 442_368, 256: 1_769_472, 512: 7_077_888}
    unequal = {128: 220_800, 256: 883_200, 512: 3_536_640}
    for name, convolution in theirs.named_modules():
        if ".conv" in name and isinstance(convolution, nn.Conv3d):
            inputs, outputs = convolution.in_channels, convolution.out_channels
            pair = ours.get_submodule(name)
            found = sum(own.weight.numel() for own in pair if isinstance(own, nn.Conv3d))  # type: ignore[attr-defined]
            if inputs == outputs:
                assert found == convolution.weight.numel() == equal[outputs]
            else:
                one_more = 9 * inputs + 3 * outputs
                assert found == unequal[outputs] < convolution.weight.numel() < found + one_more


def test_torchvisions_rule_differs_in_the_second_convolution_of_a_wider_layer_alone() -> None:
    paper, theirs = meta(R2Plus1D, 3, 5), meta(R2Plus1D, 3, 5, middle="torchvision")
    shapes = theirs.state_dict()
    other = {name.partition(".conv")[0] for name, own in paper.state_dict().items() if own.shape != shapes[name].shape}
    assert other == {"layer2.0", "layer3.0", "layer4.0"}
    assert paper.get_submodule("layer2.0.conv2.0.0").out_channels == 288
    assert theirs.get_submodule("layer2.0.conv2.0.0").out_channels == 230


# --- what it computes ---


def randomised(whole: nn.Module) -> nn.Module:
    """Statistics as after training, so that a batch norm left out or doubled shows."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in whole.modules():
            if isinstance(part, nn.BatchNorm3d):
                for value, low, high in (
                    (part.weight, 0.3, 0.9),
                    (part.bias, -0.3, 0.3),
                    (part.running_mean, -0.5, 0.5),
                    (part.running_var, 0.5, 2.0),
                ):
                    assert value is not None
                    value.uniform_(low, high, generator=draw)
    return whole


def clips(frames: int, size: int, count: int = 2, channels: int = 3) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, channels, frames, size, size, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in THEIRS])
@pytest.mark.parametrize("frames, size", [(8, 32), (5, 45)])
@torch.no_grad()
def test_outputs_equal_torchvisions_with_its_state_dict(name: str, frames: int, size: int) -> None:
    theirs, ours = THEIRS[name]
    other = randomised(theirs(weights=None, num_classes=7)).double()
    made = meta(ours, 3, 7, size=size).to_empty(device="cpu").double()
    made.set_pixels(128.0, 58.0)
    state = other.state_dict()
    made.load_state_dict({**state, "fc.weight": state["fc.weight"][..., None, None]})
    x = clips(frames, size)
    for mode in (False, True):  # with loaded and with batch statistics
        seen = maps_of(other.train(mode), x)
        found = made.train(mode).collect(x, made.taps)
        assert set(seen) | {"softmax"} == set(found)
        for tap, y in seen.items():
            assert y.std() > 0.01
            assert torch.allclose(found[tap].reshape(y.shape), y, rtol=0, atol=1e-10), tap
    assert all(torch.allclose(weights(made)[own], value, atol=1e-12) for own, value in other.state_dict().items())


def maps_of(other: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What torchvision's own forward leaves behind its layers."""
    seen: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda layer, given, y: seen.update({name: y.clone()})

    names = ("stem", "layer1", "layer2", "layer3", "layer4", "fc")
    hooks = [other.get_submodule(name).register_forward_hook(keeper(name)) for name in names]
    other(x)
    for hook in hooks:
        hook.remove()
    return seen


# --- torchvision's files ---


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """mc3_18 as torchvision saves it, and the model."""
    torch.manual_seed(0)
    model = randomised(video.mc3_18(weights=None, num_classes=7)).eval()
    path = tmp_path_factory.mktemp("weights") / "mc3_18-a90a0ba3.pth"
    torch.save(model.state_dict(), path)
    return path, model


def empty(make: Make, channels: int = 3, classes: int = 7) -> Tower:
    made = meta(make, channels, classes, size=32).to_empty(device="cpu").eval()
    made.set_pixels(0.0, 1.0)
    return made


@torch.no_grad()
def test_a_file_of_torchvisions_gives_what_its_model_gives(file: tuple[Path, nn.Module]) -> None:
    """Of bytes: its transforms divide by 255, subtract the means of Kinetics, and divide by the deviations."""
    path, model = file
    made = empty(NETS["mc3"])
    loaded = load(made, str(path))
    assert loaded.origin == f"torchvision: {path.name}"
    x = torch.randint(0, 256, (2, 3, 8, 32, 32), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    mean, std = (
        torch.tensor(of)[:, None, None, None] for of in ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
    )
    y = model((x / 255 - mean) / std)
    assert y.std() > 0.01 and torch.allclose(made(x).flatten(1), y, atol=1e-4)


def test_flow_starts_from_the_mean_over_colours(file: tuple[Path, nn.Module]) -> None:
    path, model = file
    made = empty(NETS["mc3"], channels=2, classes=5)
    load(made, str(path), head="fresh")
    own, theirs = made.state_dict()["stem.0.weight"], model.state_dict()["stem.0.weight"]
    assert torch.allclose(own, theirs.mean(dim=1, keepdim=True).expand_as(own))
    assert made.mean.flatten().tolist() == [128, 128]


@pytest.mark.parametrize(
    "make, classes, words",
    [
        (NETS["r3d"], 7, ["do not fit", "layer2.0.conv1.0.weight"]),
        (NETS["mc4"], 7, ["do not fit", "layer2.0.conv1.0.weight"]),
        (NETS["mc3"], 5, ["another number of classes", "7 in", "weights.head=fresh"]),
    ],
)
def test_weights_of_another_network_are_refused(
    file: tuple[Path, nn.Module], make: Make, classes: int, words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load(empty(make, classes=classes), str(file[0]))
    assert all(word in str(caught.value) for word in words)


def test_there_are_no_imagenet_weights_of_them() -> None:
    for name in ("r3d", "r2plus1d", "fr2d"):
        with pytest.raises(UserError, match="no ImageNet weights"):
            locate("imagenet", meta(NETS[name], 3, 1000))


# --- time ---


def small(name: str, size: int = 32, **numbers: Any) -> Tower:
    torch.manual_seed(0)
    return NETS[name](3, 5, size=size, width=0.125, **numbers).double().eval()


@torch.no_grad()
def test_the_stem_of_r2d_reads_the_frames_as_one_picture() -> None:
    """Frame t of colour c is channel 8·c + t of a 2D convolution's picture; 16 frames make two pictures."""
    made, x = small("r2d"), clips(16, 32)
    found = made.collect(x, ("stem", "fc"))
    convolution = made.get_submodule("stem.0")
    picture = x[:, :, 8:].flatten(1, 2)
    y = F.conv2d(picture, convolution.weight.flatten(1, 2), stride=2, padding=3)  # type: ignore[arg-type,operator]
    expected = made.get_submodule("stem")[1:](y[:, :, None])  # type: ignore[index]
    assert torch.allclose(found["stem"][:, :, 1:], expected, atol=1e-12)
    assert convolution.weight[0].numel() == 3 * 8 * 7 * 7  # type: ignore[index,operator]


@torch.no_grad()
def test_r2d_leaves_no_frame_of_a_training_clip_out() -> None:
    """Of a whole video at test it reads the full pictures."""
    made = small("r2d")
    assert made.frames_multiple == 8
    x = clips(20, 32)
    assert torch.equal(made(x), made(x[:, :, :16]))
    for run in (made.train(), partial(made.forward_from, after="input")):
        run(x[:, :, :16])
        with pytest.raises(UserError, match=r"clips of 20 frames(.|\n)*8, 16 …(.|\n)*snippets=8"):
            run(x)


@torch.no_grad()
def test_fr2d_sees_every_frame_alone_and_averages_them() -> None:
    made, x = small("fr2d"), clips(4, 32)
    assert made.taps["layer4"].time_field == made.taps["layer4"].time_stride == 1
    alone = torch.stack([made(x[:, :, t : t + 1]) for t in range(4)])
    assert torch.allclose(made(x), alone.mean(dim=0), atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_time_is_seen_and_halved_where_the_convolutions_are_3d(name: str) -> None:
    made = meta(NETS[name], 3, 5)
    kinds = ["3d"] * 5 if name == "r2plus1d" else ["2d"] * 5 if name == "r2d" else KINDS[name]
    stride, field = (8, 8) if name == "r2d" else (1, 3 if kinds[0] == "3d" else 1)
    seen = [(stride, field)]
    for number, kind in enumerate(kinds[1:], 1):
        for block in range(2):
            if kind == "3d":
                field += 2 * stride
                stride *= 2 if block == 0 and number > 1 else 1
                field += 2 * stride
        seen.append((stride, field))
    taps = [made.taps[tap] for tap in ("stem", "layer1", "layer2", "layer3", "layer4")]
    assert [(tap.time_stride, tap.time_field) for tap in taps] == seen
    assert [tap.side for tap in taps] == [56, 56, 28, 14, 7] and [tap.stride for tap in taps] == [2, 2, 4, 8, 16]
    assert [tap.channels for tap in taps] == [64, 64, 128, 256, 512]
    assert all(tap.rectified and tap.spatial for tap in taps)


KINDS = {
    "fr2d": ["2d"] * 5,
    "r3d": ["3d"] * 5,
    "mc2": ["3d", "2d", "2d", "2d", "2d"],
    "mc3": ["3d", "3d", "2d", "2d", "2d"],
    "mc4": ["3d", "3d", "3d", "2d", "2d"],
    "mc5": ["3d", "3d", "3d", "3d", "2d"],
    "rmc2": ["2d", "3d", "3d", "3d", "3d"],
    "rmc3": ["2d", "2d", "3d", "3d", "3d"],
    "rmc4": ["2d", "2d", "2d", "3d", "3d"],
    "rmc5": ["2d", "2d", "2d", "2d", "3d"],
}


@pytest.mark.parametrize("name", NETS)
def test_flow_and_a_step(name: str) -> None:
    """Two channels of flow in every step; a step of training changes every weight."""
    made = NETS[name](2, 5, size=32, width=0.125)
    before = {own: value.clone() for own, value in made.named_parameters()}
    optimiser = torch.optim.SGD(made.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(
        made(clips(8, 32, channels=2).float()).mean((2, 3, 4)), torch.tensor([1, 2])
    ).backward()
    optimiser.step()
    assert not [own for own, value in made.named_parameters() if torch.equal(value, before[own])]


def test_width_scales_the_channels() -> None:
    made = meta(R2Plus1D, 3, 5, width=0.25)
    assert [made.taps[tap].channels for tap in ("stem", "layer1", "layer4")] == [16, 16, 128]
    assert made.get_submodule("stem.0").out_channels == 11
    assert made.get_submodule("layer1.0.conv1.0.0").out_channels == middle_channels(16, 16) == 36


def test_the_papers_counts_are_those_of_its_table() -> None:
    """The figures above are typed by hand; the table's yaml has the printed ones."""
    table = yaml.safe_load((Path(__file__).parents[2] / "conf/table/r2plus1d_table2.yaml").read_text(encoding="utf-8"))
    printed = {row["key"]["appearance"]: row["parameters"] for row in table["paper"]["rows"]}
    assert printed == {name: f"{one}M" for name, (one, _, _) in COUNTS.items()}


@pytest.mark.parametrize(
    "make, words",
    [
        (partial(VideoResNet, kind="mc6"), "mc5"),
        (partial(VideoResNet, kind="r3d", depth=50), "18, 34"),
        (partial(R2Plus1D, middle="papers"), "paper"),
        (partial(R2Plus1D, width=0.0), "width"),
        (partial(VideoResNet, kind="r3d", width=True), "width"),
        (partial(R2D, width=float("nan")), "width"),
        (partial(R2Plus1D, size=15), "size=16"),
    ],
)
def test_what_is_refused(make: Make, words: str) -> None:
    with pytest.raises(UserError) as caught:
        meta(make, 3, 5)
    assert words in str(caught.value)
