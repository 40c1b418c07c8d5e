"""look for what is wrong with a data set and its flow: files, lists, copies, and flow against the frames

    python -m fusionlab.doctor data=ucf101
    python -m fusionlab.doctor data=hmdb51 flow=imported run.flow=/disk/of/flow --quarantine bad.txt
    python -m fusionlab.doctor data=ucf101 --json > health.json

Every file is read to its end, on all cores (run.workers); nothing is changed. Where there is a finished store of this
configuration (python -m fusionlab.prepare with the same words makes it), every byte of it is read too, and of some
videos the flow of a few pairs of frames is estimated anew and compared with what is stored: is it a frame late, are x
and y swapped, is a sign, a mirror, the bound or the zero level wrong?

    --sample N         so many videos are estimated anew, spread over the list (20)
    --quarantine FILE  write the names of the videos that had better be left out: data.quarantine=FILE leaves them out
    --page FOLDER      brush alone: write FOLDER/page.md with pictures of its clips, what can be known, and the probes
    --json             print one JSON object instead:
                       {"data", "videos", "healthy": true or false, "looked_at": {…}, "not_looked_at": ["…"],
                        "findings": [{"code", "severity": "wrong" or "note", "what", "count",
                                      "files": [{"name", "why"}], "remedy", "numbers": {…}}]}

Of brush (python -m fusionlab.doctor data=brush) two probes try to read from its store what must not be seen there, and
what must: hand, place, motion and the sense of a cycle, from frames and from flow; and from frozen relu5 of trained
streams, where weights.appearance= and weights.motion= name their files.

The exit code is 0 where nothing is wrong in what was looked at, 1 where something is, 2 for a command that cannot be
done.
"""

from pathlib import Path

from fusionlab.cli import flags, run
from fusionlab.errors import UserError, show

FLAGS = {"--json": False, "--sample": True, "--quarantine": True, "--page": True}


def main(words: list[str]) -> int:
    """Look, and say what was found."""
    given, rest = flags(words, FLAGS)
    from fusionlab.config.compose import tree
    from fusionlab.config.overrides import parse
    from fusionlab.config.run_config import RunConfig
    from fusionlab.config.schema import ArmConfig
    from fusionlab.data.progress import aside
    from fusionlab.health.doctor import MOST, SAMPLE, examine
    from fusionlab.records.files import to_json, write_text

    sample = given.get("--sample", str(SAMPLE))
    if not sample.isdecimal() or int(sample) > MOST:
        raise UserError(
            "--sample is a number of videos",
            got=f"--sample {sample}",
            allowed=[f"0 … {MOST}"],
            hint=f"--sample {SAMPLE}",
        )
    typed = parse(rest)
    if typed.axes:
        raise UserError("doctor looks at one data set", got=", ".join(typed.axes), hint="one value for each option")
    composed = tree(typed.groups)
    plain = composed.with_leaves(typed.leaves)
    page = Path(given["--page"]) if "--page" in given else None
    config, name = ArmConfig.of(plain), str(composed.choices["data"])
    report = examine(config, RunConfig.of(plain), name, sample=int(sample), page=page, say=aside)
    show(to_json(report.plain()).rstrip() if "--json" in given else report.text())
    if "--quarantine" in given:
        write_text(given["--quarantine"], report.quarantine())
    return 0 if report.healthy else 1


if __name__ == "__main__":
    run(main, __doc__, choices=True)
