"""Between clips and frames: the one place where time is folded into the batch.

Maps are (N, D, T, H, W) everywhere. A two-dimensional layer sees a clip as N·T frames, (N·T, D, H, W), in
channels-last memory (D innermost): twice as fast as the default on a CPU, and both directions are then mere
views.
"""

import torch
from torch import Tensor


def folded(x: Tensor) -> Tensor:
    """(N, D, T, H, W) -> (N·T, D, H, W)."""
    return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def unfolded(x: Tensor, clips: int) -> Tensor:
    """(N·T, D, H, W) -> (N, D, T, H, W), N = clips."""
    return x.reshape(clips, -1, *x.shape[1:]).transpose(1, 2)
