"""A table as LaTeX with booktabs: in full, for the width of a page, and short, for one column of a two-column paper.

Nothing is scaled: what is too wide for the page has no column, and a note says so; table.csv has all. The first lines
name the packages that the text needs, and the engine where a name has letters that pdflatex has no font for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Sequence
from dataclasses import replace

from fusionlab.results.cells import SAW_TEST, Column, is_name
from fusionlab.results.notes import MOST
from fusionlab.results.rows import CEILING, PAPER
from fusionlab.results.tables import Line, Table
from fusionlab.results.text_tables import display_width

WIDTH, COLUMN = 7.0, 3.3  # inches: a page and a column of a two-column paper
SIGN, GAP = 0.058, 0.11  # inches of a letter at \footnotesize and between columns, on the safe side
_NAME = 1.5  # inches
# The columns of the short table, and their heads.
_SHORT = {"method": "method", "axis:layer": "layer", "accuracy": "acc. %", "gain": "gain", "parameters": "#params"}
_INTERVAL = re.compile(r"(?<=[0-9*]) \([^()]* (?:…|seeds?)[^()]*\)$|(?<=[0-9]) \([0-9]+ seeds?\)$")

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≤": r"$\le$",
    "√": r"$\surd$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "·": r"\textperiodcentered{}",
    "†": r"\dag{}",
}
# Sets of signs that pdflatex's encoding T1 has.
_LATIN = ("latin-1", "iso8859-2")
_LONG = re.compile(r"[^\s-]{14,}")  # a word that may be broken anywhere
_STARTS = ("[", "*", "(")  # what a row may not begin with: the command before it would take it for an option
# The columns that a page lacks first.
_DROPPED = (
    "seconds", "seeds", "ceiling", "layers", "kind", "control", "late", "networks", "paper", "own", "axis",
    "parameters",
)  # fmt: skip


def latex(table: Table) -> str:
    """A `table*` with the paper's layout."""
    kept, left = _fitting(table)
    shown = {mark for mark, _ in table.numbered()[:MOST]}  # a mark whose note is not there would lead nowhere
    notes = [
        (rf"\textsuperscript{{{mark}}}~" if mark else "") + escape_latex(note) for mark, note in table.numbered()[:MOST]
    ]
    if left:
        notes.append(escape_latex(f"Too wide for this page, in table.csv: {', '.join(left)}."))
    caption = f"{table.caption.rstrip('.')}. {table.headline}"
    return _written(table, kept, shown, caption, notes, "table*", [column.head for column in table.columns])


def short_latex(table: Table) -> str:
    """A `table` of one column: the method, the layer, the accuracy, the gain over the control, the parameters.

    A gain stands without its interval, and ceilings have no rows: the full table has both.
    """
    kept = [at for at, column in enumerate(table.columns) if column.key in _SHORT]
    lines = tuple(
        replace(line, cells=tuple(map(_without_interval, line.cells)), marks=())
        for line in table.lines
        if line.row.kind != CEILING
    )
    heads = [_SHORT.get(column.key, column.head) for column in table.columns]
    notes = [escape_latex(note) for note in table.notes if note.startswith(SAW_TEST)]
    return _written(replace(table, lines=lines), kept, (), table.caption, notes, "table", heads)


def _without_interval(cell: str) -> str:
    plain = cell.removesuffix(SAW_TEST)
    return _INTERVAL.sub("", plain) + cell[len(plain) :]


def packages(text: str) -> list[str]:
    """The comments that name what a text needs; letters beyond the Latin ones need xelatex and its fonts."""
    if all(_is_latin(sign) for sign in set(text)):
        return [r"% \usepackage[T1]{fontenc} \usepackage{textcomp} \usepackage{booktabs}"]
    return [
        r"% xelatex: \usepackage{fontspec} \usepackage{booktabs}",
        r'% \setmainfont{Noto Serif CJK SC} \XeTeXlinebreaklocale "zh"',
    ]


def _is_latin(sign: str) -> bool:
    for codec in _LATIN:
        try:
            sign.encode(codec)
        except UnicodeEncodeError:
            continue
        return True
    return False


def escape_latex(text: str) -> str:
    """The text with every sign that LaTeX would read as a command, or join with its neighbour, written out."""
    signs = unicodedata.normalize("NFC", text)
    pairs = zip(signs, " " + signs, strict=False)
    return "".join(("{}" if sign == last and sign in "-," else "") + _SIGNS.get(sign, sign) for sign, last in pairs)


def breakable(text: str) -> str:
    """Escaped, with a place to break after every few signs of a long word."""
    words, last = [], 0
    for word in _LONG.finditer(text):
        words += [escape_latex(text[last : word.start()]), r"\allowbreak{}".join(map(escape_latex, _cut(word[0])))]
        last = word.end()
    return "".join([*words, escape_latex(text[last:])])


def _cut(word: str, size: int = 4) -> list[str]:
    return [word[at : at + size] for at in range(0, len(word), size)]


def _widths(table: Table, heads: Sequence[str]) -> list[float]:
    """The width of each column in inches, about; a column of names is at most _NAME wide."""
    widths = []
    for at, column in enumerate(table.columns):
        texts = [heads[at], *(line.cells[at] for line in table.lines if at < len(line.cells))]
        width = max(map(display_width, texts)) * SIGN
        widths.append(min(width * 1.1 + 0.05, _NAME) if is_name(column) else width)
    return widths


def _fitting(table: Table) -> tuple[list[int], list[str]]:
    """The places of the columns that fit the page, and the heads of the others."""
    widths = _widths(table, [column.head for column in table.columns])
    kept = list(range(len(table.columns)))
    for group in _DROPPED:
        for at in reversed(range(len(table.columns))):
            if sum(widths[one] + GAP for one in kept) <= WIDTH:
                break
            if at in kept and _group(table.columns[at], table) == group:
                kept.remove(at)
    return kept, [column.head for at, column in enumerate(table.columns) if at not in kept]


def _group(column: Column, table: Table) -> str:
    return "own" if column.key == "kind" and column.kind == table.kind else column.key.partition(":")[0]


def _written(
    table: Table,
    kept: Sequence[int],
    shown: Container[int | None],
    caption: str,
    notes: Sequence[str],
    place: str,
    heads: Sequence[str],
) -> str:
    widths = _widths(table, heads)
    names = [at for at in kept if is_name(table.columns[at])]
    room = (COLUMN if place == "table" else WIDTH) - sum(widths[at] for at in kept if at not in names)
    room -= GAP * (len(kept) - 1)
    if (needed := sum(widths[at] for at in names)) > room:  # what is narrow stays, the widest names are broken
        widest = max(names, key=lambda at: widths[at])
        widths[widest] = max(room - (needed - widths[widest]), 0.76)
    layout = [
        rf"p{{{widths[at]:.2f}in}}" if is_name(table.columns[at]) else "r" if table.columns[at].right else "l"
        for at in kept
    ]
    body: list[str] = []
    last = None
    for line in table.lines:
        block = line.row.kind if line.row.kind in ("fused", CEILING, PAPER) else "base"
        if last is not None and last != block:
            body.append(r"\midrule")
        last = block
        body.append(_line(line, table.columns, kept, shown, widths))
    below = [r"\par\smallskip", r"\begin{minipage}{\linewidth}", *(note + r"\par" for note in notes), r"\end{minipage}"]
    lines = [
        rf"\begin{{{place}}}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{breakable(caption)}}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(layout)}@{{}}}}",
        r"\toprule",
        " & ".join(escape_latex(heads[at]) for at in kept) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *(below if notes else []),
        rf"\end{{{place}}}",
    ]
    return "\n".join([*packages("\n".join(lines)), *lines]) + "\n"


def _line(
    line: Line, columns: Sequence[Column], kept: Sequence[int], shown: Container[int | None], widths: Sequence[float]
) -> str:
    there = [at for at in kept if at < len(line.cells)]
    cells = [(breakable if is_name(columns[at]) else escape_latex)(line.cells[at]) for at in there]
    cells = [rf"\textbf{{{cell}}}" if at in line.bold else cell for at, cell in zip(there, cells, strict=True)]
    if cells[0].startswith(_STARTS):
        cells[0] = "{}" + cells[0]
    marks = ",".join(str(mark) for mark in line.marks if mark in shown)
    if marks:
        cells = [rf"{cells[0]}\textsuperscript{{{marks}}}", *cells[1:]]
    rest = [widths[at] + GAP for at in kept if at >= len(line.cells)]
    if line.span is not None and rest:
        width = max(sum(rest) - GAP, 0.8)
        cells.append(
            rf"\multicolumn{{{len(rest)}}}{{p{{{width:.2f}in}}@{{}}}}{{\raggedright\emph{{{breakable(line.span)}}}}}"
        )
    return " & ".join(cells) + r" \\"
