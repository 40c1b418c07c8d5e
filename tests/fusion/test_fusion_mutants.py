"""The oracles are tried: each fusion made wrong in a way that people get wrong, and its check must not let it pass."""

from collections.abc import Callable
from typing import Any

import fusion_oracles as oracle
import pytest
import torch
from fusion_oracles import holds
from torch import Tensor

from fusionlab.fusion import bilinear, cat, compact, conv, late, max, product, sum

Fuse = Callable[..., Tensor]

FUSIONS: dict[str, tuple[Fuse, Callable[[Fuse], None]]] = {
    "sum": (sum.fuse, oracle.sums),
    "max": (max.fuse, oracle.maxima),
    "product": (product.fuse, oracle.products),
    "cat": (cat.fuse, oracle.stacks),
    "conv": (conv.fuse, oracle.filtered),
    "bilinear": (bilinear.fuse, oracle.bilinear_sums),
    "compact": (compact.fuse, oracle.sketches),
    "compact, by pairs": (compact.fuse_pairs, oracle.sketches),
    "late": (late.fuse, oracle.averages),
}
SYMMETRIC = {"sum", "max", "product", "late"}

# What is done to the two maps before they are fused.
MUTANTS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "a flipped sign": lambda a, b: (a, -b),
    "motion a frame late": lambda a, b: (a, b.roll(1, dims=2)),
    "motion mirrored": lambda a, b: (a, b.flip(-1)),
    "rows for columns": lambda a, b: (a, b.mT.reshape(b.shape)),
    "channels shifted": lambda a, b: (a, b.roll(1, dims=1)),
    "clips mixed up": lambda a, b: (a, b.flip(0)),
    "one stream twice": lambda a, b: (a, a[:, : b.shape[1]]),
}


@pytest.mark.parametrize("name", FUSIONS)
def test_each_wrong_fusion_is_found(name: str) -> None:
    fuse, check = FUSIONS[name]
    assert holds(check, fuse)
    for mutant, mutate in MUTANTS.items():
        assert not holds(check, lambda a, b, *rest, mutate=mutate: fuse(*mutate(a, b), *rest)), mutant


# A sketch is the same with maps and hashes exchanged together; with the maps alone the contract tries it.
@pytest.mark.parametrize("name", [name for name in FUSIONS if not name.startswith("compact")])
def test_swapped_streams_are_found_where_they_matter(name: str) -> None:
    fuse, check = FUSIONS[name]
    assert holds(check, lambda a, b, *rest: fuse(b, a, *rest)) == (name in SYMMETRIC)


@pytest.mark.parametrize("part", ["rooted", "normalised"])
@pytest.mark.parametrize("wrong", [Tensor.clone, Tensor.neg, Tensor.abs], ids=["dropped", "negated", "unsigned"])
def test_a_descriptor_without_its_root_or_its_norm_is_found(
    monkeypatch: pytest.MonkeyPatch, part: str, wrong: Callable[[Tensor], Tensor]
) -> None:
    assert holds(oracle.bilinear_descriptors, bilinear.Bilinear(oracle.D, oracle.E))
    monkeypatch.setattr(bilinear, part, wrong)
    assert not holds(oracle.bilinear_descriptors, bilinear.Bilinear(oracle.D, oracle.E))


@pytest.mark.parametrize("fuse", [compact.fuse, compact.fuse_pairs])
def test_a_wrong_count_sketch_is_found(monkeypatch: pytest.MonkeyPatch, fuse: Fuse) -> None:
    right = compact.count_sketch

    def unsigned(x: Tensor, one: compact.Hash, length: int) -> Tensor:
        return right(x, compact.Hash(one.bucket, torch.ones_like(one.sign)), length)

    def overwritten(x: Tensor, one: compact.Hash, length: int) -> Tensor:
        return x.new_zeros(*x.shape[:-1], length).index_copy(-1, one.bucket, x * one.sign)

    def shifted(x: Tensor, one: compact.Hash, length: int) -> Tensor:
        return right(x, compact.Hash((one.bucket + 1) % length, one.sign), length)

    for wrong in (unsigned, overwritten, shifted):
        monkeypatch.setattr(compact, "count_sketch", wrong)
        assert not holds(oracle.sketches, fuse), wrong.__name__


def test_a_linear_convolution_in_place_of_the_circular_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transforms of the double length, cut off: what wraps around would be lost."""
    rfft, irfft = torch.fft.rfft, torch.fft.irfft

    def long(x: Tensor, *_: Any) -> Tensor:
        return rfft(x, n=2 * x.shape[-1])

    def cut(x: Tensor, n: int) -> Tensor:
        return irfft(x, n=2 * n)[..., :n]

    monkeypatch.setattr(torch.fft, "rfft", long)
    monkeypatch.setattr(torch.fft, "irfft", cut)
    assert not holds(oracle.sketches, compact.fuse)
