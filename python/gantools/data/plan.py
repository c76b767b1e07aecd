"""What is to be prepared, decided in every respect before the first image is read."""

from __future__ import annotations

import hashlib
import math
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data import filters, frontal, heif, remote
from gantools.data.pairs import DIRECTIONS, RANDOM, SIGMA, Inputs, Noise, check_pairs, inputs_of, tiled_policy
from gantools.data.policy import BLACK, CROPS, DHARIWAL_FILTERS, PIXELS, SIXTEEN_BIT, Policy
from gantools.data.prepared import FORMAT, FORMAT_VERSION, digest
from gantools.data.regions import REGION_CROPS, regions_of
from gantools.data.sources import SOURCES, Asked, Source, open_as, recognise, report
from gantools.data.sources.frames import with_clips
from gantools.data.sources.metadata import with_label_file
from gantools.data.tiles import RESTS, cut, upright_sizes
from gantools.errors import ConfigError, unknown_name

# A shard is the unit that a stopped run repeats: at most this many images or bytes, whichever is less.
SHARD_IMAGES = 2048
SHARD_BYTES = 128 << 20
STORES = (PIXELS, "encoded")
#: What `encoded` may hold of each image; the default first.
ENCODINGS = ("png", "jpeg", "original")


@dataclass(frozen=True)
class PrepOptions:
    """The arguments of `gantools.prep` that decide a byte of the set, checked; `prep` says what each means."""

    source: str | Path | None = None
    size: int | tuple[int, int] | None = None
    crop: str = "center"
    filter: str | None = None
    pad_color: str | None = None
    fast: bool = False
    channels: int | None = None
    split: str | None = None
    where: str | None = None
    dedupe: bool = False
    balance: bool = False
    sample: int | None = None
    seed: int | None = None
    limit: int | None = None
    alpha: str = "error"
    orientation: str = "apply"
    sixteen_bit: str = SIXTEEN_BIT
    store: str = "pixels"
    encoding: str | None = None
    out: str | Path | None = None
    shard_size: int | None = None
    column: str | None = None
    key: str | None = None
    labels: str | Path | None = None
    label_column: str | None = None
    inputs: str | Path | None = None
    operation: str | None = None
    scale: int | None = None
    direction: str | None = None
    sigma: float | None = None
    tile: int | None = None
    stride: int | None = None
    rest: str | None = None
    faces: str | None = None
    landmarks: str | Path | None = None
    pose: float | None = None
    angles: tuple[float, ...] | None = None


class PrepKeywords(TypedDict, total=False):
    """The fields of `PrepOptions` as named arguments."""

    source: str | Path | None
    size: int | tuple[int, int] | None
    crop: str
    filter: str | None
    pad_color: str | None
    fast: bool
    channels: int | None
    split: str | None
    where: str | None
    dedupe: bool
    balance: bool
    sample: int | None
    seed: int | None
    limit: int | None
    alpha: str
    orientation: str
    sixteen_bit: str
    store: str
    encoding: str | None
    out: str | Path | None
    shard_size: int | None
    column: str | None
    key: str | None
    labels: str | Path | None
    label_column: str | None
    inputs: str | Path | None
    operation: str | None
    scale: int | None
    direction: str | None
    sigma: float | None
    tile: int | None
    stride: int | None
    rest: str | None
    faces: str | None
    landmarks: str | Path | None
    pose: float | None
    angles: tuple[float, ...] | None


@dataclass(frozen=True)
class PrepPlan:
    """A preparation that is decided in every respect and not begun.

    Attributes:
        kind: the source's name in `SOURCES`.
        options: what it was made of, `source` being the path that was found.
        images: the images, in the order of the set.
        regions: float64 (n, 8), what is kept of each, for the crops that need it.
        policy: how they become pixels, and what is stored of each.
        per_shard: images in a shard.
        document: everything that decides the bytes of the set; two with the same plan make the same set.
        target: the folder to make.
        inputs: what belongs to each image, of a set of pairs.
    """

    kind: str
    options: PrepOptions
    images: Source
    regions: NDArray[np.float64] | None
    policy: Policy
    per_shard: int
    document: dict[str, Any]
    target: Path
    inputs: Inputs | None = None

    @property
    def shards(self) -> int:
        """Number of shards."""
        return math.ceil(len(self.images) / self.per_shard)

    def rows(self, shard: int) -> slice:
        """The images of a shard."""
        start = shard * self.per_shard
        return slice(start, min(start + self.per_shard, len(self.images)))


def say(text: str, show: bool) -> None:
    """A line for the user, on stderr."""
    if show:
        print(text, file=sys.stderr)


def resolve(kind: str, options: PrepOptions, *, progress: bool = True) -> PrepPlan:
    """Checks the options, opens the source and decides everything that decides a byte.

    Raises:
        ConfigError: an option is wrong. DataError: the source is missing or empty.
    """
    o, source = options, options.source
    if remote.is_url(kind):
        if source is not None:
            raise ConfigError("the source is given twice.", f"Type: gantools prep {kind}")
        source = kind
    elif kind not in SOURCES:
        # A word that is neither a source nor a path is a misspelt source.
        if source is not None or not ("/" in kind or "*" in kind or Path(kind).exists()):
            raise unknown_name("source", kind, SOURCES)
        source = kind
        kind, words = recognise(Path(source))
        say(f"{source} is taken for {words} (source {kind}).", progress)
    width, height = o.size if isinstance(o.size, tuple) else (o.size, o.size)
    _check(o, width, height)
    check_tiles(o)
    faces = _faces(o)
    tiled, side = o.tile is not None, o.tile or width
    check_pairs(o.operation, o.scale, o.inputs, o.direction, tiled=tiled, size=side, sigma=o.sigma)
    # With a table of labels it is the table's column.
    asked = Asked(o.column, o.key, o.label_column if o.labels is None else None)
    if source is not None and remote.is_url(source):
        named = kind if kind in SOURCES else None
        opened = remote.open_url(
            str(source), named, o.split, asked, progress=progress, say=lambda line: say(line, progress)
        )
        kind = opened.kind
    else:
        opened = open_as(kind, None if source is None else Path(source), o.split, asked)
    if o.labels is not None:
        opened = with_label_file(opened, Path(o.labels), o.label_column)
    if faces is not None:
        opened = frontal.with_landmarks(opened, faces)
    for line in report(opened):
        say(line, progress)
    images, filtered = filters.apply(
        opened,
        expression=o.where,
        turned=o.orientation == "apply",
        unique=o.dedupe,
        equal=o.balance,
        count=o.sample,
        seed=o.seed or 0,
        progress=progress,
    )
    side = o.tile or width or images.size
    if side is None:
        raise ConfigError(f"prep {kind}: which size?", f"Type: gantools prep {kind} --source {source} --size 64")
    channels = o.channels or images.channels
    if o.limit is not None and o.limit < len(images):
        images = images.select(np.arange(o.limit, dtype=np.int64))
    policy = Policy(
        width=side,
        height=side,
        channels=channels,
        crop=o.crop,
        filter=DHARIWAL_FILTERS if o.crop == "dhariwal" else o.filter or "lanczos",
        fast=o.fast,
        alpha=o.alpha,
        orientation=o.orientation,
        sixteen_bit=_sixteen_bit(o.sixteen_bit),
        pad_color=_color(o.pad_color or "black") if o.crop in ("pad", "box") else None,
        band=height if o.crop == "center-wide" else None,
        store=o.encoding or ENCODINGS[0] if o.store == "encoded" else PIXELS,
    )
    tiles, regions, inputs = None, None, None
    if faces is not None:
        policy = replace(policy, crop="landmarks")
        images, regions = frontal.with_frames(frontal.with_identities(images), side)
        filtered |= {"faces": faces.kind, "pose": faces.pose}
        if faces.kind == "frontal":
            images, regions, inputs = frontal.turned(images, regions, policy, faces)
    elif o.tile is not None:
        whole, sizes, policy = images, upright_sizes(images, o.orientation == "apply"), tiled_policy(policy)
        stride = o.stride or o.tile
        images, of, regions = cut(whole, sizes, o.tile, stride, o.scale or 1, o.rest or RESTS[0])
        if "shot" in images.annotations:
            images = with_clips(images, regions)
        tiles = (of, regions, whole, sizes)
        filtered |= {"tiles_of": len(whole), "stride": stride, "rest": o.rest or RESTS[0]}
    elif o.direction is not None:
        policy = replace(policy, half=DIRECTIONS[o.direction])
    inputs = inputs or inputs_of(
        images,
        policy,
        operation=o.operation,
        scale=o.scale,
        inputs=o.inputs,
        direction=o.direction,
        tiles=tiles,
        noise=Noise(o.sigma or SIGMA, o.seed or 0),
    )
    target = Path(o.out) if o.out is not None else Path("data") / _name(images, side)
    per_shard = o.shard_size or max(1, min(SHARD_IMAGES, SHARD_BYTES // (side * side * channels)))
    return PrepPlan(
        kind=kind,
        options=replace(o, source=source),
        images=images,
        regions=regions_of(images, o.crop) if regions is None else regions,
        policy=policy,
        per_shard=per_shard,
        document=_document(images, policy, per_shard, target.name, {"limit": o.limit, **filtered}, inputs, regions),
        target=target,
        inputs=inputs,
    )


def _sixteen_bit(text: str) -> str:
    """The policy as it stands in the manifest: one spelling for one meaning."""
    if text in (SIXTEEN_BIT, "stretch"):
        return text
    low, _, high = text.partition(":")
    if low.isdecimal() and high.isdecimal() and int(low) < int(high) <= 65535:
        return f"{int(low)}:{int(high)}"
    raise ConfigError(
        f"--sixteen-bit is {text!r}; it has to be full, stretch or LOW:HIGH, whole numbers of 0 to 65535 that rise.",
        "For 12-bit data: --sixteen-bit 0:4095",
    )


def _check(o: PrepOptions, width: int | None, height: int | None) -> None:
    """What is wrong with the options whatever the source is."""
    for name, value, known in (
        ("crop", o.crop, CROPS),
        ("filter", o.filter or "lanczos", _native.FILTERS),
        ("alpha", o.alpha, _native.ALPHA_POLICIES),
        ("orientation", o.orientation, _native.ORIENTATION_POLICIES),
        ("store", o.store, STORES),
        ("encoding", o.encoding or ENCODINGS[0], ENCODINGS),
    ):
        if value not in known:
            raise unknown_name(name, value, known)
    for name, number in (
        ("size", width),
        ("size", height),
        ("sample", o.sample),
        ("limit", o.limit),
        ("shard_size", o.shard_size),
    ):
        if number is not None and number < 1:
            raise ConfigError(f"{name} is {number}; it has to be at least 1.")
    if o.seed is not None and o.sample is None and o.operation not in RANDOM and o.faces != "frontal":
        raise ConfigError("the seed is that of a random sample, or of noise.", "Add --sample N, or leave --seed out.")
    if o.sample is not None and o.limit is not None:
        raise ConfigError("a sample and a limit both say how many images.", "Give --sample or --limit.")
    if o.crop == "center-wide":
        if not isinstance(o.size, tuple) or o.size[1] > o.size[0]:
            raise ConfigError(
                "center-wide needs the size of a picture that is not tall.", "For example --size 512x384."
            )
    elif width != height:
        raise ConfigError(
            f"the crop {o.crop} makes squares, not {width}x{height}.", "Only center-wide takes two numbers."
        )
    if o.crop == "dhariwal" and o.filter is not None:
        raise ConfigError("dhariwal has its own filters, box and bicubic.", "Leave --filter out.")
    if o.fast and o.crop in ("dhariwal", *REGION_CROPS):
        raise ConfigError(f"the crop {o.crop} has no fast way.", "Leave --fast out, or choose another crop.")
    if o.pad_color is not None and o.crop not in ("pad", "box"):
        raise ConfigError(f"the crop {o.crop} has no background.", "--pad-color goes with --crop pad and box.")
    if o.encoding is not None and o.store != "encoded":
        raise ConfigError("the encoding is that of an encoded store.", "Add --store encoded, or leave --encoding out.")
    if o.encoding == "original" and o.crop in REGION_CROPS:
        raise ConfigError(
            f"original bytes are cropped when they are read, which the crop {o.crop} cannot be.",
            "Choose --encoding png or jpeg.",
        )


def check_tiles(o: PrepOptions) -> None:
    """ConfigError: what is wrong with the options of tiles, and of what pairs and tiles cannot have."""
    for name, number in (("tile", o.tile), ("stride", o.stride)):
        if number is not None and number < 1:
            raise ConfigError(f"the {name} is {number}; it has to be at least 1.", "For example 128.")
    if o.rest is not None and o.rest not in RESTS:
        raise unknown_name("rest", o.rest, RESTS)
    paired = o.tile is not None or (o.operation, o.scale, o.inputs, o.direction) != (None,) * 4
    if paired and o.encoding == "original":
        raise ConfigError("original bytes are neither tiles nor pairs.", "Choose --encoding png or jpeg.")
    if o.direction is not None and (o.crop in REGION_CROPS or o.fast):
        raise ConfigError(
            f"images side by side have no {'fast way' if o.fast else f'crop {o.crop}'}.", "Leave it away."
        )
    if o.inputs is not None and o.crop in REGION_CROPS:
        raise ConfigError(f"the crop {o.crop} is that of the targets alone.", "Choose --crop center or none.")
    if o.tile is None:
        if o.stride is not None or o.rest is not None:
            raise ConfigError("a stride and a rest are those of tiles.", "Type: gantools prep tiles")
        return
    if o.size is not None or o.crop != "center" or o.filter is not None or o.fast:
        raise ConfigError("tiles are cut and not resized.", "Leave size, crop, filter and fast out.")
    if o.scale is not None and o.stride is not None and o.stride % o.scale:
        near = max(o.stride // o.scale, 1) * o.scale
        raise ConfigError(
            f"the stride {o.stride} is no multiple of the scale {o.scale}.",
            f"For example: gantools prep tiles --stride {near}",
        )


def _faces(o: PrepOptions) -> frontal.Faces | None:
    """Which faces are wanted, where the set is one of faces.

    Raises:
        ConfigError: an option of faces is wrong, goes with another one, or with something else.
    """
    if o.faces is None:
        if (o.landmarks, o.pose, o.angles) != (None,) * 3:
            raise ConfigError("landmarks, pose and angles are those of faces.", "Type: gantools prep frontal")
        return None
    if o.tile is not None or (o.operation, o.scale, o.inputs, o.direction) != (None,) * 4:
        raise ConfigError("faces are neither tiles nor other pairs.", "Leave tile, operation, scale and inputs away.")
    if o.crop != "center" or o.fast or isinstance(o.size, tuple):
        raise ConfigError("faces have a crop of their own, a square.", "Leave crop and fast out, and give one size.")
    if o.encoding == "original":
        raise ConfigError("original bytes are no aligned faces.", "Choose --encoding png or jpeg.")
    if o.angles is not None and o.faces != "frontal":
        raise ConfigError("angles are those of frontal faces.", "Leave them away.")
    landmarks = None if o.landmarks is None else Path(o.landmarks)
    return frontal.Faces(o.faces, landmarks, o.pose, o.angles or frontal.ANGLES, o.seed or 0)


def _color(text: str) -> str:
    """A colour as `#rrggbb`."""
    named = {"black": BLACK, "white": "#ffffff"}
    if text.lower() in named:
        return named[text.lower()]
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise ConfigError(f"{text!r} is no colour.", "Write black, white or #rrggbb.")
    return text.lower()


def _name(images: Source, side: int) -> str:
    # The split that a source gives without being asked is not part of the name.
    split = "" if images.split in (None, images.usual_split) else f"-{images.split}"
    return f"{images.name}-{side}{split}"


def _document(
    images: Source,
    policy: Policy,
    per_shard: int,
    name: str,
    chosen: dict[str, Any],
    inputs: Inputs | None,
    tiles: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Everything that decides the bytes of the set; two runs with the same plan make the same set."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "name": name,
        "source": {
            "kind": images.kind,
            **({"in_the_wild": True} if images.in_the_wild else {}),
            "split": images.split,
            **images.facts,
            **chosen,
            "items": len(images),
            "fingerprint": images.reader.fingerprint(),
            "selection": hashlib.sha256(images.items.tobytes()).hexdigest()[:32],
            **({} if tiles is None else {"regions": _array_digest(tiles)}),
            **({} if images.labels is None else {"labels": _labels_digest(images)}),
            "annotations": {k: _array_digest(a.values) for k, a in images.annotations.items()},
        },
        "policy": policy.to_manifest(),
        "versions": {
            "gantools": _native.__version__,
            **dict(_native.DECODERS),
            **(heif.versions() if any(map(heif.is_further, images.names)) else {}),
        },
        "shard_size": per_shard,
        **({} if inputs is None else {"inputs": inputs.document()}),
    }


def _labels_digest(images: Source) -> str:
    assert images.labels is not None
    return digest([_array_digest(images.labels), images.classes])[:32]


def _array_digest(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:32]
