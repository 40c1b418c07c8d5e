"""evaluate a study's trained arms again from their weights, and compare with their records

    python -m fusionlab.test runs/my-study
    python -m fusionlab.test runs/my-study fusion=conv,layer=relu5,temporal=pool2d,seed=0

Exit code 0: each arm gives the predictions of its record, bit for bit; 1: not.
"""

from fusionlab.door.verb import run
from fusionlab.errors import UserError


def main(words: list[str]) -> int:
    """One line per arm."""
    if not words:
        raise UserError(
            "test takes a study's folder, and arms of it", got="nothing", hint="python -m fusionlab.test runs/my-study"
        )
    from fusionlab.door.retest import retest

    return retest(words[0], words[1:])


if __name__ == "__main__":
    run(main, __doc__)
