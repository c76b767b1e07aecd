"""TP-GAN: a face seen from the side, shown from the front (Huang et al. 2017, arXiv:1704.04086).

A global path and four local ones (eyes, nose, mouth) make the frontal face of a turned one whose landmarks are known; a
judge tells parts of real frontal faces from made ones; a frozen network of identities, and classes of people, hold on
to who it is. Faces that look to the left are mirrored before and mirrored back after, as the right half of what the
networks see is the hidden one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError, check_least
from gantools.layers.frontal import (
    HALVINGS,
    NOISE,
    SIGMA,
    Frontal,
    FrontalGenerator,
    LocalJudge,
    Recogniser,
    faces_left,
    frontal_patch,
    halved,
    initialise,
    mirrored,
    windows,
)
from gantools.layers.init import initialised
from gantools.models.games import discriminator_loss, summed
from gantools.models.system import Batch, Networks, Out, Phase, Role, Scalars, Stage, System
from gantools.objectives.content import l1, total_variation
from gantools.objectives.losses import LossConfig
from gantools.objectives.symmetry import asymmetry, with_edges
from gantools.objectives.terms import classification, recognised
from gantools.pretrained import mobilefacenet

#: Share of the features that the classes of people are told of.
KEEP = 0.3


@dataclass(frozen=True)
class TPGANConfig:
    """Shape of the networks.

    Attributes:
        size: side of the faces, a multiple of 16 from 32 on; the authors have 128.
        channels: of the images.
        width: channels of the generator next to the image; the authors have 64.
        judge_width: of the judge there.
        running: after training, batch normalisation by the statistics of the training; false: each image by its own. In
            both ways a face's result does not depend on the others, as in the authors' code.
        classes: people in the training set, follows the data; 0: the networks are not told who is who.
    """

    size: int = 128
    channels: int = 3
    width: int = 64
    judge_width: int = 64
    running: bool = True
    classes: int = 340

    def __post_init__(self) -> None:
        check_least("network", self, "channels", "judge_width")
        check_least("network", self, "width", least=8)
        check_least("network", self, "classes", least=0)
        if self.size < 32 or self.size % (1 << HALVINGS):
            raise ConfigError(f"network.size: must be a multiple of 16 from 32 on, not {self.size}.", "For example 64.")
        if self.width % 8:
            raise ConfigError(f"network.width: must be a multiple of 8, not {self.width}.", "For example 16, 32 or 64.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the frontal faces."""
        return (self.size, self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the turned faces."""
        return self.image_shape

    @property
    def multiple(self) -> int:
        """What the sides of an image have to be multiples of: faces have one size."""
        return self.size

    @property
    def least(self) -> int:
        """The smallest side of an image."""
        return self.size

    @property
    def most(self) -> int:
        """The largest side of an image."""
        return self.size

    @property
    def pads(self) -> bool:
        """Whether sides are continued to a multiple unasked."""
        return False

    @property
    def whole(self) -> bool:
        """A result depends on all of its image, and on landmarks that are places in it."""
        return True


@dataclass(frozen=True)
class IdentityConfig:
    """The term of a frozen network of identities: the section `game.identity`.

    Attributes:
        weight: of it; 0: none, and no network is loaded.
        weights: the file of MobileFaceNet; null: looked for in the usual places.
    """

    weight: float = 0.1
    weights: str | None = None

    def __post_init__(self) -> None:
        check_least("game.identity", self, "weight", least=0)


@dataclass(frozen=True)
class TPGANGame:
    """Weights of the terms of the generator's loss, each a mean; the recipe says where they are from.

    Attributes:
        loss: adversarial loss of every part of the image.
        pixel: of the L1 of images of side s, s/2 and s/4.
        symmetry: of the difference of the right half to the left one, of the same, the first two at half the side.
        adversarial: of the adversarial loss.
        identity: of the cosine of identities.
        ids: of the cross-entropy of people.
        tv: of total variation.
        local: of the L1 of the patches, each times the share of the image that it covers.
        repeat: generator steps for each of the judge's.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    pixel: tuple[float, float, float] = (1.0, 0.25, 0.09375)
    symmetry: tuple[float, float, float] = (0.0375, 0.0375, 0.0140625)
    adversarial: float = 0.00244
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    ids: float = 0.00122
    tv: float = 0.003
    local: float = 3.0
    repeat: int = 2

    def __post_init__(self) -> None:
        check_least("game", self, "adversarial", "ids", "tv", "local", least=0)
        check_least("game", self, "repeat")
        if min(*self.pixel, *self.symmetry) < 0 or len(self.pixel) != 3 or len(self.symmetry) != 3:
            raise ConfigError(
                "game.pixel, game.symmetry: three numbers each, not negative, of the image, its half and its quarter.",
                "For example game.pixel=[1, 0.25, 0.094].",
            )
        if max(self.pixel) == 0:
            raise ConfigError("game.pixel: nothing ties results to inputs.", "Set the first above 0.")

    def prepare(self, networks: Networks) -> dict[str, nn.Module]:
        """Nothing further; ConfigError: people are to be told apart, and the set names none."""
        if self.ids > 0 and "recogniser" not in networks:
            raise ConfigError(
                "game.ids: people are to be told apart, and network.classes is 0.",
                "Set game.ids=0, or train with a set that has labels (gantools prep frontal).",
            )
        return {}


def build(config: TPGANConfig) -> dict[str, nn.Module]:
    """Generator, judge, and the layer that names people, where there are any."""
    generator = FrontalGenerator(config.channels, config.size, config.width, config.running)
    networks: dict[str, nn.Module] = {
        "generator": generator,
        "discriminator": LocalJudge(config.channels, config.judge_width),
    }
    if config.classes:
        networks["recogniser"] = Recogniser(4 * config.width, config.classes)
    return initialised(initialise, **networks)


def frozen(config: TPGANConfig, game: TPGANGame, pretrained: bool) -> dict[str, nn.Module]:
    """The network of identities, where there is a term of it."""
    if game.identity.weight == 0:
        return {}
    if config.channels != 3:
        raise ConfigError(
            f"network.channels: identities are told by colour, the images have {config.channels} channel(s).",
            "Set game.identity.weight=0.",
        )
    return {"face": mobilefacenet.load(game.identity.weights) if pretrained else mobilefacenet.unloaded()}


def one_sided(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs, landmarks, targets) of a batch, mirrored where the face looks to the left."""
    assert batch.inputs is not None
    marks = batch.extras["marks"].to(batch.inputs.dtype)
    left = faces_left(marks)
    inputs, turned = mirrored(batch.inputs, marks, left)
    return inputs, turned, torch.where(left[:, None, None, None], batch.images.flip(3), batch.images)


def stages(config: TPGANConfig, game: TPGANGame) -> tuple[Stage, ...]:
    """One stage: the judge, then the generator `game.repeat` times.

    Logged: `loss_g` and its terms `pixel`, `symmetry`, `adversarial`, `identity`, `ids`, `tv`, `local`, with their
    weights; `l1` and `asymmetry` of the whole image, without; `people`, the share that is named; `loss_d` and
    `games.scores`.
    """
    places = windows(config.size)

    def made_of(networks: Networks, batch: Batch) -> tuple[Frontal, Tensor]:
        inputs, marks, targets = one_sided(batch)
        made: Frontal = networks["generator"](inputs, marks, SIGMA * batch.normal(NOISE).to(inputs.dtype))
        return made, targets

    def discriminator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        with torch.no_grad():
            made, targets = made_of(networks, batch)
        judge = networks["discriminator"]
        value, means = discriminator_loss(game.loss, judge(targets), judge(made.image))
        return Out(value, means)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        made, targets = made_of(networks, batch)
        half = halved(targets)
        images, wanted = (made.image, made.half, made.quarter), (targets, half, halved(half))
        compared = (halved(made.image), with_edges(made.half), with_edges(made.quarter))
        apart = [l1(x, y) for x, y in zip(images, wanted, strict=True)]
        terms = {
            "pixel": weighted(game.pixel, apart),
            "symmetry": weighted(game.symmetry, [asymmetry(x) for x in compared]),
        }
        means: dict[str, Tensor] = {"l1": apart[0].detach(), "asymmetry": asymmetry(made.image).detach()}
        if game.adversarial > 0:
            judge = networks["discriminator"]
            real = judge(targets) if game.loss.loss.pairs else None
            terms["adversarial"] = game.adversarial * deceiving(game.loss, judge(made.image), real)
        if game.identity.weight > 0:
            terms["identity"] = game.identity.weight * unlikeness(networks["face"], made.image, targets)
        if game.ids > 0:
            assert batch.labels is not None
            keep = (batch.uniform(made.vector.shape[1]) < KEEP).to(made.vector.dtype) / KEEP
            logits = networks["recogniser"](made.vector, keep)
            terms["ids"] = game.ids * classification(logits, batch.labels)
            means["people"] = recognised(logits, batch.labels)
        if game.tv > 0:
            terms["tv"] = game.tv * total_variation(made.image)
        if game.local > 0:
            shares = [place.height * place.width / config.size**2 for place in places.values()]
            parts = [l1(made.patches[name], frontal_patch(targets, place)) for name, place in places.items()]
            terms["local"] = game.local * weighted(shares, parts)
        value, shown = summed(terms)
        return Out(value, means | shown)

    names = "recogniser" if config.classes and game.ids > 0 else None
    phases = (
        Phase("discriminator", ("discriminator",), discriminator),
        Phase("generator", ("generator", *([names] if names else [])), generator, repeat=game.repeat),
    )
    needs: tuple[Role, ...] = ("images", "inputs", "marks")
    judged = phases if game.adversarial > 0 else phases[1:]
    return (Stage("all", judged, needs=(*needs, "labels") if names else needs),)


def weighted(weights: tuple[float, ...] | list[float], terms: list[Tensor]) -> Tensor:
    """Σ w · x."""
    return torch.stack([weight * term for weight, term in zip(weights, terms, strict=True)]).sum()


def deceiving(loss: LossConfig, fake: Tensor, real: Tensor | None) -> Tensor:
    """The generator's adversarial loss; of cross-entropy with the target t that the judge has for real images.

    -E[t log D(G(x)) + (1 - t) log(1 - D(G(x)))], t = 0.9 in the authors' code; other losses as always.
    """
    target = loss.options.get("real_target", 1.0)
    return loss.generator(fake, real) + (1 - target) * fake.float().mean()


def unlikeness(face: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """E[1 - cos(φ(x), φ(y))] of the identities φ of aligned faces, 0 for one person; no gradient for `y`."""
    with torch.no_grad():
        wanted = face(mobilefacenet.of_frontal(y))
    found = face(mobilefacenet.of_frontal(x))
    return (1 - torch.cosine_similarity(found.float(), wanted.float(), dim=1)).mean()


def render(
    networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float], *, marks: Tensor
) -> Tensor:
    """Frontal faces of faces with these landmarks, float (n, 5, 2) in pixels; the noise is 0, its mean in training."""
    marks = marks.to(start.dtype)
    left = faces_left(marks)
    images, turned = mirrored(start, marks, left)
    made: Frontal = networks["generator"](images, turned, start.new_zeros(len(start), NOISE))
    return torch.where(left[:, None, None, None], made.image.flip(3), made.image)


SYSTEM = System(
    TPGANConfig,
    TPGANGame,
    build,
    stages,
    takes="images",
    render=render,
    guides=("marks",),
    averaged=(),
    frozen=frozen,
    reference="Huang et al. 2017, arXiv:1704.04086",
)
