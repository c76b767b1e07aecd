"""Networks of video super-resolution: the frames around one to that one, larger.

Source: Lucas et al. 2019 (arXiv:1806.05764): VSRResNet takes five frames, each enlarged by bicubic interpolation first,
without motion compensation. Fully convolutional but for the judge's linear layer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.super_resolution import scaled_init

#: The judge halves the image this many times.
VIDEO_JUDGE_HALVINGS = 3


def bicubic(x: Tensor, scale: int) -> Tensor:
    """float (n, c, h, w) -> (n, c, scale h, scale w): Pillow's bicubic, a = -0.5, before rounding.

    That of torch without `antialias` has a = -0.75, and its enlarged images lie 1 dB farther from the truth.
    """
    return F.interpolate(x, scale_factor=scale, mode="bicubic", antialias=True)


class RectifiedBlock(nn.Module):
    """ReLU(x + conv(ReLU(conv(x)))), 3x3 convolutions: the block of He et al. 2016 (arXiv:1512.03385) without norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        scaled_init(self.first, 1.0)
        scaled_init(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """float (n, width, h, w) -> the same shape."""
        return F.relu(x + cast(Tensor, self.second(F.relu(self.first(x)))))


class VSRResNet(nn.Module):
    """Frames float (n, frames, c, h, w) -> the middle one, (n, c, scale h, scale w): its bicubic and what it lacks.

    Each frame is enlarged, a 3x3 convolution that all frames share, 3x3 of all of them together, `blocks` residual
    blocks, two 3x3 convolutions; ReLU after each but the last. With 15 blocks 34 convolutions: 1,330,369 weights at one
    channel, five frames and width 64, 1,332,675 at three channels.
    """

    def __init__(self, channels: int, scale: int, frames: int = 5, width: int = 64, blocks: int = 15) -> None:
        super().__init__()
        self.scale, self.frames = scale, frames
        self.head = nn.Conv2d(channels, width, 3, 1, 1)
        self.fuse = nn.Conv2d(frames * width, width, 3, 1, 1)
        self.body = nn.Sequential(*(RectifiedBlock(width) for _ in range(blocks)))
        self.late = nn.Conv2d(width, width, 3, 1, 1)
        self.tail = nn.Conv2d(width, channels, 3, 1, 1)
        for conv in (self.head, self.fuse, self.late):
            scaled_init(conv, 1.0)
        # It begins near the bicubic.
        scaled_init(self.tail)

    def forward(self, x: Tensor) -> Tensor:
        """The larger middle frame of frames `x`."""
        n, frames = x.shape[:2]
        large = bicubic(x.flatten(0, 1), self.scale)
        seen = F.relu(self.head(large)).reshape(n, -1, *large.shape[2:])
        y = self.body(F.relu(self.fuse(seen)))
        base = large.reshape(n, frames, *large.shape[1:])[:, frames // 2]
        return base + cast(Tensor, self.tail(F.relu(self.late(y))))


class VideoJudge(nn.Module):
    """Images float (n, channels, size, size) -> logits float (n,); positive means real.

    Three 3x3 convolutions of stride 2 to `width`, 2 and 4 times as many channels, batch normalisation but after the
    first, leaky ReLU 0.2, then a linear layer: 386,433 weights at one channel, 64 px and width 64.
    """

    def __init__(self, channels: int, size: int, width: int = 64) -> None:
        super().__init__()
        widths = [width << i for i in range(VIDEO_JUDGE_HALVINGS)]
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 2, 1), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.top = nn.Linear(widths[-1] * (size >> VIDEO_JUDGE_HALVINGS) ** 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `x`."""
        return cast(Tensor, self.top(torch.flatten(self.layers(x), 1)).flatten())
