"""show the state of a study: a line for each job and arm, with the reasons of failures and refusals

    python -m fusionlab.status runs/my-study

Exit code 0: all arms are done; 1: some are not (yet).
"""

from fusionlab.cli import run
from fusionlab.errors import UserError, one_line, show


def main(words: list[str]) -> int:
    """Read the ledger; change nothing."""
    from fusionlab.study.status import summary

    if len(words) != 1:
        raise UserError(
            "status needs the folder of one study",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.status runs/my-study",
        )
    study = summary(words[0])
    for title, rows in (
        ("jobs", [(r.state, r.id, r, None) for r in study.jobs]),
        ("arms", [(r.state, r.name, r, r.code) for r in study.arms]),
    ):
        show(f"{len(rows)} {title}")
        for state, name, row, other in rows:
            failed = state in ("failed", "blocked")
            why = f": {one_line(row.reason or '')} (log: {one_line(row.log)})" if failed else ""
            code = f", by other code: {one_line(other)}" if other else ""
            show(f"  {state:<10} {one_line(name)}{why}{code}")
    if study.by_other_code:
        show(one_line(study.by_other_code))
    for line in study.refusals:
        show(one_line(line))
    return 0 if all(row.state == "done" for row in study.arms) else 1


if __name__ == "__main__":
    run(main, __doc__)
