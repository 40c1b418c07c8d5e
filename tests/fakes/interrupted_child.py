"""One attempt in a process of its own: interrupted_child.py OUT [EARLIER...]; the environment says where it ends.

FUSIONLAB_CRASH_AT: dies, with a checkpoint every four steps. TERM_AT=7: gets SIGTERM in this step, with checkpoints by
time only. STREAM=1: stage one.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

sys.path.insert(0, str(Path(__file__).parent))

from training_fakes import Data, Fused, Handing, Late, Stream, block, cohort

from fusionlab.records.every import Every
from fusionlab.training.checkpoint import choose_checkpoints
from fusionlab.training.cohort import Cohort
from fusionlab.training.fit import fit
from fusionlab.training.recipe import parse_recipe


class Terminated(pl.Callback):
    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        if module.step + 1 == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


torch.set_num_threads(1)
out, *earlier = (Path(argument) for argument in sys.argv[1:])
at = int(os.environ.get("TERM_AT", 0))
if "STREAM" in os.environ:
    made = Cohort(Handing(), {"motion": Stream("motion")}, parse_recipe(block()), seed=0)
else:
    made = cohort({"sum": Fused("sum"), "max": Fused("max"), "late": Late()})
((_, checkpoint),) = choose_checkpoints(dict.fromkeys(made.arms, earlier))
ended = fit(
    made,
    Data(),
    folder=out,
    resume_from=checkpoint,
    checkpoint_every=Every(seconds=3600) if at else 4,
    progress=print,
    observers=[Terminated(at)],
    job="stream" if "STREAM" in os.environ else "cohort",
)
torch.save(
    {
        name: {"state": one.state, "steps": one.steps, "best": one.best_step, "val": one.val_loss, "curve": one.curve}
        for name, one in ended.items()
    },
    out / "ended.pt",
)
