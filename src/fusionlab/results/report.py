"""A study's folder in, a report out: the table in three formats, a picture, and a page of them all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionlab.records.files import write_text
from fusionlab.results import csv_table, latex, markdown, page, plots, terminal
from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table


def report(
    study_folder: str | os.PathLike[str],
    table_spec: Mapping[str, Any] | Spec,
    out_folder: str | os.PathLike[str],
    *,
    unfinished: Mapping[str, tuple[str, str | None]] | None = None,
) -> str:
    """Write the report and return the table as text for a terminal.

    Everything is read and rendered before the first file is written, and each file appears whole.
    `unfinished` says why an arm of the plan has no record: {arm's name: (reason, log or None)}.
    """
    spec = table_spec if isinstance(table_spec, Spec) else Spec.of(table_spec)
    study, out = Path(study_folder), Path(out_folder)
    entries = load(study, unfinished)
    table = make_table(entries, spec)
    text = terminal.render(table)
    files = {
        "table.md": markdown.render(table),
        "table.csv": csv_table.render(table),
        "table.tex": latex.render(table),
        "plot.svg": plots.picture(table),
        "index.html": page.render(table, entries, name=study.resolve().name, out=out),
    }
    for name, content in files.items():
        write_text(out / name, content)
    return text
