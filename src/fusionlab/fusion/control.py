"""Control: p = ½ · softmax(a) + ½ · softmax(b) of two towers that were trained on apart, each with its own loss.

What the towers gain from further training alone. A fusion of the same layer is held against it.
"""

from torch import Tensor

from fusionlab.fusion import late
from fusionlab.fusion.fusion import Fusion


class Control(Fusion):
    """Nothing is fused below the scores. The equation is that of late fusion, of other towers."""

    keeps_apart = True

    def forward(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        self.alike(x_a, x_b)
        return late.fuse(x_a, x_b)


class Joint(Control):
    """The same average, with one loss: that of the average itself."""

    joint_loss = True
