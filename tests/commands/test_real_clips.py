"""Real clips through VGG-M at its real size: weights in MatConvNet's layout, streams, conv fusion, two tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretrained_fakes import described, mean_image, named, write_simple
from terminal import Lab

from fusionlab.backbones.vgg_m import VggM
from fusionlab.records.predictions import read_predictions
from fusionlab.training.weights import read_weights

CLIPS = os.environ.get("FUSIONLAB_CLIPS")
JUGGLING, WAVE = "SoccerJuggling/v_SoccerJuggling_g{}_c01.avi", "Wave/v_Wave_g{}_c01.avi"
TRAIN = {  # a name in the lists -> a clip; two of them are no AVI of UCF101's
    JUGGLING.format(24): "v_SoccerJuggling_g24_c01.avi", JUGGLING.format(25): "test.avi",
    WAVE.format("01"): "RATRACE_wave_f_nm_np1_fr_goo_37.avi", WAVE.format("02"): "demo_skeleton.mp4",
}  # fmt: skip
TEST = {JUGGLING.format(23): "v_SoccerJuggling_g23_c01.avi"}
MAT = "imagenet-vgg-m-2048.mat"
GIB = 1 << 30
WAIT = 1800  # seconds; it takes two minutes of a processor, on a machine that does other things too
# Frames and no clips, as in 2014: 250 views of five frames would take minutes for one video.
WORDS = (
    "data=ucf101", "data.dataset.classes=2", "data.dataset.counts=false", "data.sampling.snippets=1", "backbone=vgg_m",
    "fusion=conv", "layer=relu5", "weights=imagenet", "weights.head=fresh", "optim=sgd", "test=frame,simonyan",
    *(f"optim.{stage}.{word}" for stage in ("streams", "fusion")
      for word in ("batch_size=2", "epochs=1", "until=budget", "validations=1", "lr=1e-4")),
)  # fmt: skip


def make_set(home: Path) -> None:
    """Clips under UCF101's names, with lists of them."""
    for name, clip in {**TRAIN, **TEST}.items():
        place = home / "UCF-101" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(Path(str(CLIPS)).resolve() / clip)
    lists = {"classInd": ["1 SoccerJuggling", "2 Wave"], "testlist01": TEST}
    lists["trainlist01"] = [f"{name} {1 + name.startswith('Wave')}" for name in TRAIN]
    for name, lines in lists.items():
        (home / f"{name}.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")
def test_vgg_m_from_matconvnets_layout_is_fused_and_tested_twice(tmp_path: Path) -> None:
    lab = Lab(tmp_path, tmp_path / "data")
    make_set(tmp_path / "data" / "videos" / "ucf101")
    (tmp_path / "weights").mkdir()
    layers = described(VggM(3, 1000))
    write_simple(tmp_path / "weights" / MAT, layers, mean_image(side=224), compress=False, side=224)
    process = lab.start("sweep", *WORDS, "run.workers=1")
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err

    records = {place: json.loads(place.read_text()) for place in lab.found("published/*/run.json")}
    assert len(records) == 5 and {record["status"] for record in records.values()} == {"done"}
    for place, record in records.items():
        assert record["circumstances"]["job"]["peak"] <= 8 * GIB
        for folder in (place.parent, place.parent / "tests" / "simonyan"):
            table = read_predictions(folder / "predictions.csv")
            assert table.videos == tuple(TEST)
            np.testing.assert_allclose(np.asarray(table.scores).sum(axis=1), 1, atol=1e-5)
    assert min(out.count(" simonyan "), out.count(" frame ")) >= 5, "a row for each arm and test"
    assert len([line for line in err.splitlines() if line.endswith(": published")]) == 4, "one job trains each stream"
    for stream in ("appearance", "motion"):
        expect_start(lab, stream, layers)


def expect_start(lab: Lab, stream: str, layers: list[dict[str, Any]]) -> None:
    """A stream was trained from the file: at a small rate its weights have moved, and not far."""
    (place,) = lab.found(f"streams/*/published/streams={stream},seed=0/weights.pt")
    state = read_weights(place)
    for layer, channels in (("conv1", 3 if stream == "appearance" else 20), ("fc7", 4096)):
        given = named(layers, layer)["weights"][0, 0].transpose(3, 2, 0, 1)
        if channels == 20:
            given = np.broadcast_to(given.mean(axis=1, keepdims=True), (96, 20, 7, 7))
        (found,) = (value.numpy() for name, value in state.items() if name.endswith(f"{layer}.weight"))
        moved = np.abs(found - given).max()
        assert 0 < moved < 1e-2 * np.abs(given).max(), (stream, layer, moved)
