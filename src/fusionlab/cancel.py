"""stop the workers of a study, on this machine and in SLURM's queue; the same sweep command resumes it

    python -m fusionlab.cancel runs/my-study

Each worker stops its job gracefully: published arms stay, and the training of the others is resumed later.
"""

from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, show


def main(words: list[str]) -> int:
    """Stop each worker gracefully, or else by force; other jobs of the queue are not touched."""
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
    ended = [*Slurm().cancel(Path(words[0])), *Local().cancel(Path(words[0]))]
    show("\n".join(f"ended worker {worker.name}" for worker in ended) or "no workers are running here")
    return 0


if __name__ == "__main__":
    run(main, __doc__)
