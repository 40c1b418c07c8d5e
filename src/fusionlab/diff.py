"""list the differences between two runs: leaves of their configs, then of their results

    python -m fusionlab.diff runs/a/jobs/…/published/<arm> runs/b/jobs/…/published/<arm>

Exit code 0: no difference; 1: some. The place and time of a run are not compared.
"""

from fusionlab.cli import run
from fusionlab.errors import UserError, one_line, show


def main(words: list[str]) -> int:
    """Compare two run.json files, or folders with one."""
    from fusionlab.records.record import read_record, without_curves
    from fusionlab.records.signature import differing, identity

    if len(words) != 2:
        raise UserError(
            "diff needs two runs",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.diff a/run.json b/run.json",
        )
    first, second = (read_record(word) for word in words)
    differences = [
        ("config." + leaf, a, b) for leaf, a, b in differing(*(identity(run["config"]) for run in (first, second)))
    ]
    results = without_curves(first["result"], second["result"])
    parts = ("signature", "status", "reason")
    sides = (
        {**{part: run[part] for part in parts}, "result": result}
        for run, result in zip((first, second), results, strict=True)
    )
    differences += differing(*sides)
    for leaf, a, b in differences:
        show(one_line(f"{leaf}: {a} → {b}"))
    return 1 if differences else 0


if __name__ == "__main__":
    run(main, __doc__)
