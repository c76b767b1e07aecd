"""StyleGAN2 with adaptive discriminator augmentation (arXiv:1912.04958, arXiv:2006.06676).

A mapping network turns latents into styles, a generator with skips draws an image from them layer by layer, a residual
discriminator judges it. Sizes are 4, 5, 6 or 7 doubled at least once, as for the other convolutional systems.

Where it departs from the authors' code, so that a batch in parts trains as a whole one: each row has a place of its own
where styles are mixed, path lengths are taken on every second row and held against the mean before the step, and the
minibatch deviation is of consecutive rows (`rows: strided` is theirs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor, nn

from gantools.augment import ada, diffaugment
from gantools.errors import ConfigError, check_least, check_shares
from gantools.layers.equalised import EqualisedConv2d, EqualisedLinear, leaky
from gantools.layers.minibatch import MinibatchDeviation
from gantools.layers.modulated import StyledConv, ToImage
from gantools.layers.precision import wide
from gantools.layers.resample import Resample, ResidualDown
from gantools.layers.sizes import SquareConfig, tapered_widths
from gantools.layers.styles import MappingNetwork
from gantools.models.games import call, discriminator_loss, draw_labels, roles
from gantools.models.styling import CONTROLS, MIXING, Draw, drawn_from, follow_mean, layer_noise, mixed, styled
from gantools.models.system import Batch, Networks, Out, Phase, Scalars, Seen, Stage, Styles, System
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import r1


@dataclass(frozen=True)
class StyleGAN2Config(SquareConfig):
    """Shape of the networks.

    Attributes:
        size, channels: of the images.
        classes: how many the networks are told apart; 0: none.
        latent: length of z.
        style: length of w.
        mapping_layers: dense layers from z to w.
        width: channels of a map times its side, up to `max_width` channels.
        max_width: of any map.
        group: images a group of the minibatch deviation.
        rows: which rows of a batch make a group.
    """

    size: int = 256
    channels: int = 3
    classes: int = 0
    latent: int = 512
    style: int = 512
    mapping_layers: int = 8
    width: int = 16384
    max_width: int = 512
    group: int = 4
    rows: Literal["consecutive", "strided"] = "consecutive"

    def __post_init__(self) -> None:
        self.check("channels", "latent", "style", "mapping_layers", "width", "max_width", "group")
        self.check("classes", least=0)

    @property
    def widths(self) -> list[int]:
        """Channels of the maps of each, from the smallest to the image's."""
        return tapered_widths(self.sizes, self.width, self.max_width, least=1)


@dataclass(frozen=True)
class AugmentConfig:
    """How images are augmented before the discriminator sees them, real ones and generated ones.

    Attributes:
        kind: ada (blitting, geometry, colour), diffaugment (colour, translation, cutout), or none.
        target: of ada: its strength is moved so that the mean of sign(D(real)) becomes this; null: it stays `p`.
        p: of ada: the strength where there is no target.
        kimg: of ada: thousand images in which the strength can go from 0 to 1.
    """

    kind: Literal["ada", "diffaugment", "none"] = "ada"
    target: float | None = 0.6
    p: float = 0.0
    kimg: float = 500.0

    def __post_init__(self) -> None:
        if self.target is not None and not -1 < self.target < 1:
            raise ConfigError(f"game.augment.target: must be between -1 and 1, not {self.target}.")
        if self.target is not None and self.p != 0:
            raise ConfigError(
                "game.augment.p: with a target the strength is found.", "Set game.augment.target to null."
            )
        check_shares("game.augment", self, "p")
        if self.kimg <= 0:
            raise ConfigError(f"game.augment.kimg: must be above 0, not {self.kimg}.")


@dataclass(frozen=True)
class StyleGAN2Game:
    """Weights and switches of the objective.

    Attributes:
        loss: the adversarial loss.
        r1: γ of the penalty γ/2 E‖∇D(x)‖² on real images; 0: none. The authors' heuristic is 0.0002 size² / batch.
        r1_every: computed at one step of this many.
        path_length: weight of the path length regulariser; 0: none.
        path_length_every: computed at one step of this many.
        path_length_decay: how far a step moves the mean of path lengths.
        mixing: the probability that an image has the styles of two latents.
        style_decay: how much of the mean style stays at each step.
        labels: classes of generated images: as often as in the data, or each as often as any other.
        augment: what the discriminator sees images through.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    r1: float = 1.0
    r1_every: int = 16
    path_length: float = 2.0
    path_length_every: int = 4
    path_length_decay: float = 0.01
    mixing: float = 0.9
    style_decay: float = 0.995
    labels: Literal["uniform", "data"] = "data"
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        check_least("game", self, "r1", "path_length", least=0)
        check_least("game", self, "r1_every", "path_length_every")
        check_shares("game", self, "path_length_decay", "mixing", "style_decay")


class StyleGAN2Generator(nn.Module):
    """Latents float (n, latent) -> images float (n, channels, size, size), nearly all of them in [-1, 1].

    Attributes:
        latent: length of z.
        count: how many styles an image has: one a convolution, and the last image's.
    """

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.latent = config.latent
        self.mapping = MappingNetwork(config.latent, config.classes, config.style, config.mapping_layers)
        sizes, widths = config.sizes, config.widths
        self.constant = nn.Parameter(torch.randn(widths[0], sizes[0], sizes[0]))
        self.convs = nn.ModuleList([StyledConv(widths[0], widths[0], config.style, sizes[0])])
        self.images = nn.ModuleList([ToImage(widths[0], config.channels, config.style)])
        for i in range(1, len(sizes)):
            self.convs.append(StyledConv(widths[i - 1], widths[i], config.style, sizes[i], up=True))
            self.convs.append(StyledConv(widths[i], widths[i], config.style, sizes[i]))
            self.images.append(ToImage(widths[i], config.channels, config.style))
        self.resample = Resample()
        self.count = len(self.convs) + 1

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same style for every layer, float (n, count, style)."""
        w: Tensor = self.mapping(z, labels)
        return w[:, None].expand(-1, self.count, -1)

    def synthesis(self, styles: Tensor, draw: Draw | None = None, strength: float = 1.0, fused: bool = False) -> Tensor:
        """Images of styles.

        Args:
            styles: float (n, count, style).
            draw: gives the noise of each layer, called with (1, h, w); None: a layer's constant one.
            strength: of the noise, 1 as trained; 0: there is none.
            fused: which form of the modulated convolutions.

        Returns:
            float (n, channels, size, size).
        """
        x = self.constant.expand(len(styles), -1, -1, -1)
        image: Tensor | None = None
        for i, module in enumerate(self.convs):
            conv = cast(StyledConv, module)
            added = layer_noise(conv.noise, conv.size, draw, strength)
            x = conv(x, styles[:, i], added, fused)
            if i % 2 == 0:  # the last convolution of its size
                # An image takes the style of the convolution after it.
                new = self.images[i // 2](x, styles[:, i + 1], fused)
                image = new if image is None else self.resample.up(image) + new
        assert image is not None
        return wide(image)

    def forward(self, z: Tensor, labels: Tensor | None = None, draw: Draw | None = None) -> Tensor:
        """Images of latents `z`, and of classes int64 (n,)."""
        return self.synthesis(self.styles(z, labels), draw)


class StyleGAN2Discriminator(nn.Module):
    """Images float (n, channels, size, size) -> logits float (n,); with classes, int64 (n,), a projection on them."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        sizes, widths = config.sizes[::-1], config.widths[::-1]
        self.from_image = EqualisedConv2d(config.channels, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualDown(widths[i], widths[i + 1]) for i in range(len(sizes) - 1)))
        self.deviation = MinibatchDeviation(config.group, rows=config.rows)
        self.last = EqualisedConv2d(widths[-1] + 1, widths[-1], 3)
        self.dense = EqualisedLinear(widths[-1] * sizes[-1] ** 2, widths[-1])
        self.out = EqualisedLinear(widths[-1], widths[-1] if config.classes else 1)
        self.classes = MappingNetwork(0, config.classes, widths[-1], config.mapping_layers) if config.classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of images `x`."""
        x = self.blocks(leaky(self.from_image(x)))
        x = leaky(self.last(self.deviation(x)))
        x = self.out(leaky(self.dense(x.flatten(1))))
        if self.classes is None:
            return x[:, 0]
        return cast(Tensor, (x * self.classes(None, labels)).sum(1) / math.sqrt(x.shape[1]))


class PathLength(nn.Module):
    """Remembers the mean of path lengths."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))


def build(config: StyleGAN2Config) -> dict[str, nn.Module]:
    """The networks and what they remember, initialised from torch's random state."""
    return {
        "generator": StyleGAN2Generator(config),
        "discriminator": StyleGAN2Discriminator(config),
        "path_length": PathLength(),
        "augment": ada.Ada(),
    }


def seeing(networks: Networks, game: AugmentConfig, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The augmentation as a function of images, its random numbers drawn once from `batch`."""
    if game.kind == "none":
        return lambda x: x
    if game.kind == "diffaugment":
        drawn = batch.uniform(diffaugment.UNIFORMS)
        return lambda x: diffaugment.diffaugment(x, drawn)
    uniform, normal = batch.uniform(ada.UNIFORMS), batch.normal(ada.NORMALS)
    p = None if game.target is not None else torch.full((), game.p, device=batch.images.device)
    return lambda x: cast(Tensor, networks["augment"](x, uniform, normal, p))


def path_lengths(styles: Tensor, images: Tensor, noise: Tensor) -> Tensor:
    """√(mean over layers of ‖J_wᵀ y‖²), y ~ N(0, 1) / √(h w), float (n,).

    Source: Karras et al. 2020 (arXiv:1912.04958), section 3.2, equation 4.

    Args:
        styles: float (n, count, style), of which `images` are a function.
        images: float (n, c, h, w).
        noise: N(0, 1), of the shape of `images`.
    """
    h, w = images.shape[2:]
    (found,) = torch.autograd.grad((images * noise).sum() / math.sqrt(h * w), styles, create_graph=True)
    return found.square().sum(2).mean(1).sqrt()


def stages(config: StyleGAN2Config, game: StyleGAN2Game) -> tuple[Stage, ...]:
    """One stage: both players, each with a regulariser that is computed seldom (appendix B)."""
    classes = config.classes

    def judged(networks: Networks, x: Tensor, labels: Tensor | None, batch: Batch) -> Tensor:
        return call(networks["discriminator"], seeing(networks, game.augment, batch)(x), labels)

    def drawn(networks: Networks, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor]:
        generator = cast(StyleGAN2Generator, networks["generator"])
        labels = draw_labels(classes, batch, game.labels)
        styles, mean = mixed(generator, batch, labels, game.mixing)
        return generator.synthesis(styles, batch.normal), labels, mean

    def real_labels(batch: Batch) -> Tensor | None:
        return draw_labels(classes, batch, "data")

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        fake, labels, mean = drawn(networks, batch)
        outputs = judged(networks, fake, labels, batch)
        real = judged(networks, batch.images, real_labels(batch), batch) if game.loss.loss.pairs else None
        value = game.loss.generator(outputs, real)
        return Out(value, {"loss_g": value.detach(), "style": mean})

    def generator_path_length(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        # Every second row: the same ones however the batch is cut, half of the work.
        batch = batch.part(0, len(batch), 2)
        network = cast(StyleGAN2Generator, networks["generator"])
        with torch.autocast(batch.images.device.type, enabled=False):
            styles, _ = mixed(network, batch, draw_labels(classes, batch, game.labels), game.mixing)
            images = network.synthesis(styles, batch.normal)
            lengths = path_lengths(styles, images, batch.normal(*images.shape[1:]))
            # The mean as it was: what it becomes is the whole batch's matter.
            value = (lengths - cast(Tensor, networks["path_length"].mean)).square().mean()
        means = {"path_length": lengths.detach().mean(), "path_penalty": value.detach()}
        return Out(game.path_length * value, means)

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        with torch.no_grad():
            fake, labels, _ = drawn(networks, batch)
        # Two passes: real and generated images in one group would see each other in the minibatch deviation.
        fake_outputs = judged(networks, fake, labels, batch)
        real_outputs = judged(networks, batch.images, real_labels(batch), batch)
        value, means = discriminator_loss(game.loss, real_outputs, fake_outputs)
        means["real_sign"] = wide(real_outputs.detach()).sign().mean()
        if game.augment.kind == "ada":
            means["augment_p"] = cast(Tensor, networks["augment"].p).clone()
        return Out(value, means)

    def discriminator_r1(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        see = seeing(networks, game.augment, batch)
        with torch.autocast(batch.images.device.type, enabled=False):
            # The gradient by the image as it is, through its augmentation.
            value = r1(
                lambda x: call(networks["discriminator"], see(x), real_labels(batch)), batch.images, batch.images, batch
            )
        return Out(game.r1 * value, {"r1": value.detach()})

    def remember_length(networks: Networks, seen: Seen) -> None:
        mean = cast(PathLength, networks["path_length"]).mean
        mean.lerp_(seen.means["path_length"].to(mean.dtype), game.path_length_decay)

    def adjust(networks: Networks, seen: Seen) -> None:
        assert game.augment.target is not None
        memory = cast(ada.Ada, networks["augment"])
        memory.adjust(seen.means["real_sign"], seen.n, game.augment.target, game.augment.kimg)

    adaptive = game.augment.kind == "ada" and game.augment.target is not None
    phases = [Phase("generator", ("generator",), generator, after=partial(follow_mean, decay=game.style_decay))]
    if game.path_length:
        every = game.path_length_every
        phases.append(
            Phase(
                "generator_path_length",
                ("generator",),
                generator_path_length,
                every,
                lazy=True,
                after=remember_length,
                uncoupled=("generator",),
            )
        )
    phases.append(Phase("discriminator", ("discriminator",), discriminator, after=adjust if adaptive else None))
    if game.r1:
        phases.append(
            Phase(
                "discriminator_r1",
                ("discriminator",),
                discriminator_r1,
                game.r1_every,
                lazy=True,
                uncoupled=("discriminator",),
            )
        )
    return (Stage("all", tuple(phases), needs=roles(classes)),)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images of latents `start`, as `CONTROLS` say."""
    return drawn_from(networks, styled(networks, start, labels, controls), controls)


SYSTEM = System(
    StyleGAN2Config,
    StyleGAN2Game,
    build,
    stages,
    render=render,
    controls=CONTROLS,
    styles=Styles(styled, drawn_from, controls=MIXING),
    reference="Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676",
)
