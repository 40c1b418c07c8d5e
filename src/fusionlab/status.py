"""say how far a study is: a line for each job and arm, failures with reason and log

    python -m fusionlab.status runs/my-study

Exit code 0: all arms are done; 1: not (yet).
"""

from fusionlab.cli import run
from fusionlab.errors import UserError, one_line, show


def main(words: list[str]) -> int:
    """Read the ledger; nothing is changed."""
    from fusionlab.study.status import summary

    if len(words) != 1:
        raise UserError(
            "status takes one study's folder",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.status runs/my-study",
        )
    now = summary(words[0])
    for title, rows in (
        ("jobs", [(r.state, r.id, r) for r in now.jobs]),
        ("arms", [(r.state, r.name, r) for r in now.arms]),
    ):
        show(f"{len(rows)} {title}")
        for state, name, row in rows:
            trouble = state in ("failed", "blocked")
            show(
                f"  {state:<10} {one_line(name)}"
                + (f": {one_line(row.reason or '')} (log: {one_line(row.log)})" if trouble else "")
            )
    return 0 if all(row.state == "done" for row in now.arms) else 1


if __name__ == "__main__":
    run(main, __doc__)
