"""From a study's folder to its report: the table in three formats, figures and a page; or a pandas table."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionlab.errors import UserError
from fusionlab.records.files import write_bytes
from fusionlab.records.other_tests import Asked
from fusionlab.results.accuracy import wilson
from fusionlab.results.answers import FILE as ANSWERS
from fusionlab.results.answers import Answers, answers_csv
from fusionlab.results.chains import last_chain
from fusionlab.results.contrasts import contrasts_csv
from fusionlab.results.cross import Cross, cross_csv, cross_latex, cross_markdown, cross_text
from fusionlab.results.csv_table import csv_text
from fusionlab.results.differences import pairs_csv, pairs_text
from fusionlab.results.latex import latex, short_latex
from fusionlab.results.load import Entry, load_all
from fusionlab.results.mistakes import Draw, typical_mistakes
from fusionlab.results.page import page
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import markdown, terminal
from fusionlab.results.towers import tower_entries

if TYPE_CHECKING:
    import pandas as pd

_RESULT = ("accuracy", "val_loss", "best_step", "steps", "parameters", "trained_parameters", "layers")


def report(
    study_folder: str | os.PathLike[str],
    table_spec: Mapping[str, Any] | Spec,
    out_folder: str | os.PathLike[str],
    *,
    unfinished: Mapping[str, tuple[str, str | None]] | None = None,
    others: Mapping[Path, Mapping[str, tuple[str, str | None]]] | None = None,
    asked: Asked | None = None,
    cross: Callable[[Table], Cross] | None = None,
    pdf: bool = False,
    answers: bool = False,
    pairs: bool = False,
    notes: bool = False,
    ansi: bool = False,
    draw: Draw | None = None,
) -> str:
    """Write the report and return the table as text for a terminal.

    Everything is read and rendered before the first file is written, and each file is written atomically. `unfinished`:
    why an arm of the plan has no record: {arm's name: (reason, log or None)}. `others`: further studies, each with its
    unfinished arms. `asked`: the tests that are rows, instead of those that a study asks for. `cross`: makes a table of
    one's own, which is returned instead. `answers`: answers.csv too. `pairs`: so is pairs.csv, and the text has the
    matrix. `notes`: the text has all notes. `ansi`: and ANSI's bold. `pdf`: the figures are written as PDF too. `draw`:
    draws a mistake; by default mistakes are listed without pictures.
    """
    from fusionlab.results.figures import figure_files, make_figures, row_curves  # imported late: matplotlib is slow

    study, out = Path(study_folder), Path(out_folder)
    with _no_collection():
        spec = table_spec if isinstance(table_spec, Spec) else Spec.of(table_spec)
        entries = load_all({study: unfinished or {}, **(others or {})}, asked)
        table = make_table(entries, spec)
        table = replace(table, cross=cross(table)) if cross else table
        text = cross_text(table.cross) if table.cross else terminal(table, ansi=ansi, notes=notes)
        name, figures = " + ".join(one.resolve().name for one in (study, *(others or ()))), make_figures(table, entries)
        mistakes = typical_mistakes(table, draw)
        shown = page(table, entries, name=name, out=out, figures=figures, mistakes=mistakes, curves=row_curves, pdf=pdf)
        files: dict[str, str | bytes] = {
            "table.md": markdown(table),
            "table.csv": csv_text(table),
            "table.tex": latex(table),
            "table-short.tex": short_latex(table),
            "index.html": shown,
            **figure_files(figures, pdf=pdf),
        }
        if table.cross:
            for ending, write in (("md", cross_markdown), ("csv", cross_csv), ("tex", cross_latex)):
                files[f"cross.{ending}"] = write(table.cross)
        if pdf and (absent := "".join(sorted({one for figure in figures for one in figure.unprintable()}))):
            text += f"\nNo font of this machine has these characters, so PDF figures show boxes for them: {absent}\n"
        if answers:
            shown_arms = last_chain(entries)
            every = [*shown_arms, *tower_entries(shown_arms)]
            files[ANSWERS] = answers_csv(read_answers(every, unchosen_arms(table.rows)))
        if table.contrasts:
            files["contrasts.csv"] = contrasts_csv(table.contrasts)
        if pairs:
            axes = title_axes(table.rows)
            matrix = table.matrix
            files["pairs.csv"] = pairs_csv(matrix, lambda row: row_title(row, axes))
            text += "\n" + pairs_text(matrix, lambda row: row_title(row, axes), spec.decimals)
    for name, content in files.items():
        write_bytes(out / name, content.encode() if isinstance(content, str) else content)
    for file in [out / "plot.svg", *(out / "figures").glob("*.svg"), *(out / "figures").glob("*.pdf")]:
        if str(file.relative_to(out)) not in files:  # of an older report: it would be of other records
            file.unlink(missing_ok=True)
    return text


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the search for cycles among objects: records have none, and 10,000 of them are searched for seconds."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def unchosen_arms(rows: Iterable[Row]) -> set[str]:
    """The names of the arms that a selection did not choose: their test predictions stay closed."""
    every = [one for row in rows for one in (row, row.control) if one is not None]
    trials = [trial for row in every for trial in row.tried if not trial.chosen]
    return {arm.name for trial in trials for entry in trial.entries for arm in entry.arms}


def read_answers(entries: Iterable[Entry], without: Collection[str] = ()) -> dict[str, Answers]:
    """Arm's name -> its answers, of all done arms whose answers can be read; `without` some and their towers."""
    answers: dict[str, Answers] = {}
    closed = set(without)
    for entry in entries:
        if entry.status == "done" and entry.name not in closed and entry.name.rpartition("/")[0] not in closed:
            try:
                own = entry.answers
            except UserError:  # the table has a note about it
                continue
            if entry.name in answers:
                hint = "write the answers of each study by itself"
                raise UserError("two arms have one name, so they cannot have a column each", got=entry.name, hint=hint)
            answers[entry.name] = own
    if not answers:
        raise UserError("no arm of this folder has predictions, so there are no answers", got=f"{ANSWERS} of it")
    return answers


def frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """A line per arm: name, kind, status, axes, result, and per kind of question its share, interval and ceiling."""
    import pandas as pd

    lines = []
    for entry in entries:
        line = {"name": entry.name, "kind": entry.kind, "status": entry.status, "reason": entry.reason, **entry.axes}
        line |= {key: entry.result[key] for key in _RESULT if key in entry.result}
        for kind, counts in entry.result.get("kinds", {}).items():
            if counts["total"]:
                share = counts["correct"] / counts["total"]
                line[kind] = share
                line[f"{kind}_low"], line[f"{kind}_high"] = wilson(share, counts["total"])
                line[f"{kind}_ceiling"] = entry.record.get("ceilings", {}).get(kind)
        line["seconds"] = entry.record.get("circumstances", {}).get("seconds")
        line["signature"] = entry.record.get("signature")
        lines.append(line)
    return pd.DataFrame(lines)
