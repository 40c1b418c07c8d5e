"""stop the workers of a study on this machine; the same sweep command resumes it

    python -m fusionlab.cancel runs/my-study

Each worker stops its job gracefully: published arms stay, and the training of the others is resumed later.
"""

from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, show


def main(words: list[str]) -> int:
    """Send TERM to each worker, and KILL to those that do not stop."""
    from fusionlab.study.launchers.local import Local
    from fusionlab.study.plan import read

    if len(words) != 1:
        raise UserError(
            "cancel needs the folder of one study",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.cancel runs/my-study",
        )
    read(words[0])
    ended = Local().cancel(Path(words[0]))
    show("\n".join(f"ended worker {worker.name}" for worker in ended) or "no workers are running here")
    return 0


if __name__ == "__main__":
    run(main, __doc__)
