"""measure what the project promises to reach, as ratios side by side in one run

    python -m fusionlab.bench
    python -m fusionlab.bench out=experiments/bench/2026-11-21.md

Takes a minute on two cores. Each row names what was measured, the figure, and what it should be; a figure
beyond it is marked, not hidden. Exit code 0: all within; 1: some beyond.
"""

from fusionlab.door.verb import run
from fusionlab.errors import UserError


def main(words: list[str]) -> int:
    """Print the table; with `out=` write it too."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    if set(given) - {"out"} or len(given) != len(words):
        raise UserError("bench knows one option", got=" ".join(words), hint="out=experiments/bench/today.md")
    from fusionlab.door.benching import bench, page
    from fusionlab.records.files import write_text

    rows = bench()
    text = page(rows, " ".join(["python -m fusionlab.bench", *words]))
    print(text, end="")
    if "out" in given:
        write_text(given["out"], text)
    return 0 if all(row.within for row in rows) else 1


if __name__ == "__main__":
    run(main, __doc__)
