"""MatConvNet's files: what the loaded tower gives is what MatConvNet's formulas give on the arrays of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pretrained_fakes as fakes
import pytest
import torch
from pretrained_fakes import Array, SmallVgg16, SmallVggM, cell, conv, described, mean_image, named, row

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import load
from fusionlab.backbones.pretrained.geometry import compare
from fusionlab.backbones.tower import Tower
from fusionlab.backbones.vgg_m import VggM
from fusionlab.errors import UserError


def drawn(tower: Tower) -> Tower:
    initialise(tower, seed=3, prefix="x.")
    return tower.eval()


def frame(tower: Tower, seed: int = 1) -> Array:
    """One frame of bytes, (H, W, C)."""
    shape = (tower.size, tower.size, tower.in_channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@torch.no_grad()
def outputs(tower: Tower, x: Array, taps: tuple[str, ...]) -> list[Array]:
    """In double precision, each (H, W, D)."""
    clip = torch.from_numpy(x).permute(2, 0, 1)[None, :, None]
    found = tower.double().collect(clip, taps)
    return [found[tap][0, :, 0].permute(1, 2, 0).numpy() for tap in taps]


def agree(tower: Tower, layers: list[dict[str, Any]], x: Array, mean: Array, taps: tuple[str, ...]) -> None:
    expected = fakes.evaluated(layers, x - mean.astype(np.float32).astype(np.float64))
    renamed = {"softmax": "prob", "fc6": "relu6"}
    for tap, got in zip(taps, outputs(tower, x, taps), strict=True):
        want = expected[renamed.get(tap, tap)]
        assert got.shape == want.shape and want.std() > 1e-3
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10, err_msg=tap)


@pytest.mark.parametrize("layout", list(fakes.WRITERS))
def test_vgg_m_gives_what_the_formulas_give(layout: str, tmp_path: Path) -> None:
    tower = drawn(SmallVggM())
    layers, mean = described(tower), mean_image()
    path = fakes.WRITERS[layout](tmp_path / "m.mat", layers, mean)
    loaded = load(tower, str(path))
    agree(tower, layers, frame(tower), mean.mean(axis=(0, 1), dtype=np.float64), ("relu1", "relu2", "relu5", "fc8"))
    assert loaded.origin == f"MatConvNet {'DagNN' if layout == 'dag' else 'SimpleNN'}: m.mat"
    assert loaded.notes == []
    assert loaded.mean_image is not None and np.array_equal(loaded.mean_image, mean)


@pytest.mark.parametrize("layout", list(fakes.WRITERS))
def test_vgg16_gives_what_the_formulas_give(layout: str, tmp_path: Path) -> None:
    tower = drawn(SmallVgg16())
    layers, mean = described(tower), np.array([123.68, 116.779, 103.939]).reshape(1, 1, 3)
    load(tower, str(fakes.WRITERS[layout](tmp_path / "v.mat", layers, mean)))
    agree(tower, layers, frame(tower), mean.ravel(), ("relu1_1", "relu5_3", "fc8", "softmax"))


def test_pixels_are_the_mean_of_the_mean_image_and_not_divided(tmp_path: Path) -> None:
    tower, mean = drawn(SmallVggM()), mean_image()
    load(tower, str(fakes.write_simple(tmp_path / "m.mat", described(tower), mean)))
    assert tower.mean.flatten().tolist() == pytest.approx([mean[:, :, c].mean() for c in range(3)], rel=1e-6)
    assert tower.scale.flatten().tolist() == [1, 1, 1]


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (1, 1, 3)])
def test_a_mean_for_each_channel_may_lie_anyhow(shape: tuple[int, ...], tmp_path: Path) -> None:
    tower = drawn(SmallVggM())
    load(tower, str(fakes.write_simple(tmp_path / "m.mat", described(tower), np.array([1.0, 2, 3]).reshape(shape))))
    assert tower.mean.flatten().tolist() == [1, 2, 3]


def test_flow_starts_from_the_mean_over_colours(tmp_path: Path) -> None:
    colour, motion = SmallVggM(), drawn(SmallVggM(20, norm2=False))
    layers = described(colour)
    loaded = load(motion, str(fakes.write_simple(tmp_path / "m.mat", layers, mean_image())))
    filters = named(layers, "conv1")["weights"][0, 0].astype(np.float64)
    for place in np.ndindex(7, 7):
        for o in range(6):
            mean = sum(filters[(*place, c, o)] for c in range(3)) / 3
            for c in range(20):
                assert motion.conv1.weight[(o, c, *place)].item() == pytest.approx(mean, rel=1e-5, abs=1e-7)
    assert motion.mean.flatten().tolist() == [128] * 20 and motion.scale.flatten().tolist() == [1] * 20
    assert any("mean over RGB, repeated 20 times" in note for note in loaded.notes)
    assert any(note.startswith("norm2") and "ignored" in note for note in loaded.notes)
    # Without norm2, and with those filters, by the formulas.
    layers = [layer for layer in layers if layer["name"] != "norm2"]
    wide = motion.conv1.weight.detach().float().permute(2, 3, 1, 0).numpy()
    named(layers, "conv1")["weights"][0, 0] = wide
    agree(motion, layers, frame(motion), np.full(20, 128.0), ("relu1", "relu5", "fc8"))


def test_a_file_for_flow_is_taken_keep_batch(tmp_path: Path) -> None:
    """As the released code saves its temporal networks: 20 channels, averageImage = ones(1,1,20)*128."""
    tower = drawn(SmallVggM(20, norm2=False))
    layers, mean = described(tower), np.full((1, 1, 20), 128.0)
    loaded = load(tower, str(fakes.write_dag(tmp_path / "flow.mat", layers, mean)))
    assert loaded.notes == []
    agree(tower, layers, frame(tower), mean.ravel(), ("relu1", "fc8"))


def test_a_file_for_flow_does_not_fit_colour(tmp_path: Path) -> None:
    path = fakes.write_dag(tmp_path / "f.mat", described(SmallVggM(20)), np.full((1, 1, 20), 128.0))
    with pytest.raises(UserError, match=r"shape: conv1\.weight \(6, 20, 7, 7\), in the tower \(6, 3, 7, 7\)"):
        load(SmallVggM(), str(path))


def test_shapes_that_matlab_has_dropped_ones_of(tmp_path: Path) -> None:
    tower = drawn(SmallVggM(classes=1))
    layers = described(tower)
    fc8, fc7 = named(layers, "fc8")["weights"], named(layers, "fc7")["weights"]
    expected = fc8[0, 0].copy(), fc7[0, 0].copy()
    fc8[0, 0] = fc8[0, 0].reshape(1, 1, 10)  # 1 × 1 × 10 × 1: MATLAB has no trailing ones
    fc7[0, 0] = fc7[0, 0].reshape(9, 10)  # 1 × 1 × 9 × 10, by one who squeezes
    fc7[0, 1] = fc7[0, 1].reshape(10, 1)
    load(tower, str(fakes.write_simple(tmp_path / "m.mat", layers, mean_image())))
    assert np.array_equal(tower.fc8.weight.detach().numpy().transpose(2, 3, 1, 0), expected[0])
    assert np.array_equal(tower.fc7.weight.detach().numpy().transpose(2, 3, 1, 0), expected[1])
    assert np.array_equal(tower.fc7.bias.detach().numpy(), fc7[0, 1].ravel())


def test_no_biases_are_zeros(tmp_path: Path) -> None:
    tower = drawn(SmallVggM())
    tower.conv3.bias.data.fill_(5)
    layers = described(tower)
    named(layers, "conv3")["weights"][0, 1] = np.zeros((0, 0), np.float32)
    load(tower, str(fakes.write_simple(tmp_path / "m.mat", layers, mean_image())))
    assert not tower.conv3.bias.any() and tower.conv2.bias.any()


def test_a_classifier_without_a_name_is_the_last_layer(tmp_path: Path) -> None:
    """The released code replaces the last layer by one without a name; the DagNN of it calls it by its number."""
    tower = drawn(SmallVggM())
    layers = described(tower)
    fc8 = named(layers, "fc8")
    wanted = fc8["weights"][0, 0]
    number = layers.index(fc8) + 1
    for write, name in ((fakes.write_simple, None), (fakes.write_dag, f"layer{number}")):
        renamed = [dict(layer) for layer in layers]
        renamed[number - 1].pop("name")
        if name:
            renamed[number - 1]["name"] = name
        initialise(tower, seed=3)
        loaded = load(tower, str(write(tmp_path / "m.mat", renamed, mean_image())))
        assert np.array_equal(tower.fc8.weight.detach().numpy().transpose(2, 3, 1, 0), wanted)
        assert loaded.notes == [f"layer{number}, the last layer of the file, is fc8"]


def test_the_classifier_is_kept_or_drawn(tmp_path: Path) -> None:
    many = str(fakes.write_simple(tmp_path / "m.mat", described(SmallVggM(classes=11)), mean_image()))
    tower = drawn(SmallVggM(classes=7))
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    with pytest.raises(
        UserError, match=r"another number of classes(.|\n)*11 in .*m\.mat, 7 here(.|\n)*weights\.head=fresh"
    ):
        load(tower, many)
    assert all(torch.equal(value, before[name]) for name, value in tower.state_dict().items()), "half of it was loaded"
    loaded = load(tower, many, head="fresh")
    assert torch.equal(tower.fc8.weight, before["fc8.weight"]) and torch.equal(tower.fc8.bias, before["fc8.bias"])
    assert not torch.equal(tower.fc7.weight, before["fc7.weight"])
    assert loaded.notes == ["fc8 is drawn, not loaded"]
    same = str(fakes.write_simple(tmp_path / "s.mat", described(tower, seed=9), mean_image()))
    load(tower, same, head="fresh")
    assert torch.equal(tower.fc8.weight, before["fc8.weight"]), "fresh is fresh where the counts agree, too"
    load(tower, same)
    assert not torch.equal(tower.fc8.weight, before["fc8.weight"])
    with pytest.raises(UserError, match=r"did you mean weights\.head=fresh"):
        load(tower, same, head="frsh")


# -- what does not fit


def changed(tmp_path: Path, change: Any, tower: Tower | None = None) -> str:
    layers = described(tower or SmallVggM())
    change(layers)
    return str(fakes.write_simple(tmp_path / "x.mat", layers, mean_image()))


def refusal(tower: Tower, path: str, **more: Any) -> str:
    """What is said; and nothing of the tower has changed."""
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    with pytest.raises(UserError) as caught:
        load(tower, path, **more)
    assert all(torch.equal(value, before[name]) for name, value in tower.state_dict().items())
    return str(caught.value)


@pytest.mark.parametrize("place", range(4))
def test_other_normalisation_is_refused(place: int, tmp_path: Path) -> None:
    param = list(fakes.LRN)
    param[place] = [3.0, 1.0, 5e-4, 0.5][place]
    path = changed(tmp_path, lambda layers: named(layers, "norm1").update(param=row(param)))
    said = refusal(drawn(SmallVggM()), path)
    assert f"norm1: N κ α β are {tuple(param)} in the file, (5.0, 2.0, 0.0001, 0.75) in the tower" in said


def test_vgg_m_normalises_as_matconvnets_file_says() -> None:
    """imagenet-vgg-m-2048.mat has [5 2 1e-4 0.75]: Caffe's α of 5e-4 over N, as MatConvNet's importer writes it."""
    param = ("lrn", {"param": row([5, 2, 1e-4, 0.75])})
    with torch.device("meta"):
        appearance, motion = VggM(3, classes=7), VggM(20, classes=7)
    assert compare(appearance, {"norm1": param, "norm2": param}) == ([], [])
    wrong, notes = compare(motion, {"norm1": param, "norm2": param})
    assert wrong == [] and notes == ["norm2 of the file has no weights and is not in this tower: ignored"]


def test_single_precision_numbers_of_normalisation_are_the_same(tmp_path: Path) -> None:
    param = np.array([fakes.LRN], np.float32)
    load(drawn(SmallVggM()), changed(tmp_path, lambda layers: named(layers, "norm1").update(param=param)))


def test_missing_normalisation_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda layers: layers.remove(named(layers, "norm2")))
    assert "norm2: N κ α β are missing in the file" in refusal(drawn(SmallVggM()), path)


@pytest.mark.parametrize(
    "name, change, said",
    [
        ("conv2", {"stride": row([1, 1])}, "conv2: stride is (1.0, 1.0) in the file, (2, 2) in the tower"),
        ("conv2", {"pad": row([1, 2, 1, 2])}, "conv2: pad is (1.0, 2.0, 1.0, 2.0) in the file, (1, 1, 1, 1)"),
        ("pool1", {"pool": row([2, 2])}, "pool1: window is (2.0, 2.0) in the file, (3, 3) in the tower"),
        ("pool1", {"stride": 3.0}, "pool1: stride is (3.0, 3.0) in the file, (2, 2) in the tower"),
        ("pool5", {"method": "avg"}, "pool5: takes the avg in the file, the max in the tower"),
    ],
)
def test_the_same_shapes_of_another_network_are_refused(
    name: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert said in refusal(drawn(SmallVggM()), changed(tmp_path, lambda layers: named(layers, name).update(change)))


def test_all_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    def change(layers: list[dict[str, Any]]) -> None:
        layers.remove(named(layers, "conv4"))
        layers.insert(-1, conv("fc9", np.ones((1, 1, 7, 2), np.float32), np.ones((1, 2), np.float32), [1, 1], [0] * 4))
        named(layers, "conv5")["weights"][0, 0] = np.ones((3, 3, 8, 5), np.float32)
        named(layers, "conv3")["weights"][0, 1][0, 2] = np.nan
        named(layers, "conv2")["weights"][0, 0][0, 0, 0, 0] = np.inf
        layers.insert(3, {"name": "bn1", "type": "bnorm", "weights": cell([np.ones((6, 1)), np.zeros((6, 1))])})

    said = refusal(drawn(SmallVggM()), changed(tmp_path, change))
    for line in (
        "missing: conv4.weight (8, 8, 3, 3)",
        "missing: conv4.bias (8,)",
        "unexpected: fc9.weight (2, 7, 1, 1)",
        "unexpected: fc9.bias (2,)",
        "unexpected: bn1, of type bnorm",
        "shape: conv5.weight (5, 8, 3, 3), in the tower (8, 8, 3, 3)",
        "not finite: conv3.bias",
        "not finite: conv2.weight",
    ):
        assert f"\n    {line}\n" in said + "\n", said


def test_a_long_list_is_cut_with_a_count(tmp_path: Path) -> None:
    path = str(fakes.write_simple(tmp_path / "v.mat", described(SmallVgg16()), mean_image()))
    said = refusal(drawn(SmallVggM()), path)
    lines = [line for line in said.splitlines() if line.startswith("    ")]
    # 10 of conv1 … conv5 missing, 26 of conv1_1 … conv5_3 unexpected, fc6, 2 norms, the windows of 3 pools
    assert len(lines) == 13 and lines[-1].strip() == f"… and {10 + 26 + 1 + 2 + 3 - 12} more"


def test_frames_of_another_size_are_said_to_be_the_reason(tmp_path: Path) -> None:
    path = str(fakes.write_simple(tmp_path / "m.mat", described(SmallVggM()), mean_image()))
    said = refusal(drawn(SmallVggM(size=64)), path)
    assert "shape: fc6.weight (9, 8, 2, 2), in the tower (9, 8, 1, 1)" in said and "data.sampling.crop=224" in said


@pytest.mark.parametrize("mean", [None, np.zeros((0, 0)), np.array([[0.0, 0.0]]), np.ones((4, 4, 2))])
def test_pixels_have_to_be_there(mean: Array | None, tmp_path: Path) -> None:
    path = str(fakes.write_simple(tmp_path / "m.mat", described(SmallVggM()), mean))
    assert "averageImage" in refusal(drawn(SmallVggM()), path)


def test_pixels_have_to_be_finite(tmp_path: Path) -> None:
    mean = mean_image()
    mean[0, 0, 1] = np.nan
    path = str(fakes.write_simple(tmp_path / "m.mat", described(SmallVggM()), mean))
    assert "mean of the pixels is" in refusal(drawn(SmallVggM()), path)


def test_a_dag_without_its_parameters_is_refused(tmp_path: Path) -> None:
    from scipy.io import loadmat, savemat

    path = fakes.write_dag(tmp_path / "d.mat", described(SmallVggM()), mean_image())
    net = loadmat(path)["net"]
    net["params"][0, 0] = net["params"][0, 0][:, 1:]  # written last to first: fc8's biases
    savemat(path, {"net": net})
    assert "missing: the parameter fc8b of fc8" in refusal(drawn(SmallVggM()), str(path))


# -- what is no such file


def test_version_7_3_is_said_to_be_that(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: x".ljust(512) + b"\x89HDF\r\n\x1a\n" + b"0" * 99
    )
    assert "version 7.3" in refusal(drawn(SmallVggM()), str(path))


def test_other_content_is_refused(tmp_path: Path) -> None:
    from scipy.io import savemat

    tower = drawn(SmallVggM())
    for content in ({"images": np.ones(3)}, {"net": np.ones(3)}, {"layers": np.ones(3)}, {"net": {"params": 1.0}}):
        savemat(tmp_path / "x.mat", content)
        assert "this file has no MatConvNet network" in refusal(tower, str(tmp_path / "x.mat"))
    savemat(tmp_path / "x.mat", {"layers": cell([1.0, "conv", {"type": "conv", "weights": "none"}])})
    assert "layer 1 is not a struct" in refusal(tower, str(tmp_path / "x.mat"))


def test_cut_files_and_garbage_are_refused(tmp_path: Path) -> None:
    tower, path = drawn(SmallVggM()), tmp_path / "x.mat"
    whole = {name: write(path, described(tower), mean_image()).read_bytes() for name, write in fakes.WRITERS.items()}
    for content in whole.values():
        for share in (0.01, 0.3, 0.6, 0.95, 0.999):
            path.write_bytes(content[: int(share * len(content))])
            refusal(tower, str(path))
    for seed in range(20):
        path.write_bytes(np.random.default_rng(seed).bytes(2000))
        assert "this MATLAB file is damaged" in refusal(tower, str(path))
    for broken in (b"\0", b"text, and no MATLAB", b"\0" * 1000, whole["old"][:128] + b"\xff" * 400):
        path.write_bytes(broken)
        refusal(tower, str(path))
