"""The nearest training images: equal with all distances by numpy, in blocks, mirrored, and at different sizes."""

from __future__ import annotations

import numpy as np
import pytest

from gantools.errors import MetricError
from gantools.metrics.pixels import nearest
from gantools.metrics.pixels.nearest import nearest_images


class Images:
    """A training set in memory."""

    def __init__(self, images):
        self.images, self.shape, self.read = images, images.shape[1:], 0

    def __len__(self):
        return len(self.images)

    def gather(self, indices):
        self.read += len(indices)
        return self.images[indices]


def random(n, h=8, w=8, c=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, h, w, c), np.uint8)


def all_distances(images, training):
    x, y = (a.reshape(len(a), -1).astype(float) for a in (images, training))
    return np.sqrt(((x[:, None] - y[None]) ** 2).mean(2))


@pytest.mark.parametrize("block", [7, 8192])
def test_it_is_the_least_of_all_distances(monkeypatch, block):
    monkeypatch.setattr(nearest, "_BLOCK", block)
    images, training = random(9), random(50, seed=1)
    found = nearest_images(images, Images(training))
    distances = all_distances(images, training)
    assert found.distance == pytest.approx(distances.min(1), rel=1e-5)
    assert found.index.tolist() == distances.argmin(1).tolist()
    assert not found.mirrored.any() and found.searched == 50


def test_a_copy_is_found_at_no_distance_and_the_first_of_equal_ones(monkeypatch):
    monkeypatch.setattr(nearest, "_BLOCK", 8)
    training = random(30)
    training[25] = training[3]
    found = nearest_images(training[[25, 11]], Images(training))
    assert found.distance.tolist() == [0, 0] and found.index.tolist() == [3, 11]


def test_mirrored_copies_are_found_where_the_training_shows_them():
    training = random(20)
    images = np.stack([training[4][:, ::-1], training[6]])
    found = nearest_images(images, Images(training), mirror=True)
    assert found.distance.tolist() == [0, 0] and found.index.tolist() == [4, 6]
    assert found.mirrored.tolist() == [True, False]
    assert nearest_images(images, Images(training)).distance[0] > 1


def test_images_of_the_set_are_left_out_of_it():
    training = random(20)
    places = np.array([0, 7, 19])
    found = nearest_images(training[places], Images(training), without=places)
    distances = all_distances(training[places], training)
    distances[:, places] = np.inf
    assert found.index.tolist() == distances.argmin(1).tolist() and found.searched == 17


def test_sides_of_different_sizes_are_compared_at_the_smaller_one():
    training = random(12, 16, 16)
    small = training.reshape(12, 8, 2, 8, 2, 3).mean((2, 4))
    found = nearest_images(np.round(small).astype(np.uint8)[[5, 2]], Images(training))
    assert found.index.tolist() == [5, 2] and (found.distance <= 0.5).all()
    assert nearest_images(training[[5]], Images(np.round(small).astype(np.uint8))).index.tolist() == [5]


@pytest.mark.parametrize("side", [64, 66, 37])
def test_large_images_are_compared_as_means_over_blocks(side):
    training = random(6, side, side)
    found = nearest_images(training[[4]], Images(training))
    assert found.index.tolist() == [4] and found.distance.tolist() == [0]
    # Noise of single pixels is averaged away: 40 levels of it are few then.
    noise = np.random.default_rng(5).integers(-40, 41, training[4].shape)
    noisy = np.clip(np.clip(training[4], 60, 190) + noise, 0, 255).astype(np.uint8)
    near = nearest_images(noisy[None], Images(np.clip(training, 60, 190)))
    assert near.index.tolist() == [4] and near.distance[0] < (40 if side == 37 else 15)


def test_of_a_set_that_is_too_large_some_are_searched(monkeypatch):
    monkeypatch.setattr(nearest, "BYTES", 8 * 8 * 3 * 10)
    training = Images(random(101))
    found = nearest_images(training.images[[0, 1, 100]], training)
    assert found.searched == training.read == 10
    assert found.distance[[0, 2]].tolist() == [0, 0] and found.distance[1] > 0


@pytest.mark.parametrize(("images", "training"), [((2, 8, 8, 1), (4, 8, 8, 3)), ((2, 8, 8, 3), (4, 8, 16, 3))])
def test_what_cannot_be_compared_is_refused(images, training):
    with pytest.raises(MetricError, match="cannot be compared"):
        nearest_images(np.zeros(images, np.uint8), Images(np.zeros(training, np.uint8)))
    with pytest.raises(MetricError, match="no images to compare"):
        nearest_images(random(2), Images(random(2)), without=np.arange(2))
