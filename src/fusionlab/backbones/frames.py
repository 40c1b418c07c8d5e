"""Between clips and frames: the one place where time is folded into the batch.

Maps are (N, D, T, H, W) everywhere. A two-dimensional layer sees a clip as N·T frames, (N·T, D, H, W), in
channels-last memory (D innermost): twice as fast as the default on a CPU, and both directions are then mere
views.
"""

import torch
from torch import Tensor


def folded(x: Tensor) -> Tensor:
    """(N, D, T, H, W) -> (N·T, D, H, W)."""
    n, d, t, h, w = x.shape
    frames = x.permute(0, 2, 3, 4, 1).reshape(n * t, h, w, d).permute(0, 3, 1, 2)  # one copy at most
    return frames.contiguous(memory_format=torch.channels_last)


def unfolded(x: Tensor, clips: int) -> Tensor:
    """(N·T, D, H, W) -> (N, D, T, H, W), N = clips."""
    return x.reshape(clips, -1, *x.shape[1:]).transpose(1, 2)
