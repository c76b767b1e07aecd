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
from gantools.sampling.windows import by_windows, check_frames, shots_of

#: Pixels around a tile that are computed and cut off, so that its border is not seen, where a system does not say them.
OVERLAP = 16


class Translator:
    """What a system's networks make of images of any size.

    Attributes:
        system: says how they do.
        networks: those it shows, by name.
        scale: how many times as large as an image the result is.
        multiple: the sides of what the network takes are multiples of it.
        least: the smallest side that it takes.
        pads: whether images are mirrored beyond their edge until their sides are such, and what came of that cut off
            again, without being asked.
        reach: pixels around a tile that its result depends on; None: a result depends on all of its image, because the
            network normalises each image by itself.
        whole: whether an image is never computed in parts.
        channels: 1 or 3.
        frames: how many frames the network takes at once; the middle one is what it makes larger. 1: it takes images.
        most: the largest side that it takes; None: any.
    """

    def __init__(self, system: System, networks: Mapping[str, nn.Module], config: Any) -> None:
        self.system, self.networks = system, networks
        self.scale = int(config.image_shape[0]) // int(config.input_shape[0])
        self.multiple = int(getattr(config, "multiple", 1))
        # A network that halves has to be left two pixels at its smallest, unless it says otherwise.
        self.least = int(getattr(config, "least", 2 * self.multiple if self.multiple > 1 else 1))
        self.pads = bool(getattr(config, "pads", True))
        self.reach: int | None = getattr(config, "reach", OVERLAP)
        self.whole = bool(getattr(config, "whole", False))
        self.channels = int(config.input_shape[2])
        self.frames = int(getattr(config, "frames", 1))
        self.most: int | None = getattr(config, "most", None)

    @property
    def margin(self) -> int:
        """Pixels that a tile is larger by on each side, a multiple of `multiple`."""
        reach = OVERLAP if self.reach is None else self.reach
        return reach + -reach % self.multiple

    @property
    def least_tile(self) -> int:
        """The smallest side of a tile of which something is left without its margins."""
        return 2 * self.margin + (self.multiple if self.multiple > 1 else 1)

    def check_tile(self, tile: int | None) -> None:
        """Refuse a side of tiles of which nothing is left without their margins, and tiles where there must be none.

        Raises:
            ConfigError: it is too small, or the network needs whole images.
        """
        if tile is not None and self.whole:
            raise ConfigError("tile: this network looks at an image as a whole.", "Leave it out.")
        least = self.least_tile
        if tile is not None and tile < least:
            raise ConfigError(
                f"tile: must be at least {least} for this network, not {tile}.",
                f"For example {max(256, least + least // 2)}.",
            )

    def check_marks(self, marks: NDArray[np.float32] | None) -> None:
        """Refuse images without the landmarks that a system needs, and landmarks where it takes none.

        Raises:
            DataError: there are none. ConfigError: they are not needed.
        """
        if "marks" not in self.system.guides:
            if marks is not None:
                raise ConfigError("landmarks: this network takes none.", "Leave them out.")
            return
        if marks is None:
            raise DataError(
                "this network needs the landmarks of each face, and there are none.",
                "Make faces that have them: gantools prep frontal IMAGES --landmarks FILE --all-poses --out FACES; "
                "or give those of faces that are aligned already: gantools translate --landmarks FILE",
            )

    def translate(
        self,
        images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        pad: bool = False,
        controls: Mapping[str, float],
        marks: NDArray[np.float32] | None = None,
    ) -> list[NDArray[np.uint8]]:
        """What the network makes of each image; an image's result does not depend on the others.

        Of a network that takes frames the images are the frames of one film in order, which is split at its cuts; they
        may have colours where the network knows luma alone.

        Args:
            images: uint8 (h, w, c) each, of any sizes, or uint8 (n, h, w, c).
            tile: side of the parts that an image is computed in, in its own pixels, for images that do not fit in
                memory; None: whole. The parts are those of the whole image to within a level where the network sees
                no farther than `reach`. Networks that normalise each image by itself give each tile tones of its own;
                where tiles meet, they go over into each other.
            pad: mirror images beyond their edge where the network does not take their sides, and cut the result.
            controls: a value for each of the system's controls, by name.
            marks: where a system needs them, x and y of the eyes, the nose and the corners of the mouth in each image,
                from the middle of its first pixel, float (n, 5, 2).

        Returns:
            uint8 (scale h, scale w, c) each.

        Raises:
            ConfigError: a tile that is too small.
            DataError: an image has another number of channels, or sides that the network does not take.
        """
        return list(self.each(images, tile=tile, pad=pad, controls=controls, marks=marks))

    def each(
        self,
        images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        pad: bool = False,
        controls: Mapping[str, float],
        marks: NDArray[np.float32] | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """As `translate`, one after the other."""
        self.check_tile(tile)
        self.check_marks(marks)
        if self.frames > 1:
            film = list(images)
            check_frames(film)

            def make(window: NDArray[np.uint8]) -> NDArray[np.uint8]:
                return self.made(window, tile=tile, pad=pad, controls=controls)

            found = by_windows(film, shots_of(film), make, count=self.frames, channels=self.channels)
            yield from (image for _, image in found)
            return
        for i, image in enumerate(images):
            of = None if marks is None else marks[i]
            yield self.made(image, tile=tile, pad=pad, controls=controls, marks=of)

    def made(
        self,
        image: NDArray[np.uint8],
        *,
        tile: int | None = None,
        pad: bool = False,
        controls: Mapping[str, float],
        marks: NDArray[np.float32] | None = None,
    ) -> NDArray[np.uint8]:
        """As `translate`, of one image, or of the frames of a window, one behind the other as channels."""
        self.check_tile(tile)
        if not isinstance(image, np.ndarray):
            raise DataError(f"an image is a {type(image).__name__}; this network takes arrays uint8 (h, w, c).")
        channels = self.channels * self.frames
        if image.ndim != 3 or image.shape[2] != channels or image.dtype != np.uint8 or 0 in image.shape:
            raise DataError(f"an image is {image.dtype} {image.shape}; this network takes uint8 (h, w, {channels}).")
        h, w, _ = image.shape
        if not (pad or self.pads) and (h % self.multiple or w % self.multiple):
            raise DataError(
                f"{w} x {h} pixels: this network takes sides that are multiples of {self.multiple}.",
                "Mirrored beyond the edge and cut back: gantools translate --pad, or pad=True.",
            )
        if self.most is not None and max(h, w) > self.most:
            raise DataError(
                f"{w} x {h} pixels: this network takes {self.most} x {self.most}.", "Prepare such images: gantools prep"
            )
        if marks is not None:
            return self._whole(image, controls, marks)
        if tile is None or max(h, w) <= tile:
            return self._whole(image, controls)
        if self.reach is None:
            return self._blended(image, tile, controls)
        return self._tiled(image, tile, controls)

    @torch.no_grad()
    def _whole(
        self, image: NDArray[np.uint8], controls: Mapping[str, float], marks: NDArray[np.float32] | None = None
    ) -> NDArray[np.uint8]:
        h, w, _ = image.shape
        more = [(0, max(self.least, side + -side % self.multiple) - side) for side in (h, w)]
        # Symmetric, since by reflection a side of one pixel has nothing to be continued by.
        x = np.pad(image, (*more, (0, 0)), "symmetric") if any(m for _, m in more) else image
        device = next(self.networks[self.system.sampler].parameters()).device
        start = torch.from_numpy(np.ascontiguousarray(x)).to(device).permute(2, 0, 1)[None].float().div(127.5).sub(1)
        if self.frames > 1:
            start = start.reshape(1, self.frames, self.channels, *start.shape[2:])
        with full_precision():
            guides = {} if marks is None else {"marks": torch.from_numpy(np.asarray(marks)).to(device)[None]}
            made = self.system.render(self.networks, start, None, controls, **guides)
        levels: NDArray[np.uint8] = to_uint8(made)[0].permute(1, 2, 0).contiguous().cpu().numpy()
        return levels[: h * self.scale, : w * self.scale]

    def _tiled(self, image: NDArray[np.uint8], tile: int, controls: Mapping[str, float]) -> NDArray[np.uint8]:
        """Of parts of which all is cut off that could see a border that is not the image's."""
        h, w, _ = image.shape
        s, margin = self.scale, self.margin
        # Corners are multiples, so that a halving network has its grid where it has it in the image.
        step = (tile - 2 * margin) // self.multiple * self.multiple
        out: NDArray[np.uint8] | None = None
        for y in range(0, h, step):
            for x in range(0, w, step):
                top, left = max(0, y - margin), max(0, x - margin)
                bottom, right = min(h, y + step + margin), min(w, x + step + margin)
                made = self._whole(image[top:bottom, left:right], controls)
                out = np.empty((h * s, w * s, made.shape[2]), np.uint8) if out is None else out
                core = out[y * s : (y + step) * s, x * s : (x + step) * s]
                y0, x0 = (y - top) * s, (x - left) * s
                core[:] = made[y0 : y0 + core.shape[0], x0 : x0 + core.shape[1]]
        assert out is not None
        return out

    def _blended(self, image: NDArray[np.uint8], tile: int, controls: Mapping[str, float]) -> NDArray[np.uint8]:
        """Of parts that go over into each other where they overlap, by weights that rise from their borders."""
        h, w, _ = image.shape
        s, margin = self.scale, self.margin
        tile = tile // self.multiple * self.multiple
        total: NDArray[np.float32] | None = None
        weights = np.zeros((h * s, w * s, 1), np.float32)
        for y in _starts(h, tile, tile - 2 * margin):
            for x in _starts(w, tile, tile - 2 * margin):
                part = image[y : y + tile, x : x + tile]
                made = self._whole(part, controls)
                rows, columns = (_rise(n * s, 2 * margin * s) for n in part.shape[:2])
                weight = (rows[:, None] * columns)[:, :, None]
                total = np.zeros((h * s, w * s, made.shape[2]), np.float32) if total is None else total
                place = np.s_[y * s : y * s + made.shape[0], x * s : x * s + made.shape[1]]
                total[place] += weight * made
                weights[place] += weight
        assert total is not None
        return np.floor(total / weights + 0.5).astype(np.uint8)


def _starts(length: int, tile: int, step: int) -> list[int]:
    """Where tiles begin along a side of `length`: every `step`, and the last so that it ends with the side."""
    last = max(0, length - tile)
    return [*range(0, last, step), last]


def _rise(length: int, over: int) -> NDArray[np.float32]:
    """Weights float32 (length,) that rise from either end over `over` pixels, to 1; none is 0."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(1.0, distance / (over + 1)).astype(np.float32)
