"""train one arm, and the baselines that it is compared with

    python -m fusionlab.train fusion=conv layer=relu5 temporal=pool3d seed=1

A sweep of one point: the same jobs, records and table. Streams that were trained before are used again.
"""

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import UserError

FLAGS = OPTIONS


def main(words: list[str]) -> int:
    """Plan, work, report, as `sweep` does."""
    from fusionlab.config.overrides import take_switch
    from fusionlab.planning.grid import plan_study
    from fusionlab.planning.sweep_loop import run_study

    words, detach = take_switch(words, "detach")
    study = plan_study(words, verb="train")
    asked = [arm.name for arm in study.asked()]
    if len(asked) > 1:
        raise UserError(
            "train is for one arm", got=f"{len(asked)} arms: {', '.join(asked[:4])} …",
            hint="python -m fusionlab.sweep …",
        )  # fmt: skip
    return run_study(study, detach=detach)


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
