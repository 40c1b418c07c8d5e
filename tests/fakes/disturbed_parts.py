"""Fusions of a user's own whose training a test can slow down, and such that end in four ways."""

from __future__ import annotations

from pathlib import Path

# Each training step leaves a line in `steps`: the machine, its process. The file `pause` holds the seconds of a step.
CODE = '''
import os
import signal
import time
from pathlib import Path

import torch

from fusionlab.fusion.conv import Conv

HOME = Path(__file__).parent


class Paced(Conv):
    """Conv, slowly."""

    def forward(self, x_a, x_b):
        if self.training and x_a.device.type != "meta":
            with (HOME / "steps").open("a") as file:
                file.write(f"{os.uname().nodename} {os.getpid()}\\n")
            if (HOME / "pause").is_file():
                time.sleep(float((HOME / "pause").read_text()))
        return super().forward(x_a, x_b)


class Raises(Conv):
    def forward(self, x_a, x_b):
        if self.training and x_a.device.type != "meta":
            raise RuntimeError("this arm raises")
        return super().forward(x_a, x_b)


class Exits(Conv):
    def forward(self, x_a, x_b):
        if self.training and x_a.device.type != "meta":
            os._exit(3)
        return super().forward(x_a, x_b)


class Greedy(Conv):
    def forward(self, x_a, x_b):
        if self.training and x_a.device.type != "meta":
            torch.empty(1 << 50, dtype=torch.uint8)
        return super().forward(x_a, x_b)


class Killed(Conv):
    def forward(self, x_a, x_b):
        if self.training and x_a.device.type != "meta":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x_a, x_b)
'''.replace("\\n", "\\n")


def write_parts(home: Path) -> None:
    """`fusion=paced`, `raises`, `exits`, `greedy`, `killed` for commands in this folder."""
    own = home / "conf" / "fusion"
    own.mkdir(parents=True)
    for name in ("Paced", "Raises", "Exits", "Greedy", "Killed"):
        (own / f"{name.lower()}.yaml").write_text(f"_target_: own_fusion.{name}\n_partial_: true\n", encoding="utf-8")
    (home / "own_fusion.py").write_text(CODE, encoding="utf-8")


def steps(home: Path) -> list[str]:
    """A line for each training step so far."""
    place = home / "steps"
    return place.read_text(encoding="utf-8").splitlines() if place.is_file() else []


def slow_down(home: Path, seconds: float = 1.0) -> None:
    """The following steps take some time."""
    (home / "pause").write_text(str(seconds), encoding="utf-8")


def go_on(home: Path) -> None:
    """The following steps take no time."""
    (home / "pause").unlink()
