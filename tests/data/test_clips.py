from fractions import Fraction
from math import floor

import numpy as np
import pytest

from fusionlab.data import clips


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def offsets(centre: int, frames: int, fields: int) -> list[int]:
    """The fields of a window, as numbers."""
    window = clips.window(centre, frames, fields)
    inside = list(range(window.start, window.start + window.count))
    return [inside[0]] * window.front + inside + [inside[-1]] * window.back


@pytest.mark.parametrize("fields", [2, 6, 10])
def test_the_window_has_offsets_from_minus_half_to_half_minus_one(fields: int) -> None:
    first, last = clips.valid_centres(40, fields)
    for centre in range(first, last + 1):
        expected = [centre + offset for offset in range(-fields // 2, fields // 2)]
        assert offsets(centre, 40, fields) == expected


def test_valid_centres_are_the_released_ones() -> None:
    for frames in (11, 12, 50, 251):  # 1-based: t from 6 to nFrames − 5
        assert clips.valid_centres(frames, 10) == (6 - 1, frames - 5 - 1)


@pytest.mark.parametrize("fields", [1, 2, 3, 5, 6, 10])
def test_valid_centres_are_exactly_those_that_need_no_padding(fields: int) -> None:
    for frames in range(fields + 1, 30):
        first, last = clips.valid_centres(frames, fields)
        for centre in range(frames):
            wanted = [centre + offset for offset in range(-(fields // 2), fields - fields // 2)]
            assert (offsets(centre, frames, fields) == wanted) == (first <= centre <= last)


@pytest.mark.parametrize("fields", [1, 2, 3, 6, 10])
def test_a_window_always_has_its_fields_and_never_leaves_the_video(fields: int) -> None:
    for frames in range(2, 16):
        for centre in range(frames):
            found = offsets(centre, frames, fields)
            nearest = [min(max(centre + o, 0), frames - 2) for o in range(-(fields // 2), fields - fields // 2)]
            assert found == nearest


def test_training_centres_are_a_stride_apart_and_cover_all_starts() -> None:
    draw, starts, strides = generator(), set(), set()
    for _ in range(600):
        centres = clips.drawn(30, 3, 6, (2, 5), draw)
        steps = np.diff(centres)
        assert steps[0] == steps[1] and 2 <= steps[0] <= 5
        assert centres[0] >= 3 and centres[-1] <= 26
        strides.add(int(steps[0]))
        if steps[0] == 5:
            starts.add(int(centres[0]))
    assert strides == {2, 3, 4, 5}
    assert starts == set(range(3, 26 - 2 * 5 + 1))


def test_short_videos_shrink_the_stride_then_repeat_samples() -> None:
    draw = generator()
    for _ in range(50):
        assert set(np.diff(clips.drawn(15, 5, 6, (4, 4), draw))) == {2}  # 9 places: (9 − 1) div 4
    np.testing.assert_array_equal(clips.drawn(9, 5, 6, (4, 4), draw), [3, 3, 4, 5, 5])  # 3 places
    np.testing.assert_array_equal(clips.drawn(7, 3, 6, (4, 4), draw), [3, 3, 3])  # 1 place
    np.testing.assert_array_equal(clips.drawn(2, 3, 6, (4, 4), draw), [0, 0, 0])  # no place


def test_a_draw_takes_as_much_of_the_generator_in_any_video() -> None:
    after = set()
    for frames in (2, 9, 20, 300):
        draw = generator()
        clips.drawn(frames, 3, 6, (2, 5), draw)
        after.add(draw.random())
    assert len(after) == 1


def test_test_centres_are_spread_evenly() -> None:
    np.testing.assert_array_equal(clips.even(18, 3, 6), [3, 8, 14])
    np.testing.assert_array_equal(clips.even(251, 5, 10), [5, 65, 125, 185, 245])
    np.testing.assert_array_equal(clips.even(18, 1, 6), [8])
    np.testing.assert_array_equal(clips.even(4, 3, 6), [1, 1, 1])


def segment(frames: int, snippets: int, fields: int, k: int) -> tuple[Fraction, Fraction]:
    """Segment k of the T equal ones, as a piece of the line on which centre c stands for c … c + 1."""
    first, last = clips.valid_centres(frames, fields)
    length = Fraction(last - first + 1, snippets)
    return first + k * length, first + (k + 1) * length


@pytest.mark.parametrize("snippets", [1, 2, 3, 7])
@pytest.mark.parametrize("fields", [1, 6])
def test_a_centre_lies_so_far_into_each_segment(snippets: int, fields: int) -> None:
    for frames in (2, 7, 8, 9, 20, 61, 250):
        for part, of in ((0, 1), (1, 2), (1, 50), (49, 50), (clips.FINE - 1, clips.FINE)):
            found = clips.in_segments(frames, snippets, fields, part, of)
            assert len(found) == snippets
            for k, centre in enumerate(found):
                begins, ends = segment(frames, snippets, fields, k)
                assert centre == floor(begins + Fraction(part, of) * (ends - begins))
    np.testing.assert_array_equal(clips.in_segments(90, 3, 1, 1, 2), [14, 44, 74])  # 89 places, 29 2/3 a segment
    np.testing.assert_array_equal(clips.in_segments(4, 5, 1, 1, 2), [0, 0, 1, 2, 2])  # three places


def test_training_draws_a_centre_in_each_segment_uniformly() -> None:
    draw, counts = generator(), np.zeros((3, 22), int)
    for _ in range(2400):
        for k, centre in enumerate(clips.drawn_in_segments(22, 3, 6, draw)):  # 16 places, 3 … 18: 5 1/3 a segment
            counts[k, centre] += 1
    for k in range(3):
        begins, ends = segment(22, 3, 6, k)
        for centre in range(22):
            inside = max(0, min(ends, centre + 1) - max(begins, centre)) / (ends - begins)
            assert abs(counts[k, centre] / 2400 - inside) < 0.03 and (counts[k, centre] > 0) == (inside > 0)


def test_segments_take_as_much_of_the_generator_in_any_video() -> None:
    after = set()
    for frames in (2, 9, 20, 300):
        draw = generator()
        clips.drawn_in_segments(frames, 3, 6, draw)
        after.add(draw.random())
    assert len(after) == 1


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("fields", [1, 2, 6])
def test_a_whole_video_is_every_centre_at_the_stride(fields: int, stride: int) -> None:
    for frames in (2, 3, 7, 8, 30, 31):
        first, last = clips.valid_centres(frames, fields)
        expected, centre = [], first
        while centre <= last:
            expected.append(centre)
            centre += stride
        assert clips.whole_video(frames, fields, stride).tolist() == expected
    assert clips.whole_video(65, 1, 1).tolist() == list(range(64)), "64 frames with the flow that leads on from each"


def test_a_window_names_its_fields_one_by_one() -> None:
    for frames, fields, centre in ((40, 6, 9), (7, 10, 0), (7, 10, 6), (2, 3, 1)):
        assert clips.window(centre, frames, fields).places == offsets(centre, frames, fields)
    assert clips.between(-2, 1, 5).places == [0, 0, 0]
    assert clips.between(4, 7, 5).places == [3, 3, 3]


@pytest.mark.parametrize("frames", [11, 13, 30, 80, 251])
@pytest.mark.parametrize(("snippets", "stride"), [(1, 1), (1, 15), (5, 1), (5, 15)])
def test_clips_are_spread_evenly_over_the_room(frames: int, snippets: int, stride: int) -> None:
    first, last = clips.valid_centres(frames, 10)
    found = [clips.nth(frames, snippets, 10, stride, number, 10) for number in range(10)]
    assert found[0][0] == first and found[-1][-1] == last
    if last - first + 1 < snippets:
        assert all((one == found[0]).all() for one in found)
        return
    tau = min(stride, (last - first) // (snippets - 1)) if snippets > 1 else 0
    assert all((np.diff(one) == max(tau, 1)).all() for one in found)
    steps = np.diff([one[0] for one in found])
    assert steps.max() - steps.min() <= 1, "equally spaced, but for rounding"


def test_a_video_of_13_frames_at_the_released_stride() -> None:
    """L = 10 leaves three places, 5 … 7; five snippets at τ = 15 repeat the ends."""
    for number in range(10):
        np.testing.assert_array_equal(clips.nth(13, 5, 10, 15, number, 10), [5, 5, 6, 7, 7])
    np.testing.assert_array_equal(clips.nth(15, 5, 10, 15, 9, 10), [5, 6, 7, 8, 9])  # τ shrinks to 1


def test_the_25_frames_of_2014() -> None:
    found = [int(clips.nth(251, 1, 10, 7, number, 25)[0]) for number in range(25)]
    assert found == list(clips.even(251, 25, 10)) and len(set(found)) == 25
    assert set(np.diff(found)) == {10}
