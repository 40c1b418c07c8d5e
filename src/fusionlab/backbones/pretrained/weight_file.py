"""What a weight file holds, whoever wrote it, in the names of the tower that is to have it."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from torch import Tensor


@dataclass
class Found:
    """`weights` as in a tower's state dict; an entry may still be as a linear layer has it, (O, I)."""

    layout: str  # whose file this is
    weights: dict[str, Tensor]
    mean: list[float] | None = None  # pixels enter as (x - mean) / scale: one number for each channel of the file
    scale: list[float] | None = None  # None, both: as the tower has it
    mean_image: NDArray[Any] | None = None
    notes: list[str] = field(default_factory=list)  # what was done that is worth knowing
    trained_on: dict[str, Any] = field(default_factory=dict)  # data set and split, where the file says so
    wrong: list[str] = field(default_factory=list)  # what does not fit, beyond names and shapes
