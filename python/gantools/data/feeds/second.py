"""The second set of a training: inputs that belong to its images, inputs of their own, or pairs that are ranked."""

from __future__ import annotations

from pathlib import Path

from gantools.data.prepared import PreparedSet
from gantools.errors import ConfigError, DataError


def open_second(
    kind: str,
    data: PreparedSet,
    place: str | Path | None,
    *,
    wanted: tuple[int, ...],
    recipe: str,
    prep: str,
    computed: bool = False,
) -> PreparedSet | None:
    """What `open_feed` takes as `inputs` beside `data`: of pairs that which `data` holds, else the set at `place`.

    Args:
        kind: of the feed, one that has inputs; see `KINDS`.
        data: the images.
        place: of the second set; None: none was named.
        wanted: (h, w, c) of the images that the networks start from.
        recipe: its name, for messages.
        prep: the command that makes a set for it, for messages; may be empty.
        computed: the feed computes the inputs from the images; then there is no second set.

    Raises:
        DataError: it is needed and not there, or its images have another shape.
        ConfigError: it is given and not needed.
    """
    if kind == "unpaired":
        if place is None:
            raise DataError(
                f"recipe {recipe} translates between two sets, and one is given.",
                "Name the set that it starts from: gantools train --inputs PATH",
            )
        second = PreparedSet(place)
        if second.shape != wanted:
            raise DataError(
                f"{place}: holds {'x'.join(map(str, second.shape))} images, "
                f"recipe {recipe} starts from {'x'.join(map(str, wanted))}."
            )
        return second
    if place is not None and kind != "ranked":
        raise ConfigError("gantools train --inputs: a set of pairs holds its inputs itself.", "Leave it out.")
    pairs = data.inputs
    if computed and pairs is not None:
        raise ConfigError(
            f"{data.path}: holds inputs, and recipe {recipe} computes them itself.",
            f"Take a set of images alone: {prep or 'gantools prep tiles FOLDER'}; "
            "or: gantools train --set data.degrade=null",
        )
    if computed:
        if data.shape[2:] != wanted[2:]:
            raise DataError(
                f"{data.path}: its images have {data.shape[2]} channel(s), recipe {recipe} starts from {wanted[2]}."
            )
        return None
    if pairs is None:
        raise DataError(
            f"{data.path}: is no set of pairs, and recipe {recipe} needs one.",
            f"Make one: {prep or 'gantools prep pairs'}",
        )
    # Of crops the feed compares the sides.
    crops = kind in ("crops", "ranked")
    if pairs.shape[2:] != wanted[2:] if crops else pairs.shape != wanted:
        raise DataError(
            f"{data.path}: its inputs are {'x'.join(map(str, pairs.shape))}, "
            f"recipe {recipe} starts from {'x'.join(map(str, wanted))}.",
            f"Make fitting pairs: {prep or 'gantools prep pairs'}",
        )
    return _ranked(place, recipe) if kind == "ranked" else pairs


def _ranked(place: str | Path | None, recipe: str) -> PreparedSet:
    """The set of ranked pairs at `place`."""
    make = "gantools prep ranked FOLDER FOLDER --out SET"
    if place is None:
        raise DataError(
            f"recipe {recipe} learns from ranked pairs, and none are given.",
            f"Make them of several networks' results with: {make}; then: gantools train --inputs SET",
        )
    found = PreparedSet(place)
    if found.inputs is None:
        raise DataError(f"{place}: is no set of ranked pairs.", f"Make one with: {make}")
    return found
