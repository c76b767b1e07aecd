"""Networks of super-resolution: small images to large ones, and judges of the large ones.

`SRResNet` and `Judge` are those of Ledig et al. 2017 (arXiv:1609.04802), figure 4; `MSRResNet` is the first without
batch normalisation and on top of bilinear interpolation, as in BasicSR. `RRDBNet` and `VGGJudge` are those of ESRGAN
(Wang et al. 2018, arXiv:1809.00219) and its code, `UNetJudge` that of Real-ESRGAN (Wang et al. 2021, arXiv:2107.10833),
`RankSRResNet` and `Ranker` those of RankSRGAN (Zhang et al. 2019, arXiv:1908.06382). All are fully convolutional but
for the first two judges, whose linear layers take images of one size.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.spectral import spectral

#: Factors that can be enlarged by, and the factors of the steps in which that is done.
STEPS = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
#: The judge halves the image this many times, and the U-Net on its way down.
JUDGE_HALVINGS, UNET_HALVINGS = 4, 3
#: Pixels beyond which no pixel of an image changes one of the result by a level: of a deep network of dense blocks.
RRDB_REACH = 32
#: What a dense block adds is this share of what it computed. Source: arXiv:1809.00219, section 3.1.
RESIDUAL = 0.2


def check_scale(scale: int) -> None:
    """ConfigError: the key `network.scale` is no factor by which these networks enlarge."""
    if scale not in STEPS:
        raise ConfigError(f"network.scale: must be one of {', '.join(map(str, STEPS))}, not {scale}.")


def reach(kind: str, scale: int, blocks: int) -> int:
    """Pixels of the small image, on each side, that one pixel of the large one depends on, rounded up.

    The sum of what each convolution sees beside its middle, in pixels of the small image; exact for all kinds but
    `rrdb`, whose 348 pixels at 23 blocks hardly any weight comes from: see `RRDB_REACH`.
    """
    steps = STEPS[scale]
    sizes = [math.prod(steps[:i]) for i in range(len(steps) + 1)]
    if kind == "rrdb":
        exact = 1 + 15 * blocks + 1 + sum(1 / size for size in sizes[1:]) + 2 / scale
        return min(math.ceil(exact), RRDB_REACH)
    body, ends = 2 * blocks, {"srresnet": 4 + 1 + 4 / scale, "msrresnet": 1 + 2 / scale, "ranksrresnet": 2 + 2 / scale}
    return math.ceil(body + ends[kind] + sum(1 / size for size in sizes[:-1]))


def subpixel_init(conv: nn.Conv2d, factor: int, scale: float | None = None) -> None:
    """Initialise the convolution before a pixel shuffle so that the pixels of a factor x factor block begin equal.

    A shuffle of independent weights begins with a checkerboard, which training has to unlearn. Source: Aitken et al.
    2017 (arXiv:1707.02937), section 3.3 (ICNR).

    Args:
        conv: with factor² times the shuffled channels, in place.
        factor: of the shuffle.
        scale: of Kaiming's normal weights for the fan-in; None leaves the size of torch's own initialisation.
    """
    small = nn.Conv2d(conv.in_channels, conv.out_channels // factor**2, conv.kernel_size)  # type: ignore[arg-type]
    if scale is not None:
        scaled_init(small, scale)
    conv.weight.data.copy_(small.weight.data.repeat_interleave(factor**2, 0))
    if conv.bias is not None:
        assert small.bias is not None
        conv.bias.data.copy_(small.bias.data.repeat_interleave(factor**2, 0))


def scaled_init(conv: nn.Conv2d, scale: float = 0.1) -> None:
    """Kaiming's normal weights for the fan-in times `scale`, biases 0, in place.

    A deep residual network without normalisation then begins near the identity. Source: Wang et al. 2018
    (arXiv:1809.00219), section 3.1 and its code.
    """
    nn.init.kaiming_normal_(conv.weight)
    conv.weight.data.mul_(scale)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class ResidualBlock(nn.Module):
    """x + norm(conv(act(norm(conv(x))))), 3x3 convolutions; with no activation after the sum."""

    def __init__(self, width: int, *, normalised: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, 1, 1, bias=not normalised)
        self.first_norm = nn.BatchNorm2d(width) if normalised else nn.Identity()
        self.activation: nn.Module = nn.PReLU() if normalised else nn.ReLU()
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=not normalised)
        self.second_norm = nn.BatchNorm2d(width) if normalised else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """float (n, width, h, w) -> the same shape."""
        y = self.activation(self.first_norm(self.first(x)))
        return x + cast(Tensor, self.second_norm(self.second(y)))


def _upsampling(width: int, scale: int, activation: type[nn.Module], spread: float | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for factor in STEPS[scale]:
        conv = nn.Conv2d(width, width * factor**2, 3, 1, 1)
        subpixel_init(conv, factor, spread)
        layers += [conv, nn.PixelShuffle(factor), activation()]
    return nn.Sequential(*layers)


class SRResNet(nn.Module):
    """Images float (n, c, h, w) -> float (n, c, scale h, scale w); the output is linear, without a tanh.

    9x9 convolution, `blocks` residual blocks with batch normalisation, a skip around them, pixel shuffles by 2 (or
    one by 3), 9x9 convolution. No bias before a normalisation: 1,547,350 weights at 3 channels, x4, 64, 16.
    """

    def __init__(self, channels: int, scale: int, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(channels, width, 9, 1, 4), nn.PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(width, normalised=True) for _ in range(blocks)),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.up = _upsampling(width, scale, nn.PReLU, None)
        self.tail = nn.Conv2d(width, channels, 9, 1, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Larger images of images `x`."""
        x = self.head(x)
        return cast(Tensor, self.tail(self.up(x + self.body(x))))


class _Leaky(nn.LeakyReLU):
    def __init__(self) -> None:
        super().__init__(0.1)


class MSRResNet(nn.Module):
    """Images float (n, c, h, w) -> float (n, c, scale h, scale w): bilinear interpolation and what it lacks.

    `SRResNet` with 3x3 ends, no normalisation and no outer skip, as BasicSR's `MSRResNet`: 1,517,571 weights at 3
    channels, x4, 64, 16. Without batch statistics an image of any size is computed alike in training and after it.
    """

    def __init__(self, channels: int, scale: int, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(channels, width, 3, 1, 1), _Leaky())
        self.body = nn.Sequential(*(ResidualBlock(width, normalised=False) for _ in range(blocks)))
        self.tail = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), _Leaky(), nn.Conv2d(width, channels, 3, 1, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                scaled_init(module)
        self.up = _upsampling(width, scale, _Leaky, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Larger images of images `x`."""
        y = self.tail(self.up(self.body(self.head(x))))
        return cast(Tensor, y + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False))


class RankSRResNet(nn.Module):
    """Images float (n, c, h, w) -> float (n, c, scale h, scale w); the output is linear, without a tanh.

    `MSRResNet` with ReLU, a further convolution after the residual blocks and a skip around both, and not on top of an
    interpolation: 1,554,499 weights at 3 channels, x4, 64, 16. Source: `SRResNet` of RankSRGAN's code.
    """

    def __init__(self, channels: int, scale: int, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Conv2d(channels, width, 3, 1, 1)
        self.body = nn.Sequential(
            *(ResidualBlock(width, normalised=False) for _ in range(blocks)), nn.Conv2d(width, width, 3, 1, 1)
        )
        self.tail = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, channels, 3, 1, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                scaled_init(module)
        self.up = _upsampling(width, scale, nn.ReLU, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Larger images of images `x`."""
        x = self.head(x)
        return cast(Tensor, self.tail(self.up(x + self.body(x))))


class DenseBlock(nn.Module):
    """x + 0.2 f(x): five 3x3 convolutions, each of all that came before, leaky ReLU 0.2 after the first four.

    239,808 weights at width 64 and growth 32.
    """

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outs = (growth, growth, growth, growth, width)
        self.convs = nn.ModuleList(nn.Conv2d(width + i * growth, out, 3, 1, 1) for i, out in enumerate(outs))
        for conv in self.convs:
            scaled_init(cast(nn.Conv2d, conv))

    def forward(self, x: Tensor) -> Tensor:
        """float (n, width, h, w) -> the same shape."""
        *grow, last = self.convs
        seen = x
        for conv in grow:
            seen = torch.cat((seen, F.leaky_relu(conv(seen), 0.2)), 1)
        return x + RESIDUAL * cast(Tensor, last(seen))


class RRDB(nn.Module):
    """x + 0.2 f(x), f three dense blocks in a row: the residual in residual dense block."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(width, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """float (n, width, h, w) -> the same shape."""
        return x + RESIDUAL * cast(Tensor, self.blocks(x))


class RRDBNet(nn.Module):
    """Images float (n, c, h, w) -> float (n, c, scale h, scale w); the output is linear, without a tanh.

    3x3 convolution, `blocks` RRDBs and a convolution with a skip around them, for each step of the scale nearest
    neighbours and a convolution, two convolutions: 16,697,987 weights at 3 channels, x4, 64, 23 and growth 32. No
    normalisation, so an image of any size is computed alike in training and after it.
    """

    def __init__(self, channels: int, scale: int, width: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Conv2d(channels, width, 3, 1, 1)
        self.body = nn.Sequential(*(RRDB(width, growth) for _ in range(blocks)), nn.Conv2d(width, width, 3, 1, 1))
        layers: list[nn.Module] = []
        for factor in STEPS[scale]:
            layers += [nn.Upsample(scale_factor=factor), nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
        self.up = nn.Sequential(*layers)
        self.tail = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, channels, 3, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Larger images of images `x`."""
        x = self.head(x)
        return cast(Tensor, self.tail(self.up(x + self.body(x))))


#: Networks that enlarge, by the names they have in a recipe.
ENLARGERS = {"srresnet": SRResNet, "msrresnet": MSRResNet, "ranksrresnet": RankSRResNet, "rrdb": RRDBNet}


class Judge(nn.Module):
    """Images float (n, channels, size, size) -> logits float (n,); positive means real.

    Eight 3x3 convolutions, every second of stride 2, from `width` to 8 `width` channels, leaky ReLU 0.2, batch
    normalisation but after the first, then two linear layers: 23,563,649 weights at 96 px and width 64. No bias before
    a normalisation.
    """

    def __init__(self, channels: int, size: int, width: int = 64, hidden: int = 1024) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1), nn.LeakyReLU(0.2)]
        widths = [width << i for i in range(JUDGE_HALVINGS) for _ in range(2)]
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 3, 2 - i % 2, 1, bias=False), nn.BatchNorm2d(after)]
            layers += [nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        side = size >> JUDGE_HALVINGS
        self.top = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * side * side, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `x`."""
        return cast(Tensor, self.top(self.layers(x)).flatten())


def _tower(channels: int, width: int, halvings: int, *, biases: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = channels
    for i in range(halvings):
        after = width * min(8, 1 << i)
        layers += [nn.Conv2d(before, after, 3, 1, 1, bias=biases or i == 0)]
        layers += [nn.BatchNorm2d(after)] if i else []
        layers += [nn.LeakyReLU(0.2), nn.Conv2d(after, after, 4, 2, 1, bias=biases), nn.BatchNorm2d(after)]
        layers += [nn.LeakyReLU(0.2)]
        before = after
    return layers


class VGGJudge(nn.Module):
    """Images float (n, channels, size, size) -> logits float (n,); positive means real.

    `halvings` pairs of a 3x3 convolution and a 4x4 one of stride 2, from `width` to at most 8 `width` channels, leaky
    ReLU 0.2, batch normalisation but after the first, no bias before one, then two linear layers. At width 64 and
    hidden 100: 14,499,401 weights at 128 px, 17,827,401 at 296, and 21,055,049 at 256 with six halvings. Source: the
    code of ESRGAN and RankSRGAN (`Discriminator_VGG_128`, `_296`, `_256`).
    """

    def __init__(self, channels: int, size: int, width: int = 64, hidden: int = 100, halvings: int = 5) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_tower(channels, width, halvings, biases=False))
        features = width * min(8, 1 << (halvings - 1)) * (size >> halvings) ** 2
        self.top = nn.Sequential(nn.Flatten(), nn.Linear(features, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `x`."""
        return cast(Tensor, self.top(self.layers(x)).flatten())


class UNetJudge(nn.Module):
    """Images float (n, channels, h, w) -> logits float (n, h, w), one a pixel; h and w are multiples of 8.

    Three 4x4 convolutions of stride 2 down to 8 `width` channels, three steps of bilinear interpolation and a 3x3
    convolution up, what was on the way down added; leaky ReLU 0.2; spectral norms in all layers but the first and the
    last: 4,376,897 weights at 3 channels and width 64. Source: `UNetDiscriminatorSN` of Real-ESRGAN's code.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        widths = [width << i for i in range(UNET_HALVINGS + 1)]
        self.head = nn.Conv2d(channels, width, 3, 1, 1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 3, 1, 1, bias=False) for a, b in reversed(list(pairwise(widths))))
        self.wide = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(2))
        self.tail = nn.Conv2d(width, 1, 3, 1, 1)
        spectral(self, (self.head, self.tail))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the pixels of images `x`."""
        seen = [F.leaky_relu(self.head(x), 0.2)]
        for conv in self.down:
            seen.append(F.leaky_relu(conv(seen[-1]), 0.2))
        y = seen.pop()
        for conv in self.up:
            y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
            y = F.leaky_relu(conv(y), 0.2) + seen.pop()
        for conv in self.wide:
            y = F.leaky_relu(conv(y), 0.2)
        return cast(Tensor, self.tail(y)[:, 0])


class Ranker(nn.Module):
    """Images float (n, channels, h, w), from 32 pixels on -> scores float (n,); the smaller, the better an image.

    Ten convolutions in five pairs as in `VGGJudge`, all with biases, the mean over all places, two linear layers of
    leaky ReLU 0.2: 13,734,281 weights at 3 channels and width 64. Source: `Ranker_VGG12` of RankSRGAN's code.
    """

    def __init__(self, channels: int, width: int = 64, hidden: int = 100, halvings: int = 5) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_tower(channels, width, halvings, biases=True))
        features = width * min(8, 1 << (halvings - 1))
        self.top = nn.Sequential(nn.Linear(features, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Scores of images `x`, normalised by these images: for its own training."""
        for layer in self.layers:
            x = layer(x)
        return cast(Tensor, self.top(x.mean((2, 3))).flatten())

    def judge(self, x: Tensor) -> Tensor:
        """Scores of images `x`, each alone, by what its training has seen; writes nothing in any mode."""
        for layer in self.layers:
            if isinstance(layer, nn.BatchNorm2d):
                x = F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)
            else:
                x = layer(x)
        return cast(Tensor, self.top(x.mean((2, 3))).flatten())
