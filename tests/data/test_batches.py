"""Batches of every kind of clip, from real stores: with flow that backward flow, and with videos of unequal sizes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_fakes import Drifting
from torch.utils.data import DataLoader

from fusionlab.data.batches import keep_batch
from fusionlab.data.module import TwoStreamData
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError
from fusionlab.preparation.prepare import prepare
from fusionlab.video.flow import Dis
from fusionlab.video.store import Store

SAMPLING = Sampling(snippets=3, fields=4, stride=(1, 3), crop=16)


def data(dataset: Drifting, store: Store, **changed: Any) -> TwoStreamData:
    sampling = {name: changed.pop(name) for name in vars(SAMPLING) if name in changed}
    made = TwoStreamData(
        dataset,
        store.folder,
        sampling=replace(SAMPLING, **sampling),
        **{"batch_size": 4, "validation": 0.25, **changed},
    )
    made.setup()
    return made


def packed(dataset: Drifting, folder: Path) -> Store:
    return Store.open(
        prepare(dataset, folder, Dis(), recipe={"data": "back"}, bound=8, backward=True, say=lambda _: None)
    )


@pytest.fixture(scope="module")
def both_ways(drifting: Drifting, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return packed(drifting, tmp_path_factory.mktemp("both ways"))


@pytest.fixture(scope="module")
def unequal(tmp_path_factory: pytest.TempPathFactory) -> Drifting:
    """Every third video lies down, and is larger."""
    one = Drifting(tmp_path_factory.mktemp("unequal"))
    one.make(one.root)
    other = Drifting(tmp_path_factory.mktemp("larger"), side=(24, 32))
    other.make(other.root)
    for name, _ in one.videos()[::3]:
        shutil.copy(other.path(name), one.path(name))
    return one


@pytest.fixture(scope="module")
def unequal_store(unequal: Drifting, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return packed(unequal, tmp_path_factory.mktemp("unequal store"))


KINDS = [
    {"crops": "jitter"},
    {"crops": "jitter_released", "subtract_mean": True},
    {"crops": "corners", "stacking": "trajectory"},
    {"stacking": "bidirectional"},
    {"stacking": "trajectory", "subtract_mean": True, "test": "frame"},
    {"test": "final"},
    {"crops": "jitter", "test": "simonyan", "snippets": 1},
    {"times": "segments", "test": "final"},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: ",".join(map(str, kind.values())))
def test_every_kind_of_clip_is_a_function_of_its_key_alone(drifting: Drifting, both_ways: Store, kind: Any) -> None:
    of = data(drifting, both_ways, **kind)
    for which in ("train", "test"):
        clips = of.clips(which)
        keys = [(number, index) for index in range(4) for number in (0, 1)]
        whole, back = clips.__getitems__(keys), clips.__getitems__(keys[::-1])
        for row, key in enumerate(keys):
            alone = clips[key]
            for name in whole:
                assert torch.equal(whole[name][row], alone[name][0])
                assert torch.equal(whole[name][row], back[name][7 - row])
    for stream in ("appearance", "motion"):
        alone = data(drifting, both_ways, **kind, streams=stream).clips("train").__getitems__(keys)
        assert torch.equal(alone[stream], of.clips("train").__getitems__(keys)[stream])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_every_kind_of_clip_is_the_same_in_a_worker(drifting: Drifting, both_ways: Store) -> None:
    for kind in KINDS:
        of = data(drifting, both_ways, **kind, batch_size=6)
        for here in (of.train_dataloader(), of.test_dataloader()):
            there = DataLoader(
                here.dataset,
                batch_sampler=list(here.batch_sampler)[:4],
                num_workers=1,
                collate_fn=keep_batch,
                multiprocessing_context="fork",  # OpenCV has worked in this process already
            )
            for a, b in zip(there, here, strict=False):
                assert all(torch.equal(a[name], b[name]) for name in a)


def test_knobs_change_what_they_name_and_nothing_else(drifting: Drifting, both_ways: Store) -> None:
    keys = [(0, index) for index in range(12)]
    plain = data(drifting, both_ways).clips("train").__getitems__(keys)
    for kind in ({"stacking": "bidirectional"}, {"stacking": "trajectory"}, {"subtract_mean": True}):
        other = data(drifting, both_ways, **kind).clips("train").__getitems__(keys)
        assert torch.equal(other["appearance"], plain["appearance"])
        assert not torch.equal(other["motion"], plain["motion"])
    for crops in ("jitter", "jitter_released", "corners"):
        other = data(drifting, both_ways, crops=crops).clips("train").__getitems__(keys)
        assert other["appearance"].shape == plain["appearance"].shape
        assert not torch.equal(other["appearance"], plain["appearance"])
    ahead = data(drifting, both_ways, stacking="bidirectional").clips("train").__getitems__(keys)
    assert torch.equal(ahead["motion"][:, :4], plain["motion"][:, 4:]), "what comes is the later half of the window"


def test_backward_fields_are_the_store_s(drifting: Drifting, both_ways: Store) -> None:
    of = data(drifting, both_ways, stacking="bidirectional").clips("test")
    batch, (name, _), view = of.__getitems__([(0, 0)]), of.entries[0], of.view((0, 0))
    for snippet, centre in enumerate(map(int, view.centres)):
        for k in range(2):
            field = both_ways.flow(name, centre - 1 - k, 1, backward=True)[0]
            found = batch["motion"][0, 4 + 2 * k : 6 + 2 * k, snippet].numpy()
            np.testing.assert_array_equal(found, view.crop.cut(field.transpose(1, 2, 0)).transpose(2, 0, 1))


def test_whole_frames_of_one_size_share_a_batch(unequal: Drifting, unequal_store: Store) -> None:
    of = data(unequal, unequal_store, test="frame", batch_size=3)
    assert set(of.test_shapes()) == {(3, 20, 24), (3, 24, 32)}
    seen: list[tuple[int, tuple[int, ...]]] = []
    for batch in of.test_dataloader():
        assert batch["appearance"].shape[3:] == batch["motion"].shape[3:]
        assert len(batch["index"]) <= 3
        seen += [(int(index), tuple(batch["appearance"].shape[3:])) for index in batch["index"]]
    for index, size in seen:
        video = unequal_store.video(of.entries["test"][index][0])
        assert size == (video.height, video.width)
    assert sorted(index for index, _ in seen) == [index for index in range(len(of.entries["test"])) for _ in range(2)]
    name, first = of.entries["test"][0][0], next(iter(of.test_dataloader()))
    centres = of.clips("test").view((0, 0)).centres
    expected = unequal_store.frames(name, centres).transpose(3, 0, 1, 2)
    np.testing.assert_array_equal(first["appearance"][0].numpy(), expected)
    np.testing.assert_array_equal(first["appearance"][1].numpy(), expected[..., ::-1])


@pytest.mark.parametrize("fields", [1, 4])
def test_whole_videos_of_one_length_share_a_batch(drifting: Drifting, both_ways: Store, fields: int) -> None:
    """9 to 13 frames; 12 frames in a batch of training."""
    of = data(drifting, both_ways, test="video", batch_size=4, fields=fields)
    tests = [both_ways.video(name).frames for name, _ in of.entries["test"]]
    lengths = [frames - fields for frames in tests]
    assert {length for length, _, _ in of.test_shapes()} == set(lengths) and len(set(lengths)) > 2
    seen: list[int] = []
    for batch in of.test_dataloader():
        count, _, length, *size = batch["appearance"].shape
        assert batch["motion"].shape == (count, 2 * fields, length, *size) and size == [16, 16]
        assert count == 1 or count * length <= 4 * 3
        for row, index in enumerate(batch["index"].tolist()):
            assert length == lengths[index]
            alone = of.clips("test")[0, index]
            assert all(torch.equal(alone[name][0], batch[name][row]) for name in ("appearance", "motion"))
            frames = both_ways.frames(of.entries["test"][index][0], range(fields // 2, fields // 2 + length))
            np.testing.assert_array_equal(batch["appearance"][row], frames[:, 2:18, 4:20].transpose(3, 0, 1, 2))
        seen += batch["index"].tolist()
    assert sorted(seen) == list(range(len(tests))), "each video once"


def test_training_and_validation_are_squares_whatever_the_test(unequal: Drifting, unequal_store: Store) -> None:
    plain = data(unequal, unequal_store, test="middle")
    for test in ("frame", "final", "simonyan", "video"):
        of = data(unequal, unequal_store, test=test)
        for mine, theirs in ((of.train_dataloader(), plain.train_dataloader()),
                             (of.val_dataloader(), plain.val_dataloader())):  # fmt: skip
            for a, b in zip(mine, theirs, strict=True):
                assert all(torch.equal(a[name], b[name]) for name in a)


def test_flow_that_leads_back_has_to_be_there(drifting: Drifting, store: Store) -> None:
    with pytest.raises(UserError, match="backward flow") as refused:
        data(drifting, store, stacking="bidirectional")
    assert "data.store.backward=true" in str(refused.value)
    data(drifting, store, stacking="bidirectional", streams="appearance")  # needs none


def test_a_frame_that_is_too_small_to_be_looked_at_as_a_whole_is_told_before_training(
    unequal: Drifting, unequal_store: Store
) -> None:
    with pytest.raises(UserError, match="no whole frame") as refused:
        data(unequal, unequal_store, crop=22, crops="jitter", test="frame")
    assert "video 24×20" in str(refused.value)
    data(unequal, unequal_store, crop=22, crops="jitter")
