"""The variance of a mean over two crossed samples: mean squares of seeds, of groups of videos, and of the rest.

With N videos, G groups, k seeds, d the value of each seed and video:  z_sg = (G/N) Σ_{v∈g} (d_sv − d̄). All seeds answer
the same videos, and what one group's videos have in common, z keeps together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError

FEWEST_GROUPS = 20  # fewer groups do not show how groups vary: t over so few clusters covers too rarely

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Squares:
    """The mean squares of seeds, groups and the rest, of z (seeds × groups); `free` are the groups' degrees of freedom.

        MS_S = G Σ_s z̄_s² / (k−1)     MS_G = k Σ_g z̄_g² / (G−1)     MS_E = Σ (z_sg − z̄_s − z̄_g)² / ((k−1)(G−1))

    One seed has neither MS_S nor MS_E: both are 0.
    """

    of_seeds: float
    of_groups: float
    rest: float
    seeds: int
    groups: int
    free: int

    def variance(self, seeds: int | None = None) -> tuple[float, float]:
        """SE² = (A + B − MS_E) / (kG) with A = max(MS_S, MS_E), B = max(MS_G, MS_E), and Satterthwaite's ν ≥ 1.

            ν = (A + B − MS_E)² / [A²/(k−1) + B²/(G−1) + MS_E²/((k−1)(G−1))]

        For another number of seeds k', MS_G is what is to be expected then: (k'/k)(B − MS_E) + MS_E.
        """
        k = seeds or self.seeds
        a = max(self.of_seeds, self.rest)
        b = (max(self.of_groups, self.rest) - self.rest) * k / self.seeds + self.rest
        total = a + b - self.rest
        below = a**2 / (k - 1) + b**2 / self.free + self.rest**2 / ((k - 1) * self.free)
        return total / (k * self.groups), max(1.0, total**2 / below) if below > 0 else float(k - 1)


def mean_squares(d: Reals, groups: NDArray[np.intp], strata: NDArray[np.intp]) -> tuple[Squares | None, str | None]:
    """The mean squares of z, or None and the reason. Groups are coded 0 … G−1, each within one stratum 0 … L−1.

        z_sg = G / (L N_l) Σ_{v∈g} (d_sv − d̄_l)      for g in stratum l of N_l videos; L = 1 without strata

    The mean of z_sg over groups is d̄_s − d̄. Deviations are from the means of the stratum, and each stratum's squares
    count G_l/(G_l−1) times: with one stratum that is the usual division by G−1, with several MS_G/(kG) is Σ_l V_l / L²,
    V_l being the variance of stratum l's mean. What differs between strata from seed to seed stays in MS_S.
    """
    k, count = len(d), int(groups.max()) + 1
    home = np.zeros(count, dtype=np.intp)
    home[groups] = strata
    sizes = np.bincount(home)
    if count < FEWEST_GROUPS:
        have = "1 group of videos is" if count == 1 else f"{count} groups of videos are"
        return None, f"{have} too few, {FEWEST_GROUPS} are needed"
    if sizes.min() < 2:
        return None, "a split with one group of videos does not show how groups vary"
    weights = mean_weights(strata)
    centre = np.bincount(strata, weights=d.mean(axis=0)) / np.bincount(strata)
    z = count * group_sums((d - centre[strata]) * weights, groups)
    of_group = z.mean(axis=0)
    of_stratum = group_sums(z, home) / sizes  # per seed
    again = (sizes / (sizes - 1))[home]
    group_part = k * float(again @ of_group**2) / count
    if k == 1:
        return Squares(0.0, group_part, 0.0, 1, count, count - len(sizes)), None
    rest = (again * (z - of_stratum[:, home] - of_group) ** 2).sum() / ((k - 1) * count)
    seed_part = count * float((z.mean(axis=1) ** 2).sum()) / (k - 1)
    return Squares(seed_part, group_part, float(rest), k, count, count - len(sizes)), None


def group_variance(
    share: Reals, groups: NDArray[np.integer[Any]], strata: NDArray[np.integer[Any]] | None = None
) -> tuple[float, float, int]:
    """The mean of one value for each video, its variance over groups, MS_G/(kG), and their degrees of freedom."""
    codes = np.zeros(len(share), dtype=np.intp) if strata is None else np.unique(strata, return_inverse=True)[1]
    squares, why = mean_squares(share[None], group_codes(codes, groups), codes)
    if squares is None:
        raise UserError("the groups of videos give no interval", got=why)
    return float(mean_weights(codes) @ share), squares.of_groups / squares.groups, squares.free


def mean_weights(strata: NDArray[np.intp]) -> Reals:
    """1 / (L N_l) for each video: the mean of the strata's means as a weighted sum."""
    sizes = np.bincount(strata)
    return np.asarray(1.0 / (len(sizes) * sizes[strata]))


def group_codes(strata: NDArray[np.intp], groups: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """The groups, coded 0 … G−1; those of two strata are two, though they bear the same code."""
    _, codes = np.unique(groups, return_inverse=True)
    return np.asarray(np.unique(strata * (codes.max() + 1) + codes, return_inverse=True)[1], dtype=np.intp)


def group_sums(values: Reals, codes: NDArray[np.intp]) -> Reals:
    """The sums over the columns of each code, row by row."""
    return np.array([np.bincount(codes, weights=row) for row in values])
