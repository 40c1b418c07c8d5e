"""show what a sweep would do: its arms and jobs, and which of them are done; nothing is started

    python -m fusionlab.plan fusion=conv,sum layer=relu3,relu5 seed=0,1

The same words typed after `fusionlab.sweep` do it.
"""

from fusionlab.cli import run
from fusionlab.errors import one_line, show


def main(words: list[str]) -> int:
    """Compose and check the whole grid, as `sweep` does before it starts."""
    from fusionlab.planning.grid import plan_study
    from fusionlab.planning.sweep_loop import states

    study = plan_study(words)
    found = states(study)
    show(f"study  {study.folder}")
    show(f"\n{len(study.plan.jobs)} jobs")
    for job in study.plan.jobs:
        show(
            f"  {found[job.id]:<10} {job.kind:<8} {job.id}" + (f"  ({len(job.arms)} arms)" if len(job.arms) > 1 else "")
        )
    show(f"\n{len(study.plan.arms)} arms")
    for arm in study.plan.arms:
        show(f"  {arm.signature}  {arm.kind:<6}  {one_line(arm.name)}")
    return 0


if __name__ == "__main__":
    run(main, __doc__, choices=True)
