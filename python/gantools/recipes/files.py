"""Recipe files: where they are, which one extends which, and what they say together.

A recipe that says `extends: PARENT` takes over what its parent says: sections are merged key by key, its own values go
over the parent's. Three things are no mixture of both: the name is never inherited; a length, `kimg` or `epochs`, is
instead of the parent's; a section with another `name` than the parent's (another loss) takes nothing from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from gantools.errors import ConfigError, unknown_name
from gantools.recipes import recipe_names
from gantools.recipes.strict import describe, read_yaml
from gantools.schedules import another_kind

# A recipe is a page of text; anything larger is some other file.
MAX_RECIPE_BYTES = 1 << 20
SUFFIXES = (".yaml", ".yml")
EXTENDS = "extends"


@dataclass(frozen=True)
class Layer:
    """What one file says.

    Attributes:
        values: plain values, without `extends`.
        origin: where they are from, for messages.
    """

    values: Mapping[str, Any]
    origin: str


class _Place(NamedTuple):
    """A recipe file: its name without suffix, how messages call it, where it is, and the folder of relative paths."""

    name: str
    origin: str
    file: Path | None  # None: one of gantools' own
    folder: Path

    @property
    def identity(self) -> str:
        return self.name if self.file is None else str(self.file.resolve())


def read_layers(recipe: str | Path) -> tuple[str, list[Layer]]:
    """The name of a recipe, and what is to be merged: that which extends nothing first, its own values last.

    Args:
        recipe: a name from `recipe_names()`, or the path of a YAML file (one that ends in .yaml or .yml).

    Raises:
        ConfigError: no such recipe, no valid YAML, a parent that is not there, or files that extend each other.
    """
    text = str(recipe)
    place: _Place | None = _find(text, Path())
    if place is None:
        raise unknown_name("recipe", text, recipe_names())
    name, seen, layers = place.name, [place], [_read(place)]
    while (parent := layers[0].values.get(EXTENDS)) is not None:
        child = seen[-1]
        if not isinstance(parent, str):
            raise ConfigError(
                f"{child.origin}: {EXTENDS}: expected the name or path of one recipe, found {describe(parent)}."
            )
        try:
            place = _find(parent, child.folder)
        except ConfigError as e:
            raise ConfigError(f"{child.origin}: {EXTENDS}: {e.message}", e.hint) from None
        if place is None:
            wrong = unknown_name("recipe", parent, recipe_names())
            raise ConfigError(
                f"{child.origin}: {EXTENDS}: {wrong.message}", f"{wrong.hint} The path of a file ends in .yaml."
            )
        if place.identity in [p.identity for p in seen]:
            circle = " -> ".join(p.origin.removeprefix("recipe ") for p in [*seen, place])
            raise ConfigError(f"{child.origin}: {EXTENDS}: a circle: {circle}.", "One of them must extend no other.")
        seen.append(place)
        layers.insert(0, _read(place))
    return name, [*(_without(layer, EXTENDS, "name") for layer in layers[:-1]), _without(layers[-1], EXTENDS)]


def _without(layer: Layer, *keys: str) -> Layer:
    return Layer({k: v for k, v in layer.values.items() if k not in keys}, layer.origin)


def _find(text: str, folder: Path) -> _Place | None:
    """The recipe called `text`, or at that path, which is relative to `folder`; None: there is no such name."""
    if text.endswith(SUFFIXES):
        path = folder / text
        if not path.is_file():
            raise ConfigError(f"{path}: no such recipe file.", f"Recipes of gantools: {', '.join(recipe_names())}.")
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise ConfigError(f"{path}: too large for a recipe.")
        return _Place(path.stem, str(path), path, path.parent)
    return _Place(text, f"recipe {text}", None, Path()) if text in recipe_names() else None


def _read(place: _Place) -> Layer:
    if place.file is None:
        values = read_yaml((resources.files("gantools.recipes") / f"{place.name}.yaml").read_bytes(), place.name)
    else:
        values = read_yaml(place.file.read_bytes(), place.origin)
    if isinstance(values, Mapping) and isinstance(values.get("recipe"), Mapping):
        values = values["recipe"]  # the config.yaml of a run
    if not isinstance(values, Mapping):
        raise ConfigError(f"{place.origin}: expected keys and values, found {describe(values)}.")
    return Layer(values, place.origin)


def merged(layers: Sequence[Layer], of_game: Collection[str] = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """What layers say together, later ones over earlier ones, and which of them said it by dotted key.

    Args:
        layers: as `read_layers` gives them; they are not changed.
        of_game: keys that belong into the section `game` and may be given without its name.
    """
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    for layer in layers:
        own = _folded(layer.values, of_game)
        one_length(values, own)
        values = _over(values, own)
        given |= dict.fromkeys(_dotted(own), layer.origin)
    return values, given


def one_length(values: dict[str, Any], own: Mapping[str, Any]) -> None:
    """Take the length out of `values` where `own` asks for the other one: it means, instead of that."""
    for pair in (("kimg", "epochs"), ("tick_kimg", "tick_epochs")):
        for key, other in (pair, pair[::-1]):
            if own.get(key) is not None and other not in own:
                values.pop(other, None)


def _folded(values: Mapping[str, Any], of_game: Collection[str]) -> dict[str, Any]:
    game = values.get("game") or {}
    loose = {key: value for key, value in values.items() if key in of_game}
    if not loose or not isinstance(game, Mapping):
        return dict(values)
    return {**{k: v for k, v in values.items() if k not in loose}, "game": _over(game, loose)}


def _over(values: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` over `values`, key by key, in sections too; nothing in the result is shared with either."""
    result = {k: _over({}, v) if isinstance(v, Mapping) else v for k, v in values.items()}
    for key, value in own.items():
        if isinstance(value, Mapping):
            before = result.get(key)
            same = isinstance(before, Mapping) and value.get("name", before.get("name")) == before.get("name")
            same = same and not (isinstance(before, Mapping) and another_kind(before, value))
            result[key] = _over(before if same and isinstance(before, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _dotted(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            found += _dotted(value, f"{prefix}{key}.")
    return found


class Entry(NamedTuple):
    """A line of the list of recipes."""

    name: str
    model: str
    description: str


def catalogue() -> list[Entry]:
    """The recipes that come with gantools, by name. Reads the files alone, and needs no torch."""
    found = []
    for name in recipe_names():
        values, _ = merged(read_layers(name)[1])
        found.append(Entry(name, str(values.get("model", "")), str(values.get("description", ""))))
    return found
