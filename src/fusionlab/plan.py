"""show the arms and jobs of a sweep, and which are done; nothing is started

    python -m fusionlab.plan fusion=conv,sum layer=relu3,relu5 seed=0,1

The same options typed after `fusionlab.sweep` train them.
"""

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import one_line, show

FLAGS = OPTIONS


def main(words: list[str]) -> int:
    """Compose and check the whole grid, as `sweep` does before it starts."""
    from fusionlab.planning.grid import plan_study
    from fusionlab.planning.sweep_loop import states

    study = plan_study(words)
    job_states = states(study)
    show(f"study  {study.folder}")
    show(f"\n{len(study.plan.jobs)} jobs")
    for job in study.plan.jobs:
        count = f"  ({len(job.arms)} arms)" if len(job.arms) > 1 else ""
        show(f"  {job_states[job.id]:<10} {job.kind:<8} {job.id}{count}")
    show(f"\n{len(study.plan.arms)} arms")
    for arm in study.plan.arms:
        show(f"  {arm.signature}  {arm.kind:<6}  {one_line(arm.name)}")
    return 0


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
