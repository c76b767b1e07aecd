"""Feeds: what a training is given at each step, each a pure function of the seed and of the position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools.data.batches import Selection
from gantools.data.feeds.base import HELD_OUT, Feed, RankedFeed, Sample, Side, SidesFeed, Span
from gantools.data.feeds.degraded import DegradedFeed
from gantools.data.feeds.frames import VIDEO, FramesFeed, around
from gantools.data.feeds.orders import Balanced, Crops, Plain
from gantools.data.image_set import ImageSet
from gantools.data.seeds import derived
from gantools.degradation import Degradation
from gantools.errors import ConfigError, DataError, unknown_name

__all__ = ["HELD_OUT", "KINDS", "Feed", "Sample", "open_feed"]

#: What a feed may be, and what it gives.
KINDS = {
    "one": "images, with their labels where the set has some",
    "paired": "images and the inputs that belong to them, and landmarks where the set has them",
    "unpaired": "images of one set and inputs of another, each in an order of its own",
    "crops": "square parts of images, and the same parts of their inputs, which may be smaller",
    "frames": "crops of frames of films, and as inputs the same crops of the frames around each",
    "ranked": "crops, and beside them the better and the worse one of two other images, from a set of such pairs",
}
#: Of a set of ranked pairs, the share at its end that is kept from the training.
HELD_SHARE = 0.1

PAIRS = "Make a set of pairs with: gantools prep pairs"
FACES = "Make a set of faces with: gantools prep frontal"
RANKED = "Make one with: gantools prep ranked FOLDER FOLDER --out SET"


def open_feed(
    kind: str,
    data: ImageSet,
    *,
    inputs: ImageSet | None = None,
    seed: int,
    device: torch.device,
    largest: int,
    channels_last: bool,
    resident: bool | None = None,
    flip: bool = False,
    balance: bool = False,
    crop: int | None = None,
    turn: bool = False,
    degrade: Degradation | None = None,
    scale: int = 1,
    frames: int | None = None,
) -> Feed:
    """A feed of a set's images, and of inputs where the kind has some.

    Args:
        kind: `one`, `paired`, `unpaired` or `crops`, see `KINDS`.
        data: the images; its labels, if any, are those of the samples.
        inputs: what a generator starts from; None for what a set of pairs holds itself. `paired` and `unpaired` need
            some, `crops` takes them where they are, `one` has none. With `ranked`: the ranked pairs, a set of the
            better images whose inputs are the worse ones.
        seed: in [0, 2**63), of the order and all that is drawn at random.
        device: where the samples go.
        largest: rows of the largest sample that is planned.
        channels_last: memory layout of the samples.
        resident: keep the sets in the device's memory; None: those that fit, on CUDA.
        flip: mirror left to right at random, an image and its aligned inputs alike.
        balance: with `one`: every class equally often.
        crop: with `crops`, `frames` and `ranked`: the side of an image's crop in pixels; that of its inputs is smaller
            by the sets' scale.
        turn: with the same feeds: also turn at random upside down and about the diagonal, images and inputs alike.
        frames: with `frames`: how many there are in an input, an odd number.
        degrade: with `crops` of a set without inputs: compute them from the crops, see `gantools.data.degrade`.
        scale: by how much such inputs are smaller.

    Raises:
        ConfigError: an unknown kind, or an option that it does not have.
        DataError: the sets do not have what the kind needs.
        ValueError: a number that no recipe can set is out of range.
    """
    if kind not in KINDS:
        raise unknown_name("feed", kind, KINDS)
    if largest < 1 or not 0 <= seed < 2**63:
        raise ValueError(f"largest is at least 1 and seed in [0, 2**63), not {largest}, {seed}")
    _only("balance", "one", kind, balance)
    _only("degrade", "crops", kind, degrade is not None)
    if kind == "ranked":
        return _ranked(data, inputs, seed, device, largest, channels_last, resident, flip=flip, crop=crop, turn=turn)
    _only("frames", "frames", kind, frames is not None)
    if kind != "frames":
        _only("crop", "crops", kind, crop is not None)
        _only("turn", "crops", kind, turn)
    within = getattr(data, "inputs", None) if inputs is None and kind != "one" else inputs
    if not len(data) or (within is not None and not len(within)):
        raise DataError(f"{_called(data if not len(data) else within)} has no images.", "Prepare the set again.")
    if within is None and kind in ("paired", "unpaired", "frames"):
        raise DataError(f"{_called(data)} has no inputs, which the feed {kind!r} needs.", _missing(kind))
    if within is not None and kind == "one":
        raise ConfigError(
            "the feed 'one' has no inputs.", f"Write data.feed: {', '.join(k for k in KINDS if k != kind)}."
        )
    if within is not None and kind != "unpaired" and len(within) != len(data):
        raise DataError(
            f"{_called(data)} has {len(data):,} images, its inputs {len(within):,}, so they are no pairs.", PAIRS
        )
    if degrade is not None:
        if within is not None:
            raise ConfigError(
                f"{_called(data)} has inputs of its own, and data.degrade computes them.",
                "Leave data.degrade away, or take a set of images alone (gantools prep tiles, without --scale).",
            )
        crops = _degraded(data, seed, crop, scale, degrade, flip=flip, turn=turn)
        return DegradedFeed(data, crops, crop or 0, degrade, scale, seed, device, channels_last=channels_last)
    count, second, marks = len(data), None, None
    if kind in ("crops", "frames"):
        first, second = _crops(data, within, seed, crop, flip=flip, turn=turn)
    elif balance:
        if data.labels is None:
            raise DataError(
                f"{_called(data)} has no labels, so its classes cannot be balanced.",
                "Leave data.balance away, or prepare a set that has labels (gantools prep --labels FILE).",
            )
        first = Side(data, Balanced(data.labels, seed, flip=flip))
    else:
        plain = Plain(len(data), seed, flip=flip)
        first = Side(data, plain)
        if kind == "paired" and within is not None:
            second, marks = Side(within, plain), _marks(data)
        if kind == "unpaired" and within is not None:
            second = Side(within, Plain(len(within), derived(seed, "inputs"), flip=flip))
            count = max(count, len(within))

    def opened(images: Side, inputs: Side | None) -> SidesFeed:
        return SidesFeed(
            images, inputs, count, device, largest, channels_last=channels_last, resident=resident, marks=marks
        )

    if kind == "frames":
        assert second is not None  # refused above
        return FramesFeed(first, second, around(data, frames or 0, _called(data)), opened)
    return opened(first, second)


def _marks(data: ImageSet) -> NDArray[np.float32] | None:
    """Five points of each image's input, float32 (n, 5, 2), where the set has them: `gantools prep frontal`."""
    found = getattr(data, "annotations", {}).get("marks")
    if found is None:
        return None
    if found.shape != (len(data), 10):
        raise DataError(f"{_called(data)}: its marks are of shape {found.shape}, not ({len(data)}, 10).", FACES)
    marks: NDArray[np.float32] = found.astype(np.float32).reshape(-1, 5, 2)
    return marks


def _ranked(
    data: ImageSet,
    ranked: ImageSet | None,
    seed: int,
    device: torch.device,
    largest: int,
    channels_last: bool,
    resident: bool | None,
    *,
    flip: bool,
    crop: int | None,
    turn: bool,
) -> Feed:
    """A feed of crops with ranked pairs beside them, crops of the same side or, where they are smaller, whole."""
    worse = getattr(ranked, "inputs", None)
    if ranked is None or worse is None:
        place = "no set" if ranked is None else f"{_called(ranked)} is no set"
        raise DataError(f"the feed 'ranked' needs ranked pairs, and {place} of such pairs.", RANKED)
    held = math.ceil(HELD_SHARE * len(ranked))
    if len(ranked) <= held:
        raise DataError(f"{_called(ranked)} has {len(ranked)} pairs, of which some have to be held back.", RANKED)
    common: dict[str, Any] = {"channels_last": channels_last, "resident": resident}

    def feed(of: ImageSet, inputs: ImageSet | None, seed: int, side: int | None, first: int, count: int) -> Feed:
        images, second = _crops(of, inputs, seed, side, flip=flip, turn=turn, first=first, count=count)
        return SidesFeed(images, second, count, device, largest, **common)

    side = None if crop is None else min(crop, *ranked.shape[:2])
    return RankedFeed(
        feed(data, getattr(data, "inputs", None), seed, crop, 0, len(data)),
        feed(ranked, worse, derived(seed, "ranked"), side, 0, len(ranked) - held),
        feed(ranked, worse, derived(seed, "held"), side, len(ranked) - held, held),
    )


def _crops(
    data: ImageSet,
    inputs: ImageSet | None,
    seed: int,
    crop: int | None,
    *,
    flip: bool,
    turn: bool,
    first: int = 0,
    count: int | None = None,
) -> tuple[Side, Side | None]:
    """Both sides of a feed of crops, of all images or of `count` from the number `first` on."""
    height, width, _ = data.shape
    if crop is None:
        raise ConfigError("the feed 'crops' needs the side of a crop.", f"For example data.crop: {min(height, width)}.")
    if not 1 <= crop <= min(height, width):
        raise ConfigError(
            f"data.crop is {crop}; the images of {_called(data)} are {width} x {height}.",
            f"Give a side of 1 to {min(height, width)}.",
        )
    scale = 1 if inputs is None else _scale(data, inputs)
    if crop % scale:
        near = max(crop // scale, 1) * scale
        raise ConfigError(
            f"data.crop is {crop}, no multiple of {scale}, by which the inputs are smaller.", f"For example {near}."
        )
    room = ((height - crop) // scale + 1, (width - crop) // scale + 1)
    crops = Crops(len(data) if count is None else count, seed, room, flip=flip, turn=turn, first=first)

    def large(span: Span) -> Selection:
        return crops.scaled(span, scale)

    def small(span: Span) -> Selection:
        return crops.scaled(span, 1)

    return Side(data, large, crop), None if inputs is None else Side(inputs, small, crop // scale)


def _degraded(
    data: ImageSet, seed: int, crop: int | None, scale: int, degrade: Degradation, *, flip: bool, turn: bool
) -> Crops:
    """The crops of a feed that degrades them, with what is around each."""
    side = (crop or 0) + degrade.around
    if crop is None or crop < 1 or crop % scale or degrade.around % scale:
        raise ConfigError(
            f"data.crop is {crop} and data.degrade.around {degrade.around}, no multiples of the scale {scale}.",
            f"For example data.crop: {max((crop or 0) // scale, 1) * scale} and data.degrade.around: 0.",
        )
    height, width, _ = data.shape
    if side > min(height, width):
        raise ConfigError(
            f"data.crop and data.degrade.around are {crop} and {degrade.around} pixels, {side} together; the images of "
            f"{_called(data)} are {width} x {height}.",
            f"Cut larger ones (gantools prep tiles FOLDER --size {side}), or write data.degrade.around: 0.",
        )
    room = ((height - side) // scale + 1, (width - side) // scale + 1)
    return Crops(len(data), seed, room, flip=flip, turn=turn)


def _scale(data: ImageSet, inputs: ImageSet) -> int:
    """How many times as large as its inputs an image is."""
    (height, width, _), (low_height, low_width, _) = data.shape, inputs.shape
    scale = height // low_height
    if scale < 1 or (low_height * scale, low_width * scale) != (height, width):
        raise DataError(
            f"{_called(data)} has images of {width} x {height}, its inputs are {low_width} x {low_height}: "
            "no whole multiple.",
            PAIRS + ", or choose the feed 'paired'.",
        )
    return scale


def _only(option: str, owner: str, kind: str, given: bool) -> None:
    if given and kind != owner:
        raise ConfigError(
            f"data.{option} is an option of the feed {owner!r}, not of {kind!r}.",
            f"Leave it away, or write data.feed: {owner}.",
        )


def _missing(kind: str) -> str:
    if kind == "frames":
        return VIDEO
    return PAIRS if kind == "paired" else "Name a second set, of the images to start from."


def _called(data: Any) -> str:
    """A set in a message: its folder where it has one."""
    path = getattr(data, "path", None)
    return "the set" if path is None else str(path)
