"""Networks of other libraries as towers, against the whole network: outputs, gradients, cuts, first weights."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from library_nets import close, input_of, seen_by_library, whole_of, with_statistics
from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab.backbones.chain import taken_names
from fusionlab.backbones.folding import run_layer
from fusionlab.backbones.graph import GraphTower
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.segment import Segment
from fusionlab.backbones.timm_nets import Timm
from fusionlab.backbones.torchvision_nets import Torchvision
from fusionlab.errors import UserError
from fusionlab.testing import load_parts
from fusionlab.testing import tower_contract as contract

SLOW = pytest.mark.slow
NETS = [
    pytest.param(partial(Torchvision, name="resnet18", size=32), id="resnet18"),
    pytest.param(partial(Torchvision, name="vit_b_16", size=32), id="vit_b_16", marks=SLOW),
    *(
        pytest.param(partial(Torchvision, name=name, size=size, frames=frames), id=name, marks=SLOW)
        for name, size, frames in (
            ("convnext_tiny", 32, 1), ("efficientnet_b0", 64, 1), ("swin_t", 64, 1), ("densenet121", 64, 1),
            ("mobilenet_v3_small", 64, 1), ("shufflenet_v2_x0_5", 64, 1), ("r3d_18", 32, 4), ("r2plus1d_18", 32, 4),
            ("s3d", 224, 16), ("swin3d_t", 32, 4),
        )
    ),
    pytest.param(partial(Timm, name="mobilenetv3_small_050", size=32), id="timm mobilenetv3"),
    *(
        pytest.param(partial(Timm, name=name, size=size), id=f"timm {name}", marks=SLOW)
        for name, size in (
            ("resnet18", 32), ("convnext_atto", 64), ("efficientnet_b0", 64), ("swin_tiny_patch4_window7_224", 56),
            ("vit_tiny_patch16_224", 32), ("mixer_s16_224", 224), ("regnety_002", 64), ("edgenext_xx_small", 64),
            ("hrnet_w18_small", 64), ("mambaout_femto", 64), ("levit_128s", 224),
        )
    ),
]  # fmt: skip
ALL = pytest.mark.parametrize("make", NETS)
PARTS = load_parts(Path(__file__).parents[2] / "conf" / "backbone")
Make = Callable[..., GraphTower]
CLASSES = 5


@ALL
def test_the_chain_gives_what_the_whole_network_gives(make: Make) -> None:
    tower = with_statistics(make(3, CLASSES))
    whole, x = whole_of(tower).eval(), input_of(tower, clips=1 if tower.frames else 2)
    with torch.no_grad():
        y = whole(seen_by_library(tower, x))
        tower.eval()
        maps = tower.collect(x, tower.taps)
        assert close(maps[tower.classifier].flatten(1), y)
        assert close(maps["softmax"].flatten(1), y.softmax(1))
        # Cut and joined at each: all maps were taken in one pass, and a layer that writes into its input changes one.
        for here, there in pairwise(tower.names):
            assert close(run_layer(tower.get_submodule(there), maps[here]), maps[there]), there
        middle = tower.names[len(tower.names) // 2]
        assert close(tower.forward_from(maps[middle], after=middle).flatten(1), y)


@ALL
def test_it_trains_as_the_whole_network_does(make: Make) -> None:
    """Dropout and stochastic depth draw the same; statistics and gradients are equal."""
    tower = with_statistics(make(3, CLASSES))
    whole, x = whole_of(tower), input_of(tower, clips=1 if tower.frames and tower.size > 100 else 3)
    for net, given in ((whole, seen_by_library(tower, x)), (tower, x)):
        net.train()
        torch.manual_seed(3)
        net(given).flatten(1).square().sum().backward()
    theirs = dict(whole.named_parameters())
    for name, own in tower.named_parameters():
        gradient = theirs[tower.sources[name]].grad
        if own.grad is None or gradient is None:
            assert own.grad is gradient is None, name
        else:
            assert close(own.grad.flatten(), gradient.flatten()), name
    after = whole.state_dict()
    for name, value in tower.state_dict().items():
        if name in tower.sources:
            assert close(value.flatten(), after[tower.sources[name]].flatten()), name


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(partial(PARTS["torchvision"], size=32), id="torchvision"),
        pytest.param(partial(PARTS["torchvision"], name="swin_t", size=32), id="swin_t", marks=SLOW),
        pytest.param(partial(PARTS["torchvision"], name="r3d_18", size=32, frames=8), id="r3d_18", marks=SLOW),
        pytest.param(partial(PARTS["torchvision"], name="swin3d_t", size=32, frames=8), id="swin3d_t", marks=SLOW),
        pytest.param(partial(PARTS["timm"], size=32), id="timm", marks=SLOW),
        pytest.param(partial(PARTS["timm"], name="vit_tiny_patch16_224", size=32), id="timm vit", marks=SLOW),
        pytest.param(partial(PARTS["efficientnet_lite0"], size=32), id="efficientnet_lite0", marks=SLOW),
    ],
)
def test_the_contract_of_a_tower(make: Make) -> None:
    contract.check(make)


def test_a_module_that_is_all_between_two_cuts_is_the_layer_itself() -> None:
    with torch.device("meta"):
        made = Torchvision(3, CLASSES, name="resnet18")
    kinds = {name: type(made.get_submodule(name)) for name in made.names}
    assert kinds["conv1"] is nn.Conv2d and kinds["maxpool"] is nn.MaxPool2d and kinds["avgpool"] is nn.AdaptiveAvgPool2d
    assert kinds["layer1_0_add"] is Segment and kinds["layer1_0"] is nn.ReLU
    assert "flatten" not in made.names and made.aliases["flatten"] == "avgpool"
    assert issubclass(kinds["fc"], nn.Conv2d) and made.classifier == "fc"
    assert made.taps["layer4_1"].side == 7 and made.taps["layer4_1"].channels == 512


def test_channels_last_inside_are_channels_first_at_the_taps() -> None:
    with torch.device("meta"):
        clips = Torchvision(3, CLASSES, name="swin3d_t", size=64, frames=4)
    assert [clips.taps[f"features_{k}"].channels for k in (1, 3, 5)] == [192, 384, 768]
    assert [clips.taps[f"features_{k}"].side for k in (1, 3, 5)] == [8, 4, 2]
    assert (clips.taps["norm"].channels, clips.taps["norm"].side, clips.taps["norm"].time_stride) == (768, 2, 2)


def test_names_without_a_map_say_why() -> None:
    with torch.device("meta"):
        vit = Torchvision(3, CLASSES, name="vit_b_16", size=32)
        resnet = Torchvision(3, CLASSES, name="resnet18", size=32)
    assert vit.no_map["encoder_layers_encoder_layer_3"] == "there is no map here, but a tensor (N, 5, 768)"
    assert "lies inside a block" in resnet.no_map["layer1_0_conv1"]
    assert not set(vit.no_map) & {*vit.taps, *vit.aliases}


@SLOW
def test_a_network_with_class_tokens_all_through_has_no_map_in_its_middle() -> None:
    with torch.device("meta"):
        made = Torchvision(3, CLASSES, name="mvit_v1_b", frames=16)
    assert made.names[0] == "conv_proj" and made.taps["conv_proj"].time_stride == 2
    assert not made.taps["getitem_1"].spatial and made.classifier == "head_1"
    assert made.no_map["blocks_5"].startswith("there is no map here, but a tensor (N, ")


@pytest.mark.parametrize(
    "make",
    [partial(Torchvision, name="regnet_y_400mf", size=64), pytest.param(partial(Timm, name="levit_128s"), marks=SLOW)],
)
def test_a_network_whose_code_reads_numbers_as_it_is_built_is_planned_on_the_meta_device(make: Make) -> None:
    """As RegNet's, which computes its widths with tensors: it is built on the CPU."""
    before = torch.get_rng_state()
    with torch.device("meta"):
        made = make(3, CLASSES)
    assert all(one.is_meta for one in made.parameters()) and made.classes == CLASSES
    assert torch.equal(torch.get_rng_state(), before)


@SLOW
@pytest.mark.parametrize(
    "name",
    ["resnet26d", "tf_efficientnetv2_b0", "regnetz_005", "ghostnet_050", "dla34", "inception_v4", "eca_nfnet_l0",
     "gmlp_s16_224", "pit_ti_224", "coatnet_nano_rw_224", "pvt_v2_b0", "cait_xxs24_224", "resnest14d", "selecsls42b"],
)  # fmt: skip
def test_more_networks_of_timm_are_planned(name: str) -> None:
    with torch.device("meta"):
        made = Timm(3, CLASSES, name=name)
    assert made.classes == CLASSES and len(made.taps) >= 4


def test_a_network_that_cannot_be_followed_is_refused_in_words() -> None:
    with pytest.raises(UserError, match=r"cannot be cut into layers(.|\n)*CrossVit"), torch.device("meta"):
        Timm(3, CLASSES, name="crossvit_tiny_240")


@pytest.mark.parametrize(
    "make", [partial(Torchvision, name="squeezenet1_1", size=32), partial(Timm, name="mobilenetv3_small_050", size=32)]
)
def test_no_layer_can_have_the_name_of_something_that_a_tower_has(make: Make) -> None:
    with torch.device("meta"):
        made = make(3, CLASSES)
    taken = taken_names(type(made))
    assert {*vars(made), *made._buffers, "softmax", "input", "forward", "above"} <= taken
    assert not taken & set(made.names[:-1])


# -- networks that are written for a test


class Small(nn.Module):
    """A convolution, then what a test needs, then one number for each class."""

    def __init__(self, middle: Callable[[Tensor], Tensor], end: Callable[[Tensor], Any] = lambda y: y) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, CLASSES)
        self.middle, self.end = middle, end

    def forward(self, x: Tensor) -> Any:
        y = self.middle(self.conv(x))
        return self.end(self.fc(y.mean((2, 3))))


def small(middle: Callable[[Tensor], Tensor], end: Callable[[Tensor], Any] = lambda y: y) -> GraphTower:
    return GraphTower(partial(Small, middle, end), 3, 8)


def test_what_is_written_into_is_no_tap() -> None:
    made = small(lambda x: x.mul_(2).relu() + 1).double()
    assert "conv" not in made.taps and made.no_map["conv"] == "what follows writes into this map"
    x = input_of(made)
    assert close(made(x).flatten(1), whole_of(made)(x[:, :, 0]))


def test_an_activation_is_told_not_to_write_into_a_tap() -> None:
    class WithReLU(Small):
        def __init__(self) -> None:
            super().__init__(nn.ReLU(inplace=True))

    made = GraphTower(WithReLU, 3, 8).double()
    maps = made.collect(input_of(made), ("conv", "middle"))
    assert maps["conv"].min() < 0 and torch.equal(maps["middle"], maps["conv"].relu())


def test_a_transposed_map_is_no_mere_change_of_layout() -> None:
    made = small(lambda x: x.transpose(2, 3) @ x)
    assert made.names == ("conv", "matmul", "mean_layer", "fc", "softmax")
    turned = small(lambda x: x.permute(0, 1, 3, 2))
    assert "permute" in turned.names


def test_the_number_of_clips_is_read_anew_in_each_part() -> None:
    """As EfficientNet-Lite's code does, which reads it at the beginning for its end."""

    class Reading(Small):
        def forward(self, x: Tensor) -> Any:
            clips = x.size(0)
            return self.fc(self.conv(x).mean((2, 3)).view(clips, -1))

    made = GraphTower(partial(Reading, torch.relu), 3, 8).double()
    assert made.names == ("conv", "mean_layer", "fc", "softmax")
    for clips in (1, 4):
        assert close(made(input_of(made, clips)).flatten(1), whole_of(made)(input_of(made, clips)[:, :, 0]))


def test_code_that_asks_for_training_is_followed_in_both_modes() -> None:
    class Dropping(Small):
        def __init__(self) -> None:
            super().__init__(lambda x: F.dropout(x, 0.5, self.training))

    made = GraphTower(Dropping, 3, 8).double()
    x = input_of(made)
    maps = made.eval().collect(x, made.taps)
    assert torch.equal(maps["conv"], maps["dropout"])
    zeros = (made.train().collect(x, ("dropout",))["dropout"] == 0).double().mean()
    assert 0.3 < zeros < 0.7


@pytest.mark.parametrize(
    "middle, end, match",
    [
        (lambda x: x if x.sum() > 0 else -x, lambda y: y, r"cannot be cut into layers(.|\n)*TraceError"),
        (lambda x: x, lambda y: {"out": y, "aux": y}, r"has to leave one tensor(.|\n)*several: out, aux"),
        (lambda x: x, lambda y: y[:, :, None, None], r"one number for each class(.|\n)*a tensor \(N, 5, 1, 1\)"),
        (lambda x: x.view(-1, 7), lambda y: y, r"cannot be cut into layers"),
    ],
)
def test_networks_that_cannot_be_towers(middle: Any, end: Any, match: str) -> None:
    with pytest.raises(UserError, match=match):
        small(middle, end)


def test_a_network_that_writes_into_its_input_is_refused() -> None:
    class Writing(Small):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x.mul_(2))

    with pytest.raises(UserError, match="writes into its input"):
        GraphTower(partial(Writing, torch.relu), 3, 8)


# -- first weights


def test_first_weights_are_the_librarys_under_the_seed_alone() -> None:
    before = torch.get_rng_state()
    made, again = (Timm(3, CLASSES, name="convnext_atto", size=32) for _ in range(2))
    for one in (made, again):
        initialise(one, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in made.state_dict().items())
    drawn = {made.sources[name]: value for name, value in made.state_dict().items() if name in made.sources}
    assert 0.018 < drawn["stages.2.blocks.0.mlp.fc1.weight"].std() < 0.022  # timm's: truncated normal, 0.02
    assert bool((drawn["stages.2.blocks.0.gamma"] == 1e-6).all())
    initialise(again, seed=5)
    assert not torch.equal(again.get_submodule("head_fc").weight, made.get_submodule("head_fc").weight)


def test_a_copied_layer_draws_for_itself_and_leaves_the_tower_alone() -> None:
    made = Torchvision(3, CLASSES, name="resnet18", size=32)
    initialise(made, seed=0)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    drawn = []
    for start in (0.0, 7.0):
        arm = nn.ModuleDict({name: deepcopy(made.get_submodule(name)) for name in ("layer4_1_add", "fc")})
        with torch.no_grad():
            for parameter in arm.parameters():
                parameter.fill_(start)
        initialise(arm, seed=1, prefix="above.")
        drawn.append({name: value.clone() for name, value in arm.named_parameters()})
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())
    conv = drawn[0]["layer4_1_add.layer4.1.conv1.weight"]
    assert abs(conv.std() / (2 / (512 * 9)) ** 0.5 - 1) < 0.02  # torchvision's: He, fan out
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in before.items())
