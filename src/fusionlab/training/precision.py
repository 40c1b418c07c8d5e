"""In which numbers a network is trained.

    32-true      float32, on a GPU too: its convolutions would else be reckoned in TF32, which keeps 10 bits of 23
    tf32         float32 whose products a GPU reckons in TF32: a step of VGG-M's takes 0.4 of the time on an H200
    bf16-mixed   bfloat16 where autocast says so; weights, and all tests, in float32

On the CPU the first two are the same. A test is reckoned as its arm was trained, but never in bfloat16.
"""

from __future__ import annotations

from fusionlab.errors import UserError

FLOAT32, TF32, BF16 = "32-true", "tf32", "bf16-mixed"
PRECISIONS = (FLOAT32, TF32, BF16)  # float16 would need one loss scale for all arms, which couples them


def expect_precision(precision: str) -> None:
    """Raise a `UserError` for a precision in which no cohort can be trained."""
    if precision not in PRECISIONS:
        raise UserError(
            "a cohort cannot be trained in this precision", got=f"trainer.precision={precision}",
            allowed=PRECISIONS, hint="trainer=float32",
        )  # fmt: skip


def settle(precision: str, threads: int) -> None:
    """Set torch's threads and float32 arithmetic: once in a process, before anything is computed."""
    import torch  # here, since a config is checked without it

    torch.set_num_threads(threads)
    tensor_cores = precision == TF32
    torch.backends.cudnn.allow_tf32 = tensor_cores
    torch.backends.cuda.matmul.allow_tf32 = tensor_cores


def of_lightning(precision: str) -> str:
    """What Lightning calls it."""
    return BF16 if precision == BF16 else FLOAT32
