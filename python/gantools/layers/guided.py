"""The guided filter: an image's edges from one image, its tones from another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.precision import wide


def box_mean(x: Tensor, radius: int) -> Tensor:
    """Means float (n, c, h, w) over squares of 2 `radius` + 1 pixels, at borders over the pixels that there are."""
    return F.avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)


def guided_filter(guide: Tensor, image: Tensor, radius: int = 4, eps: float = 0.01) -> Tensor:
    """q = mean(a) I + mean(b), a = cov(I, p) / (var(I) + ε), b = mean(p) - a mean(I), each channel for itself.

    Where the guide I varies more than ε, q has its edges; where it does not, q is a mean of the image p.
    Source: He et al. 2010, Guided image filtering, equations 5, 6 and 8.

    Args:
        guide: I, float (n, c, h, w).
        image: p, of the same shape.
        radius: of the squares in pixels.
        eps: ε, in squares of the guide's own units: 0.01 of values in [0, 1] is 0.04 of those in [-1, 1].
    """
    with torch.autocast(guide.device.type, enabled=False):
        i, p = wide(guide), wide(image)
        mean_i, mean_p = box_mean(i, radius), box_mean(p, radius)
        covariance = box_mean(i * p, radius) - mean_i * mean_p
        variance = box_mean(i * i, radius) - mean_i * mean_i
        a = covariance / (variance + eps)
        b = mean_p - a * mean_i
        return box_mean(a, radius) * i + box_mean(b, radius)


def dilated(mask: Tensor, radius: int) -> Tensor:
    """The largest value of a mask float (n, 1, h, w) within `radius` pixels of each, along rows and columns."""
    return F.max_pool2d(mask, 2 * radius + 1, 1, radius) if radius > 0 else mask


def blend(mask: Tensor, changed: Tensor, image: Tensor) -> Tensor:
    """m q + (1 - m) x; where m is 0, the image x keeps its bits."""
    return mask * changed + (1 - mask) * image


class Fuse(nn.Module):
    """What another image changes, where it may: on the foreground and `dilation` pixels around it, with its edges."""

    def __init__(self, radius: int, eps: float, dilation: int) -> None:
        super().__init__()
        self.radius, self.eps, self.dilation = radius, eps, dilation

    def forward(
        self,
        composed: Tensor,
        alpha: Tensor,
        changed: Tensor,
        strength: float | Tensor = 1.0,
        guided: bool = True,
    ) -> Tensor:
        """`composed` with the tones of `changed`; pixels outside keep their bits.

        Args:
            composed: a foreground on its background, float (n, c, h, w) in [-1, 1].
            alpha: the foreground's opacity there, float (n, 1, h, w).
            changed: another image of it, of the same shape.
            strength: share of the change that is made.
            guided: whether the guided filter keeps the composed image's edges.
        """
        if guided:
            # ε is given for values in [0, 1], these are twice as far apart.
            changed = guided_filter(composed, changed, self.radius, 4 * self.eps)
        return blend(strength * dilated(alpha, self.dilation), changed, composed)
