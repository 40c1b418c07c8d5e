"""The report's page: one HTML file that needs nothing else, of at most 5 MB, with the evidence behind each row.

columns.py   which columns are seen at which width
sheet.py     the table's lines and cells
settings.py  in what a row's config differs from its control's and from the other rows'
evidence.py  a row's arms, settings and notes
facts.py     what the whole page says: facts about all arms, the pairs of rows, whose data the paper's figures are of
room.py      what a page has room for, and what it says of the rest
page.html    the page; parts.html has a line and a row's evidence; page.css and page.js are written into it

Without scripts it is a plain table, whose rows link to their evidence below it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionlab.results import formatting
from fusionlab.results.load import Entry
from fusionlab.results.mistakes import RULE, Mistake
from fusionlab.results.notes import MOST
from fusionlab.results.page.columns import make_heads
from fusionlab.results.page.evidence import Witness, others
from fusionlab.results.page.facts import foreign_paper, make_facts, pair_lines
from fusionlab.results.page.room import Room
from fusionlab.results.page.sheet import CEILINGS, MEASURED, PRINTED, Sheet
from fusionlab.results.protocol_warnings import title_axes
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

if TYPE_CHECKING:
    from jinja2 import Environment


def page(
    table: Table,
    entries: Sequence[Entry],
    *,
    name: str,
    out: Path,
    figures: Sequence[Any] = (),
    mistakes: Mapping[int, Sequence[Mistake]] | None = None,
    curves: Callable[[Row], Any] = lambda row: None,
    pdf: bool = False,
) -> str:
    """`name` is the study's; links to records are relative to `out`, the folder that the page will lie in.

    `mistakes`: the id of a row -> its typical mistakes. `curves`: the figure of a row's curves, or None. `pdf`:
    figures are files of PDF too.
    """
    environment = _environment()
    parts: Any = environment.get_template("parts.html").make_module({"rule": RULE})
    heads = make_heads(table)
    sheet = Sheet(table, heads)
    room = Room(table)
    drawn = room.figures(figures)
    chosen = room.lines(lambda at, numbers: parts.line(sheet.lines([at], numbers)[0]))
    witness = Witness(table, room.rows(chosen), title_axes(table.rows), out)
    foreign = {head.at for head in heads if head.foreign}
    evidence = room.evidence(chosen, witness, parts.evidence, mistakes or {}, foreign, curves)
    lines = sheet.lines(chosen, {id(row): one.number for row, one in evidence.made.items()})
    script, style = _read("page.js"), _read("page.css")
    notes = table.numbered()
    return environment.get_template("page.html").render(
        table=table,
        name=name,
        cross=table.cross,
        facts=make_facts(entries),
        heads=heads,
        blocks=[[line for line in lines if line.block == block] for block in (MEASURED, CEILINGS, PRINTED)],
        foreign=foreign_paper(table),
        figures=drawn,
        pdf=pdf,
        notes=notes[:MOST],
        folded=notes[MOST:],
        pairs=pair_lines(table),
        evidence=evidence.texts,
        others=witness.runs((entry, "") for entry in others(entries, table.rows)[: room.most_others]),
        left_out=room.left_out(),
        script=script,
        style=style,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _environment() -> Environment:
    """Everything that is put into a template is made one line without unsafe characters, and escaped."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    return Environment(
        loader=DictLoader({name: _read(name) for name in ("page.html", "parts.html")}),
        autoescape=True,
        finalize=lambda value: value if hasattr(value, "__html__") else formatting.plain(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _read(name: str) -> str:
    return files("fusionlab.results.page").joinpath(name).read_text(encoding="utf-8")
