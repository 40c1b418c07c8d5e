"""train a grid of arms on this machine, and print the paper's table

    python -m fusionlab.sweep fusion=conv,sum layer=relu5
    python -m fusionlab.sweep fusion=sum,max,cat,conv layer=relu3,relu5 seed=0,1,2
    python -m fusionlab.sweep fusion=sum,conv layer=relu5,fc8 'exclude=[{fusion:sum,layer:fc8}]'
    python -m fusionlab.sweep fusion=sum,conv layer=relu4,relu5 'zip=[[fusion,layer]]'
    python -m fusionlab.sweep 'grids=[{fusion:[sum,conv],layer:relu5},{fusion:conv,layer:[relu3,relu4]}]' seed=0,1
    python -m fusionlab.sweep fusion=conv layer=relu5 test=middle,frame combine=scores,logits ablate=motion:mean
    python -m fusionlab.sweep experiment=demo
    python -m fusionlab.sweep experiment=feichtenhofer2016_table1 debug=tiny
    python -m fusionlab.sweep experiment=how launcher=slurm run.launcher.partition=gpu detach=true

An option with several values is an axis: a,b or range(5), choice(a,b), glob(*) over a group's choices. Every point of
the grid is an arm, and the baselines (each stream alone, late fusion, the control: both towers trained on without a
fusion) are always added. A cell that cannot be trained is refused with a reason, and the others run. The same command
resumes an interrupted study (Ctrl-C is safe) and retries failed arms; it waits for workers that still run or are
queued. detach=true starts workers and returns.
Exit code 0: all arms are done; 1: some failed, after the others have run.
"""

from fusionlab.cli import OPTIONS, run

FLAGS = OPTIONS


def main(words: list[str]) -> int:
    """Plan, work, report."""
    from fusionlab.config.overrides import take_switch
    from fusionlab.planning.grid import plan_study
    from fusionlab.planning.sweep_loop import run_study

    words, detach = take_switch(words, "detach")
    return run_study(plan_study(words), detach=detach)


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
