"""What tells real from generated images: small convolutional networks, and a linear one of the spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.errors import unknown_name

#: Channels of the four stages. All but the first halve their maps: the first sees the finest detail, which is where
#: generators leave their traces.
WIDTHS = (32, 64, 128, 256)
# Beside which the magnitude of a coefficient counts as nothing; images lie in [-1, 1].
LEAST = 1e-4
# Steps of L-BFGS, and the weight of the squares of the linear network's weights.
STEPS, DECAY = 100, 1e-3


def stages(channels: int, count: int = len(WIDTHS)) -> nn.Sequential:
    """Images float (n, channels, h, w) -> maps float (n, 256, h / 8, w / 8), sides rounded upwards.

    Four stages, or the first `count` of them, of two 3x3 convolutions without biases, each with batch normalisation and
    ReLU. The first convolution of every stage but the first has a stride of 2.
    """
    layers: list[nn.Module] = []
    before = channels
    for stage, width in enumerate(WIDTHS[:count]):
        for stride in (1 if stage == 0 else 2, 1):
            layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Images float (n, channels, h, w) in [-1, 1] -> latents float (n, latent)."""

    def __init__(self, shape: tuple[int, int, int], latent: int) -> None:
        super().__init__()
        self.layers = stages(shape[2])
        self.last = nn.Linear(WIDTHS[-1] * -(-shape[0] // 8) * -(-shape[1] // 8), latent)

    def forward(self, x: Tensor) -> Tensor:
        """Latents of images `x`."""
        return cast(Tensor, self.last(self.layers(x).flatten(1)))


class Cnn(nn.Module):
    """Images float (n, channels, h, w) in [-1, 1] -> logits float (n,); positive: generated.

    `stages`, the mean of each last map, and a linear layer; in colour 1,173,473 parameters. With the first two stages
    alone the logit is the mean of those of all parts of 11x11 pixels: it knows textures, not what an image shows.
    """

    def __init__(self, shape: tuple[int, int, int], count: int = len(WIDTHS)) -> None:
        super().__init__()
        self.layers = stages(shape[2], count)
        self.last = nn.Linear(WIDTHS[count - 1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `x`."""
        return cast(Tensor, self.last(self.layers(x).mean((2, 3)))).flatten()


def dct_matrix(n: int) -> Tensor:
    """The orthonormal DCT-II as a matrix, float32 (n, n): C[k, i] = s_k cos(pi (2 i + 1) k / (2 n)).

    With s_0 = sqrt(1 / n), else s_k = sqrt(2 / n) (Ahmed, Natarajan and Rao 1974, equation 1).
    """
    i = torch.arange(n, dtype=torch.float64)
    c = torch.cos(math.pi * (2 * i + 1) * i[:, None] / (2 * n)) * math.sqrt(2 / n)
    c[0] = math.sqrt(1 / n)
    return c.float()


class Spectrum(nn.Module):
    """As `Cnn`, linear in the logarithms of the magnitudes of an image's cosine transform, each standardised.

    Source: Frank et al. 2020 (arXiv:2003.08685), section 4: up-sampling leaves a grid in the spectrum.
    """

    down: Tensor
    along: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        h, w, c = shape
        self.register_buffer("down", dct_matrix(h), persistent=False)
        self.register_buffer("along", dct_matrix(w), persistent=False)
        self.register_buffer("mean", torch.zeros(c * h * w))
        self.register_buffer("deviation", torch.ones(c * h * w))
        self.last = nn.Linear(c * h * w, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def features(self, x: Tensor) -> Tensor:
        """log(|coefficient| + 0.0001) of images float (n, c, h, w): float (n, c h w)."""
        return (self.down @ x @ self.along.T).abs().add(LEAST).log().flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images `x`."""
        return cast(Tensor, self.last((self.features(x) - self.mean) / self.deviation)).flatten()

    def fit(self, features: Tensor, generated: Tensor) -> None:
        """Logistic regression by L-BFGS, from where it stands; both classes weigh the same, whatever their numbers.

        Args:
            features: of the training images, float32 (n, c h w), standardised in place.
            generated: which of them are, bool (n,).
        """
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0).clamp_min_(1e-6))
        features.sub_(self.mean).div_(self.deviation)
        share = generated.float().mean()
        weights = torch.where(generated, 0.5 / share, 0.5 / (1 - share))
        solver = torch.optim.LBFGS(self.last.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            solver.zero_grad()
            logits = cast(Tensor, self.last(features)).flatten()
            value = F.binary_cross_entropy_with_logits(logits, generated.float(), weights)
            value = value + 0.5 * DECAY * self.last.weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        solver.step(loss)  # type: ignore[no-untyped-call]


#: By name, for images of shape (h, w, c). `patches` sees parts alone: what these show carries over to unknown
#: generators better than what whole images do (Chai et al. 2020, arXiv:2008.10588).
NETWORKS: dict[str, Callable[[tuple[int, int, int]], Cnn | Spectrum]] = {
    "cnn": Cnn,
    "patches": partial(Cnn, count=2),
    "spectrum": Spectrum,
}


def build(name: str, shape: tuple[int, int, int]) -> Cnn | Spectrum:
    """The network called `name` for images of shape (h, w, c), initialised from torch's random state.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    return NETWORKS[name](shape)
