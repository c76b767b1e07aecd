"""The shape of a prepared set's manifest, checked before anything in it is used.

A manifest may come from anywhere. What passes here has every key that is read, of the type that is read, and names
files of its own folder only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]

# Larger numbers are none of a set of images; they would only overflow what is computed from them.
MAX_NUMBER = 2**40


class ManifestError(ValueError):
    """What is wrong with a manifest, in words."""


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 0 on."""
    return type(value) is int and 0 <= value < MAX_NUMBER


def is_text(value: Any) -> bool:
    """Whether it is a string."""
    return isinstance(value, str)


def is_file(value: Any) -> bool:
    """Whether it is the name of a file of the same folder."""
    return isinstance(value, str) and value not in ("", ".", "..") and not set("/\\\0") & set(value)


def is_shape(value: Any) -> bool:
    """Whether it is [h, w, c], each at least 1."""
    return isinstance(value, list) and len(value) == 3 and all(is_count(v) and 0 < v < 2**31 for v in value)


def is_counts(value: Any) -> bool:
    """Whether it is an object of numbers of things."""
    return isinstance(value, dict) and all(map(is_count, value.values()))


def is_object(value: Any) -> bool:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def texts(value: Any) -> bool:
    """Whether it is a list of strings."""
    return isinstance(value, list) and all(map(is_text, value))


def records(inner: Check) -> Check:
    """A check for a list of such."""
    each = many(inner)
    return lambda value: isinstance(value, list) and each(value)


def record(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    """A check for an object with these keys and any others; a fault is raised with the key's name."""

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for key, inner in required.items():
            if key not in value:
                raise ManifestError(f"{key!r} is missing")
            _apply(inner, key, value[key])
        for key, inner in (optional or {}).items():
            if key in value:
                _apply(inner, key, value[key])
        return True

    return check


def many(inner: Check) -> Check:
    """A check for a list, or the values of an object, of such."""

    def check(value: Any) -> bool:
        if not isinstance(value, list | dict):
            return False
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _apply(inner, str(key), item)
        return True

    return check


def _apply(check: Check, key: str, value: Any) -> None:
    try:
        good = check(value)
    except ManifestError as e:
        raise ManifestError(f"in {key!r}: {e}") from None
    if not good:
        raise ManifestError(f"{key!r} is {str(value)[:60]!r}")


ENTRY = record({"file": is_file}, {"xxh3": is_text, "columns": lambda v: v is None or texts(v)})
PREPARED_SET = record(
    {
        "name": is_text,
        "count": is_count,
        "shape": is_shape,
        "fingerprint": is_text,
        "shards": many(record({"file": is_file, "count": is_count, "xxh3": is_text})),
    },
    {
        "source": record(
            {},
            {
                "rejected": is_count,
                "shallow_16_bit": is_count,
                "kind": is_text,
                "skipped": is_counts,
                "left_out": is_counts,
            },
        ),
        "policy": is_object,
        "inputs": record({"fingerprint": is_text, "operation": is_text}, {"scale": is_count}),
        "generated": records(record({"count": is_count}, {"run": is_text, "classes": is_counts, "weights": is_text})),
        "versions": is_object,
        "plan": is_text,
        "names": ENTRY,
        "sizes": ENTRY,
        "rejects": ENTRY,
        "labels": record({"file": is_file, "classes": texts}, {"xxh3": is_text}),
        "annotations": many(ENTRY),
    },
)


def check_manifest(manifest: dict[str, Any]) -> None:
    """ManifestError: what is wrong with the manifest of a prepared set."""
    PREPARED_SET(manifest)
    if not isinstance(manifest["shards"], list):
        raise ManifestError("'shards' is no list")
    if not isinstance(manifest.get("annotations", {}), dict):
        raise ManifestError("'annotations' is no object")
