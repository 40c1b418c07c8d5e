"""fusionlab from Python: plan and run a study, and read its results (docs/python.md).

study = fusionlab.Study.sweep(fusion=["conv", "sum"], layer="relu5")
study.table()
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionlab.errors import UserError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from fusionlab.planning.grid import PlannedStudy
    from fusionlab.results.crossed import Comparison
    from fusionlab.results.figures import Figure
    from fusionlab.results.load import Entry
    from fusionlab.results.tables import Table

_PLAIN = re.compile(r"[A-Za-z_][\w./:+@-]*")
_WORDS = {"true", "false", "null", "inf", "nan"}  # which hydra reads as something other than text


def load(*folders: str | os.PathLike[str]) -> Study:
    """A study that was run, or any folder of records; several folders are one study.

    >>> load("runs/x")
    Traceback (most recent call last):
    ...
    fusionlab.errors.UserError: no such study folder
      got:      runs/x
      try:      fusionlab.load('runs/x'), a folder below runs/
    """
    places = [Path(folder) for folder in folders]
    if not places or not all(place.is_dir() for place in places):
        got = next((place for place in places if not place.is_dir()), "nothing")
        raise UserError("no such study folder", got=got, hint="fusionlab.load('runs/x'), a folder below runs/")
    return Study(places[0], others=places[1:])


class Study:
    """A study's folder, and what can be read from it. Made by `Study.plan`, `Study.sweep` or `fusionlab.load`."""

    def __init__(self, folder: Path, planned: PlannedStudy | None = None, others: Sequence[Path] = ()) -> None:
        self.folder, self._planned, self._others = folder, planned, others

    @classmethod
    def plan(cls, **options: Any) -> Study:
        """The study of these options, without running it: its arms and its folder. Nothing is written.

        A list is an axis, a tuple is one value. Options with a dot: `Study.plan(**{"optim.fusion.lr": [1e-3, 3e-3]})`.
        """
        from fusionlab.planning.grid import plan_study

        planned = plan_study([option(name, value) for name, value in options.items()])
        return cls(planned.folder, planned)

    @classmethod
    def sweep(cls, **options: Any) -> Study:
        """Plan and run, as `python -m fusionlab.sweep`; a `UserError` if an arm failed, after the others have run."""
        return cls.plan(**options).run()

    def run(self) -> Study:
        """Run what is not done yet."""
        from fusionlab.planning.sweep_loop import run_study

        if self._planned is None:
            raise UserError(
                "this study was loaded, not planned", got=self.folder, hint="Study.plan(...).run(), with its options"
            )
        status = run_study(self._planned)
        if status == 130:
            raise KeyboardInterrupt
        self.__dict__.pop("entries", None)
        if status:
            left = [entry for entry in self.entries if entry.status not in ("done", "refused")]
            failed = [f"{entry.name}: {entry.reason}" for entry in left]
            raise UserError(
                "some arms are not done", got="; ".join(failed), hint=f"fusionlab.load({str(self.folder)!r}).arms"
            )
        return self

    @cached_property
    def entries(self) -> list[Entry]:
        """One entry for each arm and each refused cell: name, axes, status, record."""
        from fusionlab.planning.report_study import unfinished_arms
        from fusionlab.results.load import load_all

        return load_all({folder: unfinished_arms(folder) for folder in (self.folder, *self._others)})

    @property
    def arms(self) -> pd.DataFrame:
        """A line for each arm; of a study that was only planned, its axes and signature."""
        import pandas as pd

        from fusionlab.results.report import frame

        if self._planned is not None and not self.folder.is_dir():
            return pd.DataFrame(
                [
                    {"name": arm.name, "kind": arm.kind, "status": "planned", **arm.axes, "signature": arm.signature}
                    for arm in self._planned.plan.arms
                ]
                + [
                    {"name": cell.name, "kind": cell.kind, "status": "refused", "reason": cell.reason, **cell.axes}
                    for cell in self._planned.plan.refused
                ]
            )
        return frame(self.entries)

    def table(
        self,
        name: str | None = None,
        *,
        rows: str | Sequence[str] = (),
        cols: str | Sequence[str] = (),
        value: str = "accuracy",
        over: str | Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Table:
        """The table of the study; `name`: another one of conf/table. A notebook shows it; `str` is for a terminal.

        `rows` and `cols`: a table of one's own, such as rows="fusion", cols="layer", of the rows with the values of
        `where`. `over`: ["seed", "split"]: a row is a mean over splits too.
        """
        from fusionlab.planning.report_study import table_spec, with_means_over
        from fusionlab.results.cross import make_cross
        from fusionlab.results.spec import Spec
        from fusionlab.results.tables import make_table

        down, across, means = (one.split(",") if isinstance(one, str) else one for one in (rows, cols, over))
        table = make_table(self.entries, Spec.of(with_means_over(table_spec(self.folder, name), means)))
        if not (down or across):
            return table
        return replace(table, cross=make_cross(table, down or (), across or (), value, where))

    def rows(self, name: str | None = None) -> pd.DataFrame:
        """A line for each row of the table, as in table.csv: accuracies, gains over the control, their intervals."""
        import io

        import pandas as pd

        from fusionlab.results.csv_table import csv_text

        return pd.read_csv(io.StringIO(csv_text(self.table(name))))

    @property
    def claim(self) -> str | None:
        """The claim that was named before the run, and whether it holds; None without one."""
        from fusionlab.results.headline import claim_of

        return None if claim_of(self.entries)[0] is None else self.table().headline

    def figures(self, table: str | None = None) -> dict[str, Figure]:
        """The figures of the report by name, as far as there is data for them; `table`: another one of conf/table."""
        from fusionlab.results.figures import make_figures

        return {figure.name: figure for figure in make_figures(self.table(table), self.entries)}

    def plot(self, name: str = "accuracy", table: str | None = None) -> Figure:
        """One of `figures`. A notebook shows it; `.save("x.pdf")` writes it."""
        figures = self.figures(table)
        if name not in figures:
            raise unknown("figure", name, list(figures))
        return figures[name]

    def compare(self, a: str, b: str) -> dict[str, Comparison]:
        """Points that `a` gains over `b`, paired by seed and video: {kind of question: difference with both intervals}.

        Each is a fusion ("conv"), a stream ("motion"), or options with commas ("fusion=conv,layer=relu5").
        """
        from fusionlab.results.gains import compare_pairs

        first, second = self._by_seed(a), self._by_seed(b)
        if first.keys() != second.keys():
            raise UserError(
                "these arms have other seeds, so they make no pairs", got=f"{a}: {sorted(first)}, {b}: {sorted(second)}"
            )
        compared, reason = compare_pairs([(first[seed], second[seed]) for seed in sorted(first)])
        if reason is not None:
            raise UserError("these arms make no pairs", got=reason)
        return compared

    def _by_seed(self, method: str) -> dict[tuple[Any, ...], Entry]:
        """Seed -> the done arm that is meant."""
        done = [entry for entry in self.entries if entry.status == "done"]
        if "=" in method:
            wanted = dict(one.partition("=")[::2] for one in method.split(","))
            chosen = [entry for entry in done if all(str(entry.value(axis)) == one for axis, one in wanted.items())]
        else:
            chosen = [entry for entry in done if method in _names(entry)]
        if not chosen:
            raise unknown("method", method, sorted({name for entry in done for name in _names(entry)}))
        places = list({json.dumps(entry.place, default=str): entry.place for entry in chosen}.values())
        if len(places) > 1:
            axes = sorted({axis for place in places for axis in place})
            varying = [axis for axis in axes if len({str(place.get(axis)) for place in places}) > 1]
            raise UserError(
                "several methods have this name", got=method,
                allowed=[",".join(f"{axis}={place.get(axis)}" for axis in varying) for place in places],
            )  # fmt: skip
        return {entry.seed: entry for entry in chosen}

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"


def _names(entry: Entry) -> set[str]:
    """The name of an arm without its study: its fusion, or its stream."""
    own = entry.axes.get("fusion") if entry.kind != "stream" else entry.axes.get("streams")
    return {str(own), entry.name}


def option(name: str, value: Any) -> str:
    """An option as it is typed: a list is an axis.

    >>> option("fusion", ["conv", "sum"]), option("data.sampling.stride", (2, 6)), option("weights", None)
    ('fusion=conv,sum', 'data.sampling.stride=[2,6]', 'weights=null')
    """
    from fusionlab.config.catalogue import GRID_WORDS

    is_axis = isinstance(value, list) and name not in GRID_WORDS
    return f"{name}={','.join(map(_typed, value)) if is_axis else _typed(value)}"


def _typed(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_typed(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_typed, value)) + "]"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
