"""Which views there are, and that both streams are looked at alike."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from store_fakes import noise, places

from fusionlab.data import clips, crops, stacking
from fusionlab.data.views import (
    TESTS,
    Sampling,
    Seen,
    View,
    later,
    write_flow,
    write_frames,
)
from fusionlab.data.views import (
    testing_view as view_of_test,
)
from fusionlab.data.views import (
    training_view as view_of_training,
)
from fusionlab.errors import UserError

PAPER = Sampling(5, 10, (5, 15), 224)


def views(frames: int, how: Sampling, height: int = 256, width: int = 342) -> list[View]:
    return [view_of_test(frames, height, width, how, number) for number in range(how.views)]


def look(view: View) -> tuple[Any, ...]:
    return (*map(int, view.centres), view.crop)


PAIRED = [test for test in TESTS if test != "video"]


@pytest.mark.parametrize("test", PAIRED)
def test_views_come_in_pairs_of_mirror_images(test: str) -> None:
    found = views(251, replace(PAPER, test=test))
    assert len(found) == {"middle": 2, "frame": 2, "final": 20, "simonyan": 250}[test]
    assert len({look(view) for view in found}) == len(found), "each is another one"
    for plain, mirrored in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_array_equal(plain.centres, mirrored.centres)
        assert not plain.crop.flip and mirrored.crop == replace(plain.crop, flip=True)


@pytest.mark.parametrize("snippets", [1, 5])
def test_250_views_are_25_times_10(snippets: int) -> None:
    found = views(251, Sampling(snippets, 10, (5, 15), 224, test="simonyan"))
    times = [tuple(map(int, view.centres)) for view in found]
    corners = {(0, 0), (0, 342 - 224), (256 - 224, 0), (256 - 224, 342 - 224), (16, 59)}
    assert len(set(times)) == 25
    for time in set(times):
        at = [view.crop for view, one in zip(found, times, strict=True) if one == time]
        assert {(c.y, c.x, c.flip) for c in at} == {(y, x, flip) for y, x in corners for flip in (False, True)}
        assert len(at) == 10 and all(c.shape == (224, 224) == (c.height, c.width) for c in at)
    starts = sorted({time[0] for time in times})
    first, last = clips.valid_centres(251, 10)
    assert starts[0] == first and starts[-1] + (snippets - 1) * 5 == last
    if snippets == 1:  # exactly the paper's
        assert starts == list(clips.even(251, 25, 10))
    else:
        assert all(np.diff(time).tolist() == [5] * 4 for time in times), "the smallest τ"


def test_20_views_are_10_clips_of_whole_frames_and_their_mirror_images() -> None:
    found = views(251, replace(PAPER, test="final"))
    assert {view.crop for view in found} == {crops.Crop(0, 0, 256, 342), crops.Crop(0, 0, 256, 342, True)}
    starts = [int(view.centres[0]) for view in found[::2]]
    assert starts[0] == 5 and starts[-1] == 245 - 4 * 15 and len(set(starts)) == 10
    assert all(np.diff(view.centres).tolist() == [15] * 4 for view in found), "the largest τ"


def test_the_whole_frame_is_looked_at_when_the_middle_square_is() -> None:
    middle, frame = (views(251, replace(PAPER, test=test)) for test in ("middle", "frame"))
    for a, b in zip(middle, frame, strict=True):
        np.testing.assert_array_equal(a.centres, b.centres)
        assert a.crop == crops.centre(256, 342, 224, a.crop.flip)
        assert b.crop == crops.Crop(0, 0, 256, 342, a.crop.flip)


@pytest.mark.parametrize("test", PAIRED)
@pytest.mark.parametrize("frames", [2, 5, 11, 13])
def test_short_videos_are_looked_at_as_often(test: str, frames: int) -> None:
    """13 frames at L = 10, T = 5, τ = 15 have three places; fewer have one, and a window that is padded."""
    found = views(frames, replace(PAPER, test=test))
    assert len(found) == TESTS[test]
    for view in found:
        expected = [5, 5, 6, 7, 7] if frames == 13 else [clips.valid_centres(frames, 10)[0]] * 5
        assert sorted(view.centres) == list(view.centres)
        if test not in ("middle", "frame"):
            assert list(view.centres) == expected
        for centre in view.centres:
            assert len(clips.window(int(centre), frames, 10).places) == 10


@pytest.mark.parametrize("fields", [1, 4])
@pytest.mark.parametrize("stride", [1, (2, 5)])
def test_a_whole_video_is_one_view_with_the_flow_around_each_frame(fields: int, stride: Any) -> None:
    """T follows from the video. Frames and fields are read one by one from their places."""
    known = noise(frames=17, height=20, width=30)
    how = Sampling(3, fields, stride, 12, test="video")
    assert how.views == 1 and not how.one_shape
    with pytest.raises(AssertionError):
        view_of_test(17, 20, 30, how, 1)
    view = view_of_test(17, 20, 30, how, 0)
    tau, half = how.strides[0], fields // 2
    centres = [t for t in range(17) if t >= half and t + fields - half <= 16 and (t - half) % tau == 0]
    assert view.centres.tolist() == centres and view.shape == (len(centres), 12, 12)
    assert view.crop == crops.centre(20, 30, 12, False) and not view.crop.flip
    frames, flow = np.empty((3, *view.shape), np.uint8), np.empty((2 * fields, *view.shape), np.uint8)
    write_frames(Seen(known.store, "", view.centres), view, frames)
    write_flow(Seen(known.store, "", view.centres), view, how, flow)
    for place, t in enumerate(centres):
        np.testing.assert_array_equal(frames[:, place], known.pixels[t, 4:16, 9:21].transpose(2, 0, 1))
        for k in range(fields):
            field = known.fields[False][t - half + k]
            np.testing.assert_array_equal(flow[2 * k : 2 * k + 2, place], field[:, 4:16, 9:21])


@pytest.mark.parametrize("frames", [2, 5, 11, 13])
def test_a_short_video_as_a_whole_is_its_middle_or_the_few_frames_that_it_has(frames: int) -> None:
    (view,) = views(frames, replace(PAPER, test="video", stride=1))
    first, last = clips.valid_centres(frames, 10)
    assert view.centres.tolist() == list(range(first, last + 1)) and len(view.centres) == max(1, frames - 10)


def test_snippets_in_segments_are_drawn_and_nothing_else_changes() -> None:
    how = replace(PAPER, times="segments")
    found = [view_of_training(251, 256, 342, how, 3, 1, index) for index in range(40)]
    for index, view in enumerate(found):
        for k, centre in enumerate(view.centres):  # 241 places from 5 on, in five segments of 48.2
            assert 5 + int(48.2 * k) <= centre < 5 + 48.2 * (k + 1)
        assert look(view) == look(view_of_training(251, 256, 342, how, 3, 1, index))
        assert look(view) == look(view_of_training(251, 256, 342, replace(how, stride=2), 3, 1, index)), "no τ"
    assert len({look(view) for view in found}) == 40
    again = [look(view_of_training(251, 256, 342, how, *key, 0)) for key in ((3, 1), (3, 2), (4, 1))]
    assert len(set(again)) == 3, "another epoch and another seed are other draws"


@pytest.mark.parametrize(("test", "clips_of_it"), [("middle", 1), ("frame", 1), ("final", 10), ("simonyan", 25)])
@pytest.mark.parametrize("snippets", [1, 3])
def test_the_clips_of_a_test_divide_each_segment(test: str, clips_of_it: int, snippets: int) -> None:
    """Clip n of N has its snippets (2n + 1) / 2N of the way through each segment; one alone in the middle."""
    how = Sampling(snippets, 10, (5, 15), 224, times="segments", test=test)
    times = list(dict.fromkeys(tuple(map(int, view.centres)) for view in views(251, how)))
    length, expected = Fraction(241, snippets), []
    for n in range(clips_of_it):
        way = Fraction(2 * n + 1, 2 * clips_of_it)
        expected.append(tuple(5 + floor((k + way) * length) for k in range(snippets)))
    assert times == expected
    of_other = [view.centres.tolist() for view in views(251, replace(how, stride=1))]
    assert of_other == [view.centres.tolist() for view in views(251, how)], "τ has no effect"


@pytest.mark.parametrize("kind", crops.DRAWN)
def test_a_training_view_draws_times_first_whatever_the_crop(kind: str) -> None:
    how = replace(PAPER, crops=kind)
    found = [view_of_training(251, 256, 342, how, 3, 1, index) for index in range(20)]
    plain = [view_of_training(251, 256, 342, PAPER, 3, 1, index) for index in range(20)]
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one.centres, other.centres)
    assert len({view.crop for view in found}) > 15
    again = [view_of_training(251, 256, 342, how, 3, 1, index) for index in range(20)]
    assert list(map(look, again)) == list(map(look, found))


@pytest.mark.parametrize("kind", crops.DRAWN)
@pytest.mark.parametrize("stack", ["plain", "bidirectional"])
def test_frames_and_flow_show_the_same_pixels(kind: str, stack: str) -> None:
    """Red says when, green and blue where; v and u the same where: cut, resized and mirrored, they still agree."""
    known, flips = places(), set()
    how = Sampling(3, 4, (1, 2), 24, crops=kind, stacking=stack)
    for index in range(40):
        view = view_of_training(12, 40, 60, how, 0, 0, index)
        flips.add(view.crop.flip)
        picture, motion = np.empty((3, 3, 24, 24), np.uint8), np.empty((8, 3, 24, 24), np.uint8)
        write_frames(Seen(known.store, "", view.centres), view, picture)
        write_flow(Seen(known.store, "", view.centres), view, how, motion)
        assert (picture[0] == view.centres[:, None, None]).all()
        u = ~motion[0::2] if view.crop.flip else motion[0::2]
        np.testing.assert_array_equal(u, np.broadcast_to(picture[2], u.shape))
        np.testing.assert_array_equal(motion[1::2], np.broadcast_to(picture[1], u.shape))
        columns = picture[2, 0, 0].astype(int)
        assert (np.diff(columns) <= 0).all() if view.crop.flip else (np.diff(columns) >= 0).all()
    assert flips == {True, False}


def test_trajectories_and_means_go_through_the_same_rectangle() -> None:
    """What `write_flow` writes is what stacking writes, snippet by snippet."""
    known = places()
    for stack, mean in itertools.product(stacking.STACKINGS, (False, True)):
        how = Sampling(3, 4, 2, 24, crops="jitter", stacking=stack, subtract_mean=mean)
        view = view_of_training(12, 40, 60, how, 0, 0, 1)
        out, one = np.empty((8, 3, 24, 24), np.uint8), np.empty((8, 24, 24), np.uint8)
        write_flow(Seen(known.store, "", view.centres), view, how, out)
        for snippet, centre in enumerate(view.centres):
            fields = stacking.Fields(known.store, "").stacked(int(centre), 4, stack)
            stacking.write(fields, view.crop, one, stacking=stack, mean=mean, bound=known.bound)
            np.testing.assert_array_equal(out[:, snippet], one)


def test_streams_are_taken_apart_by_so_many_pixels_and_frames() -> None:
    """Flow goes up or down and comes back on the other side; frames come later; nothing else changes."""
    known, plain = places(), Sampling(3, 4, (1, 2), 24)
    how, moved = replace(plain, apart=5, delay=2), set()
    for index in range(20):
        together = view_of_training(12, 40, 60, plain, 0, 0, index)
        view = view_of_training(12, 40, 60, how, 0, 0, index)
        assert look(view) == look(together), "what was drawn before stays"
        moved.add(view.down)
        frames, flow = np.empty((2, 3, 3, 24, 24), np.uint8), np.empty((2, 8, 3, 24, 24), np.uint8)
        for one, at, of in ((0, together, plain), (1, view, how)):
            write_frames(Seen(known.store, "", at.centres, of.delay), at, frames[one])
            write_flow(Seen(known.store, "", at.centres), at, of, flow[one])
        for row in range(24):
            np.testing.assert_array_equal(flow[1][..., (row + view.down) % 24, :], flow[0][..., row, :])
        np.testing.assert_array_equal(frames[1][0, :, 0, 0], np.minimum(view.centres + 2, 11))
        np.testing.assert_array_equal(frames[1][1:], frames[0][1:])
    assert moved == {-5, 5} and together.down == 0


def test_a_delay_is_the_same_all_over_a_video() -> None:
    times = np.arange(12)
    np.testing.assert_array_equal(later(times, 0, 12), times)
    for delay in range(1, 7):
        moved = later(times, delay, 12)
        assert (np.abs(moved - times) == delay).all() and moved.min() >= 0 and moved.max() <= 11
        assert (moved[: 12 - delay] > times[: 12 - delay]).all(), "later, as long as there is a later one"
    np.testing.assert_array_equal(later(np.arange(3), 5, 3), [2, 2, 2])  # there is no such frame


def test_in_a_test_it_follows_from_the_video_alone_which_way_flow_is_moved() -> None:
    how = Sampling(3, 4, 2, 24, apart=7)
    found = [[view_of_test(12, 40, 60, how, n, f"v{video}").down for n in range(2)] for video in range(30)]
    assert all(one == other for one, other in found) and {one for one, _ in found} == {-7, 7}


def test_a_small_video_is_resized_in_testing_where_it_is_in_training() -> None:
    for test in ("middle", "simonyan"):
        for kind in ("jitter", "jitter_released", "corners"):
            found = views(40, replace(PAPER, test=test, crops=kind), 120, 160)
            assert {(view.crop.height, view.crop.width, view.crop.shape) for view in found} == {(120, 160, (224, 224))}
        with pytest.raises(UserError, match="larger than the video"):
            views(40, replace(PAPER, test=test), 120, 160)
    for test in ("frame", "final"):
        with pytest.raises(UserError, match="no whole frame"):
            views(40, replace(PAPER, test=test), 120, 160)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"crops": "jiter"}, "did you mean data.sampling.crops=jitter"),
        ({"stacking": "trajectories"}, "did you mean data.sampling.stacking=trajectory"),
        ({"test": "frames"}, "did you mean data.sampling.test=frame"),
        ({"test": "videos"}, "did you mean data.sampling.test=video"),
        ({"times": "segment"}, "did you mean data.sampling.times=segments"),
        ({"subtract_mean": 1}, "true, false"),
        ({"stacking": "bidirectional", "fields": 5}, "data.sampling.fields=6"),
        ({"apart": -1}, "0 … 999"),
        ({"apart": 2.5}, "data.sampling.apart=0"),
        ({"delay": True}, "data.sampling.delay=0"),
    ],
)
def test_what_is_not_there_is_told(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as refused:
        Sampling(**changed)
    assert told in str(refused.value)
