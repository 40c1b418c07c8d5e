"""The plain loop of the row on `prepare` does the same work: it writes as many bytes."""

from pathlib import Path

from film_fakes import moving, write

from fusionlab.benchmarks import video_rows


def test_the_plain_loop_writes_what_prepare_writes(tmp_path: Path) -> None:
    path = write(tmp_path / "v.avi", moving(6, 120, 160), "mpeg4")
    store = video_rows._packed(video_rows.Set([path]), tmp_path / "store", video_rows.CODING, processes=0)
    (video,) = store.videos.values()
    assert video_rows.plain_loop(path, tmp_path / "plain.bin") == video.frames_bytes + video.flow_bytes
