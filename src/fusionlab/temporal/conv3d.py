"""Conv3d: y_d(t, i, j) = Σ_c Σ_δ f_dc(δ) · x_c((t, i, j) + δ) + bias_d with δ in {-1, 0, 1}³, then pool3d."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab import errors
from fusionlab.backbones.initialise import GeneratorFor
from fusionlab.fusion.filters import INITS, VARIANCES, stacked
from fusionlab.temporal.pool3d import STRIDE, Pool3d
from fusionlab.temporal.temporal import Spatial


def convolve(x: Tensor, f: Tensor, bias: Tensor | None) -> Tensor:
    """y_d(p) = Σ_c Σ_δ f_dc(δ) · x_c(p + δ) + bias_d, with zeros outside the map"""
    return F.conv3d(x, f, bias, padding=1)


def bell() -> Tensor:
    """g(δ) = exp(-|δ|² / 2) / Σ exp(-|δ'|² / 2) on {-1, 0, 1}³: how an identity is spread."""
    one = torch.exp(-torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).square() / 2)
    box = one[:, None, None] * one[:, None] * one
    return (box / box.sum()).float()


IDENTITY = "identity"
WEIGHTS = (0.25, 0.75)  # of appearance and motion, where none are set


class Conv3d(Pool3d):
    """Filters over 3×3×3 neighbours in time and space, then the pooling of pool3d.

    After cat it is the paper's final fusion (3×3×3×2D×D): two stacked identities spread by a bell. The motion's
    `weight_b` is three times the appearance's `weight_a`, since its activations are about three times smaller. After a
    fusion that leaves D channels, it starts as one identity spread by the bell.

    D is the tower's number of channels, or `channels`; the next weighted layer is then widened or narrowed. From noise
    (`init`: gaussian and the others of conv fusion, see fusion/filters.py) it takes any number of channels.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        pool: Spatial | None,
        *,
        extent: int | str = "all",
        stride: int = STRIDE,
        side: int | None = None,
        weight_a: float = WEIGHTS[0],
        weight_b: float = WEIGHTS[1],
        channels: int | None = None,
        init: str = IDENTITY,
    ) -> None:
        super().__init__(channels_in, channels_out, pool, extent=extent, stride=stride, side=side)
        if channels is not None:
            errors.expect_whole("temporal.channels", channels)
        if init not in (IDENTITY, *VARIANCES):
            raise errors.unknown("initialisation of conv3d", init, (IDENTITY, *VARIANCES), form="temporal.init={}")
        self.out_channels = channels_out if channels is None else channels
        if init == IDENTITY and channels_in not in (self.out_channels, 2 * self.out_channels):
            raise errors.UserError(
                "conv3d starts from identities, so it takes D or 2D channels to D",
                got=f"{channels_in} to {self.out_channels}",
                hint="temporal.init=gaussian; or fusion=cat, or a fusion that leaves D channels",
            )
        self.init = init
        self.keeps_channels = init == IDENTITY
        self.weights = (1.0,) if channels_in == self.out_channels else (weight_a, weight_b)
        self._weights_set = (weight_a, weight_b)
        self._useless_channels = channels is not None and channels == channels_out
        self.filters = nn.Conv3d(channels_in, self.out_channels, kernel_size=3, padding=1)

    @classmethod
    def sees_order(cls, snippets: int, **own: object) -> bool:
        """Whether a clip has several snippets: the filters distinguish earlier and later ones."""
        return snippets > 1

    def no_effect(self) -> dict[str, tuple[str, str]]:
        options = super().no_effect()
        why, instead = "conv3d weighs the streams if it takes a stack of both, not one map", "fusion=cat"
        if self.init != IDENTITY:
            why, instead = "noise has no identities to weigh", f"temporal.init={IDENTITY}"
        if self.init != IDENTITY or len(self.weights) == 1:
            for name, own, usual in zip(("weight_a", "weight_b"), self._weights_set, WEIGHTS, strict=True):
                if own != usual:
                    options[name] = (why, f"{instead}, or temporal.{name}={usual}")
        if self._useless_channels:
            options["channels"] = ("the tower has as many channels at this layer", "temporal.channels=null")
        return options

    def reach(self, snippets: int) -> list[range]:
        """The box, and one snippet more on either side, as far as the clip has them."""
        return [range(max(0, box.start - 1), min(snippets, box.stop + 1)) for box in super().reach(snippets)]

    def initialise_own(self, generator_for: GeneratorFor) -> None:
        if self.init == IDENTITY:
            identity = stacked(self.filters.in_channels, self.filters.out_channels, self.weights)
            with torch.no_grad():
                self.filters.weight.copy_(identity[:, :, None, None, None] * bell())
        else:
            INITS[self.init](self.filters.weight, generator_for("filters.weight"))
        if self.filters.bias is not None:
            nn.init.zeros_(self.filters.bias)

    def at_fusion(self, x: Tensor) -> Tensor:
        return convolve(x, self.filters.weight, self.filters.bias)
