"""The law of randomness inside a step: dropout is a function of (seed, step) and of nothing else.

torch's dropout takes no generator, so the default one is seeded for an arm's forward pass and put back after
it. All arms of a cohort get the same draws: layers of equal shape drop the same units, and comparisons are
paired.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def drawn_by(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, the default generators of the CPU and of `device` start from `seed`; outside, nothing has
    changed.

    The generators are seeded one by one: `torch.manual_seed` writes down a stack trace for each accelerator
    that has not started, which costs more than a tiny arm's forward pass.
    """
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
