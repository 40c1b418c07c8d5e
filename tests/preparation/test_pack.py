"""One part of a store."""

from __future__ import annotations

from pathlib import Path

from data_fakes import Drifting

from fusionlab.preparation.flow_sources import Computed, Making
from fusionlab.preparation.pack import Part, pack
from fusionlab.video.decode import PyAV
from fusionlab.video.flow import Dis


def test_a_video_with_another_label_than_it_was_packed_with_is_packed_again(drifting: Drifting, tmp_path: Path) -> None:
    """The classes were put in another order while the command was interrupted."""
    making = Making(PyAV(), Computed(Dis()), 8, None)
    (first, _), (second, _) = drifting.videos()[:2]
    both = [(name, drifting.path(name)) for name in (first, second)]

    def packed(*labels: int) -> list[int]:
        videos = tuple((name, label, path) for label, (name, path) in zip(labels, both, strict=True))
        made = pack(Part(tmp_path, "part-00000", videos, making))
        return [one.video.label for one in made if one.video is not None]

    assert packed(0, 1) == [0, 1] and packed(3, 1) == [3, 1] and packed(3, 4) == [3, 4]
    assert packed(3, 4) == [3, 4]
