"""stop the workers of a study, on this machine and in SLURM's queue; the same sweep command resumes it

    python -m fusionlab.cancel runs/my-study

Each worker stops its job gracefully: published arms stay, and the training of the others is resumed later.
"""

import sys
from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, one_line, show


def main(words: list[str]) -> int:
    """Stop each worker gracefully, or else by force; other jobs of the queue are not touched."""
    from fusionlab.study.launchers import Worker
    from fusionlab.study.launchers.local import Local
    from fusionlab.study.launchers.slurm import Slurm
    from fusionlab.study.plan import read

    if len(words) != 1:
        raise UserError(
            "cancel needs the folder of one study",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.cancel runs/my-study",
        )
    read(words[0])
    ended: list[Worker] = [*Local().cancel(Path(words[0]))]
    status = 0
    try:
        ended += Slurm().cancel(Path(words[0]))
    except UserError as error:
        show(one_line(f"SLURM's queue cannot be asked, jobs in it go on: {error.brief}"), file=sys.stderr)
        status = 1
    for worker in {one.name: one for one in Local().list(Path(words[0]))}.values():
        show(f"worker {worker.name} goes on: it is another user's", file=sys.stderr)
        status = 1
    show("\n".join(f"ended worker {worker.name}" for worker in ended) or "no workers are running here")
    return status


if __name__ == "__main__":
    run(main, __doc__)
