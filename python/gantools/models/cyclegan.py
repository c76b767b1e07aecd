"""CycleGAN: translation between two sets of images without pairs (Zhu et al. 2017, arXiv:1703.10593).

`generator` makes images of the target set from images of the source set, `back` the reverse; each has a judge. What was
translated there and back again should be what it was (the cycle), and an image that is of the target set already should
stay as it is (the identity), without which light and dark may be exchanged early and for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from torch import Tensor, nn

from gantools.errors import ConfigError
from gantools.layers.init import normal_networks
from gantools.layers.memory import Pool
from gantools.layers.patch import PatchDiscriminator, receptive_field
from gantools.layers.translation import MULTIPLE, ResNetTranslator, reach
from gantools.models.games import pooled_judge, put_in_pools, summed
from gantools.models.system import Batch, Control, Networks, Out, Phase, Scalars, Stage, System
from gantools.objectives.content import l1, luma_correlation
from gantools.objectives.losses import LossConfig


@dataclass(frozen=True)
class CycleGANConfig:
    """Shape of the four networks and of the pools.

    Attributes:
        size: side of the images in training; afterwards any multiple of 4 is taken.
        channels: of both sets, so that the identity makes sense.
        width: channels of the translators next to the image.
        blocks: residual blocks of the translators.
        norm: normalisation in all four.
        judge_width: channels of the judges next to the image.
        judge_halvings: convolutions of stride 2 in the judges: patches of 16, 34, 70 px for 1, 2, 3.
        pool: generated images of each kind that are remembered for the judges.
    """

    size: int = 256
    channels: int = 3
    width: int = 64
    blocks: int = 9
    norm: Literal["instance", "batch", "none"] = "instance"
    judge_width: int = 64
    judge_halvings: int = 3
    pool: int = 50

    def __post_init__(self) -> None:
        if min(self.size, self.channels, self.width, self.judge_width) < 1 or min(self.blocks, self.pool) < 0:
            raise ConfigError(
                "network: size, channels, width and judge_width must be at least 1, blocks and pool at least 0."
            )
        if self.size % MULTIPLE or self.size < 4 * MULTIPLE:
            raise ConfigError(f"network.size: must be a multiple of {MULTIPLE} from 16 on, not {self.size}.")
        if self.judge_halvings < 1 or (self.size >> self.judge_halvings) < 3:
            raise ConfigError(
                f"network.judge_halvings: {self.judge_halvings} leaves nothing of {self.size} px to judge.",
                f"Choose 1 to {max(1, (self.size // 3).bit_length() - 1)}; a patch is then "
                f"{receptive_field(1)} px and more.",
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that are made."""
        return (self.size, self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that are translated."""
        return self.image_shape

    @property
    def multiple(self) -> int:
        """What the sides of an image have to be multiples of."""
        return MULTIPLE

    @property
    def reach(self) -> int | None:
        """Pixels around a tile that its result depends on; None: each image's own statistics depend on all of it."""
        return None if self.norm == "instance" else reach(self.blocks)


@dataclass(frozen=True)
class CycleGANGame:
    """Weights of the translators' losses.

    Attributes:
        loss: adversarial loss of every patch.
        adversarial: weight of the translators' adversarial terms. `least_squares` has a factor of 1/2, which the
            authors' code has for the judges alone, so that 2 is theirs.
        cycle: weight of both cycles.
        identity: weight of both identities, as a share of `cycle`.
    """

    loss: LossConfig = field(default_factory=lambda: LossConfig("least_squares"))
    adversarial: float = 2.0
    cycle: float = 10.0
    identity: float = 0.5

    def __post_init__(self) -> None:
        if self.loss.loss.pairs:
            raise ConfigError(
                f"game.loss.name: {self.loss.name} compares pairs of outputs; the judges here see unpaired images.",
                "Choose least_squares, non_saturating, hinge or wasserstein.",
            )
        if min(self.adversarial, self.cycle, self.identity) < 0:
            raise ConfigError("game: adversarial, cycle and identity must not be negative.")


def build(config: CycleGANConfig) -> dict[str, nn.Module]:
    """Both translators, their judges and the judges' pools; weights N(0, 0.02) from torch's random state."""

    def translator() -> nn.Module:
        return ResNetTranslator(config.channels, config.channels, config.width, config.blocks, config.norm)

    def judge() -> nn.Module:
        return PatchDiscriminator(config.channels, config.judge_width, config.judge_halvings, config.norm)

    shape = (config.channels, config.size, config.size)
    return normal_networks(
        generator=translator(),
        back=translator(),
        judge_target=judge(),
        judge_source=judge(),
        pool_target=Pool(config.pool, shape),
        pool_source=Pool(config.pool, shape),
    )


def stages(config: CycleGANConfig, game: CycleGANGame) -> tuple[Stage, ...]:
    """One stage: both translators, then either judge, who sees what the translators made before their step.

    Logged: `loss_g` and its terms `gan_target`, `gan_source`, `cycle`, `identity`; `luma_correlation` between what the
    translators get and what they give; of the judges `loss_d_target`, `loss_d_source` and `games.scores` of each.
    """

    def translators(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        assert batch.inputs is not None
        there, back = networks["generator"], networks["back"]
        source, target = batch.inputs, batch.images
        made_target, made_source = there(source), back(target)
        terms = {
            "gan_target": game.adversarial * game.loss.generator(networks["judge_target"](made_target)),
            "gan_source": game.adversarial * game.loss.generator(networks["judge_source"](made_source)),
            "cycle": game.cycle * (l1(back(made_target), source) + l1(there(made_source), target)),
        }
        if game.identity > 0:
            # Each translator is given what it should make: images of its own target set.
            terms["identity"] = game.identity * game.cycle * (l1(there(target), target) + l1(back(source), source))
        value, means = summed(terms)
        agreement = luma_correlation(source, made_target) + luma_correlation(target, made_source)
        means["luma_correlation"] = 0.5 * agreement.detach()
        return Out(value, means, {"target": made_target.detach(), "source": made_source.detach()})

    phases = (
        Phase("translators", ("generator", "back"), translators, after=put_in_pools("target", "source")),
        pooled_judge(game.loss, "target", lambda networks, batch: batch.images),
        pooled_judge(game.loss, "source", lambda networks, batch: cast(Tensor, batch.inputs)),
    )
    return (Stage("all", phases, needs=("images", "inputs")),)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images of the other set: by `generator`, or by `back` where the control `back` is 1/2 or more."""
    images: Tensor = networks["back" if controls.get("back", 0.0) >= 0.5 else "generator"](start)
    return images


SYSTEM = System(
    CycleGANConfig,
    CycleGANGame,
    build,
    stages,
    takes="images",
    shows=("generator", "back"),
    render=render,
    averaged=("generator", "back"),
    controls=(Control("back", 0.0, 1.0, 0.0, "1 translates the other way, from the target set to the source set."),),
    reference="Zhu et al. 2017, arXiv:1703.10593",
)
