"""measure speed and memory against fixed limits, as ratios of two actions that run in turns

    python -m fusionlab.bench
    python -m fusionlab.bench rows=networks
    python -m fusionlab.bench out=experiments/bench/2026-11-21.md

Takes forty minutes on two cores. Each row has a figure and its limit; a figure beyond the limit is marked. Where
a figure has an interval, the interval decides. `rows=` chooses parts: start, brush, video, doctor, training, streams,
networks, clips, checkpoints, sweep, ledger, report, gpu, loading.
Exit code 0: all figures are within their limits; 1: some are beyond.
"""

from collections.abc import Iterator
from pathlib import Path

from fusionlab import errors
from fusionlab.cli import run
from fusionlab.errors import show

OPTIONS = {"rows": "networks", "out": "experiments/bench/today.md"}  # name -> an example


def main(words: list[str]) -> int:
    """Print the table, line by line; with `out=` write it too."""
    given = options(words)
    from fusionlab.benchmarks.measure import PARTS, BenchRow, bench, page, parse_parts
    from fusionlab.records.files import write_text

    parts = parse_parts(given["rows"]) if "rows" in given else list(PARTS)
    verdicts, lines = [], []

    def measured() -> Iterator[BenchRow]:
        for row in bench(parts):
            verdicts.append(row.within)
            yield row

    for line in page(measured(), " ".join(["python -m fusionlab.bench", *words])):
        show(line)
        lines.append(line + "\n")
    if "out" in given:
        write_text(given["out"], "".join(lines))
    return 0 if all(verdicts) else 1


def options(words: list[str]) -> dict[str, str]:
    """`name=value`, each once."""
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in OPTIONS:
            raise errors.unknown("option of bench", word, OPTIONS, form="{}=…")
        if not equals or not value:
            raise errors.UserError("this option needs a value", got=word, hint=f"{name}={OPTIONS[name]}")
        if name in given:
            raise errors.UserError("given twice", got=f"{name}={given[name]} {word}", hint=f"{name}={OPTIONS[name]}")
        given[name] = value
    if "out" in given and Path(given["out"]).is_dir():
        hint = f"out={Path(given['out'], 'today.md')}"
        raise errors.UserError("out= needs a file, not a folder", got=given["out"], hint=hint)
    return given


if __name__ == "__main__":
    run(main, __doc__)
