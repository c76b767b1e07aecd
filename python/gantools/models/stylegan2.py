"""StyleGAN2 with adaptive augmentation (Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676).

A mapping network makes styles w of latents, a synthesis network images of styles; both regularisers are phases of their
own, computed seldom. What it remembers are buffers: the mean style, the mean path length, the strength of augmentation.
Layers, weights and settings follow the description of stylegan2-ada-pytorch; sizes are 4, 5, 6 or 7 doubled, so 28x28
starts from 7x7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.augment.ada import Augment, Kind
from gantools.errors import ConfigError
from gantools.layers.equalised import EqualisedConv2d, EqualisedLinear, leaky, pixel_norm
from gantools.layers.minibatch import MinibatchDeviation
from gantools.layers.modulated import StyledConv, ToImage
from gantools.layers.precision import wide
from gantools.layers.resample import Resample, ResidualDown
from gantools.models.games import draw_labels, scores
from gantools.models.system import Batch, Control, Networks, Out, Phase, Role, Scalars, Seen, Stage, System
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import r1

#: Noise of a layer of a given side: float (n, 1, side, side), or None for none.
Noise = Callable[[StyledConv], Tensor | None]

# How slowly the mean style and the mean path length follow.
STYLE_RATE, PATH_RATE = 0.005, 0.01


@dataclass(frozen=True)
class StyleGAN2Config:
    """Shape of both networks.

    Attributes:
        size: side of the images.
        classes: that the networks are told; 0: none.
        latent, style: lengths of z and w.
        mapping: layers from z to w.
        width: channels next to the image; they double with every halving of the resolution.
        widest: the most channels.
        group: rows of the minibatch deviation.
    """

    size: int = 256
    channels: int = 3
    classes: int = 0
    latent: int = 512
    style: int = 512
    mapping: int = 8
    width: int = 64
    widest: int = 512
    group: int = 4

    def __post_init__(self) -> None:
        least = (self.channels, self.latent, self.style, self.mapping, self.width, self.widest, self.group)
        if min(least) < 1 or self.classes < 0:
            raise ConfigError(
                "network: channels, latent, style, mapping, width, widest and group must be at least 1, "
                "classes at least 0."
            )
        if self.doublings < 1 or self.base << self.doublings != self.size:
            raise ConfigError(
                f"network.size: {self.size} is not 4, 5, 6 or 7 doubled at least once.",
                "Sizes that work: 8, 16, 28, 32, 48, 64, 96, 128, 256, 512, 1024.",
            )

    @property
    def doublings(self) -> int:
        """How many times the synthesis doubles the resolution."""
        return max(0, self.size.bit_length() - 3)

    @property
    def base(self) -> int:
        """Side of the first feature map."""
        return self.size >> self.doublings

    @property
    def widths(self) -> list[int]:
        """Channels at each resolution, from the first map on."""
        return [min(self.width << i, self.widest) for i in range(self.doublings + 1)][::-1]

    @property
    def layers(self) -> int:
        """Styles of an image: one a convolution, and one for the last image layer."""
        return 2 * self.doublings + 2

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images."""
        return (self.size, self.size, self.channels)


@dataclass(frozen=True)
class StyleGAN2Game:
    """A recipe's section `game`.

    Attributes:
        loss: which adversarial loss, and its options.
        r1: γ of γ/2 E[‖∇D(x)‖²]; 0: none.
        r1_every: discriminator steps to one of it.
        path: weight of the path length's regulariser; 0: none.
        path_every: generator steps to one of it.
        mixing: share of images whose styles are those of two latents.
        augment: kinds of augmentation, any of `bgc` (blits, geometry, colours); empty: none.
        ada_target: of the mean of sign(D(real)); null: the strength is always `augment_p`.
        ada_kimg: thousands of images in which the strength could go from 0 to 1.
        augment_p: the strength, where it does not adapt.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    r1: float = 1.0
    r1_every: int = 16
    path: float = 2.0
    path_every: int = 4
    mixing: float = 0.9
    augment: Kind = "bgc"
    ada_target: float | None = 0.6
    ada_kimg: float = 500.0
    augment_p: float = 0.0

    def __post_init__(self) -> None:
        if min(self.r1, self.path) < 0 or min(self.r1_every, self.path_every) < 1 or self.ada_kimg <= 0:
            raise ConfigError("game: r1 and path must be at least 0, r1_every, path_every and ada_kimg above 0.")
        if not (0 <= self.mixing <= 1 and 0 <= self.augment_p <= 1):
            raise ConfigError("game: mixing and augment_p must be in [0, 1].")


class StyleMapping(nn.Module):
    """Latents float (n, latent), and classes int64 (n,) -> styles float (n, style).

    The buffer `mean` is the mean style, which truncation goes towards.
    """

    mean: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.embed = EqualisedLinear(config.classes, config.style) if config.classes else None
        inputs = config.latent + (config.style if config.classes else 0)
        sizes = [inputs] + [config.style] * config.mapping
        # Their rate is a hundredth of the others': section 3.1 of StyleGAN (arXiv:1812.04948).
        self.layers = nn.ModuleList(EqualisedLinear(a, b, rate=0.01) for a, b in pairwise(sizes))
        self.register_buffer("mean", torch.zeros(config.style))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Styles of latents."""
        x = pixel_norm(z)
        if self.embed is not None:
            assert labels is not None
            told = F.one_hot(labels, self.embed.weight.shape[1]).to(x.dtype)
            x = torch.cat([x, pixel_norm(self.embed(told))], 1)
        for layer in self.layers:
            x = leaky(layer(x))
        return wide(x)


class Synthesis(nn.Module):
    """Styles float (n, layers, style) -> images float (n, channels, size, size); colours are not bounded.

    A sum of images at all resolutions (skip connections, section 4.1).
    """

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        widths, sides = config.widths, [config.base << i for i in range(config.doublings + 1)]
        self.const = nn.Parameter(torch.randn(widths[0], config.base, config.base))
        self.first = StyledConv(widths[0], widths[0], config.style, sides[0])
        self.ups = nn.ModuleList(
            StyledConv(before, after, config.style, side, up=True)
            for (before, after), side in zip(pairwise(widths), sides[1:], strict=True)
        )
        self.convs = nn.ModuleList(
            StyledConv(width, width, config.style, side) for width, side in zip(widths[1:], sides[1:], strict=True)
        )
        self.images = nn.ModuleList(ToImage(width, config.channels, config.style) for width in widths)
        self.resample = Resample()

    def forward(self, w: Tensor, noise: Noise) -> Tensor:
        """Images of styles, with the noise of each layer."""
        x = self.const.expand(len(w), -1, -1, -1)
        x = self.first(x, w[:, 0], noise(self.first))
        image: Tensor = self.images[0](x, w[:, 1])
        for i, (up, conv) in enumerate(zip(self.ups, self.convs, strict=True)):
            x = up(x, w[:, 2 * i + 1], noise(up))  # type: ignore[arg-type]
            x = conv(x, w[:, 2 * i + 2], noise(conv))  # type: ignore[arg-type]
            image = self.resample.up(image) + self.images[i + 1](x, w[:, 2 * i + 3])
        return image


class StyleGAN2Generator(nn.Module):
    """Both networks: `mapping` and `synthesis`."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.latent, self.layers = config.latent, config.layers
        self.mapping, self.synthesis = StyleMapping(config), Synthesis(config)

    def forward(self, z: Tensor, labels: Tensor | None = None, psi: float = 1.0, noise: float = 1.0) -> Tensor:
        """Images of latents, each layer with the same noise for all of them.

        Args:
            z: float (n, latent).
            labels: classes int64 (n,), where the networks know some.
            psi: truncation: 0 is the image of the mean style, 1 none.
            noise: how much of the noise.
        """
        w = self.mapping(z, labels)
        w = self.mapping.mean + psi * (w - self.mapping.mean)
        return self.synthesis(w[:, None].expand(-1, self.layers, -1), lambda layer: layer.noise * noise)  # type: ignore[no-any-return]


class StyleGAN2Discriminator(nn.Module):
    """Images float (n, channels, size, size), and classes int64 (n,) -> logits float (n,)."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        widths = config.widths[::-1]
        self.image = EqualisedConv2d(config.channels, widths[0], 1)
        self.blocks = nn.ModuleList(ResidualDown(before, after) for before, after in pairwise(widths))
        self.deviation = MinibatchDeviation(config.group)
        self.conv = EqualisedConv2d(widths[-1] + 1, widths[-1], 3)
        self.dense = EqualisedLinear(widths[-1] * config.base**2, widths[-1])
        outputs = config.style if config.classes else 1
        self.out = EqualisedLinear(widths[-1], outputs)
        self.embed = EqualisedLinear(config.classes, outputs) if config.classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of images; with classes, how well each fits to its own (projection, arXiv:1802.05637)."""
        x = leaky(self.image(x))
        for block in self.blocks:
            x = block(x)
        x = leaky(self.conv(self.deviation(x)))
        x = wide(self.out(leaky(self.dense(x.flatten(1)))))
        if self.embed is None:
            return x.flatten()
        assert labels is not None
        told = F.one_hot(labels, self.embed.weight.shape[1]).to(x.dtype)
        return (x * pixel_norm(self.embed(told))).sum(1) / math.sqrt(x.shape[1])


class PathLength(nn.Module):
    """Remembers the mean length of ∂image/∂w."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))


def build(config: StyleGAN2Config) -> dict[str, nn.Module]:
    """All networks, and what remembers the mean path length and the strength of augmentation."""
    return {
        "generator": StyleGAN2Generator(config),
        "discriminator": StyleGAN2Discriminator(config),
        "path_length": PathLength(),
        "augment": Augment(),
    }


def mixed_styles(generator: nn.Module, batch: Batch, labels: Tensor | None, mixing: float) -> tuple[Tensor, Tensor]:
    """Styles float (n, layers, style) for training, and those of the first latents alone, float (n, style).

    A share `mixing` of the rows has the styles of a second latent from a random layer on (StyleGAN, section 3.1).
    """
    latent, layers = int(generator.latent), int(generator.layers)  # type: ignore[arg-type]
    w = generator.mapping(batch.normal(latent), labels)  # type: ignore[operator]
    if mixing == 0:
        return w[:, None].expand(-1, layers, -1), w
    other = generator.mapping(batch.normal(latent), labels)  # type: ignore[operator]
    cut = torch.where(batch.uniform() < mixing, 1 + batch.integers(layers - 1), layers)
    own = torch.arange(layers, device=w.device) < cut[:, None]
    return torch.where(own[:, :, None], w[:, None], other[:, None]), w


def stages(config: StyleGAN2Config, game: StyleGAN2Game) -> tuple[Stage, ...]:
    """One stage of four phases: generator, its path length, discriminator, its R1."""
    classes = config.classes
    adaptive = game.ada_target is not None

    def fresh(batch: Batch) -> Noise:
        return lambda layer: batch.normal(1, layer.size, layer.size)

    def make(networks: Networks, batch: Batch, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        styles, w = mixed_styles(networks["generator"], batch, labels, game.mixing)
        return networks["generator"].synthesis(styles, fresh(batch)), w  # type: ignore[operator]

    def judge(networks: Networks, images: Tensor, labels: Tensor | None, batch: Batch) -> Tensor:
        images = networks["augment"](images, batch, game.augment, None if adaptive else game.augment_p)
        out: Tensor = networks["discriminator"](images) if labels is None else networks["discriminator"](images, labels)
        return out

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch)
        images, w = make(networks, batch, labels)
        outputs = judge(networks, images, labels, batch)
        real = judge(networks, batch.images, batch.labels if classes else None, batch) if game.loss.loss.pairs else None
        value = game.loss.generator(outputs, real)
        return Out(value, {"loss_g": value.detach(), "style": w.detach().mean(0)})

    def path(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        """Weight · E[(‖Jᵀy‖ - a)²] of every second row, the same ones however the batch is cut (section 3.2)."""
        batch = batch.part(0, len(batch), 2)
        styles, _ = mixed_styles(networks["generator"], batch, draw_labels(classes, batch), game.mixing)
        with torch.autocast(batch.images.device.type, enabled=False):
            images = networks["generator"].synthesis(styles, fresh(batch))  # type: ignore[operator]
            noise = batch.normal(*images.shape[1:]) / math.sqrt(images.shape[2] * images.shape[3])
            (jacobian,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
        length = jacobian.square().sum(2).mean(1).sqrt()
        # The mean as it was: what it becomes is told of the whole batch.
        value = (length - networks["path_length"].mean).square().mean()  # type: ignore[operator]
        return Out(game.path * value, {"path": value.detach(), "path_length": length.detach().mean()})

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        labels = draw_labels(classes, batch)
        with torch.no_grad():
            fake, _ = make(networks, batch, labels)
        real_outputs = judge(networks, batch.images, batch.labels if classes else None, batch)
        fake_outputs = judge(networks, fake, labels, batch)
        value = game.loss.discriminator(real_outputs, fake_outputs)
        means = {"loss_d": value.detach(), **scores(game.loss, real_outputs, fake_outputs)}
        means["real_sign"] = real_outputs.detach().sign().mean()
        return Out(value, means | {"augment_p": networks["augment"].p.detach().clone()})  # type: ignore[operator]

    def penalty(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        """R1 with respect to the image before augmentation."""
        labels = batch.labels if classes else None
        with torch.autocast(batch.images.device.type, enabled=False):
            value = r1(lambda x: judge(networks, x, labels, batch), batch.images, batch.images, batch)
        return Out(game.r1 * value, {"r1": value.detach()})

    def follow_style(networks: Networks, seen: Seen) -> None:
        networks["generator"].mapping.mean.lerp_(seen.means["style"], STYLE_RATE)  # type: ignore[union-attr, operator]

    def follow_path(networks: Networks, seen: Seen) -> None:
        networks["path_length"].mean.lerp_(seen.means["path_length"], PATH_RATE)  # type: ignore[operator]

    def strengthen(networks: Networks, seen: Seen) -> None:
        assert game.ada_target is not None
        networks["augment"].adjust(seen.means["real_sign"], seen.n, game.ada_target, game.ada_kimg)  # type: ignore[operator]

    phases = [Phase("generator", ("generator",), generator, after=follow_style)]
    if game.path:
        phases.append(Phase("path", ("generator",), path, game.path_every, lazy=True, after=follow_path))
    after = strengthen if adaptive and game.augment else None
    phases.append(Phase("discriminator", ("discriminator",), discriminator, after=after))
    if game.r1:
        phases.append(Phase("r1", ("discriminator",), penalty, game.r1_every, lazy=True))
    needs: tuple[Role, ...] = ("images", "labels") if classes else ("images",)
    return (Stage("all", tuple(phases), needs=needs),)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images of latents, truncated towards the mean style."""
    images: Tensor = networks["generator"](start, labels, controls["truncation"], controls["noise"])
    return images


SYSTEM = System(
    StyleGAN2Config,
    StyleGAN2Game,
    build,
    stages,
    render=render,
    controls=(
        Control("truncation", 0.0, 1.5, 1.0, "nearer to the mean image (0) or as varied as trained (1)"),
        Control("noise", 0.0, 2.0, 1.0, "how much of the noise that makes hair and skin"),
    ),
    reference="Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676",
)
