"""The residual networks of R(2+1)D (Tran et al. 2018), which differ in where their convolutions see time.

A network is five groups: the stem, then layer1 to layer4. A group's convolutions are

    3D      3×3×3 (the stem 3×7×7); where a layer has stride 2, time has it too
    2D      1×3×3 (the stem 1×7×7), which leave time as it is
    (2+1)D  1×3×3 with M filters, batch norm, ReLU, then 3×1×1: about as many weights as 3×3×3

    network    groups                                  network    groups
    fr2d       all 2D                                  r2d        all 2D; the stem reads all frames as one picture
    r3d        all 3D                                  r2plus1d   all (2+1)D
    mc2 … mc5  2D from group 2 … 5 on, 3D below        rmc2 … rmc5  3D from group 2 … 5 on, 2D below

    layer      stride: space, time   side, of 112   channels   blocks: 18, 34
    stem       2, 1                   56             64
    layer1     1, 1                   56             64         2, 3
    layer2     2, 2 where 3D          28            128         2, 4
    layer3     2, 2 where 3D          14            256         2, 6
    layer4     2, 2 where 3D           7            512         2, 3
    avgpool    all of time, 7×7        1            512
    fc         1                       1            classes

The convolutions and blocks are torchvision's own modules, and the layers keep its names: its state dicts of r3d_18,
mc3_18 and r2plus1d_18 are those of r3d, mc3 and r2plus1d with middle=torchvision.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.models.video import resnet

from fusionlab import errors
from fusionlab.backbones.initialise import Classifier
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.width import expect_width, scale_channels

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
TAPS = {name: name for name in ("stem", "layer1", "layer2", "layer3", "layer4", "fc", "softmax")}
STRIDE = 16  # of the last map, in space

Convolution = type[resnet.Conv3DSimple] | type[resnet.Conv3DNoTemporal] | type[resnet.Conv2Plus1D]
_2D, _3D = resnet.Conv3DNoTemporal, resnet.Conv3DSimple
GROUPS: dict[str, Sequence[Convolution]] = {
    "fr2d": (_2D,) * 5,
    "r3d": (_3D,) * 5,
    **{f"mc{x}": (_3D,) * (x - 1) + (_2D,) * (6 - x) for x in range(2, 6)},
    **{f"rmc{x}": (_2D,) * (x - 1) + (_3D,) * (6 - x) for x in range(2, 6)},
}


def middle_channels(inputs: int, outputs: int) -> int:
    """M filters make 1×3×3 (inputs to M) and 3×1×1 (M to outputs) as large as 3×3×3, or just smaller.

        M = ⌊ t·d²·inputs·outputs / (d²·inputs + t·outputs) ⌋,  t = d = 3

    >>> middle_channels(64, 64), middle_channels(64, 128)
    (144, 230)
    """
    return 27 * inputs * outputs // (9 * inputs + 3 * outputs)


def paper_block(inputs: int, outputs: int, convolution: Convolution, *rest: Any) -> resnet.BasicBlock:
    """A block in which M follows from the channels of each convolution.

    In torchvision's the second convolution has the M of the first.
    """
    block = resnet.BasicBlock(inputs, outputs, convolution, *rest)
    block.conv2[0] = convolution(outputs, outputs, middle_channels(outputs, outputs))
    return block


MIDDLES: dict[str, Callable[..., nn.Module]] = {"paper": paper_block, "torchvision": resnet.BasicBlock}


class LastPool(nn.AvgPool3d):
    """The mean over all of time, and over windows as large as the map that is expected."""

    def __init__(self, side: int) -> None:
        super().__init__((1, side, side), stride=1)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.mean(dim=2, keepdim=True))


class VideoResNet(Tower):
    """Convolutions in 2D or 3D by group. `kind`: fr2d, r3d, mc2 … mc5, rmc2 … rmc5. `width`: times the channels."""

    def __init__(
        self, in_channels: int, classes: int, size: int = 112, *, kind: str, depth: int = 18, width: float = 1.0
    ) -> None:
        if kind not in GROUPS:
            raise errors.unknown("kind of video ResNet", str(kind), GROUPS, form="kind={}")
        expect_width(width)
        first, *groups = GROUPS[kind]
        stem = _convolution(in_channels, scale_channels(64, width), (3 if first is _3D else 1, 7, 7))
        super().__init__(_layers(stem, groups, classes, size, depth, width), TAPS, in_channels, size)


class PictureConv(nn.Conv3d):
    """Reads the frames of a clip as one picture; in training it refuses clips of which it would leave frames out."""

    def forward(self, input: Tensor) -> Tensor:
        frames = self.kernel_size[0]
        if self.training and input.shape[2] % frames:
            raise errors.UserError(
                "r2d reads all frames of a clip as one picture, so a clip has as many, or a multiple of it",
                got=f"clips of {input.shape[2]} frames",
                allowed=[f"{frames}, {2 * frames} …"],
                hint=f"data.sampling.snippets={frames} data.sampling.stream_snippets={frames}",
            )
        return super().forward(input)


class R2D(Tower):
    """2D above a stem that reads all frames of a clip as one picture of `in_channels`·`frames` channels.

    Of a clip that is n times as long it makes n such pictures. In training any other clip is refused; of a test clip
    (data.sampling.test=video: a whole video) it leaves out the frames behind the last full picture.
    """

    def __init__(
        self, in_channels: int, classes: int, size: int = 112, *, frames: int = 8, depth: int = 18, width: float = 1.0
    ) -> None:
        expect_width(width)
        self.frames_multiple = frames  # the frames of a training clip are a multiple of this
        stem = _convolution(
            in_channels, scale_channels(64, width), (frames, 7, 7), time_stride=frames, kind=PictureConv
        )
        super().__init__(_layers(stem, (_2D,) * 4, classes, size, depth, width), TAPS, in_channels, size)


class R2Plus1D(Tower):
    """Every convolution factorised in space and time.

    `middle`: paper, or torchvision, whose blocks have the M of their first convolution in both.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int = 112,
        *,
        middle: str = "paper",
        depth: int = 18,
        width: float = 1.0,
    ) -> None:
        if middle not in MIDDLES:
            raise errors.unknown("rule for the middle channels", str(middle), MIDDLES, form="middle={}")
        expect_width(width)
        between = scale_channels(45, width)  # as released; the rule would give 83
        stem = nn.Sequential(
            *_convolution(in_channels, between, (1, 7, 7)),
            *_convolution(between, scale_channels(64, width), (3, 1, 1), stride=1),
        )
        groups = (resnet.Conv2Plus1D,) * 4
        super().__init__(_layers(stem, groups, classes, size, depth, width, MIDDLES[middle]), TAPS, in_channels, size)


def _convolution(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int],
    *,
    stride: int = 2,
    time_stride: int = 1,
    kind: type[nn.Conv3d] = nn.Conv3d,
) -> nn.Sequential:
    """Convolution, batch norm, ReLU; as many places as before, but for the strides."""
    pad = (kernel[0] // 2 if time_stride == 1 else 0, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(
        kind(inputs, outputs, kernel, (time_stride, stride, stride), pad, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


def _layers(
    stem: nn.Module,
    groups: Sequence[Convolution],
    classes: int,
    size: int,
    depth: int,
    width: float,
    block: Callable[..., nn.Module] = resnet.BasicBlock,
) -> dict[str, nn.Module]:
    """The whole chain. `groups`: the convolutions of layer1 to layer4."""
    if depth not in BLOCKS:
        raise errors.UserError("no video ResNet has this depth", got=f"depth={depth}", allowed=list(map(str, BLOCKS)))
    if size < STRIDE:
        hint = f"size={STRIDE} or more"
        raise errors.UserError("frames are too small for this tower", got=f"size={size}", hint=hint)
    layers, inputs = {"stem": stem}, scale_channels(64, width)
    for number, (convolution, blocks) in enumerate(zip(groups, BLOCKS[depth], strict=True), 1):
        outputs = scale_channels(32 * 2**number, width)
        made = [_first(block, inputs, outputs, convolution, stride=1 if number == 1 else 2)]
        made += [block(outputs, outputs, convolution) for _ in range(blocks - 1)]
        layers[f"layer{number}"], inputs = nn.Sequential(*made), outputs
    side = -(-size // STRIDE)
    return layers | {
        "avgpool": LastPool(side),
        "fc": Classifier(inputs, classes, 1),
        "softmax": nn.Softmax(dim=1),
    }


def _first(
    block: Callable[..., nn.Module], inputs: int, outputs: int, convolution: Convolution, stride: int
) -> nn.Module:
    """A layer's first block; where it has a stride, its shortcut is a convolution."""
    if stride == 1:
        return block(inputs, outputs, convolution)
    strides = convolution.get_downsample_stride(stride)
    shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, strides, bias=False), nn.BatchNorm3d(outputs))
    return block(inputs, outputs, convolution, stride, shortcut)
