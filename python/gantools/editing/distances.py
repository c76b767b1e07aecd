"""How far images are from a target, with gradients: what a projection makes smaller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from gantools.errors import ConfigError, unknown_name
from gantools.metrics.pixels.lpips import Lpips

#: Names of distances.
Loss = Literal["pixels", "lpips"]
# Of sides above it LPIPS sees the mean of blocks of pixels, as StyleGAN2's projector has it (arXiv:1912.04958, appendix
# D): its network was trained on photographs of about this size.
LPIPS_SIDE = 256
# The coarsest scale of `pixels` has at least this side.
COARSEST = 4


@dataclass(frozen=True)
class Distance:
    """A distance of images.

    Attributes:
        name: in `Loss`.
        of: two tensors float (n, c, h, w) in [-1, 1] -> float32 (n,).
        protocol: what decides its numbers beside the images.
    """

    name: Loss
    of: Callable[[Tensor, Tensor], Tensor]
    protocol: dict[str, str]


def pixel_distance(x: Tensor, y: Tensor) -> Tensor:
    """(1/S) Σ_s mean (P_s x - P_s y)², float32 (n,): squared differences at S scales, all as important.

    P_0 is the image, P_{s+1} the means of 2 x 2 pixels of P_s, as long as no side is below 4. Fine detail alone, which
    is all that single pixels see, has no gradient that moves a shape to where it should be.

    Args:
        x, y: float (n, c, h, w) in [-1, 1].
    """
    x, y = x.float(), y.float()
    terms = [(x - y).square().mean((1, 2, 3))]
    while min(x.shape[2:]) >= 2 * COARSEST:
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        terms.append((x - y).square().mean((1, 2, 3)))
    return torch.stack(terms).mean(0)


def find_distance(name: str, image_shape: tuple[int, int, int], device: torch.device) -> Distance:
    """The distance of a name, for images of a shape.

    Raises:
        ConfigError: there is none of that name, or images are too small for it. WeightsError, DownloadError: weights.
    """
    if name == "pixels":
        return Distance("pixels", pixel_distance, {})
    if name != "lpips":
        raise unknown_name("loss", name, get_args(Loss))
    h, w, _ = image_shape
    network = Lpips("vgg", device=device)
    if min(h, w) < network.side:
        raise ConfigError(
            f"loss lpips: needs sides of at least {network.side} pixels, this run makes {h}x{w}.",
            "Use --loss pixels.",
        )

    def lpips(x: Tensor, y: Tensor) -> Tensor:
        block = max(1, max(h, w) // LPIPS_SIDE)
        x, y = (F.avg_pool2d(v.float(), block).expand(-1, 3, -1, -1) for v in (x, y))
        return network.compare(x, y)

    return Distance("lpips", lpips, dict(network.protocol))
