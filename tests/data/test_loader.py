"""The loader and the views of a prepared set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import blobs, write_prepared

import gantools
from gantools.data.batches import Order

N = 53


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "set"
    return gantools.open(write_prepared(path, blobs(N, 8, 3), np.arange(N) % 4, shard=20))


def indices(loader):
    return [batch.indices for batch in loader]


def test_batches_are_the_images_with_their_labels(data):
    images = blobs(N, 8, 3)
    seen = []
    for batch in data.loader(16, seed=3):
        expected = images[batch.indices].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1
        np.testing.assert_array_equal(batch.images.numpy(), expected)
        assert batch.images.is_contiguous()
        assert torch.equal(batch.labels, torch.from_numpy(batch.indices % 4))
        seen.append(len(batch.indices))
    assert seen == [16, 16, 16, 5]


def test_the_order_is_that_of_training_or_of_the_set(data):
    np.testing.assert_array_equal(
        np.concatenate(indices(data.loader(7, seed=9, epoch=2))), Order(N, 9).take(2 * N, N)[0]
    )
    np.testing.assert_array_equal(np.concatenate(indices(data.loader(7, shuffle=False, epoch=2))), np.arange(N))


def test_flips_are_those_of_training(data):
    images = blobs(N, 8, 3)
    mirrored = Order(N, 1, flip=True).take(0, N)[1]
    batch = next(iter(data.loader(N, seed=1, flip=True, channels_last=True)))
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    expected = images[batch.indices]
    expected[mirrored] = expected[mirrored][:, :, ::-1]
    assert torch.equal(batch.images.add(1).mul(127.5).round().byte(), torch.from_numpy(expected).permute(0, 3, 1, 2))


@given(batch=st.integers(1, 20), world=st.integers(1, 7), seed=st.integers(0, 2**63 - 1), drop_last=st.booleans())
def test_all_ranks_together_have_each_image_once(data, batch, world, seed, drop_last):
    ranks = [data.loader(batch, seed=seed, rank=r, world=world, drop_last=drop_last) for r in range(world)]
    lengths = [len(loader) for loader in ranks]
    batches = [indices(loader) for loader in ranks]
    assert lengths == [len(b) for b in batches]
    everything = np.concatenate([i for b in batches for i in b] or [np.zeros(0, int)])
    assert len(np.unique(everything)) == len(everything)
    if drop_last:
        assert len(everything) == N // (batch * world) * batch * world
        assert len(set(lengths)) == 1
    else:
        assert len(everything) == N
        assert all(loader.position == N and len(loader) == 0 for loader in ranks)


@given(batch=st.integers(1, 20), world=st.integers(1, 4), steps=st.integers(0, 8), other=st.integers(1, 5))
def test_a_stopped_epoch_goes_on_also_with_another_number_of_ranks(data, batch, world, steps, other):
    before, position = [], 0
    for rank in range(world):
        loader = data.loader(batch, rank=rank, world=world)
        for _, found in zip(range(steps), loader, strict=False):
            before.append(found.indices)
        position = max(position, loader.position)
    after = [i for r in range(other) for i in indices(data.loader(9, rank=r, world=other, position=position))]
    assert np.array_equal(np.sort(np.concatenate([*before, *after])), np.arange(N))


def test_a_wrong_argument_is_an_error(data):
    for options in ({"batch": 0}, {"rank": 2, "world": 2}, {"position": N + 1}, {"epoch": -1}, {"world": 0}):
        with pytest.raises(ValueError, match="at least"):
            data.loader(**{"batch": 4, **options})


def test_a_torch_dataset_works_with_workers(data):
    images = blobs(N, 8, 3)
    dataset = data.as_torch_dataset(lambda x: x.float() / 255)
    loader = torch.utils.data.DataLoader(dataset, batch_size=16, num_workers=2)
    x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
    np.testing.assert_array_equal(x.numpy(), images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    assert torch.equal(y, torch.arange(N) % 4)
    assert data.as_torch_dataset()[5][0].dtype == torch.uint8


def test_rows_are_dicts(data):
    row = data.rows()[9]
    assert (row["name"], row["label"]) == ("000009.png", 1)
    np.testing.assert_array_equal(row["image"], blobs(N, 8, 3)[9])
    assert len(data.rows()) == N


@pytest.mark.gpu
@pytest.mark.parametrize("resident", [False, True])
def test_batches_on_cuda_are_those_of_the_cpu(data, resident):
    ours = data.loader(10, device="cuda", resident=resident, flip=True)
    for a, b in zip(ours, data.loader(10, flip=True), strict=True):
        torch.testing.assert_close(a.images.cpu(), b.images, rtol=0, atol=2e-7)
        assert torch.equal(a.labels.cpu(), b.labels)
