"""float32 is float32 on a GPU too; TF32 is for who asks for it, and the same on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from training_fakes import Data, Fused, cohort

from fusionlab.training.fit import fit
from fusionlab.training.precision import BF16, FLOAT32, PRECISIONS, TF32, of_lightning, settle


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    threads, tf32 = torch.get_num_threads(), (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    yield
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32


def test_what_a_process_is_told() -> None:
    for precision, tf32 in ((TF32, True), (FLOAT32, False), (TF32, True), (BF16, False)):
        settle(precision, threads=1)
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.get_num_threads() == 1


def test_lightning_knows_two() -> None:
    assert [of_lightning(one) for one in PRECISIONS] == ["32-true", "32-true", "bf16-mixed"]


def test_on_the_cpu_tf32_is_float32_bit_for_bit() -> None:
    losses = {}
    for precision in (FLOAT32, TF32):
        settle(precision, threads=1)
        losses[precision] = fit(cohort({"sum": Fused("sum")}), Data(), precision=precision)["sum"].weights
    assert losses[FLOAT32] == losses[TF32] is not None
