"""`PreparedSet.loader()`: one epoch of a set in batches, for any training loop and any number of processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantools.data.batches import Order, Reader, Selection
from gantools.data.image_set import ImageSet


class Batch(NamedTuple):
    """What a loader yields.

    Attributes:
        images: float32 (m, c, h, w) in [-1, 1] on the loader's device.
        labels: int64 (m,) on the same device, or None when the set has none.
        indices: int64 (m,), the images' numbers in the set.
    """

    images: Tensor
    labels: Tensor | None
    indices: NDArray[np.int64]


class LoaderOptions(TypedDict, total=False):
    """The named arguments of `Loader`, which says what each means, for those who only hand them on."""

    shuffle: bool
    seed: int
    epoch: int
    rank: int
    world: int
    position: int
    flip: bool
    drop_last: bool
    device: str | torch.device
    channels_last: bool
    resident: bool | None


class Loader:
    """The batches of one epoch that are this process's share; iterate over it.

    Every image of the set comes exactly once in an epoch over all ranks: none is repeated to make the ranks' shares
    equal, none is left out. Step k covers positions k * world * batch onwards of the epoch, of which rank r takes every
    `world`-th from the r-th on; so the last batch may be smaller, and on some ranks missing. `drop_last` leaves such an
    uneven step out on all ranks, which loops that synchronise at every step need.

    `position` is how many images of the epoch all ranks together have been given; a loader made with
    `position=` goes on from there, also with another number of ranks or another batch size.

    Args:
        data: the images, for example a prepared set.
        batch: images in a batch of one rank.
        shuffle: the order that training has for this seed and epoch; False: the order of the set.
        seed: in [0, 2**63).
        epoch: number of the epoch; each has an order of its own.
        rank: number of this process, in [0, world).
        world: number of processes.
        position: images of the epoch that are done.
        flip: mirror images left to right at random, with probability ½, the same ones for the same seed and epoch.
        drop_last: leave out a last step that has fewer than `world * batch` images.
        device: where the batches go.
        channels_last: memory layout of the batches.
        resident: keep the whole set in the device's memory; None: when the device is CUDA and it fits.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        data: ImageSet,
        batch: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        position: int = 0,
        flip: bool = False,
        drop_last: bool = False,
        device: str | torch.device = "cpu",
        channels_last: bool = False,
        resident: bool | None = None,
    ) -> None:
        if batch < 1 or world < 1 or not 0 <= rank < world:
            raise ValueError(f"batch and world are at least 1 and rank in [0, world), not {batch}, {world}, {rank}")
        if epoch < 0 or seed < 0 or not 0 <= position <= len(data):
            raise ValueError(f"epoch and seed are at least 0 and position in [0, {len(data)}]")
        self.data, self.batch, self.rank, self.world = data, batch, rank, world
        self.epoch, self.drop_last = epoch, drop_last
        self.position = position
        self.device = torch.device(device)
        self._order = Order(len(data), seed, flip=flip, shuffle=shuffle)
        self._layout, self._resident = channels_last, resident

    def __len__(self) -> int:
        """How many batches this rank still gets."""
        left = len(self.data) - self.position
        steps, rest = divmod(left, self.batch * self.world)
        return steps + int(not self.drop_last and rest > self.rank)

    def __iter__(self) -> Iterator[Batch]:
        reader: Reader[int] = Reader(
            self.data, self.device, self.batch, channels_last=self._layout, resident=self._resident
        )
        try:
            while (selection := self._select(self.position)) is not None:
                images = reader.read(self.position, self._select, self._after(self.position))
                # Before the batch is given away: who stops the loop after it has seen it.
                self.position = self._after(self.position)
                yield Batch(images, self._labels(selection.indices), selection.indices)
            if not self.drop_last:
                self.position = len(self.data)
        finally:
            reader.close()

    def _after(self, position: int) -> int:
        return min(position + self.batch * self.world, len(self.data))

    def _select(self, position: int) -> Selection | None:
        """This rank's images of the step that begins at `position`, None when there are none."""
        n = self._after(position) - position
        if n <= self.rank or (self.drop_last and n < self.batch * self.world):
            return None
        indices, flips = self._order.take(self.epoch * len(self.data) + position, n)
        mine = slice(self.rank, None, self.world)
        return Selection(indices[mine], flips[mine] if self._order.flip else None)

    def _labels(self, indices: NDArray[np.int64]) -> Tensor | None:
        labels = self.data.labels
        return None if labels is None else torch.from_numpy(labels[indices]).to(self.device)
