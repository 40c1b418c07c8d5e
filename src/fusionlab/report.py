"""make the table, the plot and the page of a study from its records

    python -m fusionlab.report runs/my-study
    python -m fusionlab.report experiments/how table=how

It writes report/table.md, table.csv, table.tex, index.html and figures/*.svg and *.pdf into the folder, and prints the
table.

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
    "--notes": "print all notes, not the three most important ones",
}


def main(words: list[str], answers: bool = False, pairs: bool = False, notes: bool = False) -> int:
    """Write the report and print its table."""
    from fusionlab.planning.report_study import make_report, price_line

    # The name of a study may have a = too: runs/fusion=conv+sum-….
    folders = [word for word in words if "=" not in word or "/" in word or Path(word).is_dir()]
    tables = [word.partition("=") for word in words if word not in folders]
    if len(folders) != 1:
        raise UserError(
            "report needs one folder",
            got=" ".join(folders) or "nothing",
            hint="python -m fusionlab.report runs/my-study",
        )
    if any(name != "table" for name, _, _ in tables):
        raise UserError("report has one option", got=" ".join(f"{n}={v}" for n, _, v in tables), hint="table=how")
    table = tables[-1][2] if tables else None
    ansi = sys.stdout.isatty()
    show(make_report(folders[0], table, answers=answers, pairs=pairs, notes=notes, ansi=ansi), bold=ansi)
    if line := price_line(folders[0]):
        show(f"\n{line}")
    return 0


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
