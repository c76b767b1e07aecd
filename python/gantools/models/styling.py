"""What systems share that draw images from mapped styles: mixing, the mean style, and what sampling may turn.

Source: Karras et al. 2019 (arXiv:1812.04948), section 3 and appendix B.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from gantools.layers.styles import MappingNetwork
from gantools.models.games import draw_latents
from gantools.models.system import Batch, Control, Networks, Seen

Draw = Callable[..., Tensor]
"""Gives the noise of a layer: called with (1, h, w), it returns float (n, 1, h, w)."""


class StyledGenerator(Protocol):
    """A generator whose layers take a style each.

    Attributes:
        latent: length of z.
        count: how many styles an image has.
        mapping: from latents to styles; it keeps their mean.
    """

    latent: int
    count: int
    mapping: MappingNetwork

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same style for every layer, float (n, count, style)."""
        ...

    def synthesis(self, styles: Tensor, draw: Draw | None = None, strength: float = 1.0) -> Tensor:
        """Images of styles, with noise from `draw`, or each layer's constant one, times `strength`."""
        ...


def layer_noise(constant: Tensor, size: int, draw: Draw | None, strength: float) -> Tensor | None:
    """The noise of one layer: `draw`'s, or its `constant` one, times `strength`; None where that is 0."""
    if strength == 0:
        return None
    noise = constant if draw is None else draw(1, size, size)
    return noise if strength == 1 else noise * strength


def mixed(
    generator: StyledGenerator, batch: Batch, labels: Tensor | None, mixing: float, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """Styles of fresh latents, with probability `mixing` from some layer on those of other ones.

    Source: Karras et al. 2019 (arXiv:1812.04948), section 3.1; each row has a place of its own.

    Args:
        generator: makes the styles.
        batch: where the random numbers come from.
        labels: classes int64 (n,).
        mixing: the probability.
        count: how many layers are in use, the first ones; None: all.

    Returns:
        float (n, generator.count, style), and the mean of the first latents' styles, detached, (style,).
    """
    networks = cast(Networks, {"generator": generator})
    styles = generator.styles(draw_latents(networks, batch), labels)
    mean = styles[:, 0].detach().mean(0)
    if mixing == 0:
        return styles, mean
    count = generator.count if count is None else count
    other = generator.styles(draw_latents(networks, batch), labels)
    first = torch.where(batch.uniform() < mixing, 1 + batch.integers(count - 1), generator.count)
    keep = torch.arange(generator.count, device=styles.device) < first[:, None]
    return torch.where(keep[:, :, None], styles, other), mean


def follow_mean(networks: Networks, seen: Seen, decay: float) -> None:
    """Move the mean style by a step towards that of the batch, which the generator's loss gave as `style`."""
    mean = cast(StyledGenerator, networks["generator"]).mapping.mean
    mean.lerp_(seen.means["style"].to(mean.dtype), 1 - decay)


def styled(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Styles of latents `start`, float (n, count, style), mixed as `controls` say."""
    generator = cast(StyledGenerator, networks["generator"])
    styles = generator.styles(start, labels)
    mixing, seed = controls.get("mixing", 0.0), round(controls.get("mixing_seed", 0.0))
    if mixing > 0:
        if seed == 0:
            # z backwards is a latent of its own, as likely as z and unrelated to it, and needs no further number.
            second = start.flip(1)
        else:
            drawn = torch.randn(1, generator.latent, generator=torch.Generator().manual_seed(seed))
            second = drawn.to(start).expand(len(start), -1)
        other = generator.styles(second, labels)
        first = generator.count - round(mixing * generator.count)
        styles = torch.cat([styles[:, :first], other[:, first:]], 1)
    return styles


def drawn_from(networks: Networks, styles: Tensor, controls: Mapping[str, float]) -> Tensor:
    """Images of styles, truncated and with noise as `controls` say."""
    generator = cast(StyledGenerator, networks["generator"])
    seed = round(controls.get("noise_seed", 0.0))
    draw = None if seed == 0 else noise_of(styles, seed)
    truncation = controls.get("truncation", 1.0)
    if truncation != 1:
        styles = generator.mapping.mean + truncation * (styles - generator.mapping.mean)
    return generator.synthesis(styles, draw, controls.get("noise", 1.0))


def noise_of(styles: Tensor, seed: int) -> Draw:
    """Another noise for each image: a function of `seed` and of the signs of its first and last style alone.

    So an image has the same noise wherever in a batch, and however rounded, its style is computed.
    """
    signs = (styles[:, [0, -1]] > 0).flatten(1).cpu().numpy()
    key = seed.to_bytes(8, "little")
    hashes = [hashlib.blake2b(np.packbits(row).tobytes(), digest_size=7, key=key).digest() for row in signs]
    generators = [torch.Generator().manual_seed(int.from_bytes(found, "little")) for found in hashes]

    def draw(*shape: int) -> Tensor:
        rows = [torch.randn(*shape, generator=generator) for generator in generators]
        return torch.stack(rows).to(styles.device)

    return draw


CONTROLS = (
    Control("truncation", 0.0, 1.5, 1.0, "Below 1: styles nearer to their mean, so more usual and better images."),
    Control("noise", 0.0, 1.0, 1.0, "How strong the noise is that draws fine detail: 0 none, 1 as trained."),
    Control("noise_seed", 0, 2**31, 0, "0: the same noise in every image; else a seed of noise of its own for each."),
    Control("mixing", 0.0, 1.0, 0.0, "The share of layers, from the finest, that take the style of a second latent."),
    Control("mixing_seed", 0, 2**31, 0, "Whose: 0 of the latent read backwards; else of one latent of this seed."),
)

#: Those that say nothing of given styles.
MIXING = ("mixing", "mixing_seed")
