"""From latents to images: full batches, repeatable arithmetic, moved latents.

Image i is a function of (weights, seed, i), its class and the controls alone: its latent comes from a counter-based
generator keyed by (seed, i), and it is always computed at the same place of a batch of the same size. So the first 10
of 1,000 images are the 10 images that asking for 10 gives, bit for bit, on the same machine with the same batch size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.device import full_precision
from gantools.levels import to_uint8
from gantools.models.system import System
from gantools.sampling.latents import latents

BATCH = 64

#: Where latents live: z, what a sampler starts from; w, the styles that a mapping network makes of it.
Space = Literal["z", "w"]

#: Classes of images: of all, of each in turn, or every class as often as any other.
Label = int | tuple[int, ...] | None


@dataclass(frozen=True)
class Move:
    """Something that is added to all latents.

    Attributes:
        space: to latents themselves, or to their styles, to those of every layer alike.
        by: float32 (latent,) or (style,).
    """

    space: Space
    by: Tensor


def paint(
    system: System,
    networks: Mapping[str, nn.Module],
    z: Tensor,
    labels: Tensor | None,
    controls: Mapping[str, float],
    move: Move | None = None,
) -> Tensor:
    """Images float (n, c, h, w) in [-1, 1], with gradients by `z` where it wants some.

    Args:
        system: says how its networks make images.
        networks: those it shows, by name.
        z: latents float (n, latent), or styles float (n, count, style) of a system that has some.
        labels: classes int64 (n,), or None.
        controls: a value for each control by name.
        move: what is added to the latents or styles.
    """
    if z.ndim == 2 and (move is None or move.space == "z"):
        return system.render(networks, z if move is None else z + move.by.to(z), labels, controls)
    assert system.styles is not None
    styles = z if z.ndim == 3 else system.styles.of(networks, z, labels, controls)
    return system.styles.render(networks, styles if move is None else styles + move.by.to(styles), controls)


def labels_of(numbers: NDArray[np.int64], classes: int, label: Label) -> NDArray[np.int64]:
    """Classes of the images of these numbers, int64 (n,).

    Args:
        numbers: int64 (n,), at least 0.
        classes: that the networks know, at least 1.
        label: the class of all; several: image i has that of i modulo how many there are; None: i modulo `classes`.
    """
    if label is None:
        return numbers % classes
    given = np.array([label] if isinstance(label, int) else label, np.int64)
    return given[numbers % len(given)]


@torch.no_grad()
def generate(
    system: System,
    networks: Mapping[str, nn.Module],
    seed: int,
    n: int,
    *,
    classes: int = 0,
    label: Label = None,
    controls: Mapping[str, float] | None = None,
    move: Move | None = None,
    batch: int = BATCH,
    first: int = 0,
    keep_mode: bool = False,
) -> Iterator[Tensor]:
    """Images first..first+n-1 of a system's networks, as uint8 (<= batch, h, w, c) tensors on their device.

    They are those of a run from image 0 bit for bit where `first` is a multiple of `batch`.

    Args:
        system: says how its networks make images.
        networks: those it shows, by name.
        seed: of the latents.
        n: how many images.
        classes: that the networks know; 0: none.
        label: as in `labels_of`.
        controls: by name; what is not named has its default.
        move: what is added to all latents.
        batch: images computed at once.
        first: number of the first image.
        keep_mode: leave every module in the mode it is in, in place of evaluation.
    """
    sampler = networks[system.sampler]
    device = next(sampler.parameters()).device
    chosen = {control.name: control.default for control in system.controls} | dict(controls or {})
    modes = {name: [m.training for m in network.modules()] for name, network in networks.items()}
    if not keep_mode:
        for network in networks.values():
            network.eval()
    try:
        for start in range(first, first + n, batch):
            # Always a full batch, so that a row's arithmetic does not depend on how many images were asked for.
            z = torch.from_numpy(latents(seed, start, batch, int(sampler.latent))).to(device)  # type: ignore[arg-type]
            numbers = np.arange(start, start + batch)
            y = torch.from_numpy(labels_of(numbers, classes, label)).to(device) if classes else None
            with full_precision():
                images = to_uint8(paint(system, networks, z, y, chosen, move)).permute(0, 2, 3, 1).contiguous()
            yield images[: first + n - start]
    finally:
        for name, network in networks.items():
            for module, training in zip(network.modules(), modes[name], strict=True):
                module.training = training
