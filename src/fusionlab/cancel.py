"""end the workers of a study on this machine; the same sweep continues it

    python -m fusionlab.cancel runs/my-study

Each worker ends its job in order; what was published stays, and what was trained so far is continued.
"""

from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, show


def main(words: list[str]) -> int:
    """TERM to each worker, which ends its job in order; KILL to what does not listen."""
    from fusionlab.study.launchers.local import Local
    from fusionlab.study.plan import read

    if len(words) != 1:
        raise UserError(
            "cancel takes one study's folder",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.cancel runs/my-study",
        )
    read(words[0])
    ended = Local().cancel(Path(words[0]))
    show("\n".join(f"ended worker {worker.name}" for worker in ended) or "no workers are running here")
    return 0


if __name__ == "__main__":
    run(main, __doc__)
