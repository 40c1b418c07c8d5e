"""list what finished studies no longer need, with sizes; delete it with --yes

    python -m fusionlab.prune runs/my-study
    python -m fusionlab.prune runs/* keep=none --yes

Checkpoints of published jobs (not with keep=last), results of attempts that came second, half-written files older than
a day; with keep=none also the weights of fused arms, which can then not be tested again. Records, predictions, the
weights of streams and what a running attempt works on are never deleted.

Of several folders those that cannot be read are named and left alone, and the exit status is 1.
"""

from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, one_line, show, unknown

FLAGS = {"--yes": "delete what is listed"}


def main(words: list[str], yes: bool = False) -> int:
    """List what is not needed, and delete it with --yes."""
    from fusionlab.config.run_config import KEPT
    from fusionlab.preparation.disk_space import size
    from fusionlab.records.plan_file import FILE
    from fusionlab.study.leftovers import leftovers
    from fusionlab.study.plan import STREAMS_FOLDER

    typed = [word for word in words if "=" in word and not Path(word).exists()]  # a study's name may have a = too
    studies = [Path(word) for word in words if word not in typed]
    if not studies:
        raise UserError(
            "prune needs the folders of studies", got=" ".join(words) or "nothing",
            hint="python -m fusionlab.prune runs/my-study",
        )  # fmt: skip
    keep = typed[0].removeprefix("keep=") if typed else KEPT[0]
    if len(typed) > 1 or keep not in KEPT:
        raise unknown("option of prune", " ".join(typed), [f"keep={one}" for one in KEPT])
    several = [study for study in studies if (study / FILE).is_file()]
    found, unread = {}, 0
    for study in studies:
        try:
            if several and study not in several:
                raise UserError("not a study")
            found[study] = leftovers(study, keep)
        except UserError as error:
            if len(studies) == 1 or not several:
                raise
            show(one_line(f"{study}: {error}"))
            unread += study.name != STREAMS_FOLDER  # it lies beside the studies, and belongs to them
    for study, places in found.items():
        for one in places:
            show(f"{size(one.bytes):>10}  {one_line(f'{one.path}: {one.why}')}")
            if yes:
                one.delete()
        total = size(sum(one.bytes for one in places))
        show(one_line(f"{study}: {len(places)} places, {total}{' deleted' if yes and places else ''}"))
    if not yes and any(found.values()):
        show("nothing was deleted; --yes deletes it")
    return int(unread > 0)


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
