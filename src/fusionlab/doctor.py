"""check a data set and its flow: files, lists, copies, and flow compared with the frames

    python -m fusionlab.doctor data=ucf101
    python -m fusionlab.doctor data=hmdb51 flow=imported run.flow=/disk/of/flow --quarantine bad.txt
    python -m fusionlab.doctor data=ucf101 --json > health.json

Every file is read to its end, on all cores (run.workers); nothing is changed. Where there is a finished store of this
config (python -m fusionlab.prepare with the same options makes it), every byte of it is read too. For some videos, the
flow of a few pairs of frames is estimated again and compared with the stored flow: is it some frames late or early, was
it mirrored, turned or transposed, are x and y swapped, is a sign, the bound or the zero level wrong? With flow=imported
and no finished store, the images in run.flow are checked in the same way.

The JSON object is {"data", "videos", "healthy": true, false or null (cannot say), "looked_at": {…}, "not_looked_at":
["…"], "findings": [{"code", "severity": "wrong", "cannot say" or "note", "what", "count", "files": [{"name", "why"}],
"remedy", "numbers": {…}}]}.

For brush (python -m fusionlab.doctor data=brush) two probes try to read hand, place, motion and the sense of a cycle
from frames and from flow, and some of these must be readable and others not. With weights.appearance=FILE and
weights.motion=FILE, relu5 of these trained streams is probed too.

Exit code 0: nothing is wrong in what was checked; 1: something is wrong; 2: the command line or the disk is wrong;
3: no fault was found, but too little moves to say that flow is right.
"""

from pathlib import Path

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import UserError, show

FLAGS = {
    **OPTIONS,
    "--sample N": "number of videos whose flow is estimated again, spread over the list (20)",
    "--quarantine FILE": "write the names of the unusable videos: data.quarantine=FILE leaves them out",
    "--page FOLDER": "for brush: write FOLDER/page.md with pictures of its clips, its ceilings and the probes' results",
    "--json": "print one JSON object instead",
}


def main(
    words: list[str], sample: int | None = None, quarantine: str | None = None, page: str | None = None,
    json: bool = False,
) -> int:  # fmt: skip
    """Run all checks and show the report."""
    from fusionlab.config.compose import tree
    from fusionlab.config.overrides import parse_overrides
    from fusionlab.config.run_config import RunConfig
    from fusionlab.config.schema import ArmConfig
    from fusionlab.data.video_progress import show_on_stderr
    from fusionlab.health.doctor import MOST, SAMPLE, examine
    from fusionlab.records.files import to_json, write_text

    sample = SAMPLE if sample is None else sample
    if sample > MOST:
        raise UserError(
            "invalid number of videos for --sample",
            got=f"--sample {sample}",
            allowed=[f"0 … {MOST}"],
            hint=f"--sample {SAMPLE}",
        )
    typed = parse_overrides(words)
    if typed.axes:
        raise UserError("doctor checks one data set", got=", ".join(typed.axes), hint="one value for each option")
    composed = tree(typed.groups)
    plain, name = composed.with_leaves(typed.leaves), str(composed.choices["data"])
    place = Path(page) if page else None
    report = examine(ArmConfig.of(plain), RunConfig.of(plain), name, sample=sample, page=place, say=show_on_stderr)
    show(to_json(report.plain()).rstrip() if json else report.text())
    if quarantine is not None:
        write_text(quarantine, report.quarantine())
    return {True: 0, False: 1, None: 3}[report.healthy]


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
