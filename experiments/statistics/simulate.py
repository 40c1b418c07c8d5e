"""Coverage and error rates of results/crossed.py, accuracy.py and families.py on drawn answers: README.md is the plan.

    python experiments/statistics/simulate.py            # coverage.csv, tests.csv, families.csv and table.md, here
    python experiments/statistics/simulate.py --table    # table.md alone, from the csv files

The formulas run here over many draws at once (`intervals`); in each chunk of draws the first is held against `compare`.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fusionlab.results.accuracy import effective_videos, wilson
from fusionlab.results.crossed import compare, sign_flip

HERE = Path(__file__).parent
DRAWS, CHUNK, SEEDS, ARMS = 4_000, 100, 10, 7
KS, SDS, RHOS, GROUPS = (3, 5, 10), (0.0, 0.01, 0.03), (0.0, 0.3, 0.6), (140, 707)
P, GAIN = 0.85, 0.02
LOWEST, HIGHEST, FAMILY = 0.935, 0.985, 0.055

Array = NDArray[np.float64]


def group_sizes(groups: int) -> NDArray[np.intp]:
    """UCF101's list 1: 3,783 videos in 707 groups of 4 to 7; fewer groups are every so many of them."""
    sizes = np.repeat([4, 5, 6, 7], [211, 178, 177, 141])
    return sizes[:: len(sizes) // groups][:groups]


class World:
    """The latent values of `draws` draws of all arms, seeds and videos; `sums` makes answers of them."""

    def __init__(self, rng: np.random.Generator, draws: int, arms: int, groups: int, rho: float, systems: bool) -> None:
        self.sizes = group_sizes(groups)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        self.codes = np.repeat(np.arange(groups), self.sizes)
        videos = len(self.codes)
        self.latent = np.empty((draws, arms, SEEDS, videos), dtype=np.float32)
        shares = (0.5, 0.2, 0.3) if systems else (0.5, 0.0, 0.5)
        for draw in range(draws):
            copied = rng.random(videos) < rho**0.5
            source = np.where(copied, self.codes, groups + np.arange(videos))
            total = 0.0
            for share, shape in zip(shares, ((1, 1), (arms, 1), (arms, SEEDS)), strict=True):
                normal = rng.standard_normal((*shape, groups + videos), dtype=np.float32)
                total = total + np.float32(share**0.5) * normal[..., source]
            self.latent[draw] = total
        self.effects = rng.standard_normal((draws, arms, SEEDS)) / 2**0.5  # of a difference, the sd is 1

    def answers(self, p: Array, sd: float) -> tuple[NDArray[np.bool_], Array]:
        """The answers (draws, arms, seeds, videos), and the true accuracy of each network (draws, arms, seeds)."""
        truth = p[:, None] + sd * self.effects
        return self.latent < stats.norm.ppf(truth)[..., None].astype(np.float32), truth

    def sums(self, right: NDArray[np.bool_]) -> Array:
        return np.add.reduceat(right, self.starts, axis=-1, dtype=np.int16).astype(np.float64)


def intervals(sums: Array, sizes: NDArray[np.intp]) -> dict[str, Array]:
    """The formulas of `compare` for sums of differences (…, seeds, groups): means, half-widths, p of the method."""
    *_, k, groups = sums.shape
    videos = int(sizes.sum())
    mean = sums.sum((-1, -2)) / (k * videos)
    z = groups / videos * (sums - sizes * mean[..., None, None])
    of_seed, of_group = z.mean(-1), z.mean(-2)
    ms_s = groups * (of_seed**2).sum(-1) / (k - 1)
    ms_g = k * (of_group**2).sum(-1) / (groups - 1)
    whole = (z**2).sum((-1, -2))
    ms_e = (whole - groups * (of_seed**2).sum(-1) - k * (of_group**2).sum(-1)) / ((k - 1) * (groups - 1))
    a, b = np.maximum(ms_s, ms_e), np.maximum(ms_g, ms_e)
    total = a + b - ms_e
    free = total**2 / (a**2 / (k - 1) + b**2 / (groups - 1) + ms_e**2 / ((k - 1) * (groups - 1)))
    free = np.maximum(1, free)
    se, floor, own = (np.sqrt(value / (k * groups)) for value in (total, ms_s, ms_g))
    method = np.maximum(stats.t.ppf(0.975, free) * se, stats.t.ppf(0.975, k - 1) * floor)
    ratio = np.divide(abs(mean), floor, out=np.full_like(mean, np.inf), where=floor > 0)
    p = 2 * np.maximum(stats.t.sf(abs(mean) / se, free), stats.t.sf(ratio, k - 1))
    old = np.hypot(stats.t.ppf(0.975, k - 1) * np.sqrt(((sums.sum(-1) / videos).var(-1, ddof=1)) / k), 0)
    networks = stats.t.ppf(0.975, groups - 1) * own
    return {"mean": mean, "method": method, "p": p, "networks": networks, "seeds": old}


def chunks(arms: int, groups: int, rho: float, systems: bool, draws: int, cell: int) -> Iterator[World]:
    rng = np.random.default_rng([19, cell])
    for _ in range(0, draws, CHUNK):
        yield World(rng, min(CHUNK, draws), arms, groups, rho, systems)


def check(world: World, right: NDArray[np.bool_], k: int, found: dict[str, Array]) -> None:
    """`intervals` gives what `compare` gives, for the first draw."""
    d = right[0, 0, :k].astype(float) - right[0, 1, :k]
    other = compare(d, world.codes)
    assert other.method and other.networks
    mine = found["mean"][0], found["mean"][0] + found["method"][0], found["p"][0], found["networks"][0]
    theirs = other.mean, other.method.high, other.method.p, other.networks.high - other.mean
    assert np.allclose(mine, theirs, rtol=1e-6), (mine, theirs)


def coverage(draws: int, cells: list[tuple[int, float, bool]]) -> list[dict[str, Any]]:
    """Of the intervals of a gain of 2 points: the method's, the networks', and the way of before."""
    rows = []
    for at, (groups, rho, systems) in enumerate(cells):
        hits: dict[tuple[float, int], Array] = {(sd, k): np.zeros(4) for sd in SDS for k in KS}
        for world in chunks(2, groups, rho, systems, draws, at):
            for sd in SDS:
                right, truth = world.answers(np.array([P, P - GAIN]), sd)
                sums = world.sums(right)
                for k in KS:
                    found = intervals(sums[:, 0, :k] - sums[:, 1, :k], world.sizes)
                    check(world, right, k, found)
                    own = (truth[:, 0, :k] - truth[:, 1, :k]).mean(-1)
                    off = abs(found["mean"] - GAIN)
                    videos = right[:, 0, :k].mean(1) - right[:, 1, :k].mean(1)
                    over_videos = stats.t.ppf(0.975, videos.shape[1] - 1) * stats.sem(videos, axis=1)
                    hits[sd, k] += [
                        (off <= found["method"]).sum(),
                        (abs(found["mean"] - own) <= found["networks"]).sum(),
                        (off <= np.hypot(over_videos, found["seeds"])).sum(),
                        (abs(found["mean"] - own) <= over_videos).sum(),
                    ]
        for (sd, k), count in hits.items():
            names = ("method", "networks", "before", "videos_independent")
            shares = {name: round(share, 4) for name, share in zip(names, count / draws, strict=True)}
            rows.append({"groups": groups, "rho": rho, "systems": int(systems), "sd": sd, "k": k, **shares})
    return rows


def tests(draws: int, cells: list[tuple[int, float]]) -> list[dict[str, Any]]:
    """Sizes at 5 % of tests about these networks, and the coverage of one accuracy of 85 %."""
    rows = []
    for at, (groups, rho) in enumerate(cells):
        count = {k: np.zeros(4) for k in (1, 5)}
        for world in chunks(2, groups, rho, True, draws, 100 + at):
            right, _ = world.answers(np.array([P, P]), 0.0)
            for draw in right:
                for k in (1, 5):
                    d = draw[0, :k].astype(float) - draw[1, :k]
                    flipped = sign_flip(np.bincount(world.codes, weights=d.sum(0)))
                    one, other = int((d[0] > 0).sum()), int((d[0] < 0).sum())
                    mcnemar = 2 * stats.binom.cdf(min(one, other), one + other, 0.5)
                    share = draw[0, :k].mean(0)
                    ends = [wilson(float(share.mean()), n) for n in (effective_videos(share, world.codes), len(share))]
                    covered = [low <= P <= high for low, high in ends]
                    count[k] += [flipped is not None and flipped <= 0.05, k == 1 and mcnemar <= 0.05, *covered]
        for k, found in count.items():
            names = ("sign_flip", "mcnemar", "accuracy", "plain_wilson")
            shares = {name: round(share, 4) for name, share in zip(names, found / draws, strict=True)}
            rows.append({"groups": groups, "rho": rho, "k": k, **shares, **({"mcnemar": ""} if k > 1 else {})})
    return rows


def families(draws: int, cells: list[tuple[int, float]]) -> list[dict[str, Any]]:
    """How often Holm rejects anything without an effect. Its first step alone decides: the smallest p · m ≤ 5 %."""
    one, other = np.triu_indices(ARMS, 1)  # arm 0 is the control: the first 6 pairs are against it
    rows = []
    for at, (groups, rho) in enumerate(cells):
        count: dict[tuple[float, int], Array] = {(sd, k): np.zeros(2) for sd in SDS for k in KS}
        for world in chunks(ARMS, groups, rho, True, draws, 200 + at):
            for sd in SDS:
                sums = world.sums(world.answers(np.full(ARMS, P), sd)[0])
                for k in KS:
                    for draw in sums[:, :, :k]:
                        p = intervals(draw[one] - draw[other], world.sizes)["p"]
                        count[sd, k] += [p[: ARMS - 1].min() * (ARMS - 1) <= 0.05, p.min() * len(p) <= 0.05]
        for (sd, k), found in count.items():
            shares = {name: round(share, 4) for name, share in zip(("control", "pairs"), found / draws, strict=True)}
            rows.append({"groups": groups, "rho": rho, "sd": sd, "k": k, **shares})
    return rows


def read(name: str) -> list[dict[str, str]]:
    with (HERE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(name: str, rows: list[dict[str, Any]]) -> None:
    with (HERE / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table() -> str:
    """The csv files as Markdown, in per cent; what breaks a bound of the plan is bold."""
    parts = []
    for name, title, bold in (
        ("coverage", "Coverage of a gain of 2 points", outside),
        ("tests", "Sizes of tests at 5 %, coverage of an accuracy of 85 %", lambda column, row: False),
        ("families", "Family-wise error of Holm at 5 %", lambda column, row: float(row[column]) > FAMILY),
    ):
        rows = read(name)
        keys = [key for key in rows[0] if key in ("groups", "rho", "systems", "sd", "k")]
        shown = [key for key in rows[0] if key not in keys]
        lines = [f"## {title}", ""]
        lines += ["| " + " | ".join([*keys, *(key.replace("_", " ") for key in shown)]) + " |"]
        lines += ["|" + " ---: |" * len(rows[0])]
        for row in rows:
            cells = [f"{100 * float(row[key]):g}" if key == "sd" else row[key] for key in keys]
            for key in shown:
                text = f"{100 * float(row[key]):.1f}" if row[key] else ""
                cells.append(f"**{text}**" if text and key not in ("before", "mcnemar") and bold(key, row) else text)
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def outside(column: str, row: dict[str, str]) -> bool:
    """Whether the method's coverage breaks its bound; where all variances are 0 there is no upper one."""
    if column != "method":
        return False
    varies = float(row["sd"]) > 0 or row["systems"] == "1"
    return float(row[column]) < LOWEST or (varies and int(row["k"]) >= 5 and float(row[column]) > HIGHEST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="table.md alone, from the csv files")
    parser.add_argument("--draws", type=int, default=DRAWS)
    chosen = parser.parse_args()
    if not chosen.table:
        grid = [(groups, rho) for groups in GROUPS for rho in RHOS]
        write("coverage", coverage(chosen.draws, [(g, rho, systems) for systems in (True, False) for g, rho in grid]))
        write("tests", tests(chosen.draws, grid))
        write("families", families(chosen.draws * 5 // 2, [*grid[: len(RHOS)], (GROUPS[1], 0.3)]))
    (HERE / "table.md").write_text(table(), encoding="utf-8")
    sys.stdout.write(table())


if __name__ == "__main__":
    main()
