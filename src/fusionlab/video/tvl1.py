"""TV-L1: optical flow by total variation and an L1 data term (Zach et al. 2007), the method of the papers.

    E(u) = ∫ |∇u₁| + |∇u₂| + λ |I₁(x + u) − I₀(x)|  dx

It is sharp at the edges of moving things, and takes fifty times as long as DIS, more where more moves. It warps I₁ by
`cv2.remap`, so that its results depend on OpenCV's version (see `video.flow`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.video.flow import LUMA, Gray, above_zero, at_least, one_thread, planes
from fusionlab.video.opencv import cv2

MEDIANS = (1, 3, 5)  # OpenCV filters floats with no larger window


@dataclass(frozen=True)
class TvL1:
    """OpenCV contrib's solver (Sánchez et al. 2013) and, but for their names, its numbers."""

    attachment: float = 0.15  # λ: more follows the pictures, less is smoother
    tightness: float = 0.3  # θ, between the two halves of the energy that are solved in turn
    step: float = 0.25  # τ, of the dual solver
    gamma: float = 0.0  # > 0: a change of light is estimated beside the flow
    scales: int = 5
    scale_step: float = 0.8
    warps: int = 5  # at each scale
    outer_iterations: int = 10
    inner_iterations: int = 30
    median: int = 5  # side of the filter after each warp; 1: none
    epsilon: float = 0.01  # the solver stops where it changes less

    reads: ClassVar[str] = LUMA

    def __post_init__(self) -> None:
        at_least(self, scales=1, warps=1, outer_iterations=1, inner_iterations=1)
        above_zero(self, "attachment", "tightness", "step", "epsilon")
        for name, right, allowed in (
            ("gamma", self.gamma >= 0, "0 and more"),
            ("scale_step", 0 < self.scale_step < 1, "between 0 and 1"),
            ("median", self.median in MEDIANS, ", ".join(map(str, MEDIANS))),
        ):
            if not right:
                got = f"data.store.flow.{name}={getattr(self, name)}"
                raise UserError(f"invalid {name} of TvL1", got=got, allowed=[allowed])

    def __call__(self, previous: Gray, following: Gray) -> NDArray[np.float32]:
        solver: Any = _solver()  # a new one for each pair, so that it keeps no state
        solver.setLambda(self.attachment)
        solver.setTheta(self.tightness)
        solver.setTau(self.step)
        solver.setGamma(self.gamma)
        solver.setScalesNumber(self.scales)
        solver.setScaleStep(self.scale_step)
        solver.setWarpingsNumber(self.warps)
        solver.setOuterIterations(self.outer_iterations)
        solver.setInnerIterations(self.inner_iterations)
        solver.setMedianFiltering(self.median)
        solver.setEpsilon(self.epsilon)
        with one_thread(previous):
            return planes(solver.calc(previous, following, None))

    def describe(self) -> dict[str, Any]:
        return {"method": "tvl1", **asdict(self), "opencv": cv2.__version__}


def _solver() -> Any:
    try:
        return cv2.optflow.DualTVL1OpticalFlow.create()
    except AttributeError:  # another distribution of OpenCV was installed over it
        raise UserError(
            "this OpenCV comes without its contributed modules, and so without TV-L1",
            got=f"cv2 {cv2.__version__}, {cv2.__file__}",
            hint="uninstall every opencv-…, then install opencv-contrib-python-headless",
        ) from None
