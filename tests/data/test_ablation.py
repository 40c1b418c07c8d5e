"""Test clips with one stream taken away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from data_fakes import Drifting

from fusionlab.backbones.tiny import Tiny
from fusionlab.data.ablation import Ablated, Ablation, fit
from fusionlab.data.batches import Clips
from fusionlab.data.module import TwoStreamData
from fusionlab.data.stacking import Fields
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError
from fusionlab.preparation.prepare import prepare
from fusionlab.records.other_tests import ABLATIONS
from fusionlab.temporal.pool2d import Pool2d
from fusionlab.training.evaluate import evaluate
from fusionlab.two_stream.control import ControlNet
from fusionlab.two_stream.net import StreamNet
from fusionlab.two_stream.trunk import Trunk
from fusionlab.video.flow import Dis
from fusionlab.video.store import Store

SAMPLING = Sampling(snippets=3, fields=2, stride=(1, 2), crop=16)


def data(drifting: Drifting, store: Store, ablate: str | None = None, **how: Any) -> TwoStreamData:
    given = {name: how.pop(name) for name in list(how) if hasattr(SAMPLING, name)}
    ablation = None if ablate is None else Ablation.parse(ablate)
    made = TwoStreamData(
        drifting,
        store.folder,
        sampling=replace(SAMPLING, **given),
        batch_size=4,
        validation=0.25,
        ablate=ablation,
        **how,
    )
    made.setup()
    return made


def every(loader: Any) -> dict[str, torch.Tensor]:
    batches = list(loader)
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("text", ABLATIONS)
def test_the_other_stream_and_the_labels_stay(drifting: Drifting, store: Store, text: str) -> None:
    plain, taken = (every(data(drifting, store, one).test_dataloader()) for one in (None, text))
    stream = text.partition(":")[0]
    for name in plain:
        same = plain[name].shape == taken[name].shape and bool((plain[name] == taken[name]).all())
        assert same == (name != stream), name


@pytest.mark.parametrize("text", ABLATIONS)
def test_training_and_validation_keep_both_streams(drifting: Drifting, store: Store, text: str) -> None:
    for loader in ("train_dataloader", "val_dataloader"):
        plain, taken = (every(getattr(data(drifting, store, one), loader)()) for one in (None, text))
        assert all(torch.equal(plain[name], taken[name]) for name in plain)
    plain, taken = (every(data(drifting, store, one).views("train")) for one in (None, text))
    assert all(torch.equal(plain[name], taken[name]) for name in plain)


@pytest.mark.parametrize("stream", ["appearance", "motion"])
def test_the_mean_input_is_zero_in_every_tower(drifting: Drifting, store: Store, stream: str) -> None:
    channels = 3 if stream == "appearance" else 4
    batch = every(data(drifting, store, f"{stream}:mean", workers=1).test_dataloader())
    for mean in (127.5, [100.5 + channel / 3 for channel in range(channels)]):  # neither is a byte
        tower = Tiny(channels, 3, size=16)
        tower.set_pixels(mean, 58.0)
        maps = Trunk(**{stream: tower}).features(batch, {stream: ("input",)})
        seen = maps[stream]["input"]  # type: ignore[index]
        assert seen.shape[1] == channels and not seen.any()


def test_frozen_frames_are_those_of_the_first_snippet(drifting: Drifting, store: Store) -> None:
    plain, taken = (every(data(drifting, store, one).test_dataloader()) for one in (None, "appearance:freeze"))
    for snippet in range(3):
        assert torch.equal(taken["appearance"][:, :, snippet], plain["appearance"][:, :, 0])


@pytest.mark.parametrize("fields", [1, 4])
def test_frozen_flow_is_the_field_at_the_first_centre(drifting: Drifting, store: Store, fields: int) -> None:
    """Against a field of the store, cut by hand."""
    made = data(drifting, store, "motion:freeze", fields=fields)
    clips = made.clips("test")
    for key in [(0, 0), (0, 5), (1, 3)]:
        view, seen = clips.view(key), clips[key]["motion"][0].numpy()
        name, centre = made.entries["test"][key[1]][0], int(clips.view(key).centres[0])
        (field,) = store.each_field(name, centre, 1)
        u, v = (np.array(part[view.crop.y :, view.crop.x :][:16, :16]) for part in field)
        if view.crop.flip:
            u, v = 255 - u[:, ::-1], v[:, ::-1]
        assert seen.shape == (2 * fields, 3, 16, 16)
        for snippet in range(3):
            for place in range(fields):
                assert (seen[2 * place, snippet] == u).all() and (seen[2 * place + 1, snippet] == v).all()


def test_of_both_directions_each_is_repeated(drifting: Drifting, tmp_path: Any) -> None:
    folder = prepare(drifting, tmp_path, Dis(), recipe={"data": "both"}, bound=8, backward=True, say=lambda _: None)
    store, name = Store.open(folder), drifting.lists(1)[1][0][0]
    made = list(Fields(store, name).frozen(3, 4, "bidirectional"))
    (forward,), (backward,) = store.each_field(name, 3, 1), store.each_field(name, 2, 1, True)
    for one, other in zip(made, [forward, forward, backward, backward], strict=True):
        assert (one == other).all()


def test_a_clip_of_one_snippet_cannot_be_frozen(drifting: Drifting, store: Store) -> None:
    with pytest.raises(UserError, match="no effect: a clip has one frame"):
        data(drifting, store, "appearance:freeze", snippets=1)
    with pytest.raises(UserError, match="no effect: a clip has one field"):
        data(drifting, store, "motion:freeze", snippets=1, fields=1)
    data(drifting, store, "motion:freeze", snippets=1)
    data(drifting, store, "appearance:freeze", snippets=1, test="video")


@pytest.mark.parametrize("stream", ["appearance", "motion"])
def test_a_shuffle_shows_each_clip_once_at_another_place(drifting: Drifting, store: Store, stream: str) -> None:
    plain, taken = (every(data(drifting, store, one).test_dataloader()) for one in (None, f"{stream}:shuffle"))
    count = len(drifting.lists(1)[1])
    others = Ablated(Ablation(stream, "shuffle"), count, 0).others
    assert sorted(others) == list(range(count)) and all(other != own for own, other in enumerate(others))
    rows = {key: row for row, key in enumerate((int(i), n % 2) for n, i in enumerate(plain["index"]))}
    for (index, view), row in rows.items():
        assert torch.equal(taken[stream][row], plain[stream][rows[others[index], view]])


def test_a_shuffle_is_a_function_of_seed_and_stream_and_of_no_label(drifting: Drifting, store: Store) -> None:
    motion = Ablation("motion", "shuffle")
    assert Ablated(motion, 30, 1).others == Ablated(motion, 30, 1).others
    drawn = [Ablated(one, 30, seed).others for one in (motion, Ablation("appearance", "shuffle")) for seed in (0, 1)]
    assert len({tuple(one) for one in drawn}) == 4
    made = data(drifting, store, "motion:shuffle")
    clips = made.clips("test")
    turned = Clips(
        store, [(name, 2 - label) for name, label in clips.entries], clips.how, clips.streams, None, None, clips.ablated
    )
    for index in range(len(clips)):
        assert torch.equal(clips[(0, index)]["motion"], turned[(0, index)]["motion"])


def test_any_other_test_clip_is_as_likely() -> None:
    drawn = Counter(tuple(Ablated(Ablation("motion", "shuffle"), 4, seed).others) for seed in range(900))
    assert len(drawn) == 9 and min(drawn.values()) > 60


@pytest.mark.parametrize("test", ["frame", "video"])
def test_a_clip_of_another_shape_is_fitted(drifting: Drifting, store: Store, test: str) -> None:
    made = data(drifting, store, "motion:shuffle", test=test)
    own, others = made.clips("test"), Ablated(Ablation("motion", "shuffle"), 12, 0).others
    plain = data(drifting, store, test=test).clips("test")
    lengths = set()
    for index in range(len(own)):
        seen, lent = own[(0, index)]["motion"], plain[(0, others[index])]["motion"]
        frames = plain[(0, index)]["appearance"].shape[2]
        lengths.add(frames)
        assert seen.shape[2] == frames
        for time in range(frames):
            assert torch.equal(seen[:, :, time], lent[:, :, min(time, lent.shape[2] - 1)])
    assert len(lengths) == (1 if test == "frame" else 5)


def test_pixels_are_fitted_by_their_last_snippet_and_resized() -> None:
    pixels = np.arange(2 * 2 * 3 * 4, dtype=np.uint8).reshape(2, 2, 3, 4)
    longer = np.empty((2, 4, 3, 4), np.uint8)
    fit(pixels, longer)
    assert (longer == pixels[:, [0, 1, 1, 1]]).all()
    larger = np.empty((2, 1, 6, 8), np.uint8)
    fit(np.full((2, 2, 3, 4), 9, np.uint8), larger)
    assert (larger == 9).all()


@pytest.mark.parametrize("how", ["mean", "freeze", "shuffle"])
def test_a_net_that_ignores_a_stream_does_not_miss_it(drifting: Drifting, store: Store, how: str) -> None:
    towers = Tiny(3, 3, size=16), Tiny(4, 3, size=16)
    alone, control = StreamNet(towers[0], "appearance", seed=0), ControlNet(*towers, Pool2d, "relu5")
    plain, taken = (data(drifting, store, one) for one in (None, f"motion:{how}"))
    for net, trunk, name in ((alone, Trunk(), "net"), (control, Trunk(*towers), "net/appearance")):
        seen, missed = (evaluate(trunk, {"net": net}, one.test_dataloader()) for one in (plain, taken))
        assert torch.equal(seen.of[name], missed.of[name]) and len(seen.of[name].unique()) > 3
    assert not torch.equal(seen.of["net"], missed.of["net"])


def test_a_net_of_the_stream_misses_it(drifting: Drifting, store: Store) -> None:
    nets = {"motion": StreamNet(Tiny(4, 3, size=16), "motion", seed=0)}
    plain, taken = (data(drifting, store, one) for one in (None, "motion:shuffle"))
    seen, missed = (evaluate(Trunk(), nets, one.test_dataloader()) for one in (plain, taken))
    others = taken.clips("test").ablated
    assert others is not None
    assert torch.allclose(missed.of["motion"], seen.of["motion"][others.others], atol=1e-6)
    assert not torch.allclose(missed.of["motion"], seen.of["motion"])


@pytest.mark.parametrize("workers", [0, 1])
def test_the_other_lists_have_the_views_of_the_test(drifting: Drifting, store: Store, workers: int) -> None:
    made = data(drifting, store, test="final", workers=workers, pairs="class")
    for which in ("train", "validation", "test"):
        seen = every(made.views(which))  # type: ignore[arg-type]
        entries = made.entries[which]  # type: ignore[index]
        assert Counter(seen["index"].tolist()) == dict.fromkeys(range(len(entries)), 20)
        assert seen["label"].tolist() == [entries[index][1] for index in seen["index"].tolist()]
        assert seen["appearance"].shape[3:] == (20, 24)  # whole frames
    own = Clips(store, made.entries["train"], made.sampling, made.streams, None)
    again = every(made.views("train"))
    row = int((again["index"] == 3).nonzero()[7])
    assert torch.equal(again["motion"][row], own[(7, 3)]["motion"][0])


@pytest.mark.parametrize("typed", ABLATIONS)
def test_an_ablation_is_read_as_it_is_typed(typed: str) -> None:
    assert str(Ablation.parse(typed)) == typed


def test_one_test_video_has_no_other_one() -> None:
    with pytest.raises(UserError, match="two test videos"):
        Ablated(Ablation("motion", "shuffle"), 1, 0)
