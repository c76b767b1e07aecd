from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from gantools.errors import ConfigError
from gantools.recipes.strict import Places, describe, read_strict, read_yaml, to_plain


@dataclass(frozen=True)
class Wheel:
    radius: float
    spokes: int = 32


@dataclass(frozen=True)
class Bicycle:
    colour: Literal["red", "blue"]
    name: str | None = None
    front: Wheel = field(default_factory=lambda: Wheel(1.0))
    load: Any = None
    gears: tuple[int, ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    bell: float | Wheel = 1.0
    light: Literal["on", "off", "auto"] = "auto"


PLACES = Places("shop", {"colour"})


def read(values: Any) -> Bicycle:
    return read_strict(Bicycle, values, PLACES, {"load": Wheel})


def test_any_dataclass_can_be_the_root() -> None:
    assert read({"colour": "red"}) == Bicycle("red")
    assert read({"colour": "blue", "front": {"radius": 2}, "load": {"radius": 0.5, "spokes": 3}}) == Bicycle(
        "blue", front=Wheel(2.0), load=Wheel(0.5, 3)
    )
    assert isinstance(read({"colour": "blue", "front": {"radius": 2}}).front.radius, float)
    assert read_strict(Wheel, {"radius": 1}, PLACES, {}) == Wheel(1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": "rad"}, r"--set colour: expected one of red, blue, found 'rad'"),
        ({"colour": "red", "nam": "x"}, r"shop: nam: unknown key\. Did you mean 'name'\?"),
        ({"colour": "red", "spokes": 3}, r"shop: spokes: unknown key\. Did you mean 'front.spokes'\?"),
        ({"colour": "red", "front": {"spoke": 3}}, r"shop: front.spoke: unknown key\. Did you mean 'front.spokes'\?"),
        ({"colour": "red", "front": {}}, r"shop: the key 'front.radius' is missing"),
        ({}, r"shop: the key 'colour' is missing"),
        ({"colour": "red", "name": 3}, r"shop: name: expected text or null, found 3"),
        ({"colour": "red", "load": {"radius": "big"}}, r"shop: load.radius: expected a number, found 'big'"),
        (
            {"colour": "red", "front": {"radius": 1, "spokes": True}},
            r"front.spokes: expected a whole number, found true",
        ),
        ({"colour": "red", "gears": 3}, "shop: gears: expected a list of values, found 3"),
        ({"colour": "red", "gears": [1, "x"]}, r"shop: gears\[1\]: expected a whole number, found 'x'"),
        ({"colour": "red", "range": [1]}, "shop: range: expected a list of 2 values, found a list"),
        ({"colour": "red", "bell": "loud"}, "shop: bell: expected a number or a wheel, found 'loud'"),
        ({"colour": "red", "bell": {"radius": "x"}}, "shop: bell.radius: expected a number"),
        ({"colour": "red", "front": [1]}, r"shop: front: expected keys and values, found a list"),
    ],
)
def test_a_mistake_names_its_place_and_the_roots_own_keys(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(values)


def test_lists_sections_and_words_that_yaml_takes_for_booleans() -> None:
    values = read({"colour": "red", "gears": [1, 2, 3], "range": [0, 2], "bell": {"radius": 1}, "light": True})
    assert (values.gears, values.range, values.bell, values.light) == ((1, 2, 3), (0.0, 2.0), Wheel(1.0), "on")
    assert read({k: v for k, v in to_plain(values).items() if v is not None}) == values


def test_yaml() -> None:
    assert read_yaml("a: 1e-3\nb: {c: [1, x]}", "here") == {"a": 0.001, "b": {"c": [1, "x"]}}
    for text in ("a: 1\na: 2", "1: 2", "a: [", "a: !!python/name:os.system"):
        with pytest.raises(ConfigError, match="here: not valid YAML"):
            read_yaml(text, "here")


@pytest.mark.parametrize(
    ("value", "words"), [(None, "nothing"), ({}, "a section"), ([], "a list"), ("x", "'x'"), (True, "true"), (2, "2")]
)
def test_values_in_words(value: Any, words: str) -> None:
    assert describe(value) == words
