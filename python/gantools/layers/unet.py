"""A network from images to images of the same size that halves them to a point, with shortcuts: pix2pix's U-Net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gantools.layers.norm import LoneBatchNorm2d, make_norm

UNetNorm = Literal["batch", "instance", "none"]

#: The decoder layers that drop features give maps of a sixteenth of the image and smaller ones, but not the smallest.
FIRST_DROPPED = 4
#: A prime below 2**31, so that a product of two remainders fits in int64.
PRIME = (1 << 31) - 1


class UNet(nn.Module):
    """Images float (n, inputs, h, w), sides multiples of 2**downs -> images float (n, outputs, h, w) in [-1, 1].

    Down, `downs` times: leaky ReLU 0.2, 4x4 convolution of stride 2, normalisation; up as often: ReLU, transposed
    convolution, normalisation, dropout in the layers that give maps of 1/16 of the sides and less but the innermost.
    Each level's features stand beside what comes back from below. Channels are `width` times 1, 2, 4, 8, 8, ...
    The outermost level has neither an activation before its convolution nor a normalisation, and ends in tanh; the
    innermost has no normalisation on its way down, where a map of one pixel would become 0.

    Source: Isola et al. 2017 (arXiv:1611.07004), appendix 6.1.1. Dropout stands where the authors' PyTorch code has it
    (maps of 4², 8² and 16² at 256); their Lua code and the paper have it on the first three layers (2², 4², 8²).

    Attributes:
        downs: how often sides are halved.
        rate: share of the features that dropout takes away.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int = 64,
        downs: int = 8,
        norm: UNetNorm = "batch",
        *,
        running: bool = False,
        rate: float = 0.5,
    ) -> None:
        super().__init__()
        self.downs, self.rate = downs, rate
        self.widths = [width * min(8, 1 << k) for k in range(downs)]
        bias = norm != "batch"

        def normalise(channels: int) -> list[nn.Module]:
            return [LoneBatchNorm2d(channels, running) if norm == "batch" else make_norm(norm, channels)]

        down, up = [], []
        for k, after in enumerate(self.widths):
            outermost, innermost = k == 0, k == downs - 1
            before = inputs if outermost else self.widths[k - 1]
            layers: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=bias)]
            down += [nn.Sequential(*layers, *([] if outermost or innermost else normalise(after)))]
            below = after if innermost else 2 * after
            if outermost:
                up += [nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(below, outputs, 4, 2, 1), nn.Tanh())]
            else:
                up += [
                    nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(below, before, 4, 2, 1, bias=bias), *normalise(before))
                ]
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)

    @property
    def dropped(self) -> list[int]:
        """Levels whose features are dropped, from the inside; level k has sides of 1 / 2**k."""
        return [k for k in range(self.downs - 2, FIRST_DROPPED - 1, -1) if self.rate > 0]

    def mask_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(c, h, w) of the masks that images of these sides need, in the order of `dropped`."""
        return [(self.widths[k - 1], height >> k, width >> k) for k in self.dropped]

    def masks_of(self, uniform: Sequence[Tensor]) -> list[Tensor]:
        """Masks of random numbers in [0, 1): 0 where a feature is dropped, else 1 / (1 - rate)."""
        return [(values >= self.rate).to(values.dtype) / (1 - self.rate) for values in uniform]

    def fixed_masks(self, x: Tensor, seed: int) -> list[Tensor]:
        """Masks for images `x` that are a function of the seed and the place alone, the same for every image.

        They repeat every 2**downs pixels, so that a tile of an image has those of the image.
        """
        masks = []
        for layer, (k, (c, h, w)) in enumerate(zip(self.dropped, self.mask_shapes(*x.shape[2:]), strict=True)):
            values = scattered(seed, layer, c, h, w, 1 << (self.downs - k), x.device)
            masks.append((values >= int(self.rate * PRIME)).to(x.dtype)[None] / (1 - self.rate))
        return masks

    def forward(self, x: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """Images of images `x`; `masks` are what features are multiplied by (`dropped`), none: nothing is dropped."""
        passed = []
        for layer in self.down:
            x = layer(x)
            passed.append(x)
        by_level = dict(zip(self.dropped, masks, strict=True)) if masks else {}
        y = passed[-1]
        for k in range(self.downs - 1, -1, -1):
            y = self.up[k](y if k == self.downs - 1 else torch.cat((passed[k], y), 1))
            if k in by_level:
                y = y * by_level[k].to(y.dtype)
        return y


def reach(downs: int) -> int:
    """Pixels beyond a block of 2**downs that the outputs in it see, where nothing is normalised by the image: 2 blocks.

    An output sees the innermost map's position of its block and one beside it, and a position sees 2**downs - 1 pixels
    beyond its block.
    """
    return 2 << downs


def scattered(
    seed: int, layer: int, channels: int, height: int, width: int, period: int, device: torch.device
) -> Tensor:
    """Whole numbers in [0, PRIME) that look random, int64 (channels, height, width), the same on every device.

    A function of (seed, layer, channel, row modulo `period`, column modulo `period`): each is added in turn and mixed
    by x -> x⁵ modulo a prime, a bijection, as 5 does not divide PRIME - 1. Source: the rounds of MiMC (Albrecht et al.
    2016, eprint 2016/492), with 5 in place of 3. In whole numbers, so that a traced graph has the same ones; no random
    state is touched.
    """

    def mixed(x: Tensor, key: int) -> Tensor:
        x = (x + key) % PRIME
        square = x * x % PRIME
        return square * square % PRIME * x % PRIME

    c, y, x = (torch.arange(n, device=device) for n in (channels, height, width))
    h = mixed(c, (2_654_435_761 * (seed + 1) + 40_503 * layer) % PRIME)[:, None, None]
    h = mixed(h + y[:, None] % period, 362_437)
    h = mixed(h + x % period, 521_288_629)
    return mixed(mixed(h, 88_675_123), 5_783_321)
