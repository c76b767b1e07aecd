"""Sets of pairs: what belongs to each image as an input, and how it is made.

The images of the set are the targets. Its inputs are a prepared set of the same length in its folder `inputs`. They
come from a second source, matched by name; from the other half of each file; from the same images, made smaller; or
they are computed from the pixels of the targets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.degrade import degraded, numbers
from gantools.data.policy import PIXELS, TILE, Policy
from gantools.data.seeds import derived
from gantools.data.sources import Source, open_source
from gantools.data.tiles import squares, upright_sizes
from gantools.degradation import Degradation
from gantools.errors import ConfigError, DataError, unknown_name

#: What may be computed from an image, and what it gives.
OPERATIONS = {
    "bicubic": "the image made smaller by --scale",
    "grey": "its luma (ITU-R 601), one channel",
    "edges": "the magnitude of Sobel's gradient of its luma, one channel",
    "hole": "the image with its middle quarter grey",
    "noise": "the image with noise of deviation --sigma",
    "degrade": "the image made worse as Real-ESRGAN does, and smaller by --scale",
}
#: Those that have a seed.
RANDOM = ("noise", "degrade")
#: Those that make it smaller.
SMALLER = ("bicubic", "degrade")
#: Which half is the target where two images stand side by side.
DIRECTIONS = {"AtoB": "right", "BtoA": "left"}
KERNEL = "bicubic, a = -0.5, antialiased, as Pillow 13"
NAMES_SHOWN = 3
#: Deviation of the noise in levels where none is given: what papers on denoising have most often.
SIGMA = 25.0


@dataclass(frozen=True)
class Noise:
    """What is random of the inputs.

    Attributes:
        sigma: deviation of the operation `noise` in levels.
        seed: with the name of an image it decides that image's noise, or degradation.
    """

    sigma: float
    seed: int

    def seeds(self, names: Sequence[str]) -> NDArray[np.uint64]:
        """A seed for each image, uint64 (n,): the first 8 bytes of SHA-256 of the seed and its name."""
        digests = (hashlib.sha256(f"{self.seed} {name}".encode()).digest()[:8] for name in names)
        return np.array([int.from_bytes(found, "little") for found in digests], np.uint64)


@dataclass(frozen=True)
class Inputs:
    """Where the inputs of a set of pairs come from.

    Attributes:
        policy: how they become pixels.
        entry: what the manifest says of them.
        names: the name of each, rejects included.
        images: their source, a row for each target; None where they are made of the prepared targets.
        regions: float64 (n, 8), what is kept of each, for the crops that need it.
        noise: what is added to each at last.
        degrade: with the name of an image the seed of how it is degraded first; None: it is not.
        yaws: float64 (n,), by how many degrees each face is turned.
    """

    policy: Policy
    entry: dict[str, Any]
    names: list[str]
    images: Source | None = None
    regions: NDArray[np.float64] | None = None
    noise: Noise | None = None
    yaws: NDArray[np.float64] | None = None
    degrade: int | None = None

    def degraded(self, pixels: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.uint8]:
        """The prepared targets uint8 (n, h, w, c) as the inputs are made of them."""
        if self.degrade is None:
            return pixels
        drawn = [numbers(derived(self.degrade, name), np.zeros(1, np.int64)) for name in names]
        uniform, seeds = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        return degraded(pixels, Degradation(), pixels.shape[1] // self.policy.height, uniform, seeds)

    def document(self) -> dict[str, Any]:
        """What of it decides a byte of the set."""
        source: dict[str, Any] = {}
        if self.images is not None:
            source["fingerprint"] = self.images.reader.fingerprint()
            source["selection"] = hashlib.sha256(self.images.items.tobytes()).hexdigest()[:32]
        if self.regions is not None:
            source["regions"] = hashlib.sha256(self.regions.tobytes()).hexdigest()[:32]
        if self.yaws is not None:
            source["yaws"] = hashlib.sha256(self.yaws.tobytes()).hexdigest()[:32]
        return {**self.entry, "source": source, "policy": self.policy.to_manifest()}


def check_pairs(
    operation: str | None,
    scale: int | None,
    inputs: object,
    direction: str | None,
    *,
    tiled: bool,
    size: int | None,
    sigma: float | None = None,
) -> None:
    """ConfigError: options of pairs that contradict each other, whatever the source is."""
    if operation is not None and operation not in OPERATIONS:
        raise unknown_name("operation", operation, OPERATIONS)
    if direction is not None and direction not in DIRECTIONS:
        raise unknown_name("direction", direction, DIRECTIONS)
    ways = [
        word
        for word, given in (("--operation", operation), ("--inputs", inputs), ("--side-by-side", direction))
        if given is not None
    ]
    if len(ways) > 1:
        raise ConfigError(f"{' and '.join(ways)} both say where the inputs come from.", "Give one of them.")
    if direction is not None and tiled:
        raise ConfigError("images side by side are not cut into tiles.", "Type: gantools prep pairs --side-by-side")
    if scale is not None and scale < 2:
        raise ConfigError(f"the scale is {scale}; it has to be at least 2.", "For example --scale 4.")
    if operation in SMALLER and scale is None:
        raise ConfigError(f"the operation {operation} needs a scale.", "For example --scale 4.")
    if sigma is not None and operation != "noise":
        raise ConfigError("the sigma is that of noise.", "Add --operation noise, or leave --sigma away.")
    if sigma is not None and not 0 < sigma <= 255:
        raise ConfigError(f"the sigma is {sigma:g}; it has to be above 0 and at most 255 levels.", "For example 25.")
    if scale is not None and (direction is not None or operation not in (None, *SMALLER)):
        other = "images side by side have" if direction is not None else f"the operation {operation} has"
        raise ConfigError(f"{other} no scale.", "Leave --scale away.")
    if scale is not None and size is not None and size % scale:
        near = max(size // scale, 1) * scale
        raise ConfigError(f"the size {size} is no multiple of the scale {scale}.", f"For example --size {near}.")


def inputs_of(
    images: Source,
    policy: Policy,
    *,
    operation: str | None,
    scale: int | None,
    inputs: str | Path | None,
    direction: str | None,
    tiles: tuple[NDArray[np.int64], NDArray[np.float64], Source, NDArray[np.int64]] | None,
    noise: Noise | None = None,
) -> Inputs | None:
    """The inputs of a set, or None where it is no set of pairs. `check_pairs` has passed.

    Args:
        images: the targets, in the order of the set.
        policy: of the targets.
        operation: a name in `OPERATIONS`; None with a scale and without inputs is `bicubic`.
        scale: how many times as large as its input a target is; None for 1.
        inputs: folder or archive of the inputs.
        direction: a name in `DIRECTIONS`, where both stand in one file.
        tiles: of targets that are tiles, the row of each one's image and its corners; the images before they were cut,
            and their sizes (n, 2).
        noise: of the operation `noise`, and the seed of `degrade`.

    Raises:
        DataError: names that do not match, or sizes that are no multiple.
    """
    store = PIXELS if policy.store == PIXELS else "png"
    entry: dict[str, Any] = {"folder": "inputs", **({} if scale is None else {"scale": scale})}
    small = replace(policy, width=policy.width // (scale or 1), height=policy.height // (scale or 1), store=store)
    if direction is not None:
        side = "left" if DIRECTIONS[direction] == "right" else "right"
        entry |= {"operation": "side-by-side", "direction": direction}
        return Inputs(replace(small, half=side), entry, images.names, images)
    if inputs is not None:
        entry["operation"] = "files"
        whole = images if tiles is None else tiles[2]
        second = _matched(whole, open_source(Path(inputs), loose=True), str(inputs), scale)
        if tiles is None:
            return Inputs(small, entry, second.names, second)
        of, corners, _, sizes = tiles
        _check_sizes(whole, sizes, upright_sizes(second, policy.orientation == "apply"), scale or 1)
        at = corners[:, [1, 0]].astype(np.int64) // (scale or 1)
        chosen = second.select(of)
        return Inputs(small, entry, images.names, chosen, squares(at, small.width))
    if operation is None and scale is None:
        return None
    entry["operation"] = operation or "bicubic"
    if operation == "grey" and policy.channels == 1:
        raise ConfigError("grey of grey images is the images themselves.", "Add --channels 3, or choose another one.")
    if entry["operation"] == "bicubic":
        entry["kernel"] = KERNEL + (", of the whole image" if tiles is not None else "")
        small = replace(small, filter="bicubic", pad_color=None, band=None)
        if tiles is not None:
            return Inputs(small, entry, images.names, images, tiles[1])
        return Inputs(replace(small, crop="none"), entry, images.names)
    if operation == "noise":
        noise = noise or Noise(SIGMA, 0)
        entry |= {"sigma": noise.sigma, "seed": noise.seed}
    if operation == "degrade":
        noise = noise or Noise(SIGMA, 0)
        entry |= {"degradation": "real-esrgan", "seed": noise.seed}
        made = replace(small, crop="none", filter="bicubic", pad_color=None, band=None)
        return Inputs(made, entry, images.names, degrade=noise.seed)
    effect = operation if operation in _native.EFFECTS else "none"
    channels = policy.channels if operation in ("hole", "noise") else 1
    plain = replace(small, crop="none", filter="bicubic", pad_color=None, band=None, effect=effect, channels=channels)
    return Inputs(plain, entry, images.names, noise=noise if operation == "noise" else None)


def tiled_policy(policy: Policy) -> Policy:
    """That of targets that are cut and not resized."""
    return replace(policy, crop=TILE, filter="bicubic", pad_color=None, band=None)


def _matched(targets: Source, inputs: Source, place: str, scale: int | None) -> Source:
    """The inputs in the order of the targets, by name without suffix; at scale 4 `0001x4` belongs to `0001`."""
    wanted = [_stem(name) for name in targets.names]
    rows = {_stem(name): row for row, name in enumerate(inputs.names)}
    if scale is not None and not set(wanted) & set(rows):
        rows = {stem.removesuffix(f"x{scale}"): row for stem, row in rows.items()}
    if len(rows) != len(inputs.names):
        raise DataError(
            f"{place}: several files have one name but for what comes after the last point.",
            "Keep one of each; pairs are matched by name.",
        )
    missing = [name for name, stem in zip(targets.names, wanted, strict=True) if stem not in rows]
    if missing:
        shown = ", ".join(missing[:NAMES_SHOWN]) + (", ..." if len(missing) > NAMES_SHOWN else "")
        raise DataError(
            f"{place}: has no image for {len(missing):,} of {len(targets):,} targets: {shown}.",
            "Pairs are matched by name, with folders and without suffix: "
            f"here are for example {', '.join(inputs.names[:NAMES_SHOWN])}.",
        )
    order = np.array([rows[stem] for stem in wanted], np.int64)
    if len(set(order.tolist())) != len(order):
        raise DataError(
            "several targets have one name but for what comes after the last point.",
            "Keep one of each; pairs are matched by name.",
        )
    return inputs.select(order)


def _check_sizes(targets: Source, sizes: NDArray[np.int64], small: NDArray[np.int64], scale: int) -> None:
    wrong = np.flatnonzero((sizes // scale != small).any(1) & (small > 0).all(1) & (sizes > 0).all(1))
    if len(wrong):
        (w, h), (w_in, h_in) = sizes[wrong[0]].tolist(), small[wrong[0]].tolist()
        raise DataError(
            f"{targets.names[wrong[0]]} is {w} x {h}, its input {w_in} x {h_in}: not {scale} times smaller "
            f"({len(wrong):,} such).",
            "Give the --scale that the files have, and files that belong together.",
        )


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
