"""The feed `frames`: which frames stand around an image, and that one crop is taken of all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.data.feeds.test_feeds import CPU, Memory, enlarged, pixels

from gantools.data.feeds import open_feed
from gantools.data.feeds.frames import neighbours

CLIPS = np.array([0, 1, 0, 1, 0, 1, 1, 2], np.int32)
FRAMES = np.array([0, 0, 1, 1, 2, 2, 3, 0], np.int32)


def test_the_frames_around_each_end_with_the_film():
    assert neighbours(CLIPS, FRAMES, 5).tolist() == [
        [0, 0, 0, 2, 4],
        [1, 1, 1, 3, 5],
        [0, 0, 2, 4, 4],
        [1, 1, 3, 5, 6],
        [0, 2, 4, 4, 4],
        [1, 3, 5, 6, 6],
        [3, 5, 6, 6, 6],
        [7, 7, 7, 7, 7],  # a film of one frame
    ]
    assert neighbours(CLIPS, FRAMES, 1).tolist() == [[i] for i in range(8)]


def test_nothing_is_taken_from_beyond_a_frame_that_is_missing():
    # Frame 2 could not be read: 1 and 3 are no neighbours.
    assert neighbours(np.zeros(4, np.int32), np.array([0, 1, 3, 4], np.int32), 3).tolist() == [
        [0, 0, 1],
        [0, 1, 1],
        [2, 2, 3],
        [2, 3, 3],
    ]


@pytest.mark.parametrize("bug", [None, "another film", "wrapped"])
def test_a_neighbour_of_another_film_would_be_found(bug):
    found = neighbours(CLIPS, FRAMES, 5)
    if bug == "another film":
        found = np.clip(np.arange(8)[:, None] + np.arange(-2, 3), 0, 7)
    if bug == "wrapped":
        found = np.where(found == np.arange(8)[:, None], found[:, ::-1], found)[:, [4, 1, 2, 3, 0]]
    films = (CLIPS[found] == CLIPS[:, None]).all()
    steps = np.diff(FRAMES[found], axis=1)
    assert (films and ((steps == 0) | (steps == 1)).all()) == (bug is None)


SCALE, SIDE, CROP, T = 4, 32, 16, 5
N = len(CLIPS)
# Each small pixel says its image and place: what a crop holds says where it was taken.
LOW = np.zeros((N, SIDE // SCALE, SIDE // SCALE, 3), np.uint8)
LOW[..., 0] = 10 * np.arange(N)[:, None, None]
LOW[..., 1] = 10 * np.arange(SIDE // SCALE)[None, :, None]
LOW[..., 2] = 10 * np.arange(SIDE // SCALE)[None, None, :]
FILM = Memory(enlarged(LOW, SCALE), inputs=Memory(LOW))
FILM.annotations = {"clip": CLIPS, "frame": FRAMES}


def opened(**changes):
    options = {"seed": 3, "device": CPU, "largest": 8, "channels_last": True, "flip": True, "turn": True}
    return open_feed("frames", FILM, crop=CROP, frames=T, **options | changes)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("resident", [True, False])
def test_one_crop_of_all_frames_turned_alike(channels_last, resident):
    sample = opened(channels_last=channels_last, resident=resident).at(5, 64)
    small = CROP // SCALE
    assert sample.images.shape == (64, 3, CROP, CROP) and sample.inputs.shape == (64, T, 3, small, small)
    images = pixels(sample.images)
    windows = pixels(sample.inputs.flatten(0, 1)).reshape(64, T, small, small, 3)
    around = neighbours(CLIPS, FRAMES, T)
    turns = set()
    for image, window in zip(images, windows, strict=True):
        # The middle frame is the image made smaller, place by place.
        assert np.array_equal(enlarged(window[T // 2][None], SCALE)[0], image)
        row = int(image[0, 0, 0]) // 10
        assert [int(frame[0, 0, 0]) // 10 for frame in window] == around[row].tolist()
        # All frames show one place, in one position.
        assert all(np.array_equal(frame[..., 1:], window[0][..., 1:]) for frame in window)
        y, x = window[0][..., 1].astype(int), window[0][..., 2].astype(int)
        turns.add(tuple(int(np.sign(v[at] - v[0, 0])) for v in (y, x) for at in ((-1, 0), (0, -1))))
    assert len(turns) == 8


def test_an_epoch_has_every_image_once():
    sample = opened().at(N, N)
    assert sorted(int(image[0, 0, 0]) // 10 for image in pixels(sample.images)) == list(range(N))
    assert sample.labels is None and sample.extras == {}


def test_rows_do_not_depend_on_how_they_are_asked_for():
    whole = opened().at(11, 12)
    feed = opened(largest=2)
    parts = [feed.at(11 + at, n, (11 + at + n, 3)) for at, n in ((0, 3), (3, 8), (11, 1))]
    feed.close()
    assert torch.equal(whole.inputs, torch.cat([part.inputs for part in parts]))
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert not torch.equal(opened(seed=4).at(11, 12).inputs, whole.inputs)
