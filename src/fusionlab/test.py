"""test the trained arms of a study again from their weights, and compare with their records

    python -m fusionlab.test runs/my-study
    python -m fusionlab.test runs/my-study fusion=conv,layer=relu5,temporal=pool2d,seed=0
    python -m fusionlab.test runs/my-study split=2 --other-split

Exit code 0: each arm gives the predictions of its record, bit for bit; 1: not. If the record was made on another
device, CPU or instruction set, or by another torch, scores must agree within 1e-4 instead, and the line says so.

split=2 tests on another split than the one that was trained on. Its list has videos of the training, so this needs
--other-split: accuracies are printed with the number of such videos, and not stored.
"""

from fusionlab.cli import run
from fusionlab.errors import UserError

FLAGS = {"--other-split": "allow split=… to be another split than the one that was trained on"}


def main(words: list[str], other_split: bool = False) -> int:
    """One line per arm."""
    splits = [word.partition("=")[2] for word in words if word.startswith("split=")]
    words = [word for word in words if not word.startswith("split=")]
    if not words:
        hint = "python -m fusionlab.test runs/my-study"
        raise UserError("test takes a study's folder, then arms of it", got="nothing", hint=hint)
    from fusionlab.jobs.retest import retest

    if not splits:
        if other_split:
            raise UserError("--other-split needs a split", got="no split=…", hint="split=2 --other-split")
        return retest(words[0], words[1:])
    from fusionlab.jobs.other_split import test_on

    return test_on(words[0], words[1:], splits, allowed=other_split)


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
