"""Networks of timm by name: names of stages, weights, and what is refused. Outputs: test_graph.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import load, locate
from fusionlab.backbones.timm_nets import Timm
from fusionlab.errors import UserError


def on_meta(**numbers: Any) -> Timm:
    with torch.device("meta"):
        return Timm(**{"in_channels": 3, "classes": 7, "size": 32, **numbers})


def test_feature_info_gives_names() -> None:
    made = on_meta(name="resnet18")
    assert [made.aliases[f"feature_{k}"] for k in range(5)] == [
        "act1", "layer1_1", "layer2_1", "layer3_1", "layer4_1",
    ]  # fmt: skip
    with torch.device("meta"):
        info = timm.create_model("resnet18").feature_info
    for k, row in enumerate(info):
        tap = made.taps[made.aliases[f"feature_{k}"]]
        assert (tap.channels, tap.stride) == (row["num_chs"], row["reduction"])


def test_a_network_for_one_size_of_frames_gets_ours() -> None:
    assert on_meta(name="vit_tiny_patch16_224", size=48).classes == 7


def test_more_channels_are_timms_in_chans() -> None:
    assert on_meta(in_channels=20).get_submodule("conv1").weight.shape[1] == 20


def test_weights_come_from_timms_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = timm.create_model("mobilenetv3_small_050").eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    asked: list[str] = []

    def download(repository: str, file: str) -> str:
        asked.append(repository)
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    made = Timm(3, 1000, 64, name="mobilenetv3_small_050").eval()
    initialise(made, 0)
    assert load(made, "imagenet").origin == "timm: model.safetensors"
    assert asked == ["timm/mobilenetv3_small_050.lamb_in1k"]
    x = torch.randint(0, 256, (2, 3, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    config = model.pretrained_cfg
    mean, std = (torch.tensor(config[name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        assert torch.allclose(made(x).flatten(1), model((x[:, :, 0] / 255 - mean) / std), atol=1e-4)


def test_without_a_network_the_error_says_which_file_to_put_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: str) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(UserError, match=r"huggingface.co/timm/resnet18(.|\n)*put it into w, then weights=model"):
        locate("imagenet", on_meta(name="resnet18"), "w")


@pytest.mark.parametrize(
    "numbers, match",
    [
        ({"name": "resnett18"}, r"unknown network of timm(.|\n)*did you mean backbone.appearance.name=resnet18"),
        ({"options": {"in_chans": 4}}, r"fusionlab sets this option(.|\n)*in_chans"),
        ({"options": {"nonsense": 4}}, r"timm cannot build resnet18 with these options(.|\n)*nonsense"),
    ],
)
def test_errors_say_what_to_type(numbers: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        on_meta(**numbers)


def test_without_timm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"pip install 'fusionlab\[timm\]'"):
        Timm(3, 5)
