"""Conv: y_d = Σ_c f_dc · [a, b]_c + bias_d at every (t, i, j), with 1×1 filters f (D×2D)."""

from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab import errors
from fusionlab.backbones.folding import fold_time, unfold_time
from fusionlab.backbones.initialise import GeneratorFor
from fusionlab.fusion import cat, filters
from fusionlab.fusion.fusion import Fusion


def fuse(x_a: Tensor, x_b: Tensor, f: Tensor, bias: Tensor | None) -> Tensor:
    """y = f · [a, b] + bias"""
    return unfold_time(F.conv2d(fold_time(cat.fuse(x_a, x_b)), f, bias), clips=x_a.shape[0])


class Conv(Fusion):
    """Learns which channels correspond, and how to weigh them: D filters of 1×1×2D.

    Starts as f = [I, I], bias = 0, which is the sum; other starts by name (`init`, filters.INITS). From noise it takes
    maps of unlike numbers of channels too, and leaves as many as the tower has that goes on.

    With filters of 3×3×3×2D, over time and neighbours (the paper's 3D conv fusion), it is fusion=cat temporal=conv3d.
    """

    symmetric = False
    equal_channels = False

    def __init__(self, channels_a: int, channels_b: int, *, init: str = "identity") -> None:
        super().__init__(channels_a, channels_b)
        if init == "sumAB":  # one net under two names would be two arms
            raise errors.UserError(
                "sumAB is the released code's name for identity", got="fusion.init=sumAB", hint="fusion.init=identity"
            )
        if init not in filters.INITS:
            raise errors.unknown("initialisation of conv fusion", init, filters.INITS, form="fusion.init={}")
        if init in filters.WEIGHTS and channels_a != channels_b:
            raise errors.UserError(
                f"conv fusion that starts from identities (fusion.init={init}) fuses channel by channel at first",
                got=f"{channels_a} channels of appearance, {channels_b} of motion",
                hint=f"fusion.init={next(iter(filters.VARIANCES))}, or fusion=cat",
            )
        self.init = init
        self.filters = nn.Conv2d(channels_a + channels_b, channels_a, kernel_size=1)

    def leave(self, channels: int) -> None:
        if channels != self.out_channels:
            self.filters = nn.Conv2d(self.filters.in_channels, channels, kernel_size=1)
            self.out_channels = channels

    def initialise_own(self, generator_for: GeneratorFor) -> None:
        filters.INITS[self.init](self.filters.weight, generator_for("filters.weight"))
        if self.filters.bias is not None:
            nn.init.zeros_(self.filters.bias)

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return fuse(x_a, x_b, self.filters.weight, self.filters.bias)
