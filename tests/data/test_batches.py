import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gantools.data.batches import Order, Reader, Selection, fits
from gantools.data.prepared import PreparedSet

CPU = torch.device("cpu")


class Batches:
    """Batches of one size in order, as feeds ask a reader for them."""

    def __init__(self, data, batch, seed, device, *, flip=False, **options):
        self.order, self.batch = Order(len(data), seed, flip=flip), batch
        self.reader = Reader(data, device, batch, **options)

    def select(self, nimg):
        indices, flips = self.order.take(nimg, self.batch)
        return Selection(indices, flips if self.order.flip else None)

    def at(self, nimg):
        return self.reader.read(nimg, self.select, nimg + self.batch)

    def close(self):
        self.reader.close()


@given(count=st.integers(1, 40), seed=st.integers(0, 2**63 - 1), start=st.integers(0, 500), n=st.integers(1, 90))
def test_order_is_a_function_of_the_position(count, seed, start, n):
    whole = Order(count, seed).take(0, start + n)[0]
    assert np.array_equal(Order(count, seed).take(start, n)[0], whole[start:])


def test_each_epoch_is_another_permutation():
    epochs = Order(50, 3).take(0, 150)[0].reshape(3, 50)
    assert all(np.array_equal(np.sort(e), np.arange(50)) for e in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], Order(50, 4).take(0, 50)[0])


def test_flips_are_half_of_the_images_and_off_by_default():
    assert not Order(1000, 0).take(0, 1000)[1].any()
    flips = Order(1000, 0, flip=True).take(0, 2000)[1]
    assert 900 < flips.sum() < 1100
    assert not np.array_equal(flips[:1000], flips[1000:])


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_batches_are_the_images(make_set, resident, flip):
    data = PreparedSet(make_set(n=37, size=8))
    batches = Batches(data, 16, 5, CPU, flip=flip, resident=resident)
    for nimg in (0, 16, 32, 48, 16, 400):  # forwards, and jumps as after a resume
        x = batches.at(nimg)
        indices, flips = Order(37, 5, flip=flip).take(nimg, 16)
        pixels = data.gather(indices)
        pixels[flips] = pixels[flips][:, :, ::-1]
        expected = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1
        np.testing.assert_array_equal(x.numpy(), expected)
        assert x.is_contiguous(memory_format=torch.channels_last)
    batches.close()


def test_a_set_smaller_than_the_batch(make_set):
    data = PreparedSet(make_set(n=5, size=8))
    batches = Batches(data, 12, 0, CPU, channels_last=False)
    x = batches.at(0)
    assert x.shape == (12, 3, 8, 8) and x.is_contiguous()
    batches.close()


def test_nothing_is_resident_on_a_cpu(make_set):
    assert not fits(PreparedSet(make_set(n=5, size=8)), CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("resident", [False, True])
def test_batches_on_cuda_are_those_of_the_cpu(make_set, resident):
    data = PreparedSet(make_set(n=37, size=8))
    device = torch.device("cuda")
    ours = Batches(data, 16, 5, device, flip=True, resident=resident)
    reference = Batches(data, 16, 5, CPU, flip=True)
    for nimg in range(0, 320, 16):
        assert torch.equal(ours.at(nimg).cpu(), reference.at(nimg))
    ours.close()
    reference.close()
