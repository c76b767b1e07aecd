"""Images from images: what a trained translator or enlarger makes of images of any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.device import full_precision
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.levels import to_uint8
from gantools.models.system import System
from gantools.runs.folders import find_checkpoint
from gantools.sampling.generator import Generator, load_networks

#: Pixels around a tile that are computed and cut off, so that its border is not seen.
OVERLAP = 16


class Translator:
    """A trained network from images to images. Make one with `Translator.load`.

    Attributes:
        generator: its networks, recipe and checkpoint.
        scale: how many times as large as an image the result is.
        multiple: the sides of what the network takes are multiples of it; images are mirrored beyond their edge until
            they are, and what came of that is cut off again.
        channels: 1 or 3.
    """

    def __init__(self, generator: Generator) -> None:
        network = generator.recipe.network
        if generator.recipe.system.takes != "images":
            raise ConfigError(
                f"{generator.checkpoint}: {generator.recipe.model} makes images from nothing but a seed.",
                "Use gantools sample.",
            )
        self.generator = generator
        self.scale = int(network.image_shape[0]) // int(network.input_shape[0])
        self.multiple = int(getattr(network, "multiple", 1))
        self.channels = int(network.input_shape[2])

    @classmethod
    def load(cls, path: str | Path | None = None, *, device: str | None = None) -> Translator:
        """Load a translator; the arguments are as `Generator.load` has them.

        Raises:
            CheckpointError: there is none, or it is damaged.
            ConfigError: the run's system starts from latents.
        """
        checkpoint = find_checkpoint(path)
        networks, config = load_networks(checkpoint, device)
        return cls(Generator(networks, checkpoint, config))

    def translate(
        self,
        images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> list[NDArray[np.uint8]]:
        """What the network makes of each image; an image's result does not depend on the others.

        Args:
            images: uint8 (h, w, c) each, of any sizes, or uint8 (n, h, w, c).
            tile: side of the parts that an image is computed in, in its own pixels, for images that do not fit in
                memory; None: whole. Networks that normalise each image by itself give tiles slightly different tones.
            controls: the system's controls by name; their defaults where not given.

        Returns:
            uint8 (scale h, scale w, c) each.

        Raises:
            ConfigError: an unknown control or one out of its range, or a tile that is too small.
            DataError: an image has another number of channels.
        """
        return list(self.each(images, tile=tile, controls=controls))

    def each(
        self,
        images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """As `translate`, one after the other."""
        if tile is not None and tile <= 2 * OVERLAP:
            raise ConfigError(f"tile: must be above {2 * OVERLAP}, not {tile}.", "For example 256.")
        chosen = settings(self.generator.recipe.system, controls or {})
        for image in images:
            if image.ndim != 3 or image.shape[2] != self.channels or image.dtype != np.uint8 or 0 in image.shape:
                raise DataError(
                    f"an image is {image.dtype} {image.shape}; this network takes uint8 (h, w, {self.channels})."
                )
            yield self._whole(image, chosen) if tile is None else self._tiled(image, tile, chosen)

    @torch.no_grad()
    def _whole(self, image: NDArray[np.uint8], controls: Mapping[str, float]) -> NDArray[np.uint8]:
        h, w, _ = image.shape
        # A network that halves has to be left two pixels at its smallest.
        least = 2 * self.multiple if self.multiple > 1 else 1
        more = [(0, max(least, side + -side % self.multiple) - side) for side in (h, w)]
        # Symmetric, since by reflection a side of one pixel has nothing to be continued by.
        x = np.pad(image, (*more, (0, 0)), "symmetric") if any(m for _, m in more) else image
        networks = self.generator.networks
        device = next(networks[self.generator.recipe.system.sampler].parameters()).device
        start = torch.from_numpy(np.ascontiguousarray(x)).to(device).permute(2, 0, 1)[None].float().div(127.5).sub(1)
        with full_precision(device):
            made = self.generator.recipe.system.render(networks, start, None, controls)
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


def settings(system: System, given: Mapping[str, float]) -> dict[str, float]:
    """A value for each control of a system: the given one, else its default.

    Raises:
        ConfigError: there is no such control, or the value is out of its range.
    """
    known = {control.name: control for control in system.controls}
    for name, value in given.items():
        if name not in known:
            raise (
                unknown_name("control", name, known)
                if known
                else ConfigError(f"control {name!r}: this system has none.", "Leave it out.")
            )
        if not known[name].low <= value <= known[name].high:
            raise ConfigError(f"{name}: must be in [{known[name].low:g}, {known[name].high:g}], not {value:g}.")
    return {name: float(given.get(name, control.default)) for name, control in known.items()}
