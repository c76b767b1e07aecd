"""Images from images: what a trained translator or enlarger makes of images of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gantools.device import full_precision
from gantools.errors import ConfigError, DataError
from gantools.levels import to_uint8
from gantools.models.system import System

#: Pixels around a tile that are computed and cut off, so that its border is not seen.
OVERLAP = 16


class Translator:
    """What a system's networks make of images of any size.

    Attributes:
        system: says how they do.
        networks: those it shows, by name.
        scale: how many times as large as an image the result is.
        multiple: the sides of what the network takes are multiples of it; images are mirrored beyond their edge until
            they are, and what came of that is cut off again.
        channels: 1 or 3.
    """

    def __init__(self, system: System, networks: Mapping[str, nn.Module], config: Any) -> None:
        self.system, self.networks = system, networks
        self.scale = int(config.image_shape[0]) // int(config.input_shape[0])
        self.multiple = int(getattr(config, "multiple", 1))
        self.channels = int(config.input_shape[2])

    def translate(
        self,
        images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        controls: Mapping[str, float],
    ) -> list[NDArray[np.uint8]]:
        """What the network makes of each image; an image's result does not depend on the others.

        Args:
            images: uint8 (h, w, c) each, of any sizes, or uint8 (n, h, w, c).
            tile: side of the parts that an image is computed in, in its own pixels, for images that do not fit in
                memory; None: whole. Networks that normalise each image by itself give tiles slightly different tones.
            controls: a value for each of the system's controls, by name.

        Returns:
            uint8 (scale h, scale w, c) each.

        Raises:
            ConfigError: a tile that is too small.
            DataError: an image has another number of channels.
        """
        return list(self.each(images, tile=tile, controls=controls))

    def each(
        self,
        images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        controls: Mapping[str, float],
    ) -> Iterator[NDArray[np.uint8]]:
        """As `translate`, one after the other."""
        if tile is not None and tile <= 2 * OVERLAP:
            raise ConfigError(f"tile: must be above {2 * OVERLAP}, not {tile}.", "For example 256.")
        for image in images:
            if not isinstance(image, np.ndarray):
                raise DataError(f"an image is a {type(image).__name__}; this network takes arrays uint8 (h, w, c).")
            if image.ndim != 3 or image.shape[2] != self.channels or image.dtype != np.uint8 or 0 in image.shape:
                raise DataError(
                    f"an image is {image.dtype} {image.shape}; this network takes uint8 (h, w, {self.channels})."
                )
            yield self._whole(image, controls) if tile is None else self._tiled(image, tile, controls)

    @torch.no_grad()
    def _whole(self, image: NDArray[np.uint8], controls: Mapping[str, float]) -> NDArray[np.uint8]:
        h, w, _ = image.shape
        # A network that halves has to be left two pixels at its smallest.
        least = 2 * self.multiple if self.multiple > 1 else 1
        more = [(0, max(least, side + -side % self.multiple) - side) for side in (h, w)]
        # Symmetric, since by reflection a side of one pixel has nothing to be continued by.
        x = np.pad(image, (*more, (0, 0)), "symmetric") if any(m for _, m in more) else image
        device = next(self.networks[self.system.sampler].parameters()).device
        start = torch.from_numpy(np.ascontiguousarray(x)).to(device).permute(2, 0, 1)[None].float().div(127.5).sub(1)
        with full_precision():
            made = self.system.render(self.networks, start, None, controls)
        levels: NDArray[np.uint8] = to_uint8(made)[0].permute(1, 2, 0).contiguous().cpu().numpy()
        return levels[: h * self.scale, : w * self.scale]

    def _tiled(self, image: NDArray[np.uint8], tile: int, controls: Mapping[str, float]) -> NDArray[np.uint8]:
        h, w, c = image.shape
        s, step = self.scale, (tile - 2 * OVERLAP) // self.multiple * self.multiple or self.multiple
        out = np.empty((h * s, w * s, c), np.uint8)
        for y in range(0, h, step):
            for x in range(0, w, step):
                top, left = max(0, y - OVERLAP), max(0, x - OVERLAP)
                bottom, right = min(h, y + step + OVERLAP), min(w, x + step + OVERLAP)
                made = self._whole(image[top:bottom, left:right], controls)
                core = out[y * s : (y + step) * s, x * s : (x + step) * s]
                y0, x0 = (y - top) * s, (x - left) * s
                core[:] = made[y0 : y0 + core.shape[0], x0 : x0 + core.shape[1]]
        return out
