"""make the tables, figures and the page of a study from its records

    python -m fusionlab.report runs/my-study
    python -m fusionlab.report experiments/how table=how
    python -m fusionlab.report runs/my-study rows=fusion cols=layer value=accuracy
    python -m fusionlab.report runs/here runs/there out=runs/both
    python -m fusionlab.report runs/my-study test=simonyan,final combine=scores,svm

It writes report/table.md, table.csv, table.tex, table-short.tex, index.html and figures/*.svg, and prints the
table. With rows= and cols= it prints a table of your own, and writes it as cross.md, cross.csv and cross.tex;
axis=value chooses rows for it. Several folders are one report: an arm that lies in several is there once.
over=seed,split: rows are means over the splits of a data set too. test=, combine= and ablate= choose the tests that are
rows, of those that `python -m fusionlab.test` has stored.

Intervals need the predictions next to the records. --answers writes report/answers.csv: which answers were right, in a
small file. Next to records without predictions it serves instead of them.
"""

import sys
from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, show

FLAGS = {
    "--answers": "write report/answers.csv too: which answers of each arm were right",
    "--pairs": "print what each row gains over each other one, and write report/pairs.csv",
    "--pdf": "write the figures as PDF too, for LaTeX",
    "--notes": "print all notes, not the three most important ones",
}


OPTIONS = ("table", "rows", "cols", "value", "over", "out")


def main(words: list[str], answers: bool = False, pairs: bool = False, pdf: bool = False, notes: bool = False) -> int:
    """Write the report and print its table."""
    from fusionlab.planning.report_study import make_report, price_line, report_folder
    from fusionlab.records.other_tests import Asked

    asked, words = Asked.typed(words)
    folders = [word for word in words if _is_folder(word)]
    options = dict(word.partition("=")[::2] for word in words if not _is_folder(word))
    where = {name: value for name, value in options.items() if name not in OPTIONS}
    if not folders:
        hint = "python -m fusionlab.report runs/my-study"
        raise UserError("report needs a folder", got=" ".join(words) or "nothing", hint=hint)
    own = any(name in options for name in ("rows", "cols"))
    if not own and (where or "value" in options):
        got = " ".join(f"{name}={value}" for name, value in options.items())
        hint = "table=how, or rows=fusion cols=layer value=accuracy"
        raise UserError("report does not know this option", got=got, allowed=OPTIONS, hint=hint)
    rows, cols, over = (
        [axis for axis in options[name].split(",") if axis] if name in options else None
        for name in ("rows", "cols", "over")
    )
    cross = (rows or [], cols or [], options.get("value", "accuracy"), where) if own else None
    ansi = sys.stdout.isatty()
    text = make_report(
        folders, options.get("table"), out=options.get("out"), over=over, cross=cross, asked=asked or None,
        answers=answers, pairs=pairs, pdf=pdf, notes=notes, ansi=ansi,
    )  # fmt: skip
    show(text, bold=ansi)
    if len(folders) > 1:
        show(f"\nreport: {options.get('out') or report_folder([Path(folder) for folder in folders])}")
    for folder in folders:
        if line := price_line(folder):
            show(f"\n{line}")
    return 0


def _is_folder(word: str) -> bool:
    """The name of a study may have a = too: runs/fusion=conv+sum-….."""
    name, equals, _ = word.partition("=")
    return name not in OPTIONS and (not equals or "/" in name or Path(word).is_dir())


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
