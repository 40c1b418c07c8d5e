"""train a grid of arms on whatever is here, and print the paper's table

    python -m fusionlab.sweep fusion=conv,sum layer=relu5
    python -m fusionlab.sweep fusion=sum,max,cat,conv layer=relu3,relu5 seed=0,1,2
    python -m fusionlab.sweep fusion=sum,conv layer=relu5,fc8 'exclude=[{fusion:sum,layer:fc8}]'
    python -m fusionlab.sweep experiment=demo

Values with commas are axes; every point of the grid is an arm. The baselines (each stream alone, late fusion)
are always there. The same command continues what an interrupted one began (Ctrl-C is safe), and tries again
what had failed. Exit code 0: all arms are done; 1: some failed, after the others have run.
"""

from fusionlab.cli import run


def main(words: list[str]) -> int:
    """Plan, work, report."""
    from fusionlab.planning.grid import plan_study
    from fusionlab.planning.sweep_loop import run_study

    return run_study(plan_study(words))


if __name__ == "__main__":
    run(main, __doc__, choices=True)
