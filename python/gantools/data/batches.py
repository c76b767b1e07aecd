"""Batches of real images for training, in an order that is a pure function of the seed and of the position.

The order is an endless concatenation of one permutation an epoch; the position is the number of images shown so far.
So a resumed training needs no sampler state. On CUDA the whole set lives in GPU memory when it fits; otherwise, and on
the CPU, one thread reads the next batch from the memory map while the current one is used.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantools.data.prepared import PreparedSet

# The rest of the GPU's memory is for networks and activations.
RESIDENT_SHARE = 0.4


class Order:
    """Which image stands at which position: `take(start, n)` for any position, without any state.

    Args:
        count: images in the set.
        seed: in [0, 2**63).
        flip: also decide at random, with probability ½, whether the image at a position is mirrored.
    """

    def __init__(self, count: int, seed: int, *, flip: bool = False) -> None:
        self.count, self.seed, self.flip = count, seed, flip
        # A batch touches at most a few epochs at a time; two are enough unless the set is smaller than a batch.
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def take(self, start: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Indices int64 (n,) of the images at positions start..start+n-1, and bool (n,): which of them are mirrored."""
        indices, flips = [], []
        while n > 0:
            epoch, offset = divmod(start, self.count)
            permutation, mirrored = self._epoch(epoch)
            indices.append(permutation[offset : offset + n])
            flips.append(mirrored[offset : offset + n])
            start, n = start + len(indices[-1]), n - len(indices[-1])
        return np.concatenate(indices), np.concatenate(flips)

    def _make_epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        rng = np.random.Generator(np.random.Philox(key=np.array([self.seed, epoch], np.uint64)))
        permutation = rng.permutation(self.count)
        return permutation, rng.random(self.count) < 0.5 if self.flip else np.zeros(self.count, bool)


class Batches:
    """Real images as the networks want them: `at(nimg)` is the batch that starts at position `nimg`.

    Args:
        data: the prepared set.
        batch: images in a batch.
        seed: of the order.
        device: where the batches go.
        flip: mirror images left to right at random.
        channels_last: memory layout of the batches.
        resident: keep the whole set in the device's memory; None: when the device is CUDA and it fits.
    """

    def __init__(
        self,
        data: PreparedSet,
        batch: int,
        seed: int,
        device: torch.device,
        *,
        flip: bool = False,
        channels_last: bool = True,
        resident: bool | None = None,
    ) -> None:
        self.data, self.order = data, Order(len(data), seed, flip=flip)
        self.batch, self.device, self.channels_last = batch, device, channels_last
        self.resident = fits(data, device) if resident is None else resident
        self._source: _Resident | _Streamed
        if self.resident:
            self._source = _Resident(data, self.order, batch, device)
        else:
            self._source = _Streamed(data, self.order, batch, device)

    def at(self, nimg: int) -> Tensor:
        """float32 (batch, c, h, w) in [-1, 1] on the device: x / 127.5 - 1 of the images from nimg on."""
        pixels, flips = self._source.read(nimg)
        images = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
        if flips is not None:
            images = torch.where(flips[:, None, None, None], images.flip(3), images)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return images.contiguous(memory_format=layout)

    def close(self) -> None:
        """Stop the reading thread."""
        self._source.close()


def fits(data: PreparedSet, device: torch.device) -> bool:
    """Whether the set's pixels take less than `RESIDENT_SHARE` of the GPU memory that is free now; never on a CPU."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(data) * int(np.prod(data.shape)) < RESIDENT_SHARE * free


class _Resident:
    """All pixels in the device's memory; a batch is one gather there."""

    def __init__(self, data: PreparedSet, order: Order, batch: int, device: torch.device) -> None:
        self.order, self.batch, self.device = order, batch, device
        self.images = torch.empty((len(data), *data.shape), dtype=torch.uint8, device=device)
        done = 0
        for part in data.batches(4096):
            self.images[done : done + len(part)] = torch.from_numpy(part).to(device)
            done += len(part)

    def read(self, nimg: int) -> tuple[Tensor, Tensor | None]:
        indices, flips = self.order.take(nimg, self.batch)
        pixels = self.images[_to(torch.from_numpy(indices), self.device)]
        return pixels, _to(torch.from_numpy(flips), self.device) if self.order.flip else None

    def close(self) -> None:
        pass


class _Streamed:
    """Pixels from the memory map, one batch ahead, through two buffers (pinned for CUDA)."""

    def __init__(self, data: PreparedSet, order: Order, batch: int, device: torch.device) -> None:
        self.data, self.order, self.batch, self.device = data, order, batch, device
        self.cuda = device.type == "cuda"
        self.buffers = [torch.empty((batch, *data.shape), dtype=torch.uint8, pin_memory=self.cuda) for _ in range(2)]
        self.copied = [torch.cuda.Event() for _ in range(2)] if self.cuda else []  # type: ignore[no-untyped-call]
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="gantools-batches")
        self.turn = 0
        self.ahead: tuple[int, Future[Tensor]] | None = None

    def read(self, nimg: int) -> tuple[Tensor, Tensor | None]:
        if self.ahead is None or self.ahead[0] != nimg:
            self._start(nimg)
        assert self.ahead is not None
        buffer, slot = self.ahead[1].result(), self.turn
        if self.cuda:
            pixels = buffer.to(self.device, non_blocking=True)
            self.copied[slot].record()
        else:
            pixels = buffer  # converted to float before this buffer is written again, two batches from now
        self.turn = 1 - self.turn
        self._start(nimg + self.batch)
        flips = _to(torch.from_numpy(self.order.take(nimg, self.batch)[1]), self.device) if self.order.flip else None
        return pixels, flips

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, nimg: int) -> None:
        if self.ahead is not None:
            self.ahead[1].exception()  # a batch nobody asked for may still be on its way into the same buffer
        self.ahead = (nimg, self.pool.submit(self._fill, nimg, self.turn))

    def _fill(self, nimg: int, slot: int) -> Tensor:
        if self.cuda:
            self.copied[slot].synchronize()  # the copy that last used this buffer must be over
        self.data.gather(self.order.take(nimg, self.batch)[0], out=self.buffers[slot].numpy())
        return self.buffers[slot]


def _to(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device` without waiting for the GPU's queue to run empty."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
