"""What a training is fed with, and the class behind every kind of feed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantools.data.batches import Reader, Selection
from gantools.data.image_set import ImageSet
from gantools.device import to_device

#: No training comes to this position: from here on feeds that can keep some images from it give those.
HELD_OUT = 10**12
#: The first position and the number of images.
Span = tuple[int, int]


class Sample(NamedTuple):
    """Some rows of a training's data, on the device.

    Attributes:
        images: what counts as real, float32 (n, c, h, w) in [-1, 1].
        labels: class numbers int64 (n,), or None when the set has none.
        inputs: what an image-to-image generator starts from, float32 (n, c, h, w) in [-1, 1], of a shape of its own;
            or None.
        extras: further tensors with a row an image, by name.
    """

    images: Tensor
    labels: Tensor | None
    inputs: Tensor | None
    extras: dict[str, Tensor]


class Feed(Protocol):
    """An endless row of samples: what stands at a position depends on the seed and the position alone.

    So a process of several asks for its own rows, a training that goes on needs no state, and a batch of any size,
    cut in any way, has the same rows.

    Attributes:
        count: positions of an epoch.
        resident: whether the data lives in the device's memory.
    """

    count: int
    resident: bool

    def at(self, position: int, n: int, following: Span | None = None) -> Sample:
        """The rows at positions position..position+n-1.

        Args:
            position: at least 0.
            n: at least 1.
            following: the position and number that will probably be asked for next; they are begun in the background.
        """

    def close(self) -> None:
        """Stop the reading threads."""


@dataclass(frozen=True)
class Side:
    """Where the images of one role come from.

    Attributes:
        data: the images.
        select: which of them, and what of each, stand at positions start..start+n-1; a function of its arguments alone.
        side: the side of the square crops that `select` asks for; None: whole images.
    """

    data: ImageSet
    select: Callable[[Span], Selection]
    side: int | None = None


class SidesFeed:
    """A feed of images, and of inputs where there are some, each read by a thread of its own.

    Args:
        images: of the role `images`; its set's labels are those of the samples.
        inputs: of the role `inputs`, or None.
        count: positions of an epoch.
        device: where the samples go.
        largest: rows of the largest sample that is planned; larger ones work.
        channels_last: memory layout of the samples.
        resident: keep the sets in the device's memory; None: those that fit, on CUDA.
        marks: x and y of the eyes, the nose and the corners of the mouth of each one's input, float32 (n, 5, 2), which
            become the extra `marks`, mirrored where the images are.
    """

    def __init__(
        self,
        images: Side,
        inputs: Side | None,
        count: int,
        device: torch.device,
        largest: int,
        *,
        channels_last: bool,
        resident: bool | None,
        marks: NDArray[np.float32] | None = None,
    ) -> None:
        self.count, self.device = count, device
        self._images, self._inputs = images, inputs
        self._readers: list[Reader[Span]] = [
            Reader(side.data, device, largest, channels_last=channels_last, resident=resident, side=side.side)
            for side in (images, inputs)
            if side is not None
        ]
        self.resident = all(reader.resident for reader in self._readers)
        labels = images.data.labels
        self._labels = None if labels is None else torch.from_numpy(labels).to(device)
        self._marks = None if marks is None else torch.from_numpy(np.ascontiguousarray(marks)).to(device)
        self._width = images.data.shape[1] if inputs is None else inputs.data.shape[1]

    def at(self, position: int, n: int, following: Span | None = None) -> Sample:
        """The rows at positions position..position+n-1; those of `following` are begun. See `Feed.at`."""
        if position < 0 or n < 1:
            raise ValueError(f"position is at least 0 and n at least 1, not {position}, {n}")
        span = (position, n)
        images = self._readers[0].read(span, self._images.select, following)
        inputs = None if self._inputs is None else self._readers[1].read(span, self._inputs.select, following)
        labels, extras = None, {}
        if self._labels is not None or self._marks is not None:
            chosen = self._images.select(span)
            indices = to_device(torch.from_numpy(chosen.indices), self.device)
            labels = None if self._labels is None else self._labels.index_select(0, indices)
            if self._marks is not None:
                extras["marks"] = self._turned(self._marks.index_select(0, indices), chosen.flips)
        return Sample(images, labels, inputs, extras)

    def _turned(self, marks: Tensor, flips: NDArray[np.bool_] | None) -> Tensor:
        """Landmarks of images that are mirrored where `flips` says so: what is left in an image stays left."""
        if flips is None:
            return marks
        mirrored = marks[:, [1, 0, 2, 4, 3]]
        mirrored = torch.stack((self._width - 1 - mirrored[..., 0], mirrored[..., 1]), 2)
        return torch.where(to_device(torch.from_numpy(flips), self.device)[:, None, None], mirrored, marks)

    def close(self) -> None:
        """Stop the reading threads."""
        for reader in self._readers:
            reader.close()


class RankedFeed:
    """A feed of images with their inputs, and beside them, as extras, of two results the `better` and the `worse`.

    Args:
        images: of the images and their inputs.
        shown: of better images, with the worse ones as inputs.
        held: the same of other pairs, given from position `HELD_OUT` on alone.
    """

    def __init__(self, images: Feed, shown: Feed, held: Feed) -> None:
        self._images, self._shown, self._held = images, shown, held
        self.count, self.resident = images.count, images.resident and shown.resident

    def at(self, position: int, n: int, following: Span | None = None) -> Sample:
        """The rows at positions position..position+n-1; those of `following` are begun. See `Feed.at`."""
        found = self._images.at(position, n, following)
        pairs = (self._held if position >= HELD_OUT else self._shown).at(position, n, following)
        assert pairs.inputs is not None
        return found._replace(extras={"better": pairs.images, "worse": pairs.inputs})

    def close(self) -> None:
        """Stop the reading threads."""
        for feed in (self._images, self._shown, self._held):
            feed.close()
