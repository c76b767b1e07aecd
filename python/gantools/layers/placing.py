"""The networks of spatial transformer GANs: what says where a foreground goes, what judges it, and the foregrounds."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.guided import Fuse
from gantools.layers.precision import wide
from gantools.layers.sizes import doubled_widths
from gantools.layers.warp import Composed, Warp, folded, lay, outside, sample, wider


def rectifier_init(network: nn.Module) -> None:
    """Initialise convolutions and linear layers in place for rectifiers: N(0, 2 / fan in), biases 0.

    Source: He et al. 2015 (arXiv:1502.01852), equation 10.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Predictor(nn.Module):
    """Background and foreground float (n, channels, size, size) -> parameters of a warp float (n, outputs).

    4x4 convolutions of stride 2 with ReLU, `width` channels and twice as many each time, after each of them the input
    once more, pooled to the same size; two linear layers. Odd sides are halved upwards. The last layer begins at 0, so
    that the first warp is none. Source: Lin et al. 2018 (arXiv:1803.01837), section 4.2, and the authors' code for
    CelebA, whose weights begin at N(0, 0.01) instead.
    """

    def __init__(self, channels: int, size: int, outputs: int, width: int, halvings: int, hidden: int) -> None:
        super().__init__()
        widths = doubled_widths(width, halvings)
        before = [0, *widths[:-1]]
        self.layers = nn.ModuleList(
            nn.Conv2d(channels + b, after, 4, 2) for b, after in zip(before, widths, strict=True)
        )
        side = -(-size // (1 << halvings))
        self.hidden = nn.Linear((widths[-1] + channels) * side * side, hidden)
        self.last = nn.Linear(hidden, outputs)
        rectifier_init(self)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Parameters, not bounded."""
        small, features = x, x
        for layer in self.layers:
            h, w = features.shape[2:]
            features = F.relu(layer(F.pad(features, (1, 1 + w % 2, 1, 1 + h % 2))))
            small = F.avg_pool2d(small, 2, ceil_mode=True)
            features = torch.cat((features, small), 1)
        return cast(Tensor, self.last(F.relu(self.hidden(features.flatten(1)))))


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Images float (n, c, h, w) at this size, in float32 at least: bilinear, antialiased where they become smaller."""
    return F.interpolate(wide(images), (height, width), mode="bilinear", antialias=True, align_corners=False)


class Place(NamedTuple):
    """Where a foreground is put.

    Attributes:
        composed: it on its background, at the background's size.
        moved: what the parameters were changed by, float (n, count).
        parameters: of the warp, float (n, count).
    """

    composed: Composed
    moved: Tensor
    parameters: Tensor


class Placer(nn.Module):
    """Puts foregrounds on backgrounds of any size: p ← p + bound · tanh(predictor), `warps` times.

    Args:
        channels: of the backgrounds.
        size: side that backgrounds are brought to for the predictor, which sees both and the warped foreground.
        warp: parameters to places of the canvas.
        fuse: changes a foreground that was put: it is at hand where this network is.
        width, halvings, hidden: of the predictor.
        bound: of the change of a parameter in one go.
        warps: how many times the same predictor looks at what came of its last answer.
        scale: of the canvas on the frame before any warp; 1: as large.
        shift: of the canvas' centre on the frame before any warp, x and y in half sides of the frame.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        warp: Warp,
        fuse: Fuse,
        *,
        width: int,
        halvings: int,
        hidden: int,
        bound: float,
        warps: int,
        scale: float,
        shift: tuple[float, float],
    ) -> None:
        super().__init__()
        self.size, self.bound, self.warps = size, bound, warps
        self.scale, self.shift = scale, shift
        self.warp, self.fuse = warp, fuse
        self.predictor = Predictor(2 * channels + 1, size, warp.count, width, halvings, hidden)

    def grid(self, p: Tensor, height: int, width: int, extent: float = 1.0) -> Tensor:
        """Places of the canvas float (n, height, width, 2) that the pixels of a frame show."""
        with torch.autocast(p.device.type, enabled=False):
            found: Tensor = self.warp(p, height, width, extent)
            x, y = found.unbind(-1)
            return torch.stack(((x - self.shift[0]) / self.scale, (y - self.shift[1]) / self.scale), -1)

    def forward(self, foreground: Tensor, background: Tensor, start: Tensor, strength: float = 1.0) -> Place:
        """`foreground` on `background`.

        Args:
            foreground: float (n, channels + 1, side, side), colours times opacity, then opacity.
            background: float (n, channels, h, w).
            start: parameters of the warp that it begins with, float (n, count).
            strength: share of the change of the parameters that is made.
        """
        small, canvas = (resized(x, self.size, self.size) for x in (background, foreground))
        p = start
        for _ in range(self.warps):
            seen = sample(canvas, self.grid(p, self.size, self.size))
            answer = self.predictor(torch.cat((small, seen), 1))
            p = p + self.bound * torch.tanh(wide(answer))
        p = start + strength * (p - start)
        height, width = background.shape[2:]
        # A canvas of far more pixels than the frame would be sampled here and there, and thin lines fall to dots.
        warped = sample(resized(foreground, height, width), self.grid(p, height, width))
        return Place(lay(warped, background), p - start, p)

    def faults(self, foreground: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """(share of the frame that is folded, share of the foreground outside of it) of parameters `p`, float (n,)."""
        beyond = self.grid(p, *wider(self.size, self.size))
        return folded(self.grid(p, self.size, self.size)), outside(sample(foreground[:, -1:], beyond))


class PlaceJudge(nn.Module):
    """Images float (n, channels, h, w) -> outputs float (n,): the mean of those of all parts.

    4x4 convolutions of stride 2 with leaky ReLU 0.2, then a 3x3 one. Source: as `Predictor`.
    """

    def __init__(self, channels: int, width: int, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for after in doubled_widths(width, halvings):
            layers += [nn.Conv2d(channels, after, 4, 2, 1), nn.LeakyReLU(0.2)]
            channels = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 3, 1, 1))
        rectifier_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """An output an image."""
        return cast(Tensor, self.layers(x)).mean((1, 2, 3))


class Foregrounds(nn.Module):
    """What is put on backgrounds: square RGBA images, in a buffer, so that they are in the checkpoint.

    New ones are two drawn rings, for shapes alone.

    Args:
        count: how many.
        side: of each, in pixels.

    Attributes:
        rgba: float (count, 4, side, side) in [0, 1].
        sha256: of what they were taken from; empty: they are the drawn ones.
    """

    rgba: Tensor

    def __init__(self, count: int, side: int) -> None:
        super().__init__()
        self.sha256 = ""
        at = (2 * torch.arange(side, dtype=torch.get_default_dtype()) + 1) / side - 1
        apart = ((at.abs() - 0.42).square() + at[:, None].square()).sqrt()
        ring = ((apart < 0.3) & (apart > 0.15)).to(at.dtype)
        shades = torch.arange(1, count + 1, dtype=at.dtype)[:, None, None] / (count + 1)
        self.register_buffer("rgba", torch.stack((shades * ring,) * 3 + (ring.expand(count, -1, -1),), 1))

    def take(self, levels: Tensor, sha256: str) -> Foregrounds:
        """These from now on: uint8 (count, side, side, 4)."""
        self.rgba = levels.permute(0, 3, 1, 2).contiguous().to(self.rgba.dtype).div(255)
        self.sha256 = sha256
        return self

    def choose(self, index: int | Tensor) -> tuple[Tensor, Tensor]:
        """Those numbered `index`, int64 (n,) or one number for n = 1.

        Returns:
            Colours float (n, 3, side, side) in [-1, 1], and opacity (n, 1, side, side) in [0, 1].
        """
        found = wide(self.rgba[index : index + 1] if isinstance(index, int) else self.rgba.index_select(0, index))
        return 2 * found[:, :3] - 1, found[:, 3:]
