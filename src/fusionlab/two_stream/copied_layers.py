"""An arm's own copy of a tower's layers above the first fusion; a temporal head replaces one of them."""

from collections.abc import Sequence
from copy import deepcopy

from torch import Tensor, nn

from fusionlab.backbones.folding import Clips, takes_clips
from fusionlab.backbones.tower import Tower
from fusionlab.temporal.temporal import Temporal
from fusionlab.two_stream.refuse import different_layers


class CopiedLayers(nn.ModuleDict):
    """The layers by name. `replaced`: the pooling layer that a temporal head replaces."""

    def __init__(self, tower: Tower, names: Sequence[str], replaced: str | None) -> None:
        kept = [name for name in names if name != replaced]
        super().__init__({name: deepcopy(tower.get_submodule(name)) for name in kept})
        self.replaced = replaced if replaced in names else None

    def start_from(self, tower: Tower, stream: str) -> None:
        """Take the weights of another tower's layers of the same names."""
        differing = [
            f"{name} {shapes}" for name, layer in self.items() if (shapes := _unlike(layer, tower, name)) is not None
        ]
        if differing:
            raise different_layers(stream, differing)
        for name, layer in self.items():
            if layer.state_dict():
                layer.load_state_dict(tower.get_submodule(name).state_dict())

    def run(self, x: Tensor, names: Sequence[str], head: Temporal | None) -> Tensor:
        """Run these of its layers on (N, D, T, H, W)."""
        moving = Clips(x)
        for name in names:
            if name == self.replaced:
                assert head is not None and head.pool is not None
                if not takes_clips(head.pool):
                    moving.fold()  # channels-last
                moving = Clips(head.at_pool(moving.map))
            else:
                moving.through(self[name])
        return moving.map


def _unlike(layer: nn.Module, tower: Tower, name: str) -> str | None:
    """How the tower's layer of that name differs; None if its weights can be copied."""
    own = {key: tuple(value.shape) for key, value in layer.state_dict().items()}
    if not own:
        return None
    if name not in tower.names:
        return "is missing"
    theirs = {key: tuple(value.shape) for key, value in tower.get_submodule(name).state_dict().items()}
    differing = [key for key in own if own[key] != theirs.get(key)]
    return f"{own[differing[0]]} against {theirs.get(differing[0])}" if differing else None
