"""The networks of the papers' tables, number by number: parameters and weighted layers, on the meta device.

Two counts a row: ours, exact, which is the arithmetic of the network as the paper describes it; and the printed one,
which comes within half a percent but for two rows.
"""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from two_stream_fakes import CONF, FUSIONS, HEADS

from fusionlab.backbones.tower import Tower
from fusionlab.summaries.paper_sizes import paper_sizes
from fusionlab.testing import load_parts
from fusionlab.two_stream.describe import Description, describe
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import LateNet

TOWERS = load_parts(CONF / "backbone")
MILLION = 1_000_000
# row: fusion, layer, ours, weighted layers, printed (millions)
TABLE_1 = {
    "sum at softmax": ("late", "softmax", 181_335_594, 16, 181.42),
    "max": ("max", "relu5", 97_236_421, 13, 97.31),
    "concatenation": ("cat", "relu5", 172_733_893, 13, 172.81),
    "bilinear": ("bilinear", "relu5", 13_137_248, 10, 6.61),
    "sum": ("sum", "relu5", 97_236_421, 13, 97.31),
    "conv": ("conv", "relu5", 97_761_221, 14, 97.58),
}
TABLE_2 = {
    "relu2": ("conv", "relu2", 91_467_973, 11, 91.90),
    "relu3": ("conv", "relu3", 93_041_605, 12, 93.08),
    "relu4": ("conv", "relu4", 95_401_413, 13, 95.48),
    "relu5": ("conv", "relu5", 97_761_221, 14, 97.57),
    "relu5+fc8": ("conv", "relu5+fc8", 181_860_394, 17, 181.68),
    "relu3+relu5+fc6": ("conv", "relu3+relu5+fc6", 207_346_117, 17, 190.06),
}
ROWS = {**TABLE_1, **{f"where: {name}": row for name, row in TABLE_2.items()}}
BEYOND = {"bilinear": 13_137_248 / 6_610_000, "where: relu3+relu5+fc6": 207_346_117 / 190_060_000}


@cache
def tower(name: str, channels: int) -> Tower:
    with torch.device("meta"):
        return TOWERS[name](in_channels=channels, classes=101, size=224)


def net(
    fusion: str, layer: str, a: str = "vgg_m", b: str = "vgg_m", head: str = "pool2d", **options: object
) -> Description:
    appearance, motion = tower(a, 3), tower(b, 20)
    with torch.device("meta"):
        if fusion == "late":
            return describe(LateNet(appearance.classifier, motion.classifier), appearance, motion)
        net = FusedNet(appearance, motion, FUSIONS[fusion], HEADS[head], layer, **options)  # type: ignore[arg-type]
        return describe(net, appearance, motion)


@pytest.mark.parametrize("row", ROWS)
def test_ours_exactly(row: str) -> None:
    fusion, layer, parameters, layers, _ = ROWS[row]
    found = net(fusion, layer)
    assert (found.parameters, found.layers) == (parameters, layers)


@pytest.mark.parametrize("row", ROWS)
def test_the_printed_parameters(row: str) -> None:
    fusion, layer, _, _, printed = ROWS[row]
    found = net(fusion, layer).parameters / (printed * MILLION)
    if row in BEYOND:
        assert found == pytest.approx(BEYOND[row], rel=1e-9) and abs(found - 1) > 0.005
    else:
        assert abs(found - 1) <= 0.005


def test_the_triple_row_as_the_print_may_have_counted_it() -> None:
    """With D×D + D filters in all three fusions it comes within 0.01 % of the print."""
    surplus = 2 * 512 * 512 + 4096 * 4096
    assert net("conv", "relu3+relu5+fc6").parameters - surplus == 190_044_613
    assert pytest.approx(190.06 * MILLION, rel=1e-4) == 190_044_613


def test_differences_between_rows() -> None:
    def count(fusion: str, layer: str) -> int:
        return net(fusion, layer).parameters

    assert count("cat", "relu5") - count("sum", "relu5") == 75_497_472 == 512 * 36 * 4096
    assert count("conv", "relu5") - count("sum", "relu5") == 524_800 == 1024 * 512 + 512
    assert count("conv", "relu5") - count("conv", "relu4") == 2_359_808
    assert count("conv", "relu4") - count("conv", "relu3") == 2_359_808
    assert count("conv", "relu3") - count("conv", "relu2") == 1_573_632


@pytest.mark.parametrize(
    "a, b, keep, parameters",
    [
        ("vgg16", "vgg16", True, 283_514_762),
        ("vgg16", "vgg16", False, 163_555_109),
        ("vgg16", "vgg_m", True, 239_538_410),
    ],
)
def test_the_final_nets(a: str, b: str, keep: bool, parameters: int) -> None:
    for head in ("conv3d", "conv3d_paper"):
        found = net("cat", "relu5", a, b, head, keep=keep)
        assert found.parameters == parameters
        assert found.layers == (13 if a == "vgg16" else 5) + (13 if b == "vgg16" else 5) + 1 + (6 if keep else 3)


def test_the_bank_of_3d_filters() -> None:
    assert net("cat", "relu5", "vgg16", "vgg16", "conv3d", keep=True).parameters == (
        134_674_341 + 134_684_133 + 14_156_288
    )


@pytest.mark.parametrize("head, steps", [("conv3d", 1), ("conv3d_paper", 2)])
@pytest.mark.parametrize("a, b, keep", [("vgg16", "vgg16", True), ("vgg16", "vgg_m", True), ("vgg_m", "vgg16", False)])
def test_the_final_nets_run_on_paper(a: str, b: str, keep: bool, head: str, steps: int) -> None:
    """14×14 against 13×13, T = 5: one prediction as released, two with the paper's box, whichever tower goes on."""
    towers = {"appearance": tower(a, 3), "motion": tower(b, 20)}
    with torch.device("meta"):
        made = FusedNet(*towers.values(), FUSIONS["cat"], HEADS[head], "relu5", keep=keep)
        maps = {
            stream: {
                layer: torch.empty(1, one.taps[layer].channels, 5, one.taps[layer].side, one.taps[layer].side)
                for layer in made.needs[stream]
            }
            for stream, one in towers.items()
        }
        assert [logits.shape for logits in made.heads(maps)] == [(1, 101, steps)] * (1 + keep)


def test_the_tables_of_the_conf_print_what_is_tested_here() -> None:
    """conf/table states the printed figures, and beside the two rows that deviate, how."""

    def means(key: dict[str, object], fusion: str, layer: str) -> bool:
        if fusion == "late":
            return key.get("kind") == "late"
        layers = key.get("layer")
        return key.get("fusion") == fusion and layer in (layers if isinstance(layers, list) else [layers])

    for table, rows in (("how", TABLE_1), ("where", TABLE_2)):
        paper = yaml.safe_load(Path(CONF / "table" / f"{table}.yaml").read_text(encoding="utf-8"))["paper"]["rows"]
        for name, (fusion, layer, parameters, layers, printed) in rows.items():
            row = next(row for row in paper if means(row["key"], fusion, layer))
            assert row["layers"] == layers
            assert row["parameters"].startswith(f"{printed:.2f}M")
            if name in ("bilinear", "relu3+relu5+fc6"):
                assert f"{parameters:,}" in row["remark"]
                assert f"{100 * (parameters / (printed * MILLION) - 1):.2g} %" in row["remark"]


@pytest.mark.parametrize("change", [{"published": None}, {"classes": 51}, {"size": 112}, {"in_channels": 4}], ids=str)
def test_other_networks_have_no_figures_in_papers(change: dict[str, object]) -> None:
    own = {"published": "VGG-M-2048", "classes": 101, "size": 224}
    appearance = SimpleNamespace(**{**own, "in_channels": 3, **change})
    sized = SimpleNamespace(towers={"appearance": appearance, "motion": SimpleNamespace(**own, in_channels=20)})
    assert paper_sizes(sized) == []  # type: ignore[arg-type]
