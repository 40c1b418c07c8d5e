"""A small tower of clips with a time step every four frames, and the `./conf` that has it."""

from pathlib import Path

from torch import nn

from fusionlab.backbones.tower import Tower

YAML = "_target_: slow_tower.Slow\n_partial_: true\npadding: 1\nmean: 1\n"


class Slow(Tower):
    """`padding`: of time, in front and behind. `mean`: the steps of which the last pooling takes the mean."""

    def __init__(self, in_channels: int, classes: int, size: int = 48, padding: int = 1, mean: int = 1) -> None:
        side = (size + 3) // 4
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv3d(in_channels, 4, 3, stride=2, padding=(padding, 1, 1)), "relu1": nn.ReLU(),
            "conv2": nn.Conv3d(4, 4, 3, stride=2, padding=1), "relu2": nn.ReLU(),
            "pool": nn.AvgPool3d((mean, side, side), stride=1),
            "fc": nn.Conv3d(4, classes, 1), "softmax": nn.Softmax(dim=1),
        }  # fmt: skip
        super().__init__(layers, {name: name for name in ("relu1", "relu2", "fc", "softmax")}, in_channels, size)


def write_conf(folder: Path) -> None:
    """`backbone=slow` for commands in this folder."""
    (folder / "conf" / "backbone").mkdir(parents=True)
    (folder / "conf/backbone/slow.yaml").write_text(YAML, encoding="utf-8")
