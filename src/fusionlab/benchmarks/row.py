"""A figure of the bench, and whether it is what it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`most` is what the figure should not exceed. `interval` holds the true figure with 95 %: where there is one, it
    decides and not the figure. `missing` says why there is no figure.
    """

    what: str
    figure: float | None
    unit: str
    most: float | None = None
    interval: tuple[float, float] | None = None
    missing: str = ""

    @property
    def verdict(self) -> str:
        """Nothing where all is well; a figure beyond is marked, not hidden."""
        if self.figure is None:
            return f"not measured: {self.missing}"
        low, high = self.interval or (self.figure, self.figure)
        if self.most is None or high <= self.most:
            return ""
        return "beyond" if low > self.most else "undecided"

    @property
    def within(self) -> bool:
        """Not beyond; what nobody could measure, or what an interval leaves open, is not."""
        return self.verdict != "beyond"

    def line(self) -> str:
        """A line of the table."""
        figure = "" if self.figure is None else f"{self.figure:.2f} {self.unit}"
        interval = "" if self.interval is None else "{:.3f} … {:.3f}".format(*self.interval)
        most = "" if self.most is None else f"{self.most:g} {self.unit}"
        return f"| {self.what} | {figure} | {interval} | {most} | {self.verdict} |"
