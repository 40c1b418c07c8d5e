"""look for what is wrong with a data set and its flow: files, lists, copies, and flow against the frames

    python -m fusionlab.doctor data=ucf101
    python -m fusionlab.doctor data=hmdb51 flow=imported run.flow=/disk/of/flow --quarantine bad.txt
    python -m fusionlab.doctor data=ucf101 --json > health.json

Every file is read to its end, on all cores (run.workers); nothing is changed. Where there is a finished store of this
configuration (python -m fusionlab.prepare with the same words makes it), every byte of it is read too, and of some
videos the flow of a few pairs of frames is estimated anew and compared with what is stored: is it a frame late, are x
and y swapped, is a sign, a mirror, the bound or the zero level wrong?

The JSON object is {"data", "videos", "healthy": true or false, "looked_at": {…}, "not_looked_at": ["…"], "findings":
[{"code", "severity": "wrong" or "note", "what", "count", "files": [{"name", "why"}], "remedy", "numbers": {…}}]}.

Of brush (python -m fusionlab.doctor data=brush) two probes try to read from its store what must not be seen there, and
what must: hand, place, motion and the sense of a cycle, from frames and from flow; and from frozen relu5 of trained
streams, where weights.appearance= and weights.motion= name their files.

The exit code is 0 where nothing is wrong in what was looked at, 1 where something is, 2 for a command that cannot be
done.
"""

from pathlib import Path

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import UserError, show

FLAGS = {
    **OPTIONS,
    "--sample N": "number of videos whose flow is estimated again, spread over the list (20)",
    "--quarantine FILE": "write the names of videos to leave out; data.quarantine=FILE leaves them out",
    "--page FOLDER": "brush alone: write FOLDER/page.md with pictures of its clips, what can be known, and the probes",
    "--json": "print one JSON object instead",
}


def main(
    words: list[str], sample: int | None = None, quarantine: str | None = None, page: str | None = None,
    json: bool = False,
) -> int:  # fmt: skip
    """Look, and say what was found."""
    from fusionlab.config.compose import tree
    from fusionlab.config.overrides import parse_overrides
    from fusionlab.data.progress import aside
    from fusionlab.health.doctor import MOST, SAMPLE, examine
    from fusionlab.records.files import to_json, write_text

    sample = SAMPLE if sample is None else sample
    if sample > MOST:
        raise UserError(
            "--sample is a number of videos",
            got=f"--sample {sample}",
            allowed=[f"0 … {MOST}"],
            hint=f"--sample {SAMPLE}",
        )
    typed = parse_overrides(words)
    if typed.axes:
        raise UserError("doctor looks at one data set", got=", ".join(typed.axes), hint="one value for each option")
    composed = tree(typed.groups)
    config = composed.with_leaves(typed.leaves)
    report = examine(config, str(composed.choices["data"]), sample=sample, page=Path(page) if page else None, say=aside)
    show(to_json(report.plain()).rstrip() if json else report.text())
    if quarantine is not None:
        write_text(quarantine, report.quarantine())
    return 0 if report.healthy else 1


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
