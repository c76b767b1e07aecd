"""Plain values, as a YAML file gives them, into frozen dataclasses, strictly.

An unknown key, a missing one or a value of the wrong type is an error that names the place and the nearest right key.
It knows no dataclass of its own: what is read is the caller's.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import yaml

from gantools.errors import ConfigError, nearest

T = TypeVar("T")


class Places:
    """Says where a key was given: in the file, in one that it extends, or by an override.

    Args:
        origin: the file.
        overridden: dotted keys of the overrides.
        given: dotted key -> the file that gave it, where several did.
        meant: a name that is no key -> the dotted key that goes by it elsewhere, or None.
    """

    def __init__(
        self,
        origin: str,
        overridden: set[str],
        given: Mapping[str, str] | None = None,
        meant: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self.origin, self.overridden, self.given, self.meant = origin, overridden, given or {}, meant

    def of(self, key: str) -> str:
        """Where the dotted `key` was given, as an error message begins."""
        return f"--set {key}" if key in self.overridden else f"{self.given.get(key, self.origin)}: {key}"


class _Loader(yaml.SafeLoader):
    """YAML's safe loader; also reads 1e-3 as a number (YAML 1.1 wants 1.0e-3) and refuses a key given twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not a word", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(data: bytes | str, origin: str) -> Any:
    """The plain values of a YAML text; no tag of Python's, no key twice.

    Args:
        data: the text.
        origin: where it is from, for the error message.

    Raises:
        ConfigError: it is not valid YAML.
    """
    try:
        return yaml.load(data, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise ConfigError(f"{origin}: not valid YAML.", str(e)) from None


def read_strict(
    cls: type[T], values: Any, places: Places, types_of: Mapping[str, Any] | None = None, prefix: str = ""
) -> T:
    """The dataclass `cls` from plain values, dataclasses within it included, each value checked against its type.

    A dataclass with a class method `from_plain(values)` reads its own section, and says itself what is wrong in it. One
    with a class method `named(name)`, where it may be missing, may be given by a name too.

    Args:
        cls: a dataclass whose fields are plain values, literals, tuples, unions of them, or dataclasses.
        values: a mapping with the names of its fields as keys.
        places: where the values were given, for error messages.
        types_of: types of fields of `cls` that are known only now, where its own annotation is `Any`.
        prefix: the dotted key of `values` with a dot behind it; empty at the top.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of another type.
    """
    built = _build(cls, values, places, prefix, types_of or {})
    assert isinstance(built, cls)
    return built


def to_plain(value: Any) -> Any:
    """The inverse of `read_strict`: dataclasses to mappings, tuples to lists, what has `to_plain` by that."""
    if hasattr(value, "to_plain"):
        return value.to_plain()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(inner) for key, inner in value.items()}
    return [to_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], absent: Any = None, prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value before, value after) of all plain values that are not equal; `absent` where there is none."""
    for key in {**before, **after}:
        old, new = before.get(key, absent), after.get(key, absent)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, absent, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", old, new


def _build(cls: type[Any], values: Any, places: Places, prefix: str, types_of: Mapping[str, Any]) -> Any:
    """The dataclass `cls` from a mapping, each value checked against its field's type."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{places.of(prefix[:-1])}: expected keys and values, found {describe(values)}.")
    hints = {**typing.get_type_hints(cls), **types_of}
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            raise _unknown_key(key, cls, places, prefix, types_of)
    missing = [
        f.name
        for f in fields.values()
        if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        names = ", ".join(repr(prefix + name) for name in missing)
        raise ConfigError(
            f"{places.origin}: the key{'s' * (len(missing) > 1)} {names} {'are' if len(missing) > 1 else 'is'} missing."
        )
    return cls(**{key: _coerce(value, hints[key], places, prefix + key) for key, value in values.items()})


def _unknown_key(key: Any, cls: type[Any], places: Places, prefix: str, types_of: Mapping[str, Any]) -> ConfigError:
    fields = [f.name for f in dataclasses.fields(cls)]
    # At the top it may be a key of a section, given without the section's name.
    deeper = [dotted for dotted in _dotted_keys(cls, types_of) if dotted.endswith(f".{key}")] if not prefix else []
    close: str | None
    if deeper:
        close = deeper[0]
    elif (other := places.meant(str(key))) is not None:
        leaf = other.rpartition(".")[2]
        close = prefix + leaf if leaf in fields and not other.startswith(prefix) else other
    else:
        close = nearest(str(key), fields)
        close = None if close is None else prefix + close
    meant = f" Did you mean {close!r}?" if close else ""
    section = f" in {prefix[:-1]}" if prefix else ""
    return ConfigError(f"{places.of(f'{prefix}{key}')}: unknown key.{meant}", f"Keys{section}: {', '.join(fields)}.")


def _dotted_keys(cls: type[Any], types_of: Mapping[str, Any]) -> list[str]:
    hints = {**typing.get_type_hints(cls), **types_of}
    keys = []
    for f in dataclasses.fields(cls):
        inner: Any = hints[f.name]
        if dataclasses.is_dataclass(inner):
            keys += [f"{f.name}.{key}" for key in _dotted_keys(typing.cast(type[Any], inner), {})]
        else:
            keys.append(f.name)
    return keys


def _coerce(value: Any, hint: Any, places: Places, key: str) -> Any:
    """`value` as the type `hint`; an int is taken for a float, a list for a tuple, nothing else is converted."""
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type[Any], hint)):
            return value
        if hasattr(hint, "from_plain"):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{places.of(key)}: expected keys and values, found {describe(value)}.")
            return hint.from_plain(value)
        return _build(typing.cast(type[Any], hint), value, places, f"{key}.", {})
    options = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return _tuple(value, options, places, key)
    sections = [o for o in options if dataclasses.is_dataclass(o)] if isinstance(hint, types.UnionType) else []
    if isinstance(value, str) and (named := [section for section in sections if hasattr(section, "named")]):
        return named[0].named(value)
    if sections and isinstance(value, Mapping):
        # That of most of its keys; of none, the first.
        return _coerce(
            value, max(sections, key=lambda s: sum(f.name in value for f in dataclasses.fields(s))), places, key
        )
    if typing.get_origin(hint) is Literal:
        if isinstance(value, bool):
            value = "on" if value else "off"  # YAML 1.1 takes these words for booleans
        if value not in options:
            meant = nearest(str(value), options)
            raise ConfigError(
                f"{places.of(key)}: expected one of {', '.join(options)}, found {describe(value)}.",
                f"Did you mean {meant!r}?" if meant else None,
            )
        return value
    allowed = options if isinstance(hint, types.UnionType) else (hint,)
    if isinstance(value, bool):
        if bool in allowed:
            return value
    elif isinstance(value, int) and float in allowed and int not in allowed:
        return float(value)
    elif (value is None and type(None) in allowed) or any(isinstance(value, t) for t in allowed if t is not bool):
        if isinstance(value, float) and not -float("inf") < value < float("inf"):
            raise ConfigError(f"{places.of(key)}: {value} is not a finite number.")
        return value
    names: dict[Any, str] = {
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "text",
        type(None): "null",
    }
    expected = " or ".join(names.get(t, f"a {t.__name__.lower()}") for t in allowed)
    raise ConfigError(f"{places.of(key)}: expected {expected}, found {describe(value)}.")


def _tuple(value: Any, options: tuple[Any, ...], places: Places, key: str) -> tuple[Any, ...]:
    """A list of values of the types `options`: each its own, or (T, ...) for any number of one."""
    many = len(options) == 2 and options[1] is Ellipsis
    if many and isinstance(value, str):
        value = [value]  # --set eval.metrics=fd
    if not isinstance(value, list | tuple) or not (many or len(value) == len(options)):
        count = "values" if many else f"{len(options)} values"
        raise ConfigError(f"{places.of(key)}: expected a list of {count}, found {describe(value)}.")
    hints = [options[0]] * len(value) if many else options
    return tuple(_coerce(v, hint, places, f"{key}[{i}]") for i, (v, hint) in enumerate(zip(value, hints, strict=True)))


def describe(value: Any) -> str:
    """What a plain value is, in the words of an error message."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list):
        return "a list"
    return f"{value!r}" if isinstance(value, str) else str(value).lower()
