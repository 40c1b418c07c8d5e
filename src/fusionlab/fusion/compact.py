"""Compact: y = Σ_ij ψ_a(i, j) ∗ ψ_b(i, j) at every t, the tensor sketch of bilinear fusion, then its root and norm.

    ψ_k = Σ_{d : bucket_d = k} sign_d · x_d      the count sketch of a place's channels, K numbers
    (ψ ∗ φ)_k = Σ_m ψ_m · φ_(k − m mod K)        circular

Buckets and signs are drawn once, for each stream its own (Pham and Pagh 2013; Gao et al. 2016, for bilinear pooling).
Written out, a sketch adds up the D_a·D_b numbers of bilinear fusion in K buckets, each with a sign:

    y_k = Σ_{d, e : bucket_d + bucket_e = k mod K} sign_d · sign_e · Σ_ij a_d(i, j) · b_e(i, j)

**Error.** For the sketches y, y' of any two bilinear sums M, M', over the draws

    E ⟨y, y'⟩ = ⟨M, M'⟩      and      E (⟨y, y'⟩ − ⟨M, M'⟩)² ≤ 8/K · ‖M‖² ‖M'‖²

so at K = 8192 an inner product is off by 1/32 of the two norms' product or less (root mean square). Proof: the error is
Σ sign_d sign_d' sign_e sign_e' M_de M'_d'e' over the pairs (d, e) ≠ (d', e') that share a bucket. In its square a term
with four d's and four e's has a mean only if both fall into equal twos, 3 · 3 ways, less the one in which (d, e) =
(d', e') in both factors; its buckets agree with probability 1/K or less; and over each way the terms add up to
‖M‖² ‖M'‖² at most (Cauchy-Schwarz). These 3² − 1 are the 3^q of Pham and Pagh and of Avron, Nguyen and Woodruff (2014)
for products of q = 2 factors. The bound is one of the sums: the root that follows is taken of the sketch.
"""

from math import log2
from typing import NamedTuple

import torch
from torch import Tensor

from fusionlab import errors
from fusionlab.backbones.initialise import GeneratorFor
from fusionlab.fusion import bilinear
from fusionlab.fusion.bilinear import full_precision, normalised, rooted
from fusionlab.fusion.fusion import Fusion, classifying, regularising

# A multiply-add of a transform takes as long as about eight of a matrix product. Measured forward and backward on a CPU
# core, K = 8192: 233 ms against 28 with 512 channels, 320 against 127 with 1024, 42 against 277 with 2048 (7×7 places).
SLOWER = 8


class Hash(NamedTuple):
    bucket: Tensor  # (D,) whole numbers below K
    sign: Tensor  # (D,) 1 or −1


def count_sketch(x: Tensor, one: Hash, length: int) -> Tensor:
    """ψ_k = Σ_{d : bucket_d = k} sign_d · x_d, over the last axis"""
    return x.new_zeros(*x.shape[:-1], length).index_add(-1, one.bucket, x * one.sign.to(x.dtype))


def fuse(x_a: Tensor, x_b: Tensor, hash_a: Hash, hash_b: Hash, length: int) -> Tensor:
    """y = F⁻¹ Σ_ij F ψ_a(i, j) · F ψ_b(i, j): a convolution is a product of transforms, and a sum commutes with F⁻¹"""
    psi_a, psi_b = (count_sketch(x.permute(0, 2, 3, 4, 1), one, length) for x, one in ((x_a, hash_a), (x_b, hash_b)))
    y = torch.fft.irfft((torch.fft.rfft(psi_a) * torch.fft.rfft(psi_b)).sum(dim=(2, 3)), n=length)
    return y.transpose(1, 2)[..., None, None]


def fuse_pairs(x_a: Tensor, x_b: Tensor, hash_a: Hash, hash_b: Hash, length: int) -> Tensor:
    """y_k = Σ_{d, e : bucket_d + bucket_e = k mod K} sign_d · sign_e · Σ_ij a_d(i, j) · b_e(i, j), the same numbers"""
    pairs = Hash(
        (hash_a.bucket[:, None] + hash_b.bucket).flatten() % length, (hash_a.sign[:, None] * hash_b.sign).flatten()
    )
    y = count_sketch(bilinear.fuse(x_a, x_b)[..., 0, 0].transpose(1, 2), pairs, length)
    return y.transpose(1, 2)[..., None, None]


def fft_macs(length: int, transforms: int) -> int:
    """Multiply-adds of real Fourier transforms: ½ · 5/2 n log₂ n each.

    5 n log₂ n operations for n complex numbers is the usual count (radix 2; FFTW's benchmark), half of it where one
    side is real, and two operations are a multiply-add.

    >>> fft_macs(8192, transforms=1)
    133120
    """
    return round(transforms * 1.25 * length * log2(max(length, 2)))


class Compact(Fusion):
    """Bilinear fusion in K = `dimension` numbers a frame instead of D².

    At 512 channels and 101 classes the classifier has 827,493 weights instead of 26,476,645. What it costs: the error
    above, and per place of the maps either two transforms of length K or D² multiply-adds, as bilinear fusion has them
    too: 338 transforms and their products, 47,896,576 multiply-adds, or 44,302,336 for a frame of VGG-M's relu5. The
    way is chosen by the channels and K (`fourier`): transforms pay from ResNet-50's 2048 channels on; below, they were
    five times slower, and kept K numbers a place and stream for the backward pass.

    Buckets and signs are a part of the weights, and follow from the seed like them. Whatever the precision around it,
    the sketch is computed in float32 at least.
    """

    symmetric = False
    spatial = False
    equal_channels = False

    bucket_a: Tensor
    sign_a: Tensor
    bucket_b: Tensor
    sign_b: Tensor

    def __init__(
        self,
        channels_a: int,
        channels_b: int,
        *,
        dimension: int = 8192,
        classifier: str = "softmax",
        regulariser: float | None = None,
    ) -> None:
        super().__init__(channels_a, channels_b)
        self.classifier, self.regulariser = classifying(classifier), regularising(regulariser)
        self.out_channels = _length(dimension)
        for stream, channels in (("a", channels_a), ("b", channels_b)):
            self.register_buffer(f"bucket_{stream}", torch.arange(channels) % dimension)
            self.register_buffer(f"sign_{stream}", torch.ones(channels))
        self.fourier = SLOWER * self.macs_fourier(places=1) < self.macs_pairs(places=1)

    def initialise_own(self, generator_for: GeneratorFor) -> None:
        """Uniform, and independent of each other."""
        for name, buffer in self.named_buffers():
            values = self.out_channels if name.startswith("bucket") else 2
            draw = torch.randint(values, buffer.shape, generator=generator_for(name), device="cpu")
            buffer.copy_(draw if name.startswith("bucket") else 2 * draw - 1)

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        dtype, sketch = x_a.dtype, fuse if self.fourier else fuse_pairs
        with full_precision(x_a):
            x_a, x_b = (x.float() if x.dtype.itemsize < 4 else x for x in (x_a, x_b))
            return normalised(rooted(sketch(x_a, x_b, *self.hashes(), self.out_channels))).to(dtype)

    def hashes(self) -> tuple[Hash, Hash]:
        """The hashes of appearance and of motion."""
        return Hash(self.bucket_a, self.sign_a), Hash(self.bucket_b, self.sign_b)

    def macs_fourier(self, places: int) -> int:
        """Multiply-adds of one frame: the transforms, and K/2 products of complex numbers a place."""
        return fft_macs(self.out_channels, 2 * places + 1) + 2 * self.out_channels * places

    def macs_pairs(self, places: int) -> int:
        """Multiply-adds of one frame: those of bilinear fusion."""
        return self.bucket_a.numel() * self.bucket_b.numel() * places


def _length(dimension: object) -> int:
    if isinstance(dimension, int) and dimension >= 2:
        return dimension
    raise errors.UserError(
        "a sketch has two numbers or more", got=f"fusion.dimension={dimension}", hint="fusion.dimension=8192"
    )
