"""One attempt in a process of its own: interrupted_child.py OUT [EARLIER...]; the environment says where it
dies."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from training_fakes import Data, Fused, Late, cohort

from fusionlab.training.checkpoint import choose_checkpoints
from fusionlab.training.fit import fit

torch.set_num_threads(1)
out, *earlier = (Path(argument) for argument in sys.argv[1:])
((_, checkpoint),) = choose_checkpoints(dict.fromkeys(("sum", "max", "late"), earlier))
ended = fit(
    cohort({"sum": Fused("sum"), "max": Fused("max"), "late": Late()}),
    Data(),
    folder=out,
    resume_from=checkpoint,
    checkpoint_every=4,
    progress=print,
)
torch.save(
    {
        name: {"state": one.state, "steps": one.steps, "best": one.best_step, "val": one.val_loss, "curve": one.curve}
        for name, one in ended.items()
    },
    out / "ended.pt",
)
