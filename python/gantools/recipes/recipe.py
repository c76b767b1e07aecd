"""Recipes: what they contain, and how they are read.

A recipe is a YAML file that becomes a frozen `Recipe`; reading is strict (`strict.py`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gantools.degradation import Degradation
from gantools.errors import ConfigError, unknown_name
from gantools.models import NAMES, find_system
from gantools.models.system import Stage, System
from gantools.recipes import recipe_names, synonyms
from gantools.recipes.files import Layer, merged, one_length, read_layers
from gantools.recipes.strict import Places, describe, read_strict, read_yaml, to_plain
from gantools.runs.checkpoint import read_config
from gantools.runs.folders import RECORD, find_checkpoint
from gantools.runs.layout import list_checkpoints
from gantools.schedules import Schedule, Staircase, another_kind, values_of


@dataclass(frozen=True)
class OptimConfig:
    """The optimizer of every network; a section named after a network changes it for that one.

    Attributes:
        kind: adam, rmsprop or sgd.
        lr: a number, or a schedule or staircase of the real images shown.
        betas: Adam's two, the second a number or a schedule; RMSprop's smoothing constant is the second.
        momentum: of RMSprop and SGD.
        networks: by name of a network, the keys that are another for it.
    """

    lr: float | Schedule | Staircase
    kind: Literal["adam", "rmsprop", "sgd"] = "adam"
    betas: tuple[float, float | Schedule] = (0.5, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(values_of(self.lr)) < 0 or max(values_of(self.lr)) <= 0:
            raise ConfigError(f"optim.lr: must be above 0, not {min(values_of(self.lr))}.")
        if self.eps <= 0:
            raise ConfigError(f"optim.eps: must be above 0, not {self.eps}.")
        for beta in (self.betas[0], *values_of(self.betas[1]), self.momentum):
            if not 0 <= beta < 1:
                raise ConfigError(f"optim: betas and momentum must be in [0, 1), not {beta}.")
        if self.weight_decay < 0:
            raise ConfigError(f"optim.weight_decay: must be at least 0, not {self.weight_decay}.")

    def of(self, network: str) -> OptimConfig:
        """That of one network."""
        return dataclasses.replace(self, networks={}, **self.networks.get(network, {}))

    def to_plain(self) -> dict[str, Any]:
        """As a recipe has it: the networks' sections beside the keys for all."""
        own = {f.name: to_plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.name != "networks"}
        return {**own, **to_plain(self.networks)}


@dataclass(frozen=True)
class DataConfig:
    """How the prepared set is fed.

    Attributes:
        feed: one image after the other; pairs of a target and its input; images and inputs that do not belong together;
            aligned random crops; these, and beside them ranked pairs of a second set; or crops of frames of films.
        flip: mirror images left to right at random; never for digits or text.
        balance: show every class as often as any other.
        crop: side of the crops of feeds `crops`, `ranked` and `frames`, in pixels of the target.
        turn: turn the crops at random upside down and about the diagonal.
        degrade: compute the inputs of crops from the crops: by the name of a degradation, or a section of what is not
            Real-ESRGAN's; null: the set has the inputs.
        frames: of feed `frames`: how many there are in an input, that of the image in the middle.
    """

    feed: Literal["one", "paired", "unpaired", "crops", "ranked", "frames"] = "one"
    flip: bool = False
    balance: bool = False
    crop: int | None = None
    turn: bool = False
    degrade: Degradation | None = None
    frames: int | None = None

    @property
    def read_side(self) -> int | None:
        """Side of what is read of an image for a crop, in pixels; None: all of it."""
        around = 0 if self.degrade is None else self.degrade.around
        return None if self.crop is None else self.crop + around

    def __post_init__(self) -> None:
        if self.degrade is not None and self.feed != "crops":
            raise ConfigError("data.degrade: belongs to the feed `crops`.")
        if (self.feed in ("crops", "ranked", "frames")) != (self.crop is not None):
            raise ConfigError("data.crop: belongs to the feeds `crops`, `ranked` and `frames`, which need it.")
        if (self.feed == "frames") != (self.frames is not None):
            raise ConfigError("data.frames: belongs to the feed `frames`, which needs it.")
        if self.crop is not None and self.crop < 1:
            raise ConfigError(f"data.crop: must be at least 1, not {self.crop}.")


@dataclass(frozen=True)
class EmaConfig:
    """The moving average of the sampler's weights; off when `half_life_kimg` is null.

    Attributes:
        half_life_kimg: after so many thousand images a weight counts half; a number, or a schedule.
        ramp: the half-life is at most this share of the images shown so far.
        start_kimg: until then the average is a copy of the weights.
    """

    half_life_kimg: float | Schedule | None = None
    ramp: float = 0.05
    start_kimg: float = 0.0

    def __post_init__(self) -> None:
        if self.half_life_kimg is not None:
            ends = values_of(self.half_life_kimg)
            if min(ends) < 0 or max(ends) <= 0:
                raise ConfigError("ema.half_life_kimg: must be above 0, or null for no average.")
        if self.ramp <= 0 or self.start_kimg < 0:
            raise ConfigError("ema: ramp must be above 0, start_kimg at least 0.")


@dataclass(frozen=True)
class EvalConfig:
    """Scores of the sampler while it trains.

    Attributes:
        metrics: keys of `gantools score`, fd for example; empty: none.
        extractor: the network they are measured in; null: `score`'s own default.
        n: images generated for each.
        every_kimg: thousands of images between two; null: at every tick.
        patience: stop once the first metric was not below (or above) its best for so many of them; null: never.
    """

    metrics: tuple[str, ...] = ()
    extractor: str | None = None
    n: int = 5000
    every_kimg: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ConfigError(f"eval.n: must be at least 2, not {self.n}.")
        if self.every_kimg is not None and self.every_kimg <= 0:
            raise ConfigError("eval.every_kimg: must be above 0, or null for every tick.")
        if self.patience is not None and self.patience < 1:
            raise ConfigError("eval.patience: must be at least 1, or null for never.")


@dataclass(frozen=True)
class HealthConfig:
    """What is done when a training goes wrong.

    Attributes:
        action: on a collapse, a frozen training or a discriminator that has won: warn, or stop with an error.
        retries: times that a training goes back to its last good checkpoint after a number that is not finite.
    """

    action: Literal["warn", "stop"] = "warn"
    retries: int = 3

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ConfigError(f"health.retries: must be at least 0, not {self.retries}.")


@dataclass(frozen=True)
class ComputeConfig:
    """How the numbers are computed; nothing here changes what is computed but its rounding.

    Attributes:
        precision: of the networks' products; weights stay float32. `auto` measures bfloat16 at the start and takes it
            where it is faster.
        matmul: float32 products on CUDA: highest float32, high TF32.
        channels_last: memory layout of images.
        compile: compiled phases and CUDA graphs; `auto`: on CUDA only, because on a CPU they hardly pay.
        accumulate: micro-batches that a batch is cut into, for batches that do not fit in memory.
        threads: of torch on the CPU; null: torch's own number.
    """

    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    matmul: Literal["highest", "high", "medium"] = "high"
    channels_last: bool = True
    compile: Literal["auto", "on", "off"] = "auto"
    accumulate: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ConfigError(f"compute.accumulate: must be at least 1, not {self.accumulate}.")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"compute.threads: must be at least 1, or null, not {self.threads}.")


@dataclass(frozen=True)
class Reported:
    """What a report says of its own training, to stand beside a run's: columns of equal length, `epoch` among them."""

    columns: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Reported:
        """From a recipe's section.

        Raises:
            ConfigError: it is no table of numbers.
        """
        columns: dict[str, tuple[float, ...]] = {}
        for key, column in values.items():
            if not isinstance(column, list | tuple) or not all(
                isinstance(x, int | float) and not isinstance(x, bool) for x in column
            ):
                raise ConfigError(f"reported.{key}: expected a list of numbers, found {describe(column)}.")
            columns[key] = tuple(column)
        if columns and ("epoch" not in columns or len({len(column) for column in columns.values()}) > 1):
            raise ConfigError("reported: needs a column epoch, and all columns of the same length.")
        return cls(columns)

    def to_plain(self) -> dict[str, Any]:
        """The inverse of `from_plain`."""
        return {key: list(column) for key, column in self.columns.items()}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a training run but the data. Exactly one of `epochs` and `kimg` is its length."""

    name: str
    description: str = ""
    source: str = ""  # where the architecture and the numbers come from, and what was chosen where that is silent
    target: str = ""  # the published or measured result to hold it against
    prep: str = ""  # the command that prepares fitting data
    reported: Reported = field(default_factory=Reported)  # figures by epoch, shown beside those of a run
    model: str  # a name of gantools.models.NAMES, or the dotted name of a module with SYSTEM
    network: Any  # the system's config
    game: Any  # the system's weights and switches of its objective
    optim: OptimConfig
    batch: int
    epochs: float | None = None
    kimg: float | None = None  # thousands of real images shown
    tick_kimg: float | None = None  # between stats lines, grids and checkpoints; null: an epoch, of 1 to 10 minutes
    tick_epochs: float | None = None  # the same in epochs, however short; after 10 minutes there is one between them
    data: DataConfig = field(default_factory=DataConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    freeze_d: int = 0  # the discriminator's first layers with weights that are not trained (FreezeD, arXiv:2002.10964)
    seed: int = 0
    grid: int = 64  # images in the sample grids
    keep: int = 3  # newest checkpoints kept, beside the best and a thinning series
    track: tuple[Literal["trackio", "wandb"], ...] = ()  # trackers that the numbers and grids go to as well

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise ConfigError(f"name: {self.name!r} is not made of letters, digits, '.', '_' and '-' alone.")
        for key in ("batch", "grid", "keep"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{key}: must be at least 1, not {getattr(self, key)}.")
        for key in ("epochs", "kimg", "tick_kimg", "tick_epochs"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ConfigError(f"{key}: must be above 0, not {value}.")
        if (self.epochs is None) == (self.kimg is None):
            raise ConfigError("epochs, kimg: give exactly one of them; it is the length of the training.")
        if self.tick_kimg is not None and self.tick_epochs is not None:
            raise ConfigError("tick_kimg, tick_epochs: give one of them at most; it is the distance of two ticks.")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed: must be in [0, 2**63), not {self.seed}.")
        if self.freeze_d < 0:
            raise ConfigError(f"freeze_d: must be at least 0, not {self.freeze_d}.")
        if (frames := getattr(self.network, "frames", None)) != self.data.frames:
            raise ConfigError(
                f"network.frames is {frames}, data.frames {self.data.frames}; they have to be the same.",
                "Set both, or neither.",
            )
        if self.batch % self.compute.accumulate:
            raise ConfigError(
                f"compute.accumulate: batch {self.batch} cannot be cut into {self.compute.accumulate} equal parts."
            )

    @property
    def system(self) -> System:
        """The system it trains, with the controls that networks of this shape have."""
        system = find_system(self.model)
        return (
            system
            if system.controls_of is None
            else dataclasses.replace(system, controls=system.controls_of(self.network))
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images this recipe makes."""
        h, w, c = self.network.image_shape
        return (h, w, c)

    def stages(self) -> tuple[Stage, ...]:
        """The stages of its training."""
        return self.system.stages(self.network, self.game)

    def total_nimg(self, count: int) -> int:
        """Real images shown in the whole training on a set of `count` images, before rounding up to whole batches."""
        return round(self.kimg * 1000 if self.kimg is not None else (self.epochs or 0) * count)

    def tick_nimg(self, count: int) -> int:
        """Real images between two ticks on a set of `count` images."""
        images = self.tick_kimg * 1000 if self.tick_kimg is not None else (self.tick_epochs or 1) * count
        return max(1, round(images))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in a YAML file; `recipe_from_dict` is the inverse."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def load_recipe(recipe: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """The recipe of that name, or in that YAML file, with what it extends and with overrides applied.

    Args:
        recipe: a name from `recipe_names()`, or the path of a YAML file (one that ends in .yaml or .yml). The
            `config.yaml` of a run is such a file: it repeats that run.
        overrides: "section.key=value" strings, the value read as YAML, or a mapping of dotted keys to values.

    Raises:
        ConfigError: no such recipe, or a key or value in it or in the overrides is wrong.
    """
    name, layers = read_layers(recipe)
    return _resolved(layers, name, overrides)


def recipe_of(place: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """The recipe that `place` means: as `load_recipe` has it, or that of a run, a checkpoint or an exported model.

    Raises:
        ConfigError, CheckpointError: there is none, or it is damaged.
    """
    path = Path(place)
    if str(place) in recipe_names() or not path.is_dir():
        return load_recipe(place, overrides)
    if (path / RECORD).is_file() and not list_checkpoints(path):
        return load_recipe(path / RECORD, overrides)
    checkpoint = find_checkpoint(path)
    config = read_config(checkpoint, check=False, exported=True)
    return recipe_from_dict(config["recipe"], str(checkpoint), overrides=overrides)


def recipe_from_dict(
    values: Any, origin: str, *, name: str | None = None, overrides: Mapping[str, Any] | Sequence[str] = ()
) -> Recipe:
    """A recipe from plain values.

    Args:
        values: what a YAML file or `Recipe.to_dict` gives.
        origin: where they are from, for error messages.
        name: the recipe's name when `values` has none.
        overrides: as in `load_recipe`.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{origin}: expected keys and values, found {describe(values)}.")
    return _resolved([Layer(values, origin)], name, overrides)


def _resolved(layers: Sequence[Layer], name: str | None, overrides: Mapping[str, Any] | Sequence[str]) -> Recipe:
    """The recipe that layers give together, later ones over earlier ones, and the overrides over all."""
    changes = parse_overrides(overrides)
    origin = layers[-1].origin
    model = changes["model"] if "model" in changes else merged(layers)[0].get("model")
    if not isinstance(model, str):
        raise ConfigError(f"{origin}: the key 'model' is missing.", f"Known models: {', '.join(sorted(NAMES))}.")
    place = Places(merged(layers)[1].get("model", origin), set(changes)).of("model")
    system = find_system(model, f"model (in {place})")
    # A key of the game may be given without the section's name: --set loss.name=hinge.
    of_game = {f.name for f in dataclasses.fields(system.game)} - {f.name for f in dataclasses.fields(Recipe)}
    values, given = merged(layers, of_game)
    if name is not None:
        values.setdefault("name", name)
    one_length(values, changes)
    for key, value in changes.items():
        _set(values, f"game.{key}" if key.split(".")[0] in of_game else key, value)
    overridden = set(changes) | {f"game.{key}" for key in changes}
    places = Places(origin, overridden, given, lambda name: _meant(name, system))
    values.setdefault("network", {})
    values.setdefault("game", {})
    if isinstance(values.get("optim"), Mapping):
        values["optim"] = _optim(values["optim"], places)
    recipe = read_strict(Recipe, values, places, {"network": system.config, "game": system.game})
    trained = {name for stage in recipe.stages() for phase in stage.phases for name in phase.updates}
    for network in recipe.optim.networks:
        if network not in trained:
            raise unknown_name(f"key or network (in {places.of(f'optim.{network}')})", network, trained)
    return recipe


def _meant(name: str, system: System) -> str | None:
    """The key that other programs call `name`, where recipes of `system` have it."""
    key = synonyms.meant(name)
    if key is None:
        return None
    section, *rest = key.split(".")
    known = {"network": system.config, "game": system.game, "optim": OptimConfig}.get(section)
    if known is None or rest[0] in {f.name for f in dataclasses.fields(known)}:
        return key
    if section != "optim":
        return None
    try:
        stages = system.stages(system.config(), system.game())
    except (TypeError, ConfigError):  # without defaults nobody knows its networks
        return None
    return key if rest[0] in {name for stage in stages for phase in stage.phases for name in phase.updates} else None


def _optim(values: Mapping[str, Any], places: Places) -> OptimConfig:
    """The section `optim`: keys for all networks, and sections for single ones; one that is null is taken out."""
    keys = {f.name for f in dataclasses.fields(OptimConfig)} - {"networks"}
    values = {key: value for key, value in values.items() if value is not None or key in keys}
    own = {key: value for key, value in values.items() if key in keys or not isinstance(value, Mapping)}
    base = read_strict(OptimConfig, own, places, prefix="optim.")
    networks = {}
    for name in values.keys() - own.keys():
        # Read as a whole, so that each key is checked; kept as what it changes, so that a change for all reaches it.
        read = read_strict(OptimConfig, {"lr": own["lr"], **values[name]}, places, prefix=f"optim.{name}.")
        networks[name] = {key: getattr(read, key) for key in values[name]}
    return dataclasses.replace(base, networks=dict(sorted(networks.items())))


def parse_overrides(overrides: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """Dotted keys and values of overrides; "optim.lr=0.001" strings are read as YAML, a mapping is taken as it is."""
    return dict(overrides) if isinstance(overrides, Mapping) else dict(_parse_override(text) for text in overrides)


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: expected KEY=VALUE.", "For example: --set optim.lr=0.001")
    return key.strip(), read_yaml(value, f"--set {text}")


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {key}: {section!r} is not a section.")
        values = inner
    before = values.get(leaf)
    if isinstance(value, Mapping) and isinstance(before, dict) and not another_kind(before, value):
        for key_, inner_value in value.items():  # a section changes its keys, it does not reset the others
            _set(values[leaf], str(key_), inner_value)
    else:
        values[leaf] = _copy(value) if isinstance(value, Mapping) else value
