"""The discriminator that judges patches: of pix2pix and CycleGAN."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from gantools.layers.norm import Norm, make_norm
from gantools.layers.sizes import doubled_widths


def receptive_field(halvings: int) -> int:
    """Side in pixels of what one output of `PatchDiscriminator` sees: 16, 34, 70, 142 for 1, 2, 3, 4 halvings."""
    side = 1
    for stride in (1, 1, *([2] * halvings)):
        side = (side - 1) * stride + 4
    return side


class PatchDiscriminator(nn.Module):
    """Images float (n, channels, h, w) -> outputs float (n, h', w'), one a patch; no sigmoid.

    4x4 convolutions: `halvings` of stride 2, then two of stride 1; channels double from `width` to at most 8 `width`;
    leaky ReLU 0.2; no normalisation after the first. With 3 halvings an output sees 70x70 pixels, and 256x256 pixels
    give 30x30 outputs. Source: Isola et al. 2017 (arXiv:1611.07004), appendix 6.1.2, and the authors' code.
    """

    def __init__(self, channels: int, width: int = 64, halvings: int = 3, norm: Norm = "instance") -> None:
        super().__init__()
        widths = [channels, *doubled_widths(width, halvings + 1, 8)]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if i < halvings else 1
            layers += [nn.Conv2d(before, after, 4, stride, 1, bias=i == 0 or norm != "batch")]
            if i > 0:
                layers += [make_norm(norm, after)]
            layers += [nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(widths[-1], 1, 4, 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """An output for each patch of images `x`."""
        return cast(Tensor, self.layers(x)[:, 0])


class PixelDiscriminator(nn.Module):
    """Images float (n, channels, h, w) -> outputs float (n, h, w): each pixel judged alone, by 1x1 convolutions.

    Source: Isola et al. 2017 (arXiv:1611.07004), section 4.4.
    """

    def __init__(self, channels: int, width: int = 64, norm: Norm = "instance") -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 1, bias=norm != "batch"),
            make_norm(norm, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 1, bias=norm != "batch"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """An output for each pixel of images `x`."""
        return cast(Tensor, self.layers(x)[:, 0])
