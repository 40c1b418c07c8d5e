"""Prepares a drifting data set in a process of its own, so that it can be killed: root, folder, processes."""

import sys
from pathlib import Path

from data_fakes import Drifting

from fusionlab.errors import UserError
from fusionlab.preparation.prepare import prepare
from fusionlab.video.flow import Dis

if __name__ == "__main__":
    root, folder, processes = sys.argv[1:]
    try:
        prepare(
            Drifting(Path(root)),
            Path(folder),
            Dis(),
            recipe={"data": "drifting"},
            bound=8,
            processes=int(processes),
            chunk=7,
        )
    except UserError as error:
        sys.exit(str(error))
    assert not {"torch", "pytorch_lightning", "hydra"} & set(sys.modules), "a heavy import"
