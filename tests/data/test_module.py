import pickle
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import torch
from data_fakes import Drifting
from torch.utils.data import DataLoader

from fusionlab.data import clips
from fusionlab.data.batches import Clips, keep_batch
from fusionlab.data.module import TwoStreamData
from fusionlab.data.sampler import StepSampler
from fusionlab.data.validation import cut
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError
from fusionlab.video.quantise import mirror
from fusionlab.video.store import Store

SAMPLING = Sampling(snippets=3, fields=4, stride=(1, 3), crop=16)


def data(drifting: Drifting, store: Store, **changed: Any) -> TwoStreamData:
    sampling = {name: changed.pop(name) for name in vars(SAMPLING) if name in changed}
    made = TwoStreamData(
        drifting,
        store.folder,
        sampling=replace(SAMPLING, **sampling),
        **{"batch_size": 4, "validation": 0.25, **changed},
    )
    made.setup()
    return made


def epochs(of: TwoStreamData, steps: int, first: int = 0) -> Iterator[dict[str, torch.Tensor]]:
    """Batches from a step on, over the ends of epochs, as training asks for them."""
    step = first
    while step < steps:
        of.start_step = step
        for batch in of.train_dataloader():
            if step < steps:
                yield batch
            step += 1


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_shapes_and_types(drifting: Drifting, store: Store) -> None:
    batch = next(iter(data(drifting, store).train_dataloader()))
    assert batch["appearance"].shape == (4, 3, 3, 16, 16) and batch["appearance"].dtype == torch.uint8
    assert batch["motion"].shape == (4, 8, 3, 16, 16) and batch["motion"].dtype == torch.uint8
    assert batch["label"].shape == batch["index"].shape == (4,)
    assert batch["label"].dtype == batch["index"].dtype == torch.int64


@pytest.mark.parametrize("delay", [0, 2])
def test_each_sample_is_what_the_store_holds_at_its_view(drifting: Drifting, store: Store, delay: int) -> None:
    of = data(drifting, store, delay=delay).clips("train")
    keys = [(epoch, index) for epoch in range(2) for index in range(len(of))]
    batch = of.__getitems__(keys)
    flips = set()
    for row, key in enumerate(keys):
        name, label = of.entries[key[1]]
        view, frames = of.view(key), store.video(name).frames
        assert [int(batch["label"][row]), int(batch["index"][row])] == [label, key[1]]
        y, x, flip = view.crop.y, view.crop.x, view.crop.flip
        flips.add(flip)
        for snippet, centre in enumerate(view.centres):
            time = centre + delay if centre + delay < frames else centre - delay
            picture = store.all_frames(name)[time][y : y + 16, x : x + 16]
            picture = picture[:, ::-1] if flip else picture
            np.testing.assert_array_equal(batch["appearance"][row, :, snippet].numpy(), np.moveaxis(picture, 2, 0))
            for field, offset in enumerate((-2, -1, 0, 1)):  # L = 4
                at = int(np.clip(centre + offset, 0, frames - 2))
                flow = store.flow(name, at, 1)[0][:, y : y + 16, x : x + 16]
                flow = mirror(flow) if flip else flow
                np.testing.assert_array_equal(batch["motion"][row, 2 * field, snippet].numpy(), flow[0])
                np.testing.assert_array_equal(batch["motion"][row, 2 * field + 1, snippet].numpy(), flow[1])
    assert flips == {True, False}


def test_a_sample_does_not_depend_on_its_batch(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store).clips("train")
    keys = [(1, index) for index in range(8)]
    whole, other = of.__getitems__(keys), of.__getitems__(keys[::-1])
    for row, key in enumerate(keys):
        alone = of[key]
        for name in whole:
            assert torch.equal(whole[name][row], alone[name][0])
            assert torch.equal(whole[name][row], other[name][7 - row])


def test_a_stream_alone_is_the_same_as_in_company(drifting: Drifting, store: Store) -> None:
    both = list(epochs(data(drifting, store), 8))
    for stream, absent in (("appearance", "motion"), ("motion", "appearance")):
        alone = list(epochs(data(drifting, store, streams=stream), 8))
        for a, b in zip(alone, both, strict=True):
            assert absent not in a
            assert all(torch.equal(a[name], b[name]) for name in a)


def test_resuming_equals_the_tail_at_every_step(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store)
    steps = 2 * len(of.train_dataloader()) + 1
    whole = list(epochs(of, steps))
    for first in range(steps):
        rest = list(epochs(data(drifting, store), steps, first))
        assert len(rest) == steps - first
        assert all(same(a, b) for a, b in zip(rest, whole[first:], strict=True))


def test_views_change_with_epoch_and_seed(drifting: Drifting, store: Store) -> None:
    of, other = data(drifting, store).clips("train"), data(drifting, store, seed=1).clips("train")
    other.entries = of.entries
    keys = [(0, index) for index in range(10)]
    assert not same(of.__getitems__(keys), of.__getitems__([(1, index) for _, index in keys]))
    assert not same(of.__getitems__(keys), other.__getitems__(keys))


def test_test_batches_hold_each_view_of_each_video_once(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store)
    for which, loader in (("validation", of.val_dataloader()), ("test", of.test_dataloader())):
        batches = list(loader)
        index = torch.cat([batch["index"] for batch in batches]).tolist()
        entries = of.entries[which]  # type: ignore[index]
        assert index == [i for i in range(len(entries)) for _ in range(2)]
        assert torch.cat([b["label"] for b in batches]).tolist() == [entries[i][1] for i in index]
        appearance = torch.cat([batch["appearance"] for batch in batches])
        motion = torch.cat([batch["motion"] for batch in batches])
        assert torch.equal(appearance[1::2], appearance[0::2].flip(-1))
        assert torch.equal(motion[1::2, 1::2], motion[0::2, 1::2].flip(-1))  # v
        assert torch.equal(motion[1::2, 0::2], 255 - motion[0::2, 0::2].flip(-1))  # u


@pytest.mark.parametrize(("test", "snippets"), [("simonyan", 1), ("final", 3), ("frame", 3)])
def test_views_that_look_at_the_same_frames_read_them_once(
    test: str, snippets: int, drifting: Drifting, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of all views of two videos: ten crops, or a mirror image, are of one look, and equal what each reads."""
    of = data(drifting, store, test=test, snippets=snippets).clips("test")
    keys = [(view, index) for index in (0, 1) for view in range(of.how.views)]
    alone = [of[key] for key in keys]
    read: Counter[str] = Counter()
    for name in ("each_frame", "each_field"):
        real = getattr(Store, name)
        monkeypatch.setattr(Store, name, lambda *a, _n=name, _r=real: (read.update([_n]), _r(*a))[1])
    whole = of.__getitems__(keys)
    looks = sum(1 for _ in groupby(keys, key=lambda key: (key[1], of.view(key).centres.tolist())))
    assert read["each_frame"] == looks <= len(keys) / 2 and looks <= read["each_field"] <= looks * snippets
    for row, one in enumerate(alone):
        assert all(torch.equal(whole[name][row], one[name][0]) for name in whole)


def test_only_the_test_list_is_seen_by_the_protocol_of_the_test(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store, test="frame")
    assert [of.clips(which).how.test for which in ("train", "validation", "test")] == ["middle", "middle", "frame"]
    assert next(iter(of.val_dataloader()))["appearance"].shape[-2:] == (16, 16)
    assert next(iter(of.test_dataloader()))["appearance"].shape[-2:] == (20, 24)


@pytest.mark.parametrize(("seed", "validation"), [(0, 0.25), (3, 0.25), (0, 0.4)])
def test_the_validation_list_is_cut_by_the_seed_and_its_part(
    drifting: Drifting, store: Store, seed: int, validation: float
) -> None:
    of = data(drifting, store, seed=seed, validation=validation)
    train, test = drifting.lists(1)
    assert (of.entries["train"], of.entries["validation"]) == cut(train, drifting.group, seed, validation)
    assert of.entries["test"] == test


def test_lists_do_not_share_groups_and_the_test_list_is_untouched(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store)
    groups = [{drifting.group(name) for name, _ in of.entries[w]} for w in ("train", "validation", "test")]
    assert all(groups) and not groups[0] & groups[1] and not (groups[0] | groups[1]) & groups[2]
    assert of.entries["test"] == drifting.lists(1)[1]


def test_videos_shorter_than_a_window_are_padded(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store, fields=20, snippets=4).clips("train")
    batch = of.__getitems__([(0, index) for index in range(4)])
    assert batch["motion"].shape == (4, 40, 4, 16, 16)
    name, view = of.entries[0][0], of.view((0, 0))
    window = clips.window(int(view.centres[0]), store.video(name).frames, 20)
    assert window.front > 0 and window.back > 0
    assert torch.equal(batch["motion"][0, 0], batch["motion"][0, 2 * window.front])
    assert torch.equal(batch["motion"][0, -1], batch["motion"][0, -1 - 2 * window.back])


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_give_identical_batches(drifting: Drifting, store: Store, context: str) -> None:
    of = data(drifting, store)
    here = list(of.train_dataloader())  # maps are open before the fork
    again: Clips = pickle.loads(pickle.dumps(of.clips("train")))
    loader = DataLoader(
        again,
        batch_sampler=StepSampler(len(again), 4, 0),
        num_workers=2,
        collate_fn=keep_batch,
        multiprocessing_context=context,
    )
    assert all(same(a, b) for a, b in zip(loader, here, strict=True))


def test_the_modules_own_workers_give_identical_batches(drifting: Drifting, store: Store) -> None:
    here = list(data(drifting, store).test_dataloader())
    there = list(data(drifting, store, workers=1).test_dataloader())
    assert all(same(a, b) for a, b in zip(there, here, strict=True))


def test_its_training_loader_keeps_its_processes_and_begins_where_it_is_told(drifting: Drifting, store: Store) -> None:
    alone, here = data(drifting, store), data(drifting, store, workers=1)
    steps = len(alone.train_dataloader())
    assert steps > 2
    processes = set()
    for start in (0, steps, 2 * steps + 1):  # two epochs, and one that was interrupted behind its first step
        alone.start_step = here.start_step = start
        expected, loader = list(alone.train_dataloader()), here.train_dataloader()
        assert len(loader) == len(expected) == steps - start % steps
        assert all(same(a, b) for a, b in zip(loader, expected, strict=True))
        processes.add(tuple(worker.pid for worker in loader._iterator._workers))  # type: ignore[union-attr]
    assert len(processes) == 1


@pytest.mark.parametrize(
    "changed, what",
    [
        ({"streams": "motoin"}, "did you mean streams=motion"),
        ({"snippets": 0}, "data.sampling.snippets is a whole number"),
        ({"stride": (5, 2)}, "from low to high"),
        ({"batch_size": 0}, "at least one clip"),
    ],
)
def test_bad_numbers_are_told(drifting: Drifting, store: Store, changed: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError) as error:
        data(drifting, store, **changed)
    assert what in str(error.value)


def test_a_crop_that_is_too_large_is_told(drifting: Drifting, store: Store) -> None:
    with pytest.raises(UserError, match="larger than the video"):
        next(iter(data(drifting, store, crop=64).train_dataloader()))


def test_videos_that_are_not_in_the_store_are_told(drifting: Drifting, store: Store) -> None:
    more = Drifting(drifting.root, groups=7)
    with pytest.raises(UserError, match="not in the store"):
        data(more, store)


def test_what_is_quarantined_is_in_no_list_and_nothing_else_is_missing(drifting: Drifting, store: Store) -> None:
    lists = drifting.lists(1)
    left_out = {lists[0][0][0], lists[0][3][0], lists[1][1][0]}
    of, whole = data(drifting, store, quarantine=sorted(left_out)), data(drifting, store)
    for which in ("train", "validation", "test"):
        assert not left_out & {name for name, _ in of.entries[which]}
    assert of.entries["test"] == [entry for entry in lists[1] if entry[0] not in left_out]
    kept = [*of.entries["train"], *of.entries["validation"]]
    assert sorted(kept) == sorted(entry for entry in lists[0] if entry[0] not in left_out)
    assert len(kept) == len([*whole.entries["train"], *whole.entries["validation"]]) - 2


@pytest.mark.parametrize("which", [0, 1])
def test_a_quarantine_that_takes_a_whole_class_away_is_told(drifting: Drifting, store: Store, which: int) -> None:
    gone = [name for name, label in drifting.lists(1)[which] if label == 1]
    with pytest.raises(UserError, match=f"without a video in the {('training', 'test')[which]} list") as error:
        data(drifting, store, quarantine=gone)
    assert "Jump" in str(error.value) and "Hop" not in str(error.value)
    data(drifting, store, quarantine=gone[1:])


def test_a_quarantine_of_what_no_list_has_is_told(drifting: Drifting, store: Store) -> None:
    with pytest.raises(UserError, match="in no list") as error:
        data(drifting, store, quarantine=["Hop/v_Hop_g01_c09.avi"])
    assert "did you mean Hop/v_Hop_g01_c0" in str(error.value)


def test_what_the_store_lacks_may_be_quarantined_and_else_is_told_with_that_advice(
    drifting: Drifting, store: Store
) -> None:
    more = Drifting(drifting.root, groups=7)
    absent = sorted({name for name, _ in more.videos()} - set(store.videos))
    with pytest.raises(UserError, match="not in the store") as error:
        data(more, store, quarantine=absent[1:])
    assert f"1 of {len(more.videos()) - len(absent) + 1}: {absent[0]}" in str(error.value)
    assert "data.quarantine=FILE" in str(error.value)
    data(more, store, quarantine=absent)


@pytest.mark.parametrize(("test", "views"), [("middle", 2), ("frame", 2), ("final", 20)])
def test_the_test_has_its_own_views_and_validation_the_middle(
    drifting: Drifting, store: Store, test: str, views: int
) -> None:
    of = data(drifting, store, test=test)
    counted = Counter(index for batch in of.test_dataloader() for index in batch["index"].tolist())
    assert counted == dict.fromkeys(range(12), views)
    shape = (16, 16) if test == "middle" else (20, 24)
    assert {tuple(batch["appearance"].shape[3:]) for batch in of.test_dataloader()} == {shape}
    validated = Counter(index for batch in of.val_dataloader() for index in batch["index"].tolist())
    assert validated == dict.fromkeys(range(len(of.entries["validation"])), 2)
    assert {tuple(batch["appearance"].shape[3:]) for batch in of.val_dataloader()} == {(16, 16)}


def test_clips_of_each_class_are_counted_on_the_training_list_alone(drifting: Drifting, store: Store) -> None:
    made = data(drifting, store)
    labels = [label for _, label in made.entries["train"]]
    assert made.class_counts() == [labels.count(number) for number in range(len(drifting.classes))]
    assert sum(made.class_counts()) == len(made.clips("train")) < len(drifting.lists(1)[0])
