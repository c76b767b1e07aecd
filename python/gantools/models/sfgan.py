"""SF-GAN: puts a foreground on images where it belongs, and gives it their light (Zhan et al. 2019, arXiv:1812.05840).

Three stages. `geometry`: the generator says how a foreground is to be warped, against a judge of real images that have
such a thing; both sides are shown blurred and grey, so that it is the place that tells them apart. `appearance`: two
translators between what was composed and real images, with a judge of either, as in CycleGAN; a guided filter keeps
what the first one changes on the foreground. `joint`: all together, where the judge of places is shown real images as
the second translator gives them, which have the right places and the composed ones' look.

The judge of places and the judge of composed images are two networks, though both see the same two kinds of images. To
the first, real images made composed-like are real and composed ones are not, to the second it is the other way round:
one network in both roles would teach the generator to be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from gantools.errors import ConfigError, check_least
from gantools.layers.guided import Fuse
from gantools.layers.init import normal_networks
from gantools.layers.memory import Pool
from gantools.layers.patch import PatchDiscriminator
from gantools.layers.placing import Foregrounds, Place, PlaceJudge, Placer
from gantools.layers.translation import MULTIPLE, ResNetTranslator
from gantools.layers.warp import blurred, make_warp
from gantools.models.games import discriminator_loss, pooled_judge, put_in_pools, summed, with_penalties
from gantools.models.system import Batch, Control, Networks, Out, Phase, Scalars, Seen, Stage, System
from gantools.objectives.content import l1, luma
from gantools.objectives.losses import LossConfig
from gantools.objectives.penalties import Penalties, read_penalties
from gantools.pretrained.foregrounds import read_foregrounds


@dataclass(frozen=True)
class SFGANConfig:
    """Shape of the networks, of the foregrounds and of how they are warped.

    Attributes:
        size: side of the images in training; afterwards any multiple of 4 is taken.
        channels: of the images.
        foregrounds: how many there are.
        canvas: side of each, in its own pixels.
        warp: `homography` (8 numbers), `affine` (6), or `tps`, a thin-plate spline.
        points: a side of the lattice of a spline.
        bound: of the change of each number of the warp in one go.
        warps: how many times the generator answers, the next time to what came of the last.
        scale: of a foreground's canvas on the image before any warp.
        shift: of its centre then, x and y in half sides of the image.
        width: channels of generator and judge of places next to the image.
        halvings: of both.
        hidden: width of the generator's linear layer.
        translator_width: channels of the translators next to the image.
        blocks: their residual blocks.
        judge_width: channels of their judges next to the image.
        judge_halvings: convolutions of stride 2 in these.
        pool: composed and translated images that are remembered for these.
        radius: of the guided filter, in pixels.
        eps: of the guided filter, for values in [0, 1].
        dilation: pixels around the foreground that may change, too.
    """

    size: int = 128
    channels: int = 3
    foregrounds: int = 10
    canvas: int = 144
    warp: Literal["homography", "affine", "tps"] = "homography"
    points: int = 6
    bound: float = 0.5
    warps: int = 1
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    width: int = 32
    halvings: int = 5
    hidden: int = 256
    translator_width: int = 64
    blocks: int = 6
    judge_width: int = 64
    judge_halvings: int = 3
    pool: int = 50
    radius: int = 4
    eps: float = 0.01
    dilation: int = 4

    def __post_init__(self) -> None:
        counts = ("foregrounds", "canvas", "warps", "width", "halvings", "hidden", "translator_width", "judge_width")
        check_least("network", self, *counts, "judge_halvings", "radius")
        check_least("network", self, "blocks", "pool", "dilation", least=0)
        check_least("network", self, "points", least=2)
        if self.channels not in (1, 3):
            raise ConfigError(f"network.channels: must be 1 or 3, not {self.channels}.")
        if not min(self.bound, self.scale, self.eps) > 0:
            raise ConfigError("network: bound, scale and eps must be above 0.")
        if self.size % MULTIPLE or self.size < 4 * MULTIPLE:
            raise ConfigError(f"network.size: must be a multiple of {MULTIPLE} from 16 on, not {self.size}.")
        for key, least in (("halvings", 1), ("judge_halvings", 3)):
            if (self.size >> getattr(self, key)) < least:
                raise ConfigError(
                    f"network.{key}: {getattr(self, key)} leaves nothing of {self.size} px to judge.",
                    f"Choose 1 to {(self.size // least).bit_length() - 1}.",
                )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that are made."""
        return (self.size, self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images that a foreground is put on."""
        return self.image_shape

    @property
    def multiple(self) -> int:
        """What the sides of an image have to be multiples of."""
        return MULTIPLE

    @property
    def whole(self) -> bool:
        """Every part of an image would get a foreground of its own."""
        return True


def _r1() -> Penalties:
    return Penalties(read_penalties({"r1": 1.0}))


@dataclass(frozen=True)
class SFGANGame:
    """Lengths and losses of the stages.

    Attributes:
        foregrounds: where they are: a .npy of uint8 (n, side, side, 4), or a folder of PNG files with transparency.
        geometry_kimg: thousand real images of the first stage; 0: it is left out.
        appearance_kimg: of the second; 0: it is left out. What comes after both is the stage `joint`.
        critic_steps: steps of the judge of places to one of the generator.
        jitter: deviation of the numbers of the warp that a foreground begins with in training.
        grey: the judge of places is shown luma alone.
        blur: deviation of a Gaussian in pixels through which it sees; 0: none.
        bare: share of backgrounds without a foreground in what it is to take for composed. Without any, it may not
            learn that a foreground is wanted at all, and the generator does best to hide it.
        place: its adversarial loss.
        penalties: of the judge of places, by name.
        displacement: weight of the square of the change of the warp's numbers.
        loss: adversarial loss of the translators' judges.
        adversarial: weight of it in the translators' loss; as `least_squares` has a factor of 1/2, 2 is CycleGAN's.
        cycle: weight of both cycles.
        identity: weight of both identities, as a share of `cycle`.
    """

    foregrounds: str | None = None
    geometry_kimg: float = 400.0
    appearance_kimg: float = 200.0
    critic_steps: int = 2
    jitter: float = 0.1
    grey: bool = True
    blur: float = 1.0
    bare: float = 0.0
    place: LossConfig = field(default_factory=LossConfig)
    penalties: Penalties = field(default_factory=_r1)
    displacement: float = 0.02
    loss: LossConfig = field(default_factory=lambda: LossConfig("least_squares"))
    adversarial: float = 2.0
    cycle: float = 10.0
    identity: float = 0.5

    def __post_init__(self) -> None:
        check_least("game", self, "critic_steps")
        names = ("geometry_kimg", "appearance_kimg", "jitter", "blur", "bare", "displacement")
        check_least("game", self, *names, "adversarial", "cycle", "identity", least=0)
        if self.bare >= 1:
            raise ConfigError(f"game.bare: must be below 1, not {self.bare}.", "For example 0.5.")
        for key in ("place", "loss"):
            if getattr(self, key).loss.pairs:
                raise ConfigError(
                    f"game.{key}.name: {getattr(self, key).name} compares pairs of outputs; the images here are none.",
                    "Choose non_saturating, least_squares, hinge or wasserstein.",
                )
        self.penalties.refuse_lazy()


def build(config: SFGANConfig) -> dict[str, nn.Module]:
    """The generator and its judge, both translators with judges and pools, and drawn foregrounds; random weights."""

    def judge() -> nn.Module:
        return PatchDiscriminator(config.channels, config.judge_width, config.judge_halvings)

    def translator() -> nn.Module:
        network = ResNetTranslator(config.channels, config.channels, config.translator_width, config.blocks)
        # Whether it has been trained at all: before, a composed image stays as it is.
        network.register_buffer("begun", torch.zeros(()))
        return network

    shape = (config.channels, config.size, config.size)
    placer = Placer(
        config.channels,
        config.size,
        make_warp(config.warp, config.points),
        Fuse(config.radius, config.eps, config.dilation),
        width=config.width,
        halvings=config.halvings,
        hidden=config.hidden,
        bound=config.bound,
        warps=config.warps,
        scale=config.scale,
        shift=config.shift,
    )
    return {
        "generator": placer,
        "judge_place": PlaceJudge(config.channels, config.width, config.halvings),
        **normal_networks(
            appearance=translator(),
            back=translator(),
            judge_target=judge(),
            judge_source=judge(),
            pool_target=Pool(config.pool, shape),
            pool_source=Pool(config.pool, shape),
        ),
        "foregrounds": Foregrounds(config.foregrounds, config.canvas),
    }


def frozen(config: SFGANConfig, game: SFGANGame, pretrained: bool) -> dict[str, nn.Module]:
    """The foregrounds of the file, which take the place of the drawn ones."""
    if not pretrained:
        return {}
    levels, sha256 = read_foregrounds(game.foregrounds, config.foregrounds, config.canvas)
    return {"foregrounds": Foregrounds(config.foregrounds, config.canvas).take(torch.from_numpy(levels), sha256)}


class Shown(NamedTuple):
    """A foreground as it was put on the batch's inputs, and itself."""

    place: Place
    foreground: Tensor


def pick(networks: Networks, index: int | Tensor, channels: int) -> Tensor:
    """Foregrounds float (n, channels + 1, side, side): colours, or their luma, times opacity, then opacity."""
    colour, alpha = cast(Foregrounds, networks["foregrounds"]).choose(index)
    colour = luma(colour)[:, None].to(alpha.dtype) if channels == 1 else colour
    return torch.cat((colour * alpha, alpha), 1)


def put(networks: Networks, batch: Batch, jitter: float) -> Shown:
    """Foregrounds drawn at random on the batch's inputs, from where they are when drawn at random, too."""
    assert batch.inputs is not None
    placer, bank = cast(Placer, networks["generator"]), cast(Foregrounds, networks["foregrounds"])
    foreground = pick(networks, batch.integers(len(bank.rgba)), batch.inputs.shape[1])
    start = jitter * batch.normal(placer.warp.count)
    return Shown(placer(foreground, batch.inputs, start), foreground)


def stages(config: SFGANConfig, game: SFGANGame) -> tuple[Stage, ...]:
    """The stages `geometry`, `appearance` and `joint`, without those of no length.

    Logged: of places `loss_d` with `games.scores`, `loss_g`, `displacement`, the shares `folded` and `outside` of the
    frame; of translators `loss_t` with its terms, `loss_d_target`, `loss_d_source` with `games.scores` of each.
    """

    def look(images: Tensor) -> Tensor:
        """Images as the judge of places sees them."""
        if game.grey:
            images = luma(images)[:, None].to(images.dtype).expand_as(images)
        return blurred(images, game.blur)

    def judge_place(real: Callable[[Networks, Batch], Tensor]) -> Phase:
        def loss(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
            with torch.no_grad():
                fake = look(put(networks, batch, game.jitter).place.composed.images)
                wanted = look(real(networks, batch))
            judge = networks["judge_place"]
            real_outputs = judge(wanted)
            value, means = discriminator_loss(game.place, real_outputs, judge(fake))
            if game.bare > 0:
                assert batch.inputs is not None
                plain = judge(look(batch.inputs))
                value = (1 - game.bare) * value + game.bare * game.place.discriminator(real_outputs, plain)
                means |= {"loss_d": value.detach(), "bare_score": game.place.loss.score(plain.detach().float()).mean()}
            out = Out(value, means)
            return with_penalties(out, game.penalties, lambda penalty: penalty(judge, wanted, fake, batch))

        uncoupled = ("judge_place",) if game.penalties.gradient else ()
        return Phase("judge_place", ("judge_place",), loss, uncoupled=uncoupled)

    def generator(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        place, foreground = put(networks, batch, game.jitter)
        adversarial = game.place.generator(networks["judge_place"](look(place.composed.images)))
        moved = place.moved.square().sum(1).mean()
        value = adversarial + game.displacement * moved
        with torch.no_grad():
            fold, out = cast(Placer, networks["generator"]).faults(foreground, place.parameters)
        means = {"loss_g": adversarial, "displacement": moved, "folded": fold.mean(), "outside": out.mean()}
        return Out(value, {name: mean.detach() for name, mean in means.items()})

    def translators(networks: Networks, batch: Batch, scalars: Scalars) -> Out:
        there, back = networks["appearance"], networks["back"]
        fuse = cast(Placer, networks["generator"]).fuse
        with torch.no_grad():
            composed = put(networks, batch, game.jitter).place.composed
        source, target = composed.images, batch.images
        made_target, made_source = fuse(composed.images, composed.alpha, there(source)), back(target)
        terms = {
            "gan_target": game.adversarial * game.loss.generator(networks["judge_target"](made_target)),
            "gan_source": game.adversarial * game.loss.generator(networks["judge_source"](made_source)),
            # Nobody knows where the foreground of a real image is: there the translator's image is taken as it is.
            "cycle": game.cycle * (l1(back(made_target), source) + l1(there(made_source), target)),
        }
        if game.identity > 0:
            terms["identity"] = game.identity * game.cycle * (l1(there(target), target) + l1(back(source), source))
        value, means = summed(terms, "loss_t")
        rows = {"target": made_target, "source": made_source, "composed": source}
        return Out(value, means, {name: row.detach() for name, row in rows.items()})

    remember = put_in_pools("target", "source")

    def after(networks: Networks, seen: Seen) -> None:
        remember(networks, seen)
        networks["appearance"].get_buffer("begun").fill_(1.0)

    @torch.no_grad()
    def adapted(networks: Networks, batch: Batch) -> Tensor:
        return cast(Tensor, networks["back"](batch.images))

    @torch.no_grad()
    def composed(networks: Networks, batch: Batch) -> Tensor:
        return put(networks, batch, game.jitter).place.composed.images

    place = Phase("generator", ("generator",), generator, every=game.critic_steps)
    looks = (
        Phase("translators", ("appearance", "back"), translators, after=after),
        pooled_judge(game.loss, "target", lambda networks, batch: batch.images),
        pooled_judge(game.loss, "source", composed),
    )
    geometry = Stage("geometry", (judge_place(lambda networks, batch: batch.images), place), needs=("images", "inputs"))
    appearance = replace(geometry, name="appearance", phases=looks)
    joint = replace(
        geometry, name="joint", phases=(judge_place(adapted), place, *looks), fresh=("generator", "judge_place")
    )
    before = ((geometry, game.geometry_kimg), (appearance, game.appearance_kimg))
    return (*(replace(stage, nimg=round(1000 * kimg)) for stage, kimg in before if kimg), joint)


def render(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images `start` with a foreground: which one, how far it is moved and changed is said by the controls."""
    placer, appearance = cast(Placer, networks["generator"]), networks["appearance"]
    foreground = pick(networks, round(controls.get("foreground", 0.0)), start.shape[1]).expand(len(start), -1, -1, -1)
    begin = start.new_zeros(len(start), placer.warp.count)
    composed = placer(foreground, start, begin, controls.get("geometry", 1.0)).composed
    strength = controls.get("appearance", 1.0) * appearance.get_buffer("begun")
    guided = controls.get("guided", 1.0) >= 0.5
    images: Tensor = placer.fuse(composed.images, composed.alpha, appearance(composed.images), strength, guided)
    return images


def controls_of(config: SFGANConfig) -> tuple[Control, ...]:
    """What a user may turn; as many foregrounds as there are."""
    return (
        Control("foreground", 0.0, config.foregrounds - 1.0, 0.0, "Which foreground is put on the images, from 0 on."),
        Control("geometry", 0.0, 1.0, 1.0, "0 leaves it where it begins, 1 puts it where the generator has it."),
        Control("appearance", 0.0, 1.0, 1.0, "0 leaves its colours, 1 gives them the light of real images."),
        Control("guided", 0.0, 1.0, 1.0, "0 takes the changed colours as they are, 1 keeps the foreground's edges."),
    )


SYSTEM = System(
    SFGANConfig,
    SFGANGame,
    build,
    stages,
    takes="images",
    shows=("generator", "appearance", "foregrounds"),
    render=render,
    averaged=("generator", "appearance"),
    frozen=frozen,
    controls=controls_of(SFGANConfig()),
    controls_of=controls_of,
    reference="Zhan et al. 2019, arXiv:1812.05840",
)
