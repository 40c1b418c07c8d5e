"""What the bench compares are two ways to the same numbers; else their times say nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fusionlab.benchmarks import networks_rows, reference_net
from fusionlab.benchmarks.networks_rows import CASES, Bench, Case, Tiny

SMALL = Case("tiny", Tiny, 32, 2, 3)


def both(bench: Bench, loss: Callable[[], Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The loss and all gradients, without dropout."""
    bench.net.eval().zero_grad(set_to_none=True)
    value = loss()
    torch.autograd.backward(value)
    return value.detach(), [parameter.grad for parameter in bench.net.parameters() if parameter.grad is not None]


def equal(case: Case) -> None:
    bench = Bench(case, "cpu")
    loss, gradients = both(bench, bench.fused)
    assert len(gradients) == 8  # weights and biases: the fusion, fc6, fc7, fc8
    for memory in (torch.channels_last, torch.contiguous_format):
        called = both(bench, lambda memory=memory: bench.reference(memory))
        torch.testing.assert_close(called, (loss, gradients), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(both(bench, bench.autocast)[0], loss, rtol=0.05, atol=0)


def test_a_network_and_its_parts_by_hand_are_the_same() -> None:
    equal(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES["cpu"], ids=str)
def test_so_they_are_in_the_bench(case: Case) -> None:
    equal(case)


def test_by_hand_in_either_memory_is_laid_out_so() -> None:
    bench = Bench(SMALL, "cpu")
    for memory in (torch.channels_last, torch.contiguous_format):
        x = reference_net.below(bench.appearance, bench.batch["appearance"], "relu5", memory)
        assert x.is_contiguous(memory_format=memory) and not x.requires_grad


def test_a_machine_without_a_compiler_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    assert networks_rows.missing_for_compiling("cpu") == "no C++ compiler"
    assert networks_rows.missing_for_compiling("cuda") in ("no triton", "no C compiler")
    row = Bench(SMALL, "cpu")._compiled()
    assert row.figure is None and row.within
    assert row.verdict == "not measured: no C++ compiler"


def test_a_compiler_that_is_named_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\n", encoding="utf-8")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "mine")
    assert networks_rows.missing_for_compiling("cpu") != "no C++ compiler"


@pytest.mark.slow
def test_all_rows_of_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks_rows, "SECONDS", {"cpu": 0.0, "cuda": 0.0})
    monkeypatch.setattr(networks_rows, "CASES", {"cpu": (SMALL,), "cuda": (SMALL,)})
    rows = list(networks_rows.rows())
    assert len(rows) == 5
    on_gpu = list(networks_rows.gpu_rows())
    if torch.cuda.is_available():
        assert len(on_gpu) == 6 and "TF32" in on_gpu[3].what
        rows += on_gpu
    else:
        assert [row.verdict for row in on_gpu] == ["not measured: there is none here"]
    for row in rows:
        if row.figure is None:
            assert row.missing and "compile" in row.what
        else:
            assert row.interval is not None and row.interval[0] <= row.figure <= row.interval[1]
            assert "11 pairs" in row.what and "tiny 32 px" in row.what
    assert [row.most for row in rows[:5]] == [1.03, None, None, None, None]
