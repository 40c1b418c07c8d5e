"""RAFT against torchvision's own model, called by hand. Its accuracy needs its weights, which are not at hand here: the
networks below hold numbers that were drawn.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from torchvision.models import optical_flow

from fusionlab.errors import UserError
from fusionlab.video import raft_weights
from fusionlab.video.flow import RGB, fields
from fusionlab.video.raft import Raft


def drawn(model: str, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(optical_flow, f"raft_{model}")(weights=None).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("raft") / "mine.pth"
    torch.save(drawn("small").state_dict(), file)
    return file


def frames(count: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def by_hand(network: Any, a: NDArray[np.uint8], b: NDArray[np.uint8], updates: int) -> NDArray[np.float32]:
    """Edges repeated to multiples of 8 and 128 at least, torchvision's own transform, the last field of the list."""
    height, width = a.shape[:2]
    more = [max(128, side + -side % 8) - side for side in (height, width)]
    before = [extra // 2 for extra in more]
    around = [(start, extra - start) for start, extra in zip(before, more, strict=True)]
    padded = [torch.from_numpy(np.pad(one, (*around, (0, 0)), mode="edge")).permute(2, 0, 1)[None] for one in (a, b)]
    with torch.inference_mode():
        pair = optical_flow.Raft_Small_Weights.C_T_V2.transforms()(*padded)
        flow = network(*pair, num_flow_updates=updates)[-1][0]
    return np.asarray(flow[:, before[0] : before[0] + height, before[1] : before[1] + width])


@pytest.mark.parametrize("size", [(20, 37), (128, 128), (130, 141)])
def test_it_is_torchvision_s_model_on_the_padded_pair(weights: Path, size: tuple[int, int]) -> None:
    a, b = frames(2, *size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = by_hand(drawn("small"), a, b, 3)
    finally:
        torch.set_num_threads(threads)
    found = Raft(weights=str(weights), updates=3)(a, b)
    assert found.shape == (2, *size) and found.dtype == np.float32 and found.flags.c_contiguous
    assert np.abs(expected).max() > 0.1, "there is something to compare"
    np.testing.assert_allclose(found, expected, atol=1e-4)  # the layout in memory is another


def test_the_large_model_is_another(tmp_path: Path) -> None:
    torch.save(drawn("large").state_dict(), tmp_path / "large.pth")
    a, b = frames(2, 128, 128)
    found = Raft("large", str(tmp_path / "large.pth"), updates=1)(a, b)
    np.testing.assert_allclose(found, by_hand(drawn("large"), a, b, 1), atol=1e-3)


def test_it_reads_colour_pickles_and_carries_nothing(weights: Path) -> None:
    estimator = Raft(weights=str(weights), updates=2)
    clip = frames(3, 40, 48)
    assert estimator.reads == RGB
    assert len(pickle.dumps(estimator)) < 500, "words, and no network"
    first, second = fields(estimator, clip)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = pickle.loads(pickle.dumps(estimator))
        assert again == estimator
        np.testing.assert_array_equal(again(clip[0], clip[1]), first)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    (back, _) = fields(estimator, clip, backward=True)
    np.testing.assert_array_equal(back, estimator(clip[1], clip[0]))
    other = clip.copy()
    other[..., 0] = clip[..., 2]  # luma alone does not say it
    assert (next(fields(estimator, other)) != first).any() and (second != first).any()


def test_weights_that_change_under_their_name_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    a, b = frames(2, 30, 30)
    found = []
    for seed in (0, 1):
        torch.save(drawn("small", seed).state_dict(), file)
        os.utime(file, (seed, seed))
        estimator = Raft(weights=str(file), updates=1)
        found.append((estimator(a, b), estimator.describe()["weights_sha256"]))
    assert (found[0][0] != found[1][0]).any() and found[0][1] != found[1][1]


def test_it_describes_its_weights_and_libraries_and_not_where_they_lie(weights: Path, tmp_path: Path) -> None:
    described = Raft(weights=str(weights), updates=2).describe()
    assert described["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (described["torch"], described["torchvision"]) == (torch.__version__, torchvision.__version__)
    assert (described["method"], described["model"], described["updates"]) == ("raft", "small", 2)
    assert (described["device"] == "cpu") == (not torch.cuda.is_available())
    moved = tmp_path / "mine.pth"
    moved.write_bytes(weights.read_bytes())
    assert Raft(weights="mine.pth", updates=2).looking_in(tmp_path).describe() == described


def test_a_file_of_weights_is_looked_for_in_the_folder_then_here(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)
    estimator = Raft(weights="mine.pth", updates=1)
    estimator.expect()
    estimator.looking_in(tmp_path).expect()
    monkeypatch.chdir(tmp_path)
    estimator.looking_in(weights.parent).expect()
    with pytest.raises(UserError, match="weights not found") as told:
        estimator.looking_in(tmp_path / "none").expect()
    assert f"'{tmp_path / 'none' / 'mine.pth'}', 'mine.pth'" in str(told.value)
    Raft().looking_in(tmp_path).expect()  # torchvision's are got before work begins


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"weights": None}, "needs trained weights"), ({"weights": ""}, "needs trained weights"),
        ({"model": "medium"}, "unknown model"), ({"updates": 0}, "whole number"), ({"updates": True}, "whole number"),
    ],
)  # fmt: skip
def test_what_is_no_raft_is_refused_at_once(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Raft(**wrong)


class Code:
    """A pickle that would do something."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it_was_run",)


@pytest.mark.parametrize("content", ["code", "noise", "cut", "a list", "of the other model"])
def test_what_are_no_weights_is_told_and_never_run(
    content: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "w.pth"
    if content == "code":
        torch.save({"a": Code()}, file)
    elif content == "noise":
        file.write_bytes(b"no weights at all")
    elif content == "cut":
        file.write_bytes(weights.read_bytes()[:100_000])
    elif content == "a list":
        torch.save([torch.zeros(2)], file)
    else:
        torch.save(drawn("large").state_dict(), file)
    with pytest.raises(UserError, match="not weights of RAFT small") as refused:
        Raft(weights="w.pth")(*frames(2, 16, 16))
    assert "weights_only" not in str(refused.value), "torch's advice is to run it"
    assert not (tmp_path / "it_was_run").exists()


class Site:
    """In the place of torchvision's."""

    def __init__(self, weights: Path, works: bool = True) -> None:
        self.asked: list[str] = []
        self._weights, self._works = weights, works

    def __call__(self, url: str, file: str, digits: str, progress: bool) -> None:
        self.asked.append(f"{url} {digits}")
        if not self._works:
            raise urllib.error.URLError("no network here")
        Path(file).write_bytes(self._weights.read_bytes())


def test_torchvision_s_weights_are_got_once_and_this_is_said(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(weights)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", site)
    estimator = Raft(updates=1)
    described = estimator.describe()
    np.testing.assert_array_equal(
        estimator(*frames(2, 16, 16)), Raft(weights=str(weights), updates=1)(*frames(2, 16, 16))
    )
    (asked,) = site.asked
    assert asked.endswith("/raft_small_C_T_V2-01064c6d.pth 01064c6d")
    assert described["weights"] == "raft_small_C_T_V2-01064c6d.pth"
    assert capsys.readouterr().err.count("downloading torchvision's weights") == 1


def test_a_download_that_fails_teaches(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", Site(weights, works=False))
    with pytest.raises(UserError, match="the download failed") as told:
        Raft("large").describe()
    assert "no network here" in str(told.value) and str(tmp_path / "hub" / "checkpoints") in str(told.value)
    assert "raft_large_C_T_SKHT_V2-ff5fadd5.pth" in str(told.value)


@pytest.mark.parametrize("model", raft_weights.PUBLISHED)
def test_the_pinned_weights_are_torchvision_s_default(model: str) -> None:
    kinds: Any = {"small": optical_flow.Raft_Small_Weights, "large": optical_flow.Raft_Large_Weights}
    assert kinds[model].DEFAULT.name == raft_weights.PUBLISHED[model], "it moved on: decide, and note it"


def test_torch_is_imported_only_once_raft_works() -> None:
    program = (
        "import sys, pickle, numpy as np\n"
        "import fusionlab.preparation.pack\n"
        "from fusionlab.video.raft import Raft\n"
        "from fusionlab.video.flow import Dis\n"
        "pickle.loads(pickle.dumps(Raft(weights='x.pth').looking_in('there')))\n"
        "Dis()(np.zeros((48, 48), np.uint8), np.zeros((48, 48), np.uint8))\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
