"""test the trained arms of a study again from their weights, as their records or in other ways

    python -m fusionlab.test runs/my-study
    python -m fusionlab.test runs/my-study fusion=conv,layer=relu5,temporal=pool2d,seed=0
    python -m fusionlab.test runs/my-study test=simonyan,final
    python -m fusionlab.test runs/my-study test=frame combine=scores,logits,weighted,svm
    python -m fusionlab.test runs/my-study ablate=motion:mean,motion:freeze,motion:shuffle,appearance:mean
    python -m fusionlab.test runs/my-study split=2 --other-split

Without an option each arm is compared with its record. Exit code 0: it gives the same predictions, bit for bit; 1: not.
If the record was made on another device, CPU or instruction set, or by another torch, scores must agree within 1e-4
instead, and the line says so.

test= tests by other protocols (middle, frame, final, simonyan, video) without training again; combine= averages scores
or logits of two heads, or weighs them (weighted), or trains a linear SVM on them (svm), from stored scores; ablate=
takes a stream away. Arms that tables do not show, such as those of chain A with val.then=retrain, are tested by their
names only. What is new is stored beside the record, which does not change. Exit code 0: all of it is there.

split=2 tests on another split than the one that was trained on. Its list has videos of the training, so this needs
--other-split: accuracies are printed with the number of such videos, and not stored.
"""

from fusionlab.cli import run
from fusionlab.errors import UserError

FLAGS = {"--other-split": "allow split=… to be another split than the one that was trained on"}


def main(words: list[str], other_split: bool = False) -> int:
    """One line per arm, or a table."""
    from fusionlab.records.other_tests import Asked

    asked, words = Asked.typed(words)
    splits = [word.partition("=")[2] for word in words if word.startswith("split=")]
    words = [word for word in words if not word.startswith("split=")]
    if not words:
        hint = "python -m fusionlab.test runs/my-study"
        raise UserError("test takes a study's folder, then arms of it", got="nothing", hint=hint)
    if asked and (splits or other_split):
        raise UserError(
            "a test on another split is not stored, and so in no table", got=" ".join([*asked.words, "split=…"]),
            hint=f"python -m fusionlab.test {words[0]} {' '.join(asked.words)}",
        )  # fmt: skip
    if asked:
        from fusionlab.planning.other_tests import test_and_show

        return test_and_show(words[0], words[1:], asked)
    from fusionlab.jobs.retest import retest

    if not splits:
        if other_split:
            raise UserError("--other-split needs a split", got="no split=…", hint="split=2 --other-split")
        return retest(words[0], words[1:])
    from fusionlab.jobs.other_split import test_on

    return test_on(words[0], words[1:], splits, allowed=other_split)


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
