"""The tensor sketch: its two ways against a loop, the error that it states, and what it costs."""

from functools import partial
from math import sqrt

import pytest
import torch
from fusion_oracles import HASHES, D, E, H, K, N, T, W, described, maps, sketch_loop, sketches
from torch import Tensor

from fusionlab.backbones.initialise import initialise
from fusionlab.errors import UserError
from fusionlab.fusion import bilinear, compact
from fusionlab.fusion.compact import Compact, Hash, fft_macs
from fusionlab.testing import fusion_contract as contract


def drawn(channels_a: int, channels_b: int, dimension: int, *, seed: int = 0, fourier: bool = False) -> Compact:
    fusion = Compact(channels_a, channels_b, dimension=dimension)
    fusion.fourier = fourier
    initialise(fusion, seed, prefix="fusion.")
    return fusion


@pytest.mark.parametrize("fuse", [compact.fuse, compact.fuse_pairs])
def test_equation(fuse) -> None:  # type: ignore[no-untyped-def]
    sketches(fuse)


@pytest.mark.parametrize("length", [2, 6, 16])
def test_both_ways_at_even_lengths_and_in_float32(length: int) -> None:
    a, b = maps(E)
    hashes = [Hash(one.bucket % length, one.sign) for one in HASHES]
    expected = sketch_loop(a, b, *hashes, length)
    for fuse in (compact.fuse, compact.fuse_pairs):
        torch.testing.assert_close(fuse(a, b, *hashes, length), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(fuse(a.float(), b.float(), *hashes, length), expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fourier", [True, False])
def test_descriptor(fourier: bool) -> None:
    a, b = maps(E)
    fusion = drawn(D, E, K, fourier=fourier)
    expected = described(sketch_loop(a, b, *fusion.hashes(), K))
    torch.testing.assert_close(fusion(a, b), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("fourier", [True, False])
def test_contract_of_both_ways(fourier: bool) -> None:
    """At a length that leaves no bucket empty: there transforms leave 1e-16 instead of 0, where the root is steep."""

    def made(channels_a: int, channels_b: int) -> Compact:
        fusion = Compact(channels_a, channels_b, dimension=5)
        fusion.fourier = fourier
        return fusion

    contract.check(made)


def test_hashes_are_uniform_independent_and_of_the_seed() -> None:
    """Buckets and signs, chi-squared each at 1 in a million; two sets that share nothing."""
    one = drawn(4096, 4096, 16)
    for bucket in (one.bucket_a, one.bucket_b):
        assert bucket.dtype == torch.int64 and bucket.min() >= 0 and bucket.max() < 16
        assert ((torch.bincount(bucket, minlength=16) - 256).square() / 256).sum() < 58.7  # 15 degrees of freedom
    for sign in (one.sign_a, one.sign_b):
        assert sign.abs().eq(1).all() and abs(sign.sum().item()) < 5 * sqrt(4096)
    assert one.bucket_a.eq(one.bucket_b).float().mean() < 0.1 and abs((one.sign_a * one.sign_b).mean()) < 0.1
    again, other = drawn(4096, 4096, 16), drawn(4096, 4096, 16, seed=1)
    for name, buffer in one.named_buffers():
        assert torch.equal(buffer, again.get_buffer(name)) and not torch.equal(buffer, other.get_buffer(name))
    assert set(one.state_dict()) == {"bucket_a", "sign_a", "bucket_b", "sign_b"} and not list(one.parameters())


# --- the error ---


def inner_products(m: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], length: int, seeds: int) -> Tensor:
    """⟨y, y'⟩ of the sketches of two fusions, before root and norm, for many draws."""
    found = []
    for seed in range(seeds):
        hashes = list(drawn(m[0].shape[1], m[1].shape[1], length, seed=seed).hashes())
        y, z = (compact.fuse_pairs(*maps, *hashes, length) for maps in (m, other))
        found.append((y * z).sum())
    return torch.stack(found)


def pair(kind: str, channels: int = 12) -> tuple[Tensor, Tensor]:
    """Maps (1, D, 1, H, W) of several places, or a single flat one, which is what the bound is tight for."""
    if kind == "flat":
        return (torch.ones(1, channels, 1, 1, 1, dtype=torch.float64),) * 2
    x = torch.randn(2, 1, channels, 1, 3, 3, generator=torch.Generator().manual_seed(len(kind)), dtype=torch.float64)
    return (x[0].relu(), x[1].relu()) if kind == "rectified" else (x[0], x[1])


@pytest.mark.parametrize(
    "first, second", [("noise", "noise"), ("noise", "rectified"), ("rectified", "rectified"), ("flat", "flat")]
)
@pytest.mark.parametrize("length", [16, 128])
def test_the_error_is_within_its_bound_and_centred(first: str, second: str, length: int) -> None:
    m, other = pair(first), pair(second)
    exact = (bilinear.fuse(*m) * bilinear.fuse(*other)).sum()
    norms = bilinear.fuse(*m).norm() * bilinear.fuse(*other).norm()
    seeds = 600
    error = inner_products(m, other, length, seeds) - exact
    bound = 8 / length * norms**2
    assert error.square().mean() <= bound
    assert error.mean().abs() <= 4 * error.std() / sqrt(seeds), "the sketch is biased"
    if first == "flat":
        assert error.square().mean() > bound / 2, "the bound says next to nothing"


def test_a_long_sketch_is_bilinear_fusion() -> None:
    """Where no two pairs share a bucket it is bilinear's numbers, in another order and with signs."""
    a, b = maps(E)
    hashes = (
        Hash(torch.arange(D) * E, torch.ones(D, dtype=torch.float64)),
        Hash(torch.arange(E), torch.ones(E, dtype=torch.float64)),
    )
    torch.testing.assert_close(compact.fuse(a, b, *hashes, D * E), bilinear.fuse(a, b))


def test_the_error_falls_with_the_root_of_the_length() -> None:
    m, other = pair("noise"), pair("rectified")
    exact = (bilinear.fuse(*m) * bilinear.fuse(*other)).sum()
    rms = [
        (inner_products(m, other, length, 300) - exact).square().mean().sqrt().item() for length in (64, 1024, 16384)
    ]
    assert rms[0] / rms[1] == pytest.approx(4, rel=0.3) and rms[1] / rms[2] == pytest.approx(4, rel=0.3)


# --- what it costs ---


def test_the_way_is_the_cheaper_one() -> None:
    """Numbers of the docstring, and where it turns."""
    with torch.device("meta"):
        vgg, middle, resnet = Compact(512, 512), Compact(1024, 1024), Compact(2048, 2048)
    assert vgg.macs_pairs(169) == 44_302_336 and vgg.macs_fourier(169) == 47_896_576
    assert not vgg.fourier and not middle.fourier and resnet.fourier, "as the measured times, not the operations"
    assert fft_macs(8192, 1) == 133_120 and vgg.macs_fourier(169) == 339 * 133_120 + 169 * 2 * 8192
    assert 8192 * 101 + 101 == 827_493 and 512**2 * 101 + 101 == 26_476_645


def test_both_ways_are_one_descriptor_at_full_size() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 1, 512, 1, 3, 3, generator=draw)
    one, other = drawn(512, 512, 8192), drawn(512, 512, 8192, fourier=True)
    torch.testing.assert_close(one(a, b), other(a, b), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("fourier", [True, False])
def test_half_precision_around_it_reaches_only_the_maps(fourier: bool) -> None:
    a, b = (x.bfloat16() for x in maps(E))
    fusion = drawn(D, E, K, fourier=fourier)
    exact = fusion(a.float(), b.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, whole = fusion(a, b), fusion(a.float(), b.float())
    assert torch.equal(whole, exact)
    assert y.dtype == torch.bfloat16 and torch.equal(y, exact.bfloat16())


def test_on_the_meta_device_only_shapes_run() -> None:
    with torch.device("meta"):
        fusion, a = Compact(D, E, dimension=K), torch.empty(N, D, T, H, W)
        b = torch.empty(N, E, T, H, W)
        initialise(fusion, seed=0)
        for fusion.fourier in (True, False):
            assert fusion(a, b).shape == (N, K, T, 1, 1)


def test_wrong_numbers_are_refused() -> None:
    for wrong in (0, 1, 2.5, True):
        with pytest.raises(UserError, match=r"fusion\.dimension=8192"):
            Compact(4, 4, dimension=wrong)  # type: ignore[arg-type]
    for made in (Compact, bilinear.Bilinear):
        with pytest.raises(UserError, match=r"fusion\.classifier=softmax"):
            partial(made, classifier="soft-max")(4, 4)
