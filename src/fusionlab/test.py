"""evaluate a study's trained arms again from their weights, and compare with their records

    python -m fusionlab.test runs/my-study
    python -m fusionlab.test runs/my-study fusion=conv,layer=relu5,temporal=pool2d,seed=0
    python -m fusionlab.test runs/my-study split=2 --other-split

Exit code 0: each arm gives the predictions of its record, bit for bit; 1: not. Where the record was made on another
device, CPU or instruction set, or by another torch, scores must agree within 1e-4 instead, and the line says so.

    split=2         the test list of another split than the one that was trained on. That list holds videos which were
                    trained on, so that this is refused without
    --other-split   which says that it is meant: accuracies are printed with the number of such videos, and kept nowhere
"""

from fusionlab.cli import flags, run
from fusionlab.errors import UserError


def main(words: list[str]) -> int:
    """One line per arm."""
    found, words = flags(words, {"--other-split": False})
    splits = [word.partition("=")[2] for word in words if word.startswith("split=")]
    words = [word for word in words if not word.startswith("split=")]
    if not words:
        raise UserError(
            "test takes a study's folder, and arms of it", got="nothing", hint="python -m fusionlab.test runs/my-study"
        )
    from fusionlab.jobs.retest import retest

    if not splits:
        if found:
            raise UserError("--other-split goes with a split", got="no split=…", hint="split=2 --other-split")
        return retest(words[0], words[1:])
    from fusionlab.jobs.other_split import test_on

    return test_on(words[0], words[1:], splits, allowed="--other-split" in found)


if __name__ == "__main__":
    run(main, __doc__)
