"""A table as LaTeX with booktabs; the most important notes stand in a minipage under it."""

from __future__ import annotations

from collections.abc import Container, Sequence

from fusionlab.results.notes import MOST
from fusionlab.results.rows import CEILING, PAPER
from fusionlab.results.tables import Line, Table

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
}
_TABLE = str.maketrans(_SIGNS)


def latex(table: Table) -> str:
    """A `table*` with the paper's layout; its first line names the packages that it needs."""
    layout = "".join("r" if column.right else "l" for column in table.columns)
    shown = {mark for mark, _ in table.numbered()[:MOST]}  # a mark whose note is not there would lead nowhere
    body: list[str] = []
    last = None
    for line in table.lines:
        block = line.row.kind if line.row.kind in ("fused", CEILING, PAPER) else "base"
        if last is not None and last != block:
            body.append(r"\midrule")
        last = block
        body.append(_line(line, len(table.columns), shown))
    notes = [
        (rf"\textsuperscript{{{mark}}}~" if mark else "") + escape_latex(note) for mark, note in table.numbered()[:MOST]
    ]
    lines = [
        r"% \usepackage[T1]{fontenc} \usepackage{textcomp} \usepackage{booktabs} \usepackage{graphicx}",
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{escape_latex(table.caption.rstrip('.'))}. {escape_latex(table.headline)}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(escape_latex(column.head) for column in table.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize",
        *(note + r"\par" for note in notes),
        r"\end{minipage}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    return text.translate(_TABLE)


def _line(line: Line, columns: int, shown: Container[int | None]) -> str:
    cells: Sequence[str] = [escape_latex(cell) for cell in line.cells]
    cells = [rf"\textbf{{{cell}}}" if at in line.bold else cell for at, cell in enumerate(cells)]
    marks = ",".join(str(mark) for mark in line.marks if mark in shown)
    if marks:
        cells = [rf"{cells[0]}\textsuperscript{{{marks}}}", *cells[1:]]
    if line.span is not None:
        rest = columns - len(cells)
        cells = [*cells, rf"\multicolumn{{{rest}}}{{l}}{{\emph{{{escape_latex(line.span)}}}}}"] if rest else cells
    return " & ".join(cells) + r" \\"
