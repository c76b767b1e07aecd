"""Batches of real images for training, in an order that is a pure function of the seed and of the position.

The order is an endless concatenation of one permutation an epoch; the position is the number of images shown so far.
So a resumed training needs no sampler state. On CUDA the whole set lives in GPU memory when it fits; otherwise, and on
the CPU, one thread reads the next batch from the shards while the current one is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantools.data.image_set import ImageSet
from gantools.data.seeds import philox
from gantools.device import to_device

# The rest of the GPU's memory is for networks and activations.
RESIDENT_SHARE = 0.4


class Selection(NamedTuple):
    """Which images make a batch, and what is taken of each.

    Attributes:
        indices: the images' numbers in the set, int64 (m,).
        flips: which of them are mirrored left to right, bool (m,); None: none.
        corners: row and column of the first pixel of each one's crop, int64 (m, 2), where the reader has a `side`.
        turns: which of the crops are turned upside down and then transposed, bool (m, 2); None: none.
    """

    indices: NDArray[np.int64]
    flips: NDArray[np.bool_] | None = None
    corners: NDArray[np.int64] | None = None
    turns: NDArray[np.bool_] | None = None


# What names a batch: a position, or a position and a number of images.
Key = TypeVar("Key")
Made = TypeVar("Made")


class Ahead(Generic[Key, Made]):
    """What a thread of its own makes of a key, while what it made of the last one is used.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"gantools-{name}")
        self._begun: tuple[Key, Future[Made]] | None = None

    def holds(self, key: Key) -> bool:
        """Whether it is this key's that is being made, or was, and has not been taken."""
        return self._begun is not None and self._begun[0] == key

    def begin(self, key: Key, make: Callable[[], Made]) -> None:
        """What `make` gives is the key's, and what was begun for another one is forgotten."""
        # The one thread makes in turn, so what nobody asked for after all does no harm to this.
        self._begun = (key, self._pool.submit(make))

    def take(self) -> Made:
        """What was begun last, as soon as it is made."""
        assert self._begun is not None
        made = self._begun[1].result()
        self._begun = None
        return made

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def epochs_of(count: int, start: int, n: int) -> Iterator[tuple[int, slice]]:
    """The positions start..start+n-1 by epoch of `count` images: the epoch's number and its positions among them."""
    while n > 0:
        epoch, offset = divmod(start, count)
        length = min(n, count - offset)
        yield epoch, slice(offset, offset + length)
        start, n = start + length, n - length


class Order:
    """Which image stands at which position: `take(start, n)` for any position, without any state.

    Args:
        count: images in the set.
        seed: in [0, 2**63).
        flip: also decide at random, with probability ½, whether the image at a position is mirrored.
        shuffle: another permutation each epoch; False: always the order of the set.
    """

    def __init__(self, count: int, seed: int, *, flip: bool = False, shuffle: bool = True) -> None:
        self.count, self.seed, self.flip, self.shuffle = count, seed, flip, shuffle
        # A batch touches at most a few epochs at a time; two are enough unless the set is smaller than a batch.
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def take(self, start: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Indices int64 (n,) of the images at positions start..start+n-1, and bool (n,): which of them are mirrored."""
        indices, flips = [], []
        for epoch, part in epochs_of(self.count, start, n):
            permutation, mirrored = self._epoch(epoch)
            indices.append(permutation[part])
            flips.append(mirrored[part])
        return np.concatenate(indices), np.concatenate(flips)

    def _make_epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        rng = philox(self.seed, epoch)
        permutation = rng.permutation(self.count) if self.shuffle else np.arange(self.count)
        return permutation, rng.random(self.count) < 0.5 if self.flip else np.zeros(self.count, bool)


class Reader(Generic[Key]):
    """Any images of a set as the networks want them, the next batch being read while the current one is used.

    Args:
        data: the images, for example a prepared set.
        device: where the batches go.
        largest: images in the largest batch that will be read.
        channels_last: memory layout of the batches.
        resident: keep the whole set in the device's memory; None: when the device is CUDA and it fits.
        side: read square crops of so many pixels a side, where the selections say; None: whole images.
    """

    def __init__(
        self,
        data: ImageSet,
        device: torch.device,
        largest: int,
        *,
        channels_last: bool = True,
        resident: bool | None = None,
        side: int | None = None,
    ) -> None:
        self.resident = fits(data, device) if resident is None else resident
        self._source: _Resident | _Pinned | _Host
        if self.resident:
            self._source = _Resident(data, device, channels_last, side)
        elif device.type == "cuda":
            self._source = _Pinned(data, device, channels_last, side, largest)
        else:
            self._source = _Host(data, device, channels_last, side)
        self._ahead: Ahead[Key, _Filled] = Ahead("batches")

    def read(self, key: Key, select: Callable[[Key], Selection | None], following: Key | None) -> Tensor:
        """float32 (m, c, h, w) in [-1, 1] on the device: the images `select(key)`; those of `following` are begun.

        Args:
            key: names the batch; anything that `select` understands.
            select: the images of a batch; None when there is no such batch, which is allowed for `following` only.
            following: the key that will probably be read next. Another one is no mistake, only slower. None: unknown.
        """
        if not self._ahead.holds(key):
            selection = select(key)
            if selection is None:
                raise IndexError(f"there is no batch {key}")
            self._begin(key, selection)
        images = self._source.finish(self._ahead.take())
        if following is not None and (selection := select(following)) is not None:
            self._begin(following, selection)
        return images

    def close(self) -> None:
        """Stop the reading thread."""
        self._ahead.close()

    def _begin(self, key: Key, selection: Selection) -> None:
        self._ahead.begin(key, lambda: self._source.fill(selection))


def fits(data: ImageSet, device: torch.device) -> bool:
    """Whether the set's pixels take less than `RESIDENT_SHARE` of the GPU memory that is free now; never on a CPU."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(data) * int(np.prod(data.shape)) < RESIDENT_SHARE * free


# What the reading thread hands over: pixels, or with resident data nothing; what is to be read; (pinned) the buffer.
_Filled = tuple[Tensor | None, Selection, int]


class _Resident:
    """All pixels in the device's memory; a batch is one gather there."""

    def __init__(self, data: ImageSet, device: torch.device, channels_last: bool, side: int | None) -> None:
        self.device, self.channels_last, self.side = device, channels_last, side
        self.images = torch.empty((len(data), *data.shape), dtype=torch.uint8, device=device)
        for start in range(0, len(data), 4096):
            part = self.images[start : start + 4096]
            part.copy_(torch.from_numpy(data.gather(np.arange(start, start + len(part)))))
        self.steps = torch.arange(side or 0, device=device)

    def fill(self, selection: Selection) -> _Filled:
        return None, selection, 0

    def finish(self, filled: _Filled) -> Tensor:
        indices, flips, corners, turns = (self._put(values) for values in filled[1])
        assert indices is not None
        if corners is None:
            return as_floats(self.images[indices], flips, self.channels_last)
        # The pixels of all crops by their addresses: one kernel, whatever the corners are.
        down = _run(corners[:, 0], self.steps, None if turns is None else turns[:, 0])
        along = _run(corners[:, 1], self.steps, flips)
        pixels = self.images[indices[:, None, None], down[:, :, None], along[:, None, :]]
        if turns is not None:
            pixels = torch.where(turns[:, 1, None, None, None], pixels.transpose(1, 2), pixels)
        return as_floats(pixels, None, self.channels_last)

    def _put(self, values: NDArray[np.int64] | NDArray[np.bool_] | None) -> Tensor | None:
        return None if values is None else to_device(torch.from_numpy(values), self.device)


class _Pinned:
    """Bytes from the shards through two pinned buffers to a GPU, which makes floats of them: a quarter to transfer."""

    def __init__(
        self, data: ImageSet, device: torch.device, channels_last: bool, side: int | None, largest: int
    ) -> None:
        self.data, self.device, self.channels_last, self.side = data, device, channels_last, side
        shape = data.shape if side is None else (side, side, data.shape[2])
        self.buffers = [torch.empty((largest, *shape), dtype=torch.uint8, pin_memory=True) for _ in range(2)]
        self.copied = [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]
        self.turn = 0

    def fill(self, selection: Selection) -> _Filled:
        slot, self.turn = self.turn, 1 - self.turn
        self.copied[slot].synchronize()  # the copy that last used this buffer must be over
        n = len(selection.indices)
        if n > len(self.buffers[slot]):
            shape = self.buffers[slot].shape[1:]
            self.buffers[slot] = torch.empty((n, *shape), dtype=torch.uint8, pin_memory=True)
        buffer = self.buffers[slot][:n]
        if self.side is None:
            self.data.gather(selection.indices, buffer.numpy(), selection.flips)
        else:
            cut(self.data, selection, self.side, buffer.numpy())
        return buffer, selection, slot

    def finish(self, filled: _Filled) -> Tensor:
        buffer, _, slot = filled
        assert buffer is not None
        pixels = buffer.to(self.device, non_blocking=True)
        # On the stream that the copy was queued on, which is the current one of this device, not of another.
        self.copied[slot].record(torch.cuda.current_stream(self.device))
        return as_floats(pixels, None, self.channels_last)


class _Host:
    """Floats straight from the shards, each batch in memory of its own."""

    def __init__(self, data: ImageSet, device: torch.device, channels_last: bool, side: int | None) -> None:
        self.data, self.device, self.channels_last, self.side = data, device, channels_last, side

    def fill(self, selection: Selection) -> _Filled:
        indices, flips = selection.indices, selection.flips
        h, w, c = self.data.shape
        if self.side is not None:
            pixels = np.empty((len(indices), self.side, self.side, c), np.uint8)
            cut(self.data, selection, self.side, pixels)
            return as_floats(torch.from_numpy(pixels), None, self.channels_last), selection, 0
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        images = torch.empty((len(indices), c, h, w), memory_format=layout)
        if self.channels_last:
            self.data.gather_float(indices, images.permute(0, 2, 3, 1).numpy(), flips, layout="nhwc")
        else:
            self.data.gather_float(indices, images.numpy(), flips, layout="nchw")
        return images, selection, 0

    def finish(self, filled: _Filled) -> Tensor:
        assert filled[0] is not None
        return filled[0].to(self.device)


def cut(data: ImageSet, selection: Selection, side: int, out: NDArray[np.uint8]) -> None:
    """Writes the crops of a selection, turned as it says, into `out`, uint8 (m, side, side, c)."""
    indices, flips, corners, turns = selection
    assert corners is not None
    for i, image in enumerate(data.gather(indices, None, None)):
        y, x = corners[i]
        crop = image[y : y + side, x : x + side]
        if flips is not None and flips[i]:
            crop = crop[:, ::-1]
        if turns is not None and turns[i, 0]:
            crop = crop[::-1]
        if turns is not None and turns[i, 1]:
            crop = crop.swapaxes(0, 1)
        out[i] = crop


def _run(first: Tensor, steps: Tensor, backwards: Tensor | None) -> Tensor:
    """int64 (m, side): first, first + 1, ... of each row, the other way round where `backwards` (m,) says so."""
    run = first[:, None] + steps
    return run if backwards is None else torch.where(backwards[:, None], run.flip(1), run)


def as_floats(pixels: Tensor, flips: Tensor | None, channels_last: bool) -> Tensor:
    """float32 (m, c, h, w) in [-1, 1] of uint8 (m, h, w, c), mirrored where `flips` says so."""
    images = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
    if flips is not None:
        images = torch.where(flips[:, None, None, None], images.flip(3), images)
    return images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
