"""Crops of images, and inputs that are computed from them: smaller, blurred, noisy, saved as JPEGs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gantools.data.batches import Ahead, as_floats, cut
from gantools.data.degrade import degraded, numbers, offsets
from gantools.data.feeds.base import Sample, Span
from gantools.data.feeds.orders import Crops
from gantools.data.image_set import ImageSet
from gantools.data.seeds import derived
from gantools.degradation import Degradation
from gantools.device import to_device


class DegradedFeed:
    """A feed of crops whose inputs are the same crops, degraded: a function of the seed and the position alone.

    Args:
        data: the images; their labels are those of the samples.
        crops: which part of which image stands at which position, `side + settings.around` pixels wide and high.
        side: of the crops.
        settings: what may happen to them.
        scale: by which the inputs are smaller; `side` and `settings.around` are multiples of it.
        seed: in [0, 2**63).
        device: where the samples go.
        channels_last: memory layout of the samples.
    """

    resident = False

    def __init__(
        self,
        data: ImageSet,
        crops: Crops,
        side: int,
        settings: Degradation,
        scale: int,
        seed: int,
        device: torch.device,
        *,
        channels_last: bool,
    ) -> None:
        self.count, self.device, self._channels_last = len(data), device, channels_last
        self._data, self._crops, self._side, self._settings, self._scale = data, crops, side, settings, scale
        self._seed = derived(seed, "degrade")
        self._labels = None if data.labels is None else torch.from_numpy(data.labels).to(device)
        self._ahead: Ahead[Span, tuple[Tensor, Tensor, Tensor]] = Ahead("degrade")

    def at(self, position: int, n: int, following: Span | None = None) -> Sample:
        """The rows at positions position..position+n-1; those of `following` are begun. See `Feed.at`."""
        if position < 0 or n < 1:
            raise ValueError(f"position is at least 0 and n at least 1, not {position}, {n}")
        if not self._ahead.holds((position, n)):
            self._begin((position, n))
        images, inputs, indices = self._ahead.take()
        if following is not None:
            self._begin(following)
        floats = [
            as_floats(pixels.to(self.device, non_blocking=True), None, self._channels_last)
            for pixels in (images, inputs)
        ]
        labels = None if self._labels is None else self._labels.index_select(0, to_device(indices, self.device))
        return Sample(floats[0], labels, floats[1], {})

    def close(self) -> None:
        """Stop the reading thread."""
        self._ahead.close()

    def _begin(self, span: Span) -> None:
        self._ahead.begin(span, lambda: self._fill(span))

    def _fill(self, span: Span) -> tuple[Tensor, Tensor, Tensor]:
        """Bytes of the crops (n, side, side, c) and of their inputs, and the images' numbers."""
        position, n = span
        settings, scale = self._settings, self._scale
        selection = self._crops.scaled(span, scale)
        large, small = self._side, self._side // scale
        wide = np.empty((n, large + settings.around, large + settings.around, self._data.shape[2]), np.uint8)
        cut(self._data, selection, large + settings.around, wide)
        uniform, seeds = numbers(self._seed, np.arange(position, position + n))
        worse = degraded(wide, settings, scale, uniform, seeds)
        images = torch.empty((n, large, large, wide.shape[3]), dtype=torch.uint8)
        inputs = torch.empty((n, small, small, wide.shape[3]), dtype=torch.uint8)
        for row, (y, x) in enumerate(offsets(settings, uniform, scale).tolist()):
            images.numpy()[row] = wide[row, y * scale :, x * scale :][:large, :large]
            inputs.numpy()[row] = worse[row, y:, x:][:small, :small]
        if self.device.type == "cuda":
            # Memory that torch keeps until the copy from it is over.
            images, inputs = images.pin_memory(), inputs.pin_memory()
        return images, inputs, torch.from_numpy(selection.indices)
