"""Recipes: what they contain, and how they are read.

A recipe is a YAML file that becomes a frozen `Recipe`; reading is strict (`strict.py`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from gantools.errors import ConfigError, unknown_name
from gantools.models import SYSTEMS
from gantools.objectives.losses import LossConfig
from gantools.recipes import recipe_names
from gantools.recipes.strict import Places, describe, read_strict, read_yaml

# A recipe is a page of text; anything larger is some other file.
MAX_RECIPE_BYTES = 1 << 20


@dataclass(frozen=True)
class OptimConfig:
    """Adam, the same for both networks."""

    lr: float
    beta1: float = 0.5
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.eps <= 0:
            raise ConfigError("optim: lr and eps must be above 0.")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ConfigError("optim: beta1 and beta2 must be in [0, 1).")


@dataclass(frozen=True)
class EmaConfig:
    """The moving average of the generator's weights; off when `half_life_kimg` is null."""

    half_life_kimg: float | None = None
    ramp: float = 0.05  # the half-life is at most this share of the images shown so far

    def __post_init__(self) -> None:
        if self.half_life_kimg is not None and self.half_life_kimg <= 0:
            raise ConfigError("ema.half_life_kimg: must be above 0, or null for no average.")
        if self.ramp <= 0:
            raise ConfigError("ema.ramp: must be above 0.")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run but the data. Exactly one of `epochs` and `kimg` is its length."""

    name: str
    description: str
    source: str  # where the architecture and the numbers come from, and what was chosen where that is silent
    target: str  # the published or measured result to hold it against
    prep: str  # the command that prepares fitting data
    model: str  # key of gantools.models.SYSTEMS
    network: Any  # the system's config
    optim: OptimConfig
    batch: int
    loss: LossConfig = field(default_factory=LossConfig)
    epochs: float | None = None
    kimg: float | None = None  # thousands of real images shown
    tick_kimg: float | None = None  # between stats lines, grids and checkpoints; null: one epoch
    ema: EmaConfig = field(default_factory=EmaConfig)
    flip: bool = False  # mirror images left to right at random; never for digits or text
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast on CUDA, weights stay float32
    matmul: Literal["highest", "high", "medium"] = "high"  # float32 products on CUDA: highest float32, high TF32
    channels_last: bool = True
    compile: bool = False  # torch.compile of each phase's loss
    seed: int = 0
    grid: int = 64  # images in the sample grids
    keep: int = 3  # checkpoints kept

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise ConfigError(f"name: {self.name!r} is not made of letters, digits, '.', '_' and '-' alone.")
        for key in ("batch", "grid", "keep"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{key}: must be at least 1, not {getattr(self, key)}.")
        for key in ("epochs", "kimg", "tick_kimg"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ConfigError(f"{key}: must be above 0, not {value}.")
        if (self.epochs is None) == (self.kimg is None):
            raise ConfigError("epochs, kimg: give exactly one of them; it is the length of the training.")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed: must be in [0, 2**63), not {self.seed}.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the images this recipe trains on."""
        h, w, c = self.network.image_shape
        return (h, w, c)

    def total_nimg(self, count: int) -> int:
        """Real images shown in the whole training on a set of `count` images, before rounding up to whole batches."""
        return round(self.kimg * 1000 if self.kimg is not None else (self.epochs or 0) * count)

    def tick_nimg(self, count: int) -> int:
        """Real images between two ticks on a set of `count` images."""
        return max(1, round(self.tick_kimg * 1000)) if self.tick_kimg is not None else count

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in a YAML file; `recipe_from_dict` is the inverse."""
        return dataclasses.asdict(self)


def load_recipe(recipe: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """The recipe of that name, or in that YAML file, with overrides applied.

    Args:
        recipe: a name from `recipe_names()`, or the path of a YAML file (one that ends in .yaml or .yml). The
            `config.yaml` of a run is such a file: it repeats that run.
        overrides: "section.key=value" strings, the value read as YAML, or a mapping of dotted keys to values.

    Raises:
        ConfigError: no such recipe, or a key or value in it or in the overrides is wrong.
    """
    text = str(recipe)
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        if not path.is_file():
            raise ConfigError(f"{path}: no such recipe file.", f"Recipes of gantools: {', '.join(recipe_names())}.")
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise ConfigError(f"{path}: too large for a recipe.")
        values, origin, name = read_yaml(path.read_bytes(), str(path)), str(path), path.stem
    elif text in recipe_names():
        data = (resources.files("gantools.recipes") / f"{text}.yaml").read_bytes()
        values, origin, name = read_yaml(data, text), f"recipe {text}", text
    else:
        raise unknown_name("recipe", text, recipe_names())
    if isinstance(values, dict) and isinstance(values.get("recipe"), dict):
        values = values["recipe"]  # the config.yaml of a run
    return recipe_from_dict(values, origin, name=name, overrides=overrides)


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
    merged = _copy(values)
    if name is not None:
        merged.setdefault("name", name)
    changes = parse_overrides(overrides)
    # Asking for one length means: instead of the other.
    for key, other in (("kimg", "epochs"), ("epochs", "kimg")):
        if changes.get(key) is not None and other not in changes:
            merged.pop(other, None)
    for key, value in changes.items():
        _set(merged, key, value)
    places = Places(origin, set(changes))

    model = merged.get("model")
    if model is None:
        raise ConfigError(f"{origin}: the key 'model' is missing.", f"Known models: {', '.join(sorted(SYSTEMS))}.")
    if not isinstance(model, str) or model not in SYSTEMS:
        raise unknown_name(f"model (in {places.of('model')})", str(model), SYSTEMS)
    merged.setdefault("network", {})
    return read_strict(Recipe, merged, places, {"network": SYSTEMS[model].config})


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
    values[leaf] = value
